# ruff: noqa: E501 - one row, one line
"""What happens to people when providers do what providers do.

The real authenticator speaks over HTTP with a provider that can refuse, fail, rename and recycle.
Two tables: who gets in, and who stays when asked again.
"""

import asyncio
import base64
import hashlib
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from oauthenticator.generic import GenericOAuthenticator
from oauthenticator.oauth2 import _serialize_state
from tornado import web
from traitlets.config import Config as TraitConfig

import auth.refresh
from auth import discovery, providers
from auth.identity import account_key
from auth.login import LabLogin, lab_class
from auth.provider_traits import Site
from auth.quirks import OpenId
from hub_config.schema import Allow, Login, SecretRef
from tests.lib.fake_oidc import CLIENT_ID, CLIENT_SECRET, FakeOidc

PUBLIC_URL = "https://gpu.example"
DAY_SECONDS = 24 * 3600
EVERYONE = {"allow": Allow(everyone=True)}
STAFF = {"allow": Allow(groups=("staff",))}
ADA = {"allow": Allow(users=("ada",))}
ADA_ADMIN = {"allow": Allow(users=("ada",)), "admins": ("ada",)}
BY_EMAIL = {"username_claim": "email", "allow": Allow(users=("ada@lab.example",))}


@dataclass
class HubUser:
    """What the hub keeps about somebody between requests."""

    name: str
    auth_state: dict[str, Any]
    groups: list[Any] = field(default_factory=list)
    admin: bool = False

    async def get_auth_state(self) -> dict[str, Any]:
        """Return what was kept."""
        return self.auth_state


class Stage:
    """A provider, a hub's authenticator, and a clock that can be moved."""

    def __init__(self, provider: FakeOidc, folder: Path) -> None:
        self.provider = provider
        self.folder = folder
        self.offset_seconds = 0.0

    def authenticator(self, words: dict[str, Any]) -> LabLogin:
        """Return the authenticator as apply_login configures it."""
        login = Login(
            provider="oidc",
            issuer=self.provider.issuer,
            client_id=CLIENT_ID,
            client_secret=SecretRef(env="TEST_SECRET"),
            **words,
        )
        site = Site(
            PUBLIC_URL,
            8000,
            10101,
            str(self.folder / "identity.sqlite"),
            CLIENT_ID,
            CLIENT_SECRET,
            discovery.discover(self.provider.issuer, self.folder / "discovery"),
        )
        _, traits = providers.login_traits(login, site)
        made = lab_class(GenericOAuthenticator, OpenId)
        return made(config=TraitConfig({made.__name__: traits}))

    async def sign_in(self, authenticator: LabLogin, name: str) -> dict[str, Any] | None:
        """Go through the provider as a browser does, and come back with a code."""
        self.provider.signs_in(name)
        verifier = "v" * 43
        query = {
            "client_id": CLIENT_ID,
            "redirect_uri": authenticator.oauth_callback_url,
            "state": "s",
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        answer = await asyncio.to_thread(
            requests.get,
            authenticator.authorize_url,
            params=query,
            allow_redirects=False,
            timeout=10,
        )
        code = parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]
        handler = SimpleNamespace(
            get_argument=lambda key, *_: {"code": code}[key],
            get_state_cookie=lambda: _serialize_state({"code_verifier": verifier}),
        )
        return await authenticator.get_authenticated_user(handler, None)

    async def come_in(self, authenticator: LabLogin, name: str = "ada") -> HubUser:
        """Sign in and let the hub keep what came back."""
        model = await self.sign_in(authenticator, name)
        assert model is not None
        return kept(model)


def kept(model: dict[str, Any]) -> HubUser:
    groups = [SimpleNamespace(name=group) for group in model["groups"]]
    return HubUser(model["name"], model["auth_state"], groups, model["admin"])


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with FakeOidc() as provider:
        stage = Stage(provider, tmp_path)
        clock = SimpleNamespace(time=lambda: time.time() + stage.offset_seconds)
        monkeypatch.setattr(auth.refresh, "time", clock)
        yield stage


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 30))


# -- who gets in -----------------------------------------------------------------------------------

NOT_ON_THE_LIST = None  # the hub shows custom_403_message
DERIVED = "ada0" + "{key}"

# (id, rules, claims of the person called ada, (hub name, admin, groups) or the refusal)
LOGINS: list[tuple[str, dict[str, Any], dict[str, Any], Any]] = [
    ("nobody by default", {}, {}, NOT_ON_THE_LIST),
    ("everyone", EVERYONE, {}, ("ada", False, [])),
    ("by name", ADA, {}, ("ada", False, [])),
    ("another name", {"allow": Allow(users=("bob",))}, {}, NOT_ON_THE_LIST),
    ("by group", STAFF, {"groups": ["staff"]}, ("ada", False, ["staff"])),
    ("by group with a slash", STAFF, {"groups": ["/staff"]}, ("ada", False, ["staff"])),
    ("in another group", STAFF, {"groups": ["guests"]}, NOT_ON_THE_LIST),
    ("groups claim absent", STAFF, {}, NOT_ON_THE_LIST),
    ("groups claim of a wrong type", STAFF, {"groups": {"staff": True}}, NOT_ON_THE_LIST),
    ("admins are let in", {"admins": ("ada",)}, {}, ("ada", True, [])),
    ("admin by name", ADA_ADMIN, {}, ("ada", True, [])),
    ("a provider's group is no admin", EVERYONE, {"groups": ["labhub-admins"]}, ("ada", False, ["labhub-admins"])),
    ("the Kelvin sign is no k", {"admins": ("\u212aim", "kim")}, {"preferred_username": "KIM"}, NOT_ON_THE_LIST),
    ("case matters where it matters", {"admins": ("Ada",)}, {}, NOT_ON_THE_LIST),
    ("a capital is kept apart", EVERYONE, {"preferred_username": "Ada"}, (DERIVED, False, [])),
    ("a hostile name", EVERYONE, {"preferred_username": "../ada"}, (DERIVED, False, [])),
    ("no name", EVERYONE, {"preferred_username": None}, 403),
    ("a name that is a list", EVERYONE, {"preferred_username": ["ada"]}, 403),
    ("a name with a line break", EVERYONE, {"preferred_username": "ada\nroot"}, 403),
    ("a name that cannot be stored", EVERYONE, {"preferred_username": "ada\ud800"}, 403),
    ("a name of a kilobyte", EVERYONE, {"preferred_username": "a" * 1024}, 403),
    ("no subject", EVERYONE, {"sub": None}, 403),
    ("a subject that is a boolean", EVERYONE, {"sub": True}, 403),
    ("a verified address", BY_EMAIL, {"email": "ada@lab.example", "email_verified": True}, (DERIVED, False, [])),
    ("an unverified address", BY_EMAIL, {"email": "ada@lab.example", "email_verified": False}, 403),
    ("verified says a text", BY_EMAIL, {"email": "ada@lab.example", "email_verified": "true"}, 403),
    ("verified is not said", BY_EMAIL, {"email": "ada@lab.example"}, 403),
    ("claims by a path", {"groups_claim": "realm_access.roles", **STAFF}, {"realm_access": {"roles": ["staff"]}}, ("ada", False, ["staff"])),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "claims", "expected"), [row[1:] for row in LOGINS], ids=[row[0] for row in LOGINS]
)
def test_who_gets_in(
    stage: Stage, rules: dict[str, Any], claims: dict[str, Any], expected: Any
) -> None:
    person = stage.provider.add("ada", "subject-1")
    stage.provider.signs_in("ada")
    person.claims.update(claims)

    async def story() -> Any:
        authenticator = stage.authenticator(rules)
        stage.provider.signs_in = lambda _name: None
        try:
            model = await stage.sign_in(authenticator, "ada")
        except web.HTTPError as error:
            return error.status_code
        return model and (model["name"], model["admin"], model["groups"])

    if isinstance(expected, tuple):
        key = account_key(stage.provider.issuer, "subject-1")[:10]
        expected = (expected[0].format(key=key), *expected[1:])
    assert run(story()) == expected


def test_strangers_take_no_name(stage: Stage) -> None:
    """Somebody who is not let in leaves nothing in the book of accounts."""
    stage.provider.add("ada", "stranger")

    async def story() -> Any:
        authenticator = stage.authenticator({})
        assert await stage.sign_in(authenticator, "ada") is None
        return authenticator.book.by_name("ada")

    assert run(story()) is None


def test_unverified_addresses_are_not_kept(stage: Stage) -> None:
    stage.provider.add("ada", email="ada@lab.example", email_verified="true")

    async def story() -> Any:
        return (await stage.come_in(stage.authenticator(EVERYONE))).auth_state["oauth_user"]

    assert "email" not in run(story())


def test_an_id_token_of_somebody_else_is_refused(stage: Stage) -> None:
    stage.provider.add("ada")
    stage.provider.id_token_sub = "sub-of-eve"

    async def story() -> None:
        with pytest.raises(web.HTTPError, match="two different answers"):
            await stage.sign_in(stage.authenticator(EVERYONE), "ada")

    run(story())


def test_a_renamed_person_keeps_the_account(stage: Stage) -> None:
    stage.provider.add("ada")
    rules = {"allow": Allow(users=("ada", "countess"))}

    async def story() -> tuple[str, str]:
        authenticator = stage.authenticator(rules)
        before = await stage.come_in(authenticator)
        stage.provider.rename("ada", "countess")
        after = await stage.come_in(authenticator, "countess")
        account = authenticator.book.by_name("ada")
        return before.name, after.name, account.uid, account.provider_name

    assert run(story()) == ("ada", "ada", 200_000, "countess")


@pytest.mark.parametrize("name", ["ada", "ada-lovelace"])
def test_a_recycled_name_is_refused(stage: Stage, name: str) -> None:
    stage.provider.add(name, "subject-1")
    rules = {"admins": (name,)}

    async def story() -> str:
        authenticator = stage.authenticator(rules)
        await stage.come_in(authenticator, name)
        stage.provider.remove(name)
        stage.provider.add(name, "subject-2")
        with pytest.raises(web.HTTPError) as refused:
            await stage.sign_in(authenticator, name)
        return refused.value.get_message()

    assert run(story()).startswith(f"The name {name} belongs to another person's account")


# -- who stays -------------------------------------------------------------------------------------


def removed_from_group(stage: Stage) -> None:
    stage.provider.by_name("ada").claims["groups"] = ["guests"]


def moved_to_group(stage: Stage) -> None:
    stage.provider.by_name("ada").claims["groups"] = ["staff", "gpu"]


def renamed(stage: Stage) -> None:
    stage.provider.rename("ada", "countess")


def revoked(stage: Stage) -> None:
    stage.provider.revoke("ada")


def removed(stage: Stage) -> None:
    stage.provider.remove("ada")


def access_token_expired(stage: Stage) -> None:
    stage.provider.expire_access_tokens()


def outage(stage: Stage) -> None:
    stage.provider.outage = True


def rate_limited(stage: Stage) -> None:
    stage.provider.rate_limited = True


def nonsense(stage: Stage) -> None:
    stage.provider.nonsense = True


def unplugged(stage: Stage) -> None:
    stage.provider.stop()


def a_day(stage: Stage) -> None:
    stage.offset_seconds += DAY_SECONDS


def thirteen_hours(stage: Stage) -> None:
    stage.offset_seconds += 13 * 3600


def two_hours(stage: Stage) -> None:
    stage.offset_seconds += 2 * 3600


def no_refresh_tokens(stage: Stage) -> None:
    stage.provider.gives_refresh_tokens = False


def lasting_tokens(stage: Stage) -> None:
    stage.provider.gives_refresh_tokens = False
    stage.provider.token_seconds = None


def secret_changed(stage: Stage) -> None:
    stage.provider.secret = "another"


def becomes_somebody_else(stage: Stage) -> None:
    for grant in stage.provider._access.values():
        grant.sub = "sub-of-eve"
    stage.provider.add("eve", "sub-of-eve", groups=["staff"])


Action = Callable[[Stage], None]

# (id, rules, what is so before the login, what happens after it, the groups then, or None: out)
REFRESHES: list[tuple[str, dict[str, Any], list[Action], list[Action], list[str] | None]] = [
    ("nothing changed", STAFF, [], [], ["staff"]),
    ("more groups", STAFF, [], [moved_to_group], ["gpu", "staff"]),
    ("removed from the allowed group", STAFF, [], [removed_from_group], None),
    ("group lost, name on the list", ADA, [], [removed_from_group], ["guests"]),
    ("renamed, by group", STAFF, [], [renamed], ["staff"]),
    ("renamed away from the list", ADA, [], [renamed], None),
    ("all tokens revoked", STAFF, [], [revoked], None),
    ("account removed", STAFF, [], [removed], None),
    ("access token expired", STAFF, [], [access_token_expired], ["staff"]),
    ("expired, then not in the group", STAFF, [], [access_token_expired, removed_from_group], None),
    ("outage", STAFF, [], [outage], ["staff"]),
    ("outage, access token expired", STAFF, [], [access_token_expired, outage], ["staff"]),
    ("outage, an hour later", STAFF, [], [outage, two_hours], ["staff"]),
    ("outage of more than a day", STAFF, [], [outage, a_day], None),
    ("rate limited", STAFF, [], [rate_limited], ["staff"]),
    ("answers nonsense", STAFF, [], [nonsense], ["staff"]),
    ("unplugged", STAFF, [], [unplugged], ["staff"]),
    ("unplugged for a day", STAFF, [], [unplugged, a_day], None),
    ("revoked, then an outage", STAFF, [], [revoked, outage], ["staff"]),
    ("a day without a request, then fine", STAFF, [], [a_day], ["staff"]),
    ("our secret changed, token fine", STAFF, [], [secret_changed], ["staff"]),
    ("our secret changed, token expired", STAFF, [], [secret_changed, access_token_expired], None),
    ("no way to renew, in its time", STAFF, [no_refresh_tokens], [], ["staff"]),
    ("no way to renew, revoked in its time", STAFF, [no_refresh_tokens], [revoked], None),
    ("no way to renew, two hours", STAFF, [no_refresh_tokens], [access_token_expired, two_hours], ["staff"]),
    ("no way to renew, thirteen hours", STAFF, [no_refresh_tokens], [access_token_expired, thirteen_hours], None),
    ("lasting tokens, revoked", STAFF, [lasting_tokens], [revoked, two_hours], None),
    ("the token is somebody else's", STAFF, [], [becomes_somebody_else], None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rules", "before", "after", "expected"),
    [row[1:] for row in REFRESHES],
    ids=[row[0] for row in REFRESHES],
)
def test_who_stays(
    stage: Stage,
    rules: dict[str, Any],
    before: list[Action],
    after: list[Action],
    expected: list[str] | None,
) -> None:
    stage.provider.add("ada", groups=["staff"])
    for action in before:
        action(stage)

    async def story() -> list[str] | None:
        authenticator = stage.authenticator(rules)
        ada = await stage.come_in(authenticator)
        for action in after:
            action(stage)
        model = await authenticator.refresh_user(ada)
        return model["groups"] if model else None

    assert run(story()) == expected


def test_todays_rules_hold_during_an_outage(stage: Stage) -> None:
    """The admin takes a name off the list while the provider is down."""
    stage.provider.add("ada")

    async def story() -> Any:
        ada = await stage.come_in(stage.authenticator(ADA_ADMIN))
        stricter = stage.authenticator({"allow": Allow(users=("bob",))})
        milder = stage.authenticator(ADA)
        stage.provider.outage = True
        return await stricter.refresh_user(ada), (await milder.refresh_user(ada))["admin"]

    assert run(story()) == (False, False)


def test_an_outage_does_not_count_as_an_answer(stage: Stage) -> None:
    """Each refresh during an outage keeps the time of the last real answer."""
    stage.provider.add("ada", groups=["staff"])

    async def story() -> list[bool]:
        authenticator = stage.authenticator(STAFF)
        ada = await stage.come_in(authenticator)
        stage.provider.outage = True
        results = []
        for _ in range(3):
            stage.offset_seconds += 11 * 3600
            authenticator._refreshes.clear()
            model = await authenticator.refresh_user(ada)
            results.append(bool(model))
            ada = kept(model) if model else ada
        return results

    assert run(story()) == [True, True, False]


def test_an_outage_ends(stage: Stage) -> None:
    stage.provider.add("ada", groups=["staff"])

    async def story() -> list[str]:
        authenticator = stage.authenticator(STAFF)
        ada = await stage.come_in(authenticator)
        stage.provider.outage = True
        await authenticator.refresh_user(ada)
        stage.provider.outage = False
        removed_from_group(stage)
        authenticator._refreshes.clear()
        return await authenticator.refresh_user(ada)

    assert run(story()) is False


def test_concurrent_refreshes_are_one(stage: Stage) -> None:
    """The provider takes each refresh token once; ten requests of a page must not log out."""
    stage.provider.add("ada", groups=["staff"])

    async def story() -> tuple[int, int]:
        authenticator = stage.authenticator(STAFF)
        ada = await stage.come_in(authenticator)
        stage.provider.expire_access_tokens()
        stage.provider.requests.clear()
        models = await asyncio.gather(*(authenticator.refresh_user(ada) for _ in range(10)))
        late = await authenticator.refresh_user(ada)
        tokens = {model["auth_state"]["access_token"] for model in [*models, late]}
        return len(tokens), stage.provider.requests.count("/token")

    assert run(story()) == (1, 1)


def test_a_refused_refresh_is_not_remembered(stage: Stage) -> None:
    """Whoever signs in again at once must not meet the old refusal."""
    stage.provider.add("ada", groups=["staff"])

    async def story() -> tuple[Any, bool]:
        authenticator = stage.authenticator(STAFF)
        ada = await stage.come_in(authenticator)
        stage.provider.revoke("ada")
        refused = await authenticator.refresh_user(ada)
        again = await stage.come_in(authenticator)
        return refused, bool(await authenticator.refresh_user(again))

    assert run(story()) == (False, True)


def test_the_sign_out_hint_lasts() -> None:
    """Tokens that a provider gives only once are carried over to what is kept."""
    existing = {"refresh_token": "r", "id_token": "i", "access_token": "old"}
    model = {"auth_state": {"refresh_token": None, "id_token": None, "access_token": "new"}}
    assert auth.refresh.carry_over(None, model, existing) == {
        "refresh_token": "r",
        "id_token": "i",
        "access_token": "new",
    }
    assert auth.refresh.carry_over(None, {"auth_state": None}, existing) is None
    assert auth.refresh.carry_over(None, {"auth_state": {"a": 1}}, None) == {"a": 1}
