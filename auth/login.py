"""One login for all providers: OAuthenticator's class, plus what makes an account an account.

``lab_class`` puts LabLogin before any of OAuthenticator's classes. Added are: the person is pinned
by (issuer, subject); allow and admin rules are judged on the provider's own names, at login and at
every refresh; a provider that does not answer throws nobody out for a day; one refresh at a time.
"""

import asyncio
import logging
import time
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from jupyterhub.utils import maybe_future
from oauthenticator.oauth2 import OAuthenticator
from tornado import web
from tornado.httpclient import HTTPClientError
from traitlets import Bool, Int, List, Set, Unicode, default

from auth import messages
from auth.accounts import Account, AccountBook, NameBelongsToAnotherError
from auth.groups import claim_at, verified_email
from auth.redact import redact_secrets_in_logs
from auth.web import LabCallback, LabLoginStart, LabLogout

# How long the last good answer counts while the provider does not answer …
OUTAGE_SECONDS = 24 * 3600
# … and while it cannot be asked, because it gave a short-lived token and no way to renew it.
UNRENEWABLE_SECONDS = 12 * 3600
# Requests of one page come together; whoever comes this soon after a refresh shares its result.
SHARE_SECONDS = 5

NAME_LENGTH_MAX = 255
MEMO = "labhub"  # our part of the auth state

_FAILURES = (OSError, HTTPClientError, ValueError, KeyError, TypeError, web.HTTPError)

# Whether a request to the provider in the current task went without an answer that means something.
_unreachable: ContextVar[bool] = ContextVar("unreachable", default=False)


class LabLogin(OAuthenticator):
    """What every provider's authenticator gets."""

    issuer = Unicode(
        help="Who vouches for people; half of their identity, so never change it."
    ).tag(config=True)
    subject_claims = List(
        Unicode(), ["sub"], help="The claims that stay when a person is renamed."
    ).tag(config=True)
    allowed_names = Set(
        Unicode(), help="Names at the provider of people who may come. Empty: nobody by name."
    ).tag(config=True)
    admin_names = Set(Unicode(), help="Names at the provider of the lab's admins.").tag(config=True)
    names_ignore_case = Bool(
        help="Whether Ada and ada are one person at the provider. Only ASCII letters are folded."
    ).tag(config=True)
    accounts_path = Unicode(help="The SQLite file with the book of accounts.").tag(config=True)
    end_session_url = Unicode(
        help="Where signing out ends the provider's session too. Empty: only the hub's ends."
    ).tag(config=True)
    public_url = Unicode(help="The one address of the lab. Empty: a trial on loopback.").tag(
        config=True
    )
    trial_port = Int(help="The port on 127.0.0.1 while there is no public address.").tag(
        config=True
    )

    checks_state = True

    def __init__(self, **kwargs: Any) -> None:
        """Make sure that no secret of a sign-in reaches a log."""
        super().__init__(**kwargs)
        redact_secrets_in_logs()
        self._book: AccountBook | None = None
        self._refreshes: dict[str, asyncio.Future[Any]] = {}
        self.reconcile_auth_state_hook = carry_over

    @default("custom_403_message")
    def _custom_403_message_default(self) -> str:
        return messages.not_on_the_list(self.login_service)

    @property
    def book(self) -> AccountBook:
        """The book of accounts."""
        if self._book is None:
            self._book = AccountBook(Path(self.accounts_path))
        return self._book

    def normalize_username(self, username: str) -> str:
        """Return the name as rules compare it.

        Not ``str.lower``: the Kelvin sign would become the k of an admin's name.
        """
        if not self.names_ignore_case:
            return username
        return "".join(char.lower() if char.isascii() else char for char in username)

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

    async def update_auth_model(self, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Turn the provider's name into the account's, and judge admin on the provider's."""
        provider_name = auth_model["name"]
        claims = auth_model["auth_state"][self.user_auth_state_key]
        self._require_verified_address(claims)
        auth_model = await super().update_auth_model(auth_model)
        subject = self._subject(claims)
        auth_model["name"] = await self._pinned(self.book.name_for, subject, provider_name)
        auth_model["admin"] = bool(auth_model["admin"]) or self._is_admin_name(provider_name)
        auth_model["auth_state"][MEMO] = {
            "subject": subject,
            "provider_name": provider_name,
            "display_name": _text(claims.get("name")) or provider_name,
            "checked_at": time.time(),
            "expires_at": _expiry(auth_model["auth_state"]),
        }
        if verified_email(claims) is None:
            claims.pop("email", None)
        return auth_model

    async def check_allowed(self, username: str, auth_model: dict[str, Any] | None) -> bool:
        """Say whether a rule lets this person in, by the provider's own name."""
        if auth_model is None:
            return False
        provider_name = auth_model["auth_state"][MEMO]["provider_name"]
        if provider_name in {self.normalize_username(name) for name in self.allowed_names}:
            return True
        return bool(await super().check_allowed(provider_name, auth_model))

    async def run_post_auth_hook(
        self, handler: web.RequestHandler, auth_model: dict[str, Any]
    ) -> dict[str, Any]:
        """Write the account down, now that the person is let in."""
        self._refreshes.pop(auth_model["name"], None)
        await self._record(auth_model)
        return await super().run_post_auth_hook(handler, auth_model)

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
            await self._record(model)
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
            "admin": self._is_admin_name(memo["provider_name"])
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

    async def _record(self, model: dict[str, Any]) -> Account:
        memo = model["auth_state"][MEMO]
        return await self._pinned(
            self.book.sign_in, memo["subject"], memo["provider_name"], memo["display_name"]
        )

    async def _pinned(self, ask: Any, *args: str) -> Any:
        """Ask the book without holding up the hub; a name of somebody else is a refusal."""
        try:
            return await asyncio.to_thread(ask, self.issuer, *args)
        except NameBelongsToAnotherError as error:
            self.log.warning("Refused: subject %s at %s: %s", args[0], self.issuer, error)
            raise web.HTTPError(403, _plain(str(error))) from None

    def _is_admin_name(self, provider_name: str) -> bool:
        return provider_name in {self.normalize_username(name) for name in self.admin_names}

    def _subject(self, claims: dict[str, Any]) -> str:
        """Return the provider's lasting id of the person, or refuse."""
        parts = [claim_at(claims, claim) for claim in self.subject_claims]
        texts = [str(part) if type(part) is int else _text(part) for part in parts]
        if not all(texts):
            raise web.HTTPError(403, messages.no_subject(self.login_service))
        return "/".join(texts)

    def _require_verified_address(self, claims: dict[str, Any]) -> None:
        """Refuse an unverified address where the address is the name that rules are about."""
        if self.username_claim == "email" and verified_email(claims) is None:
            raise web.HTTPError(403, messages.email_not_verified(self.login_service))

    def user_info_to_username(self, user_info: dict[str, Any]) -> str:
        """Return the provider's own name, or refuse with a sentence."""
        try:
            name = _text(super().user_info_to_username(user_info))
        except (ValueError, KeyError, TypeError, AttributeError):
            name = ""
        if not name:
            raise web.HTTPError(403, messages.no_subject(self.login_service))
        return name


def lab_class(base: type[OAuthenticator], quirk: type | None = None) -> type[LabLogin]:
    """Return the lab's authenticator over one of OAuthenticator's classes."""
    bases = (LabLogin, quirk, base) if quirk else (LabLogin, base)
    first = quirk if quirk and "callback_handler" in vars(quirk) else base
    handlers = {
        "login_handler": type("LabLoginHandler", (LabLoginStart, base.login_handler), {}),
        "callback_handler": type("LabCallbackHandler", (LabCallback, first.callback_handler), {}),
        "logout_handler": type("LabLogoutHandler", (LabLogout, base.logout_handler), {}),
    }
    return type(f"Lab{base.__name__}", bases, {"__doc__": LabLogin.__doc__, **handlers})


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


def _is_within(seconds: float, since: float) -> bool:
    return 0 <= time.time() - since < seconds


def _expiry(auth_state: dict[str, Any]) -> float | None:
    """Return when the access token ends, if the provider says."""
    seconds = (auth_state.get("token_response") or {}).get("expires_in")
    return time.time() + seconds if type(seconds) in {int, float} else None


def _text(value: object) -> str:
    """Return a text that can be stored and shown, else the empty one."""
    if not isinstance(value, str) or len(value) > NAME_LENGTH_MAX:
        return ""
    return value if all(char.isprintable() for char in value) else ""


def _plain(sentence: str) -> str:
    """Return a sentence that tornado does not take for a format."""
    return sentence.replace("%", "%%")
