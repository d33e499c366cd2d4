"""The parts of the embedded provider that decide without Django: place, keys, waits, addresses."""

import json
import threading
from pathlib import Path

import pytest

from auth.local import keys
from auth.local.errors import AccountsError
from auth.local.keys import Keys, read_or_make_keys
from auth.local.place import Place
from auth.local.settings import settings_for
from auth.local.waiting import client_address, wait_after

KEYS = Keys(secret_key="now", signing_key="pem", old_secret_keys=("before",))


def place(public_url: str = "http://127.0.0.1:8000", *, is_trial: bool = True) -> Place:
    """Describe a lab."""
    return Place(
        public_url=public_url,
        is_trial=is_trial,
        provider="local",
        port=10101,
        hub_api_url="http://10.0.0.1:8081/hub/api",
        state_dir=Path("/var/lib/labhub"),
        secrets_dir=Path("/etc/labhub/secrets"),
    )


TRIAL = place()
PLAIN = place("http://lab.institute.example", is_trial=False)
HTTPS = place("https://gpu.example.org", is_trial=False)


ORIGINS = [
    (TRIAL, ("http://127.0.0.1:8000", "http://localhost:8000")),
    (PLAIN, ("http://lab.institute.example",)),
    (HTTPS, ("https://gpu.example.org",)),
]


@pytest.mark.parametrize(("lab", "origins"), ORIGINS)
def test_loopback_origins_only_in_a_trial(lab: Place, origins: tuple[str, ...]) -> None:
    """A lab with a public name accepts that name and no other."""
    assert lab.origins == origins


SETTINGS = [
    # key, trial, plain http, https
    ("CSRF_TRUSTED_ORIGINS", list(TRIAL.origins), list(PLAIN.origins), list(HTTPS.origins)),
    (
        "ALLOWED_HOSTS",
        ["127.0.0.1", "127.0.0.1", "localhost"],
        ["lab.institute.example", "127.0.0.1", "localhost"],
        ["gpu.example.org", "127.0.0.1", "localhost"],
    ),
    ("SESSION_COOKIE_SECURE", False, False, True),
    ("CSRF_COOKIE_SECURE", False, False, True),
    (
        "SECURE_PROXY_SSL_HEADER",
        None,
        None,
        ("HTTP_X_FORWARDED_PROTO", "https"),
    ),
    ("LABHUB_FRONTS", 0, 0, 1),
    ("SECRET_KEY_FALLBACKS", ["before"], ["before"], ["before"]),
    ("DEBUG", False, False, False),
    ("USE_X_FORWARDED_HOST", False, False, False),
]


@pytest.mark.parametrize(("key", "trial", "plain", "https"), SETTINGS, ids=[s[0] for s in SETTINGS])
def test_settings_follow_the_public_address(
    key: str, trial: object, plain: object, https: object
) -> None:
    """What differs between a trial, a plain and a public lab, and what never does."""
    assert [settings_for(lab, KEYS).get(key) for lab in (TRIAL, PLAIN, HTTPS)] == [
        trial,
        plain,
        https,
    ]


PROTOCOL = {
    "PKCE_REQUIRED": True,
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
    "COMPLIANT_BCP_RFC9700_REFRESH_TOKEN": True,
    "COMPLIANT_BCP_RFC9700_REDIRECT_URI_MATCHING": True,
    "COMPLIANT_BCP_RFC9700_PKCE_REQUIRED": True,
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": False,
    "REFRESH_TOKEN_GRACE_PERIOD_SECONDS": 120,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "OIDC_ISS_ENDPOINT": "https://gpu.example.org/services/accounts/o",
    "OIDC_RP_INITIATED_LOGOUT_ENABLED": True,
    "OIDC_RP_INITIATED_LOGOUT_ALWAYS_PROMPT": False,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
    "ACCESS_TOKEN_EXPIRE_SECONDS": 3600,
    "REFRESH_TOKEN_EXPIRE_SECONDS": 14 * 24 * 3600,
}


def test_protocol_settings() -> None:
    """The settings that make the provider strict, each on purpose."""
    found = settings_for(HTTPS, KEYS)["OAUTH2_PROVIDER"]
    assert {key: found.get(key) for key in PROTOCOL} == PROTOCOL


def test_sqlite_settings() -> None:
    """Writers queue instead of failing, and a crash loses nothing that was committed before."""
    assert settings_for(TRIAL, KEYS)["DATABASES"]["default"] == {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": "/var/lib/labhub/accounts.sqlite",
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }


# waits

WAITS = [(0, 0), (1, 0), (4, 0), (5, 2), (6, 4), (7, 8), (8, 16), (9, 32), (10, 60), (1000, 60)]


@pytest.mark.parametrize(("failures", "seconds"), WAITS)
def test_wait_grows_from_the_fifth_failure(failures: int, seconds: int) -> None:
    """2, 4, 8 … 60 seconds."""
    assert wait_after(failures).total_seconds() == seconds


ADDRESSES = [
    # X-Forwarded-For as it arrives, fronts of ours before the hub's proxy, the browser
    ("", 0, "127.0.0.1"),
    ("203.0.113.5", 0, "203.0.113.5"),
    ("10.9.9.9, 203.0.113.5", 0, "203.0.113.5"),
    ("203.0.113.5, 10.0.0.2", 1, "203.0.113.5"),
    ("10.9.9.9, 203.0.113.5, 10.0.0.2", 1, "203.0.113.5"),
    ("203.0.113.5", 1, "203.0.113.5"),
    (" , ", 0, "127.0.0.1"),
    ("x" * 1000, 0, "x" * 64),
]


@pytest.mark.parametrize(("forwarded_for", "fronts", "address"), ADDRESSES)
def test_client_address(forwarded_for: str, fronts: int, address: str) -> None:
    """What a browser claims about itself stands further left than what our proxies saw."""
    assert client_address(forwarded_for, "127.0.0.1", fronts) == address


# keys


@pytest.fixture(autouse=True)
def _small_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make keys that take no time; the real size is in the running provider."""
    monkeypatch.setattr(keys, "SIGNING_KEY_BITS", 1024)


def test_keys_are_made_once(tmp_path: Path) -> None:
    """The second start finds the first one's keys, and nobody else can read them."""
    path = tmp_path / "accounts.json"
    first = read_or_make_keys(path)
    assert read_or_make_keys(path) == first
    assert path.stat().st_mode & 0o777 == 0o600
    assert [child.name for child in tmp_path.iterdir()] == ["accounts.json"]


def test_two_first_starts_agree(tmp_path: Path) -> None:
    """Whoever writes first wins; nobody works with keys that are not in the file."""
    found: list[Keys] = []
    path = tmp_path / "accounts.json"
    threads = [
        threading.Thread(target=lambda: found.append(read_or_make_keys(path))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [read_or_make_keys(path)] * 4


DAMAGED = ["", "{}", "[]", '{"secret_key": "x"}', "\x00"]


@pytest.mark.parametrize("text", DAMAGED)
def test_damaged_keys_are_one_sentence(tmp_path: Path, text: str) -> None:
    """The file is never replaced silently: everybody would be signed out."""
    path = tmp_path / "accounts.json"
    path.write_text(text)
    with pytest.raises(AccountsError, match=r"accounts\.json is damaged"):
        read_or_make_keys(path)
    assert path.read_text() == text


def test_missing_folder_is_one_sentence(tmp_path: Path) -> None:
    """Where and what."""
    with pytest.raises(AccountsError, match=r"cannot use .*nowhere/accounts\.json: No such file"):
        read_or_make_keys(tmp_path / "nowhere" / "accounts.json")


def test_rotated_keys_are_read(tmp_path: Path) -> None:
    """Old keys stay valid for what was issued under them."""
    path = tmp_path / "accounts.json"
    made = read_or_make_keys(path)
    rotated = {
        "secret_key": "new",
        "signing_key": made.signing_key,
        "old_secret_keys": [made.secret_key],
        "old_signing_keys": [],
    }
    path.write_text(json.dumps(rotated))
    assert read_or_make_keys(path).old_secret_keys == (made.secret_key,)
