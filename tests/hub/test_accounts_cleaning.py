"""Old tokens and sessions are deleted, and nothing that goes wrong there stops the provider."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from types import ModuleType

import pytest

from tests.lib import accounts as provider


@pytest.fixture
def accounts() -> Iterator[ModuleType]:
    """Return the provider in this process; what a test writes to its database is undone."""
    with provider.rolled_back():
        yield provider


def test_only_what_expired_is_deleted(accounts: ModuleType) -> None:
    """Sessions and tokens of yesterday go, those of today stay."""
    from django.contrib.sessions.models import Session  # noqa: PLC0415 - needs Django set up
    from oauth2_provider.models import AccessToken, Grant  # noqa: PLC0415 - the same

    from auth.local import cleaning  # noqa: PLC0415 - the same

    accounts.people.add("ada", password=accounts.PASSWORD)
    old, new, hub = accounts.Browser(), accounts.Browser(), accounts.HubClient()
    for browser in (old, new):
        browser.sign_in("ada")
        hub.tokens(browser)
        hub.code(browser)
    age = timedelta(days=40)
    for model, field in ((Session, "expire_date"), (AccessToken, "expires"), (Grant, "expires")):
        first = model.objects.order_by("pk").first()
        setattr(first, field, getattr(first, field) - age)
        first.save()
    cleaning.clean()
    assert [model.objects.count() for model in (Session, AccessToken, Grant)] == [1, 1, 1]


def test_failure_is_logged_and_the_next_day_comes(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The thread survives whatever happens: the third attempt is made after two failures."""
    from auth.local import cleaning  # noqa: PLC0415 - needs Django set up

    stop, attempts = threading.Event(), []

    def fail_twice() -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise OSError("disk full")
        stop.set()

    monkeypatch.setattr(cleaning, "clean", fail_twice)
    caplog.set_level("ERROR", logger="labhub.accounts.cleaning")
    cleaning.keep_clean(stop, first_seconds=0, every_seconds=0.001)
    assert len(attempts) == 3
    assert [record.exc_info[0] for record in caplog.records] == [OSError, OSError]
