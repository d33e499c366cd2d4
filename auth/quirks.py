"""What single providers' classes get wrong for us, each as the smallest override.

Found by reading oauthenticator 17.4. Every class here is mixed in before OAuthenticator's own.
"""

from typing import Any
from urllib.parse import quote

import jwt
from oauthenticator.oauth2 import OAuthenticator
from tornado import web
from tornado.httpclient import HTTPClientError

from auth import messages


class AzureTokens(OAuthenticator):
    """Entra ID is asked again at refresh.

    The parent decodes the stored id_token for ever, so that a removed person stays and new groups
    never arrive. A token past its time counts as refused, and the refresh token is used.
    """

    async def token_to_user(self, token_info: dict[str, Any]) -> dict[str, Any]:
        """Return the claims of an id_token that is ours and not expired."""
        options = {"verify_signature": False, "verify_aud": True, "verify_exp": True}
        try:
            return jwt.decode(token_info["id_token"], audience=self.client_id, options=options)
        except (jwt.InvalidTokenError, KeyError) as error:
            raise HTTPClientError(401, f"id_token: {type(error).__name__}") from None


class BitbucketWorkspaces(OAuthenticator):
    """Workspaces are compared by their unique id, not by a display name anyone may choose."""

    async def _fetch_user_teams(self, access_token: str, token_type: str) -> set[str]:
        headers = self.build_userdata_request_headers(access_token, token_type)
        page = "https://api.bitbucket.org/2.0/workspaces?role=member"
        slugs: set[str] = set()
        while page:
            answer = await self.httpfetch(page, method="GET", headers=headers)
            slugs |= {entry["slug"] for entry in answer["values"]}
            page = answer.get("next")
        return slugs


class GitLabGroups(OAuthenticator):
    """Subgroups work: the parent escapes the slash of ``lab/gpu`` twice."""

    async def _check_membership_allowed_groups(self, user_id: int, access_token: str) -> bool:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {access_token}"}
        for group in sorted(self.allowed_gitlab_groups):
            answer = await self.httpfetch(
                f"{self.gitlab_api}/groups/{quote(group, safe='')}/members/all/{user_id:d}",
                parse_json=False,
                raise_error=False,
                method="GET",
                headers=headers,
                validate_cert=self.validate_server_cert,
            )
            if answer.code == 200:  # noqa: PLR2004 - HTTP
                return True
        return False


class GlobusNames(OAuthenticator):
    """A name is compared with its institution, and no token is put into servers."""

    def user_info_to_username(self, user_info: dict[str, Any]) -> str:
        """Return ``ada@uni.example``: the parent cuts the institution, and anybody may be ada."""
        if self.identity_provider:
            return str(super().user_info_to_username(user_info))
        return str(user_info["preferred_username"])

    async def pre_spawn_start(self, user: object, spawner: object) -> None:
        """Leave the server's environment alone; the parent pickles all tokens into it."""

    async def get_token_info(self, handler: object, params: dict[str, Any]) -> dict[str, Any]:
        """Return tokens; an answer to a refresh may lack the list that the parent reads."""
        token_info: dict[str, Any] = await super().get_token_info(handler, params)
        token_info.setdefault("other_tokens", [])
        return token_info


class Auth0Address(OAuthenticator):
    """An account without an address is refused, not an error: the parent reads the key."""

    async def token_to_user(self, token_info: dict[str, Any]) -> dict[str, Any]:
        """Return the claims, with an address that may be empty."""
        claims: dict[str, Any] = await super().token_to_user(token_info)
        claims.setdefault("email", "")
        return claims


class GoogleAddress(OAuthenticator):
    """A missing mark of verification means: not verified. The parent reads the key."""

    async def token_to_user(self, token_info: dict[str, Any]) -> dict[str, Any]:
        """Return the claims, with a mark that is a boolean."""
        claims: dict[str, Any] = await super().token_to_user(token_info)
        claims["verified_email"] = claims.get("verified_email") is True
        return claims


class OpenId(OAuthenticator):
    """The person in the id_token and the one in userinfo must be the same."""

    async def token_to_user(self, token_info: dict[str, Any]) -> dict[str, Any]:
        """Return the claims of userinfo.

        Tokens come over TLS from the token endpoint, so signatures are not checked again.
        """
        claims: dict[str, Any] = await super().token_to_user(token_info)
        if not isinstance(claims, dict):
            raise web.HTTPError(403, messages.no_subject(self.login_service))
        if token_info.get("id_token") and _subject(token_info["id_token"]) != claims.get("sub"):
            raise web.HTTPError(403, messages.different_subjects(self.login_service))
        return claims


def _subject(id_token: str) -> object:
    """Return the subject of an id_token, None when it is none."""
    try:
        return jwt.decode(id_token, options={"verify_signature": False}).get("sub")
    except jwt.InvalidTokenError:
        return None
