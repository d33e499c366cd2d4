# ruff: noqa: ANN401 - tornado's handlers return what they like
"""The pages of a sign-in: where it may begin, what comes back, and signing out at the provider."""

import base64
import binascii
import hmac
import json
import logging
import re
from typing import Any
from urllib.parse import urlencode, urlsplit

from oauthenticator.oauth2 import OAuthCallbackHandler, OAuthLoginHandler, OAuthLogoutHandler
from tornado import web
from tornado.httpclient import HTTPClientError
from tornado.httputil import url_concat

from auth import messages
from auth.discovery import is_loopback

log = logging.getLogger(__name__)

_ERROR_CODE = re.compile(r"[a-z_]{1,40}")
_MOVED = "moved"


class OtherAddressError(Exception):
    """The lab has no public address and this is not one of its own machine."""


def better_origin(
    protocol: str, host: str, public_url: str, trial_port: int, *, is_local: bool
) -> str | None:
    """Return the origin where the sign-in has to begin, or None where it may begin here. Pure.

    The cookie that protects a sign-in belongs to one host, and a provider sends people back to
    registered addresses only. In a trial those are 127.0.0.1 with any port (the other end of a
    tunnel), and for local accounts also localhost with the lab's own port.
    """
    if public_url:
        return None if _netloc(protocol, host) == _netloc(*_split(public_url)) else public_url
    name = urlsplit(f"//{host}").hostname or ""
    if not is_loopback(name):
        raise OtherAddressError(f"http://127.0.0.1:{trial_port}")
    port = urlsplit(f"//{host}").port
    if name == "127.0.0.1" or (is_local and host == f"localhost:{trial_port}"):
        return None
    return f"http://127.0.0.1:{port}" if port else "http://127.0.0.1"


def _split(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _netloc(protocol: str, host: str) -> str:
    """Return a host without the port that its protocol has anyway.

    Behind a proxy that ends TLS the protocol seen here is often http, so both ports go.
    """
    del protocol
    return re.sub(r":(80|443)$", "", host.lower())


class LabLoginStart(OAuthLoginHandler):
    """Begins a sign-in, on the one right address."""

    def get(self) -> Any:
        """Redirect to the provider, or to the address where the sign-in has to begin."""
        authenticator = self.authenticator
        try:
            origin = better_origin(
                self.request.protocol,
                self.request.host,
                authenticator.public_url,
                authenticator.trial_port,
                is_local=authenticator.issuer == "local",
            )
        except OtherAddressError as error:
            raise web.HTTPError(400, messages.other_address(str(error))) from None
        # A front that rewrites Host would send people round in circles; once is enough.
        if origin is None or self.get_argument(_MOVED, ""):
            return super().get()
        query = urlencode({"next": self.get_argument("next", ""), _MOVED: "1"})
        return self.redirect(f"{origin}{self.request.path}?{query}")


class LabCallback(OAuthCallbackHandler):
    """Takes what the provider sends back; whatever can go wrong is a page with a way on."""

    def check_arguments(self) -> None:
        """Refuse what is not the answer to a sign-in that this browser began."""
        if not self.authenticator.checks_state:
            super().check_arguments()
            return
        self.check_state()
        self.check_error()
        if not self.get_argument("code", ""):
            raise web.HTTPError(400, messages.SIGN_IN_AGAIN)

    def check_state(self) -> None:
        """Compare the state in the cookie with the one in the URL."""
        ours = state_id(self.get_state_cookie())
        theirs = state_id(self.get_argument("state", ""))
        if not ours or not theirs or not hmac.compare_digest(ours, theirs):
            raise web.HTTPError(400, messages.SIGN_IN_AGAIN)

    def check_error(self) -> None:
        """Say which error came back; the provider's own text may be anybody's."""
        error = self.get_argument("error", "")
        if not error:
            return
        log.warning("The provider answered a sign-in with %r", error[:200])
        service = self.authenticator.login_service
        if error == "access_denied" or not _ERROR_CODE.fullmatch(error):
            raise web.HTTPError(400, messages.cancelled(service))
        raise web.HTTPError(400, messages.provider_error(service, error))

    async def get(self) -> None:
        """Sign the person in."""
        try:
            await super().get()
        except HTTPClientError as error:
            raise refusal(error, self.authenticator.login_service) from None
        except OSError:
            service = self.authenticator.login_service
            raise web.HTTPError(503, messages.provider_unreachable(service)) from None


class LabLogout(OAuthLogoutHandler):
    """Ends the provider's session too, else the next click on this machine signs in again."""

    _id_token: str | None = None

    async def default_handle_logout(self) -> None:
        """Remember who leaves: afterwards the hub does not know."""
        user = self.current_user
        if user:
            auth_state = await user.get_auth_state() or {}
            self._id_token = auth_state.get("id_token")
        await super().default_handle_logout()

    async def render_logout_page(self) -> None:
        """Go by the provider's sign-out page, where it has one."""
        url = self.authenticator.end_session_url
        if not url:
            await super().render_logout_page()
            return
        callback = self.authenticator.get_callback_url(self)
        query = {
            "client_id": self.authenticator.client_id,
            "post_logout_redirect_uri": callback.removesuffix("oauth_callback") + "login",
        }
        if self._id_token:
            query["id_token_hint"] = self._id_token
        self.redirect(url_concat(url, query))


def state_id(state: str) -> str:
    """Return the id in a serialized state; the empty text for anything else."""
    try:
        value = json.loads(base64.urlsafe_b64decode(state.encode("ascii")))
    except (ValueError, binascii.Error):
        return ""
    found = value.get("state_id") if isinstance(value, dict) else None
    return found if isinstance(found, str) and found.isascii() else ""


def refusal(error: HTTPClientError, service: str) -> web.HTTPError:
    """Translate the provider's answer to our own requests during a sign-in."""
    body = error.response.body if error.response else b""
    if error.code >= 500 or error.code == 429:  # noqa: PLR2004 - HTTP
        return web.HTTPError(503, messages.provider_unreachable(service))
    if b"invalid_client" in body or b"unauthorized_client" in body:
        return web.HTTPError(502, messages.provider_refused_us(service))
    return web.HTTPError(400, messages.SIGN_IN_AGAIN)
