# ruff: noqa: ANN401 - the hub's users and the library's options have no types
"""Asking the provider again: who may stay, and what an answer that never came means.

Upstream asks again but never judges the answer, and takes a provider that is down for a refusal.
"""

import asyncio
import time
from contextvars import ContextVar
from typing import Any

from jupyterhub.utils import maybe_future
from oauthenticator.oauth2 import OAuthenticator
from tornado import web
from tornado.httpclient import HTTPClientError

# How long the last good answer counts while the provider does not answer …
OUTAGE_SECONDS = 24 * 3600
# … and while it cannot be asked, because it gave a short-lived token and no way to renew it.
UNRENEWABLE_SECONDS = 12 * 3600
# Requests of one page come together; whoever comes this soon after a refresh shares its result.
SHARE_SECONDS = 5

MEMO = "labhub"  # our part of the auth state

_FAILURES = (OSError, HTTPClientError, ValueError, KeyError, TypeError, web.HTTPError)

# Whether a request to the provider in the current task went without an answer that means something.
_unreachable: ContextVar[bool] = ContextVar("unreachable", default=False)


class Refresh(OAuthenticator):
    """Lets people stay as long as the provider and today's rules let them."""

    def __init__(self, **kwargs: Any) -> None:
        """Begin with no refresh under way."""
        super().__init__(**kwargs)
        self._refreshes: dict[str, asyncio.Future[Any]] = {}
        self.reconcile_auth_state_hook = carry_over

    async def record(self, model: dict[str, Any]) -> None:
        """Write down that somebody was let in."""
        raise NotImplementedError

    def is_admin_name(self, provider_name: str) -> bool:
        """Say whether a rule makes this name at the provider an admin."""
        raise NotImplementedError

    def forget_refresh(self, name: str) -> None:
        """Ask the provider at the next chance, because somebody just signed in."""
        self._refreshes.pop(name, None)

    async def httpfetch(self, url: str, *args: Any, **kwargs: Any) -> Any:
        """Ask the provider, and note when it did not really answer."""
        try:
            answer = await super().httpfetch(url, *args, **kwargs)
        except HTTPClientError as error:
            if says_nothing(error.code, error.response and error.response.headers):
                _unreachable.set(True)
            raise
        except (OSError, ValueError):
            _unreachable.set(True)
            raise
        code = getattr(answer, "code", None)
        if isinstance(code, int) and says_nothing(code, answer.headers):
            _unreachable.set(True)
        return answer

    async def refresh_user(
        self, user: Any, handler: web.RequestHandler | None = None, **kwargs: Any
    ) -> dict[str, Any] | bool:
        """Ask the provider again: True or a model when the person may stay, else False.

        Providers that rotate refresh tokens accept each once, so requests of one person share.
        """
        name = user.name
        running = self._refreshes.get(name)
        if running is None:
            running = asyncio.ensure_future(self._refresh(user, handler, **kwargs))
            self._refreshes[name] = running
            running.add_done_callback(lambda done: self._forget_later(name, done))
        result = await asyncio.shield(running)
        return dict(result) if isinstance(result, dict) else result

    def _forget_later(self, name: str, done: asyncio.Future[Any]) -> None:
        """Keep a good result for the requests that came together with it; drop any other now."""

        def forget() -> None:
            if self._refreshes.get(name) is done:
                del self._refreshes[name]

        is_good = not done.cancelled() and done.exception() is None and done.result()
        if is_good:
            asyncio.get_running_loop().call_later(SHARE_SECONDS, forget)
        else:
            forget()

    async def _refresh(
        self, user: Any, handler: web.RequestHandler | None, **kwargs: Any
    ) -> dict[str, Any] | bool:
        stored = await user.get_auth_state()
        _unreachable.set(False)
        try:
            model = await super().refresh_user(user, handler, **kwargs)
        except _FAILURES as error:
            self.log.warning("Cannot refresh %s: %s", user.name, type(error).__name__)
            _unreachable.set(_unreachable.get() or isinstance(error, OSError))
            model = False
        if isinstance(model, dict):
            return await self._confirmed(user, model, stored or {})
        return await self._unconfirmed(user, stored or {})

    async def _confirmed(
        self, user: Any, model: dict[str, Any], stored: dict[str, Any]
    ) -> dict[str, Any] | bool:
        """Judge what the provider just said."""
        if model["name"] != user.name:
            self.log.error("The tokens of %s are now those of %s", user.name, model["name"])
            return False
        if await self._may_stay(user.name, model):
            await self.record(model)
            return model
        # The tokens may have been renewed, so the model is kept; but not as a confirmation.
        checked_at = stored.get(MEMO, {}).get("checked_at", 0)
        model["auth_state"][MEMO]["checked_at"] = checked_at
        return model if _unreachable.get() and _is_within(OUTAGE_SECONDS, checked_at) else False

    async def _unconfirmed(self, user: Any, stored: dict[str, Any]) -> dict[str, Any] | bool:
        """Go on with what was known, for as long as that may be and today's rules allow it."""
        memo = stored.get(MEMO)
        if memo is None or not _is_within(self._patience_seconds(stored), memo["checked_at"]):
            return False
        groups = [group.name for group in user.groups]
        model = {
            "name": user.name,
            "admin": self.is_admin_name(memo["provider_name"])
            or bool(self.admin_groups.intersection(groups)),
            "auth_state": stored,
            "groups": groups,
        }
        was_unreachable = _unreachable.get()
        _unreachable.set(False)
        may_stay = await self._may_stay(user.name, model)
        return model if may_stay or (was_unreachable and _unreachable.get()) else False

    def _patience_seconds(self, stored: dict[str, Any]) -> float:
        """Return how long the last answer counts without a new one; 0 after a clear no."""
        if _unreachable.get():
            return OUTAGE_SECONDS
        expires_at = stored[MEMO].get("expires_at")
        if not stored.get("refresh_token") and expires_at and expires_at <= time.time():
            return UNRENEWABLE_SECONDS
        return 0

    async def _may_stay(self, name: str, model: dict[str, Any]) -> bool:
        """Run the checks of a login; upstream leaves them out at refresh."""
        try:
            if not await maybe_future(self.check_blocked_users(name, model)):
                return False
            return self.allow_all or bool(await self.check_allowed(name, model))
        except _FAILURES as error:
            _unreachable.set(_unreachable.get() or isinstance(error, OSError))
            return False


def says_nothing(code: int, headers: Any = None) -> bool:
    """Say whether an HTTP status is about the provider's health and not about the person."""
    is_rate_limited = code == 429 or (  # noqa: PLR2004 - HTTP
        code == 403 and (headers or {}).get("X-RateLimit-Remaining") == "0"  # noqa: PLR2004
    )
    return code >= 500 or is_rate_limited  # noqa: PLR2004


def carry_over(
    _authenticator: object, auth_model: dict[str, Any], existing: dict[str, Any] | None
) -> dict[str, Any] | None:
    """Keep tokens that the provider gives only once: at the first consent, not at each login."""
    auth_state = auth_model["auth_state"]
    if auth_state and existing:
        for token in ("refresh_token", "id_token"):
            if not auth_state.get(token) and existing.get(token):
                auth_state[token] = existing[token]
    return auth_state


def confirmed_now(auth_state: dict[str, Any]) -> dict[str, Any]:
    """Return what `_unconfirmed` needs to know later about an answer that came just now."""
    return {"checked_at": time.time(), "expires_at": _expiry(auth_state)}


def _is_within(seconds: float, since: float) -> bool:
    return 0 <= time.time() - since < seconds


def _expiry(auth_state: dict[str, Any]) -> float | None:
    """Return when the access token ends, if the provider says."""
    seconds = (auth_state.get("token_response") or {}).get("expires_in")
    return time.time() + seconds if type(seconds) in {int, float} else None
