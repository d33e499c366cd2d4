"""What people read about their GPU time."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from spawner import messages
from spawner.budget import Account, Standing, month, week
from spawner.messages import budgets
from spawner.runs import Holder, Kind, Reason, Receipt, Spent

H = 3600
NOON = datetime(2026, 12, 2, 12, tzinfo=ZoneInfo("Europe/Berlin"))


def account(used: float, allowed: float = 40, gpus: int = 0, *, monthly: bool = False) -> Account:
    """An account in hours."""
    period = month(NOON) if monthly else week(NOON)
    return Account(period, allowed * H, used * H, gpus, NOON.astimezone(UTC))


def warned(used: float, gpus: int = 1, told_at: float | None = None) -> str:
    """What the user of a server with GPUs reads."""
    return budgets.warning(Standing(account(used, gpus=gpus), 1800, 100.0, told_at))


SPENT = Spent("week", 40 * H, 40.5 * H, datetime(2026, 12, 7, tzinfo=NOON.tzinfo))
END = Receipt("r1", Holder("ada", ""), Kind.SERVER, NOON, Reason.GPU_HOURS, 1 << 30, spent=SPENT)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min"), (3599, "59 min 59 s"), (3600, "1 h"), (5400, "1.5 h"),
     (144_000, "40 h"), (500_000, "138.9 h")],
)  # fmt: skip
def test_gpu_time_is_told_in_hours(seconds: float, text: str) -> None:
    assert budgets.hours(seconds) == text


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (
            budgets.state(account(12.25)),
            "12.2 h of 40 h used this week, 27.8 h left until Monday, 2026-12-07, 00:00",
        ),
        (
            budgets.state(account(130, 120, monthly=True)),
            "130 h of 120 h used this month, nothing left until Friday, 2027-01-01, 00:00",
        ),
        (
            budgets.refused(account(40.5)),
            "Your GPU time of this week is used up (40.5 h of 40 h): start without a GPU "
            "until it begins anew on Monday, 2026-12-07, 00:00.",
        ),
        (warned(10), ""),
        (
            warned(33),
            "Your GPU time of this week is used up in {left} (33 h of 40 h are used). Servers with "
            "a GPU stop 30 min after that.",
        ),
        (warned(38, gpus=0), "Of your GPU time of this week, 38 h of 40 h are used."),
        (
            warned(40, told_at=50.0),
            "Your server stops in {left}: your GPU time of this week is used up (40 h of 40 h). "
            "Programs in it end; your files are kept. It begins anew on Monday, 2026-12-07, 00:00; "
            "until then, start without a GPU.",
        ),
        (
            messages.receipt(END),
            "your GPU time of the week was used up, 40.5 h of 40 h. It begins anew on Monday, "
            "2026-12-07, 00:00; until then, start without a GPU. Your files are untouched.",
        ),
        (
            messages.receipt(replace(END, spent=None)),
            "its user's GPU time was used up. Your files are untouched.",
        ),
    ],
)
def test_sentences(sentence: str, expected: str) -> None:
    assert sentence == expected


def test_its_owner_sees_that_the_hub_stopped_it() -> None:
    assert messages.shown(END).lead == "Stopped"
