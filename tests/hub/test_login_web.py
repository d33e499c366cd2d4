"""Where a sign-in may begin, what counts as its answer, and what never reaches a log."""

import base64
import json
import logging

import pytest
from tornado.httpclient import HTTPClientError

from auth import web
from auth.redact import RedactSecrets, redact, redact_secrets_in_logs
from auth.refresh import says_nothing

PUBLIC = "https://gpu.example"


@pytest.mark.parametrize(
    ("host", "public_url", "is_local", "expected"),
    [
        ("gpu.example", PUBLIC, True, None),
        ("gpu.example:443", PUBLIC, True, None),
        ("GPU.example", PUBLIC, False, None),
        ("www.gpu.example", PUBLIC, True, PUBLIC),
        ("gpu.example:8000", PUBLIC, True, PUBLIC),
        ("127.0.0.1:8000", PUBLIC, True, PUBLIC),
        ("gpu.example", "https://gpu.example:8443", True, "https://gpu.example:8443"),
        ("127.0.0.1:8000", "", True, None),
        ("127.0.0.1:9999", "", True, None),
        ("127.0.0.1:9999", "", False, None),
        ("localhost:8000", "", True, None),
        ("localhost:8000", "", False, "http://127.0.0.1:8000"),
        ("localhost:9999", "", True, "http://127.0.0.1:9999"),
        ("localhost", "", True, "http://127.0.0.1"),
        ("[::1]:8000", "", True, "http://127.0.0.1:8000"),
    ],
)
def test_where_a_sign_in_begins(
    host: str, public_url: str, is_local: bool, expected: str | None
) -> None:
    assert web.better_origin("http", host, public_url, 8000, is_local=is_local) == expected


@pytest.mark.parametrize("host", ["192.0.2.7:8000", "gpu.example", "127.0.0.1.example:8000", ""])
def test_a_trial_is_for_this_machine_only(host: str) -> None:
    with pytest.raises(web.OtherAddressError, match=r"^http://127\.0\.0\.1:8000$"):
        web.better_origin("http", host, "", 8000, is_local=True)


def packed(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (packed({"state_id": "abc", "next_url": "/hub"}), "abc"),
        (packed({"state_id": 7}), ""),
        (packed({"state_id": "é"}), ""),
        (packed(["state_id"]), ""),
        (packed("abc"), ""),
        (packed({}), ""),
        ("é", ""),
        ("abc", ""),
        ("!!!!", ""),
        ("", ""),
        (base64.urlsafe_b64encode(b"\xff\xfe").decode(), ""),
    ],
)
def test_states_are_read_with_care(state: str, expected: str) -> None:
    assert web.state_id(state) == expected


class Answer:
    """A response of the provider's token endpoint."""

    def __init__(self, body: bytes) -> None:
        self.body = body


@pytest.mark.parametrize(
    ("code", "body", "status"),
    [
        (400, b'{"error": "invalid_grant"}', 400),
        (401, b'{"error": "invalid_client"}', 502),
        (400, b'{"error": "unauthorized_client"}', 502),
        (429, b"", 503),
        (500, b"", 503),
        (503, b"invalid_client", 503),
        (599, None, 503),
    ],
)
def test_what_a_person_reads_when_the_provider_refuses(
    code: int, body: bytes | None, status: int
) -> None:
    error = HTTPClientError(code, response=None if body is None else Answer(body))
    assert web.refusal(error, "GitHub").status_code == status


@pytest.mark.parametrize(
    ("code", "headers", "expected"),
    [
        (200, {}, False),
        (401, {}, False),
        (403, {}, False),
        (403, {"X-RateLimit-Remaining": "0"}, True),
        (403, {"X-RateLimit-Remaining": "12"}, False),
        (403, None, False),
        (404, {}, False),
        (429, {}, True),
        (500, {}, True),
        (503, {}, True),
        (599, None, True),
    ],
)
def test_which_answers_say_nothing_about_a_person(
    code: int, headers: dict[str, str] | None, expected: bool
) -> None:
    assert says_nothing(code, headers) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "400 GET /hub/oauth_callback?code=abc&state=eyJ9== (127.0.0.1): no",
            "400 GET /hub/oauth_callback?code=[secret]&state=[secret] (127.0.0.1): no",
        ),
        ("uri='/x?a=1&id_token_hint=e.y.J', b", "uri='/x?a=1&id_token_hint=[secret]', b"),
        ("/cb?oauth_token=a&oauth_verifier=b", "/cb?oauth_token=[secret]&oauth_verifier=[secret]"),
        ("/spawn?next=/lab&postcode=8000", "/spawn?next=/lab&postcode=8000"),
        ("a code=7 in words", "a code=7 in words"),
    ],
)
def test_secrets_are_left_out_of_logs(line: str, expected: str) -> None:
    assert redact(line) == expected


def test_tornados_warning_has_no_code(caplog: pytest.LogCaptureFixture) -> None:
    redact_secrets_in_logs()
    redact_secrets_in_logs()
    logger = logging.getLogger("tornado.general")
    assert sum(isinstance(each, RedactSecrets) for each in logger.filters) == 1
    with caplog.at_level(logging.WARNING):
        logger.warning("%d %s: %s", 400, "GET /hub/oauth_callback?code=abc&state=xyz (::1)", "no")
        logger.warning("%d%% of %s", 10, "all")
    assert [record.getMessage() for record in caplog.records] == [
        "400 GET /hub/oauth_callback?code=[secret]&state=[secret] (::1): no",
        "10% of all",
    ]
