# ruff: noqa: ANN401 - the hub's users have no types
"""MediaWiki speaks OAuth 1, through mwoauth; its class neither refreshes nor refuses cleanly."""

from typing import Any

from mwoauth import AccessToken, ConsumerToken, OAuthException
from oauthenticator.mediawiki import AUTH_REQUEST_COOKIE_NAME, MWCallbackHandler, dejsonify
from oauthenticator.oauth2 import OAuthenticator
from tornado import web

from auth import messages


class MediaWikiCallback(MWCallbackHandler):
    """Refuses an answer to a sign-in that this browser did not begin."""

    def check_arguments(self) -> None:
        """Compare the request token in the cookie with the one in the URL."""
        cookie = self.get_secure_cookie(AUTH_REQUEST_COOKIE_NAME)
        token = self.get_argument("oauth_token", "").encode()
        if not cookie or not token or _key(dejsonify(cookie).key) != token:
            raise web.HTTPError(400, messages.SIGN_IN_AGAIN)


class MediaWikiTokens(OAuthenticator):
    """Asks MediaWiki again at refresh, with the stored access token."""

    callback_handler = MediaWikiCallback
    checks_state = False

    def user_info_to_username(self, user_info: dict[str, Any]) -> str:
        """Return the name in the one spelling that rules are compared in (provider_traits.py)."""
        return str(super().user_info_to_username(user_info)).replace(" ", "_")

    async def token_to_user(self, token_info: dict[str, Any] | None) -> dict[str, Any]:
        """Return who the token belongs to; a refused token is a refusal, not an error."""
        try:
            claims: dict[str, Any] = await super().token_to_user(token_info)
        except OAuthException as error:
            raise web.HTTPError(403, messages.cancelled(self.login_service)) from error
        return claims

    async def refresh_user(
        self, user: Any, handler: web.RequestHandler | None = None, **kwargs: Any
    ) -> dict[str, Any] | bool:
        """Identify again; the parent looks for a token response that OAuth 1 has not."""
        del handler, kwargs
        stored = await user.get_auth_state()
        if not stored or "ACCESS_TOKEN_KEY" not in stored:
            return False
        token = AccessToken(stored["ACCESS_TOKEN_KEY"], stored["ACCESS_TOKEN_SECRET"])
        consumer = ConsumerToken(self.client_id, self.client_secret)
        model: dict[str, Any] = await self._token_to_auth_model(
            {"access_token": token, "consumer_token": consumer}
        )
        return model

    async def get_token_info(self, handler: web.RequestHandler, params: None) -> dict[str, Any]:
        """Return the access token; an old or replayed answer is a refusal."""
        try:
            tokens: dict[str, Any] = await super().get_token_info(handler, params)
        except OAuthException:
            raise web.HTTPError(400, messages.SIGN_IN_AGAIN) from None
        return tokens


def _key(key: str | bytes) -> bytes:
    return key.encode() if isinstance(key, str) else key
