"""What a provider publishes about itself is taken with care, and kept."""

import json
import logging
import stat
from pathlib import Path
from typing import Any

import pytest

from auth import discovery
from auth.discovery import DiscoveryError, Endpoints

ISSUER = "https://id.example/realms/lab"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "end_session_endpoint": f"{ISSUER}/logout",
    "scopes_supported": ["openid", "groups"],
    "code_challenge_methods_supported": ["plain", "S256"],
    "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
}
ENDPOINTS = Endpoints(
    issuer=ISSUER,
    authorize_url=f"{ISSUER}/auth",
    token_url=f"{ISSUER}/token",
    userinfo_url=f"{ISSUER}/userinfo",
    end_session_url=f"{ISSUER}/logout",
    basic_auth=True,
    offers_groups_scope=True,
    advertises_s256=True,
)


def test_endpoints() -> None:
    assert discovery.endpoints_of(ISSUER, DOCUMENT) == ENDPOINTS


@pytest.mark.parametrize(
    ("changes", "field", "expected"),
    [
        ({"end_session_endpoint": None}, "end_session_url", ""),
        ({"scopes_supported": None}, "offers_groups_scope", False),
        ({"code_challenge_methods_supported": None}, "advertises_s256", False),
        ({"token_endpoint_auth_methods_supported": None}, "basic_auth", True),
        ({"token_endpoint_auth_methods_supported": ["client_secret_post"]}, "basic_auth", False),
        ({"issuer": ISSUER + "/"}, "issuer", ISSUER + "/"),
    ],
)
def test_what_may_differ(changes: dict[str, Any], field: str, expected: object) -> None:
    endpoints = discovery.endpoints_of(ISSUER, {**DOCUMENT, **changes})
    assert getattr(endpoints, field) == expected


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ([], "does not publish a discovery document"),
        ({}, "publishes the issuer 'None'"),
        ({**DOCUMENT, "issuer": "https://evil.example"}, "publishes the issuer 'https://evil"),
        ({**DOCUMENT, "issuer": ["x"]}, "publishes the issuer"),
        ({**DOCUMENT, "token_endpoint": None}, "no usable token_endpoint"),
        ({**DOCUMENT, "token_endpoint": "http://id.example/token"}, "https is needed"),
        ({**DOCUMENT, "userinfo_endpoint": None}, "no usable userinfo_endpoint"),
        ({**DOCUMENT, "end_session_endpoint": "javascript:x"}, "no usable end_session_endpoint"),
        (
            {**DOCUMENT, "token_endpoint_auth_methods_supported": ["private_key_jwt"]},
            "takes neither client_secret_basic nor client_secret_post",
        ),
    ],
)
def test_what_is_refused(document: object, sentence: str) -> None:
    with pytest.raises(DiscoveryError, match=sentence) as refused:
        discovery.endpoints_of(ISSUER, document)
    assert str(refused.value).startswith("login.issuer: ")
    assert "\n" not in str(refused.value)


def answer(monkeypatch: pytest.MonkeyPatch, document: object) -> None:
    def fetch(_url: str) -> object:
        if isinstance(document, Exception):
            raise document
        return document

    monkeypatch.setattr(discovery, "_fetch", fetch)


def test_the_last_good_copy_is_private_and_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "discovery"
    answer(monkeypatch, DOCUMENT)
    assert discovery.discover(ISSUER, folder) == ENDPOINTS
    (copy,) = folder.iterdir()
    assert json.loads(copy.read_text()) == DOCUMENT
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert caplog.messages == []
    answer(monkeypatch, OSError("https://id.example answers 503"))
    with caplog.at_level(logging.WARNING):
        assert discovery.discover(ISSUER, folder) == ENDPOINTS
    assert "going on with what" in caplog.text


def test_a_bad_answer_does_not_replace_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, DOCUMENT)
    discovery.discover(ISSUER, tmp_path)
    answer(monkeypatch, {**DOCUMENT, "issuer": "https://evil.example"})
    with pytest.raises(DiscoveryError):
        discovery.discover(ISSUER, tmp_path)
    answer(monkeypatch, OSError("down"))
    assert discovery.discover(ISSUER, tmp_path) == ENDPOINTS


def test_no_answer_and_no_copy_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, OSError(f"{ISSUER} answers 404"))
    with pytest.raises(DiscoveryError) as refused:
        discovery.discover(ISSUER, tmp_path)
    assert str(refused.value) == (
        f"login.issuer: {ISSUER} answers 404; check that {ISSUER} is the provider's issuer "
        "and that this machine can reach it."
    )


def test_a_copy_of_another_issuer_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(monkeypatch, DOCUMENT)
    discovery.discover(ISSUER, tmp_path)
    answer(monkeypatch, OSError("down"))
    with pytest.raises(DiscoveryError):
        discovery.discover("https://other.example", tmp_path)


def test_missing_s256_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answer(monkeypatch, {**DOCUMENT, "code_challenge_methods_supported": ["plain"]})
    with caplog.at_level(logging.WARNING):
        discovery.discover(ISSUER, tmp_path)
    assert "does not advertise PKCE with S256" in caplog.text


def test_openshift_names_its_oauth_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    oauth = {
        "issuer": "https://oauth.shift.example",
        "authorization_endpoint": "https://oauth.shift.example/oauth/authorize",
        "token_endpoint": "https://oauth.shift.example/oauth/token",
        "code_challenge_methods_supported": ["plain", "S256"],
    }
    answer(monkeypatch, oauth)
    found = discovery.discover("https://api.shift.example:6443", tmp_path, discovery.OAUTH)
    assert (found.issuer, found.userinfo_url) == ("https://oauth.shift.example", "")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://id.example/x", True),
        ("http://127.0.0.1:8000/x", True),
        ("http://[::1]:8000/x", True),
        ("http://localhost/x", True),
        ("http://id.example/x", False),
        ("http://127.0.0.1.example/x", False),
        ("ftp://id.example/x", False),
        ("https:///x", False),
        ("file:///etc/passwd", False),
        ("//id.example", False),
        ("", False),
    ],
)
def test_where_secrets_may_go(url: str, expected: bool) -> None:
    assert discovery.is_safe_url(url) is expected
