"""What people read about the time of their server."""

from datetime import UTC, datetime

import pytest

from spawner import messages
from spawner.messages import times
from spawner.runs import Holder, Kind, Reason, Receipt
from spawner.times import Awaited, Endless, Later, More, Never

H, MIN = 3600, 60
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (95, "1 min 35 s"),
        (45 * MIN, "45 min"),
        (12 * H, "12 h"),
        (90 * MIN, "1 h 30 min"),
        (H + 59, "1 h"),
        (47 * H, "47 h"),
        (48 * H, "2 d"),
        (51 * H, "2 d 3 h"),
    ],
)
def test_a_time_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert times.span(seconds) == text


def ended(reason: Reason, allowed_seconds: int | None, extensions: int = 0) -> str:
    """What the owner of a server reads that ended for this reason."""
    end = Receipt(
        "r1", Holder("ada", ""), Kind.SERVER, NOON, reason, 1 << 30,
        allowed_seconds=allowed_seconds, extensions=extensions,
    )  # fmt: skip
    return messages.receipt(end)


AGAIN = " Your files are untouched; start it again to go on."


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (ended(Reason.IDLE, H), "no activity for 1 h." + AGAIN),
        (ended(Reason.TIME_LIMIT, 12 * H), "its session of 12 h was over." + AGAIN),
        (
            ended(Reason.TIME_LIMIT, 12 * H, 1),
            "its session of 12 h was over (extended once)." + AGAIN,
        ),
        (
            ended(Reason.TIME_LIMIT, H, 2),
            "its session of 1 h was over (extended twice)." + AGAIN,
        ),
        (
            ended(Reason.TIME_LIMIT, H, 3),
            "its session of 1 h was over (extended 3 times)." + AGAIN,
        ),
        (times.button(More(2 * H, chosen=False)), "Extend by 2 h"),
        (times.button(Never()), ""),
        (times.no_extension(More(2 * H, chosen=False)), ""),
        (times.no_extension(Endless()), ""),
        (
            times.no_extension(Later(2 * H, 95 * MIN)),
            "You can extend by 2 h once in 2 h: again in 1 h 35 min.",
        ),
        (
            times.no_extension(Later(2 * H, 3)),
            "You can extend by 2 h once in 2 h: again in 1 min.",
        ),
        (
            times.no_extension(Never()),
            "It cannot be extended. Save your work before; you can start it again right after.",
        ),
        (
            times.no_extension(Awaited()),
            "It cannot be extended while others wait for its GPU or its memory. Save your work "
            "before it stops and start it again after; once nobody waits, you can extend it.",
        ),
        (
            times.session_warning(12 * H),
            "Your server stops in {left}: its session of 12 h is over then. "
            "Programs in it end; your files are kept.",
        ),
        (
            times.idle_warning(H),
            "Your server stops in {left}: it stops when nothing happened in it for 1 h. "
            "Use it, or choose Keep, and it goes on.",
        ),
    ],
)
def test_sentences(sentence: str, expected: str) -> None:
    assert sentence == expected
