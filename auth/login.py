# ruff: noqa: ANN401 - what the library passes on has no types
"""One login for all providers: OAuthenticator's class, plus what makes an account an account.

``lab_class`` puts LabLogin before any of OAuthenticator's classes. Added are: the person is pinned
by (issuer, subject); allow and admin rules are judged on the provider's own names, at login and at
every refresh; a provider that does not answer throws nobody out for a day; one refresh at a time.
"""

import asyncio
from pathlib import Path
from typing import Any

from oauthenticator.oauth2 import OAuthenticator
from tornado import web
from traitlets import Bool, Int, List, Set, Unicode, default

from auth import messages
from auth.accounts import AccountBook, NameBelongsToAnotherError
from auth.groups import claim_at, verified_email
from auth.redact import redact_secrets_in_logs
from auth.refresh import MEMO, Refresh, confirmed_now
from auth.web import LabCallback, LabLoginStart, LabLogout

NAME_LENGTH_MAX = 255


class LabLogin(Refresh):
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

    async def update_auth_model(self, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Turn the provider's name into the account's, and judge admin on the provider's."""
        provider_name = auth_model["name"]
        claims = auth_model["auth_state"][self.user_auth_state_key]
        self._require_verified_address(claims)
        auth_model = await super().update_auth_model(auth_model)
        subject = self._subject(claims)
        auth_model["name"] = await self._pinned(self.book.name_for, subject, provider_name)
        auth_model["admin"] = bool(auth_model["admin"]) or self.is_admin_name(provider_name)
        auth_model["auth_state"][MEMO] = {
            "subject": subject,
            "provider_name": provider_name,
            "display_name": _text(claims.get("name")) or provider_name,
            **confirmed_now(auth_model["auth_state"]),
        }
        if verified_email(claims) is None:
            claims.pop("email", None)
        return auth_model

    async def check_allowed(self, username: str, auth_model: dict[str, Any] | None) -> bool:
        """Say whether a rule lets this person in, by the provider's own name."""
        del username  # the account's: no rule is written with it
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
        self.forget_refresh(auth_model["name"])
        await self.record(auth_model)
        return await super().run_post_auth_hook(handler, auth_model)

    async def record(self, model: dict[str, Any]) -> None:
        """Write the account down, or note its new names."""
        memo = model["auth_state"][MEMO]
        await self._pinned(
            self.book.sign_in, memo["subject"], memo["provider_name"], memo["display_name"]
        )

    async def _pinned(self, ask: Any, *args: str) -> Any:
        """Ask the book without holding up the hub; a name of somebody else is a refusal."""
        try:
            return await asyncio.to_thread(ask, self.issuer, *args)
        except NameBelongsToAnotherError as error:
            self.log.warning("Refused: subject %s at %s: %s", args[0], self.issuer, error)
            raise web.HTTPError(403, _plain(str(error))) from None

    def is_admin_name(self, provider_name: str) -> bool:
        """Say whether a rule makes this name at the provider an admin."""
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


def _text(value: object) -> str:
    """Return a text that can be stored and shown, else the empty one."""
    if not isinstance(value, str) or len(value) > NAME_LENGTH_MAX:
        return ""
    return value if all(char.isprintable() for char in value) else ""


def _plain(sentence: str) -> str:
    """Return a sentence that tornado does not take for a format."""
    return sentence.replace("%", "%%")
