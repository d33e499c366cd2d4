"""What people read when a start fails: one sentence, and a log without secrets or tricks."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from spawner import messages
from spawner.messages import Shown
from spawner.quota import Quota
from spawner.runs import Holder, Kind, Reason, Receipt

GIB = 1024**3
MIB = 1024**2
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
END = Receipt("r1", Holder("ada", ""), Kind.SERVER, NOON, Reason.USER, 8 * GIB, log=("bye",))


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        (
            messages.ended(1, out_of_memory=False, memory_bytes=8 * GIB),
            "The server ended while it was starting, with exit code 1.",
        ),
        (
            messages.ended(137, out_of_memory=True, memory_bytes=8 * GIB),
            "The server ran out of memory while starting: its limit is 8 GiB.",
        ),
        (
            messages.ended(137, out_of_memory=False, memory_bytes=8 * GIB),
            "The server was killed while it was starting, most likely because it needed more than "
            "its limit of 8 GiB of memory.",
        ),
        (
            messages.timed_out(54.0),
            "The server did not answer within 54 seconds and was removed.",
        ),
        (
            messages.image_missing("a/b:1"),
            "The image a/b:1 is not on this machine; "
            "your administrator can fetch it with deploy/up.",
        ),
        (
            messages.image_fetching("a/b:1", ""),
            "The image a/b:1 is being fetched; try again in a few minutes.",
        ),
        (
            messages.image_fetching("a/b:1", "3 of 9 layers"),
            "The image a/b:1 is being fetched (3 of 9 layers); try again in a few minutes.",
        ),
        (
            messages.image_not_fetched("a/b:1", "no such\nhost"),
            "The image a/b:1 could not be fetched (no such host); tell your administrator.",
        ),
        (
            messages.refused("bad\nthing\x1b[31m"),
            "Docker refused to start the server: bad thing [31m",
        ),
        (
            messages.other_owner("/v/ada", 200001, 0),
            "/v/ada belongs to user id 0 instead of 200001; "
            "your administrator has to decide whose files these are.",
        ),
        (
            messages.volume_elsewhere("v", "", "/srv/v"),
            "The Docker volume v points to other files instead of /srv/v.",
        ),
    ],
)
def test_sentences(sentence: str, expected: str) -> None:
    assert sentence == expected


@pytest.mark.parametrize(
    ("cpus", "shown"), [(1.0, "1 core"), (2.0, "2 cores"), (0.5, "0.5 cores"), (1.25, "1.25 cores")]
)
def test_limits(cpus: float, shown: str) -> None:
    quota = Quota(cpus=cpus, memory_bytes=8 * GIB, shm_bytes=2 * GIB, pids=1024)
    assert messages.limits(quota) == (
        ("CPU", shown),
        ("Memory", "8 GiB"),
        ("Shared memory", "2 GiB"),
        ("Processes", "1024"),
    )


@pytest.mark.parametrize(
    ("log", "tail"),
    [
        ("", ()),
        ("\n \n", ()),
        ("one\ntwo\n", ("one", "two")),
        ("\x1b[1;31mred\x1b[0m\a", ("red",)),
        ("GET /?token=abc123&x=1", ("GET /?token=[hidden]",)),
        ("Authorization: token abc123 sent", ("Authorization: [hidden] sent",)),
        ("authorization: Bearer abc123", ("authorization: [hidden]",)),
        ("given s3cr3t here", ("given [hidden] here",)),
        ("x" * 1000, ("x" * 400,)),
        ("\n".join(map(str, range(100))), tuple(map(str, range(80, 100)))),
    ],
)
def test_log_tail(log: str, tail: tuple[str, ...]) -> None:
    assert messages.log_tail(log, ("s3cr3t", "")) == tail


def test_html_is_escaped() -> None:
    page = messages.as_html("It <b>ended</b>", ("<script>alert(1)</script>", "a & b"))
    assert page == (
        "<p>It &lt;b&gt;ended&lt;/b&gt;</p><p>The last lines of its log:</p>"
        '<pre class="log-tail">&lt;script&gt;alert(1)&lt;/script&gt;\na &amp; b</pre>'
    )
    assert messages.as_html("Short", ()) == "<p>Short</p>"


# receipts, as the owner of the server reads them

FAILED_TWICE = "Start it again, and tell your administrator if it happens twice."
OUT_OF_MEMORY = replace(END, reason=Reason.OUT_OF_MEMORY, peak_bytes=8 * GIB)


@pytest.mark.parametrize(
    ("end", "sentence"),
    [
        (replace(END, reason=Reason.USER), "stopped by you."),
        (replace(END, reason=Reason.USER, actor="ada"), "stopped by you."),
        (replace(END, reason=Reason.USER, actor="bob"), "stopped by bob."),
        (replace(END, reason=Reason.ADMIN, actor="bob"), "stopped by the admin bob."),
        (replace(END, reason=Reason.ADMIN, actor="ada"), "stopped by you."),
        (replace(END, reason=Reason.ADMIN), "stopped by an administrator of this machine."),
        (replace(END, reason=Reason.CANCELLED, actor="ada"), "the start was cancelled."),
        (
            replace(END, reason=Reason.IDLE, actor="idle-culler"),
            "no activity for too long. Your files are untouched; start it again to go on.",
        ),
        (
            replace(END, reason=Reason.TIME_LIMIT),
            "its session was over. Your files are untouched; start it again to go on.",
        ),
        (
            OUT_OF_MEMORY,
            "out of memory, 8.0 of 8 GiB. Ask for more or use smaller batches.",
        ),
        (
            replace(OUT_OF_MEMORY, limit_bytes=512 * MIB, peak_bytes=500 * MIB),
            "out of memory, 500.0 of 512 MiB. Ask for more or use smaller batches.",
        ),
        (
            replace(OUT_OF_MEMORY, peak_bytes=None),
            "out of memory, its limit is 8 GiB. Ask for more or use smaller batches.",
        ),
        (
            replace(OUT_OF_MEMORY, limit_bytes=0),
            "out of memory. Ask for more or use smaller batches.",
        ),
        (
            replace(OUT_OF_MEMORY, kind=Kind.KERNEL),
            "out of memory, 8.0 of 8 GiB; the server itself goes on. "
            "Ask for more or use smaller batches.",
        ),
        (replace(END, reason=Reason.EXITED, exit_code=3), "its program ended with code 3."),
        (
            replace(END, reason=Reason.EXITED, exit_code=0),
            "its program ended by itself, as after Shut Down in JupyterLab.",
        ),
        (replace(END, reason=Reason.EXITED), "its program ended by itself."),
        (
            replace(END, reason=Reason.START_FAILED, exit_code=3),
            "the start failed, because its program ended with code 3.",
        ),
        (
            replace(END, reason=Reason.START_FAILED, exit_code=143),
            f"the start failed, because it did not answer. {FAILED_TWICE}",
        ),
        (
            replace(END, reason=Reason.START_FAILED),
            f"the start failed, because it did not answer. {FAILED_TWICE}",
        ),
        (
            replace(END, reason=Reason.ENGINE_RESTARTED, exit_code=255),
            "Docker or the machine was restarted. Your files are untouched; start it again.",
        ),
        (
            replace(END, reason=Reason.LOST),
            "its container was removed by somebody outside labhub. "
            "Your files are untouched; start it again.",
        ),
        (
            replace(END, reason=Reason.UNKNOWN, exit_code=137),
            f"it was killed, and nobody noted by whom. {FAILED_TWICE}",
        ),
        (
            replace(END, reason=Reason.UNKNOWN, exit_code=143),
            f"it ended, and nobody noted why. {FAILED_TWICE}",
        ),
    ],
)
def test_a_receipt_says_why_and_what_to_do(end: Receipt, sentence: str) -> None:
    assert messages.receipt(end) == sentence


def test_somebody_else_reads_who_it_was() -> None:
    assert messages.receipt(END, viewer="") == "stopped by ada."
    by_bob = replace(END, reason=Reason.ADMIN, actor="bob")
    assert messages.receipt(by_bob, viewer="bob") == "stopped by you."


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("kind", Kind)
def test_every_receipt_is_a_sentence(kind: Kind, reason: Reason) -> None:
    sentence = messages.receipt(replace(END, kind=kind, reason=reason))
    assert sentence.endswith(".")
    assert sentence[0].islower() or sentence.startswith("Docker")


@pytest.mark.parametrize("reason", Reason)
def test_the_log_is_shown_where_it_may_tell_the_cause(reason: Reason) -> None:
    tells = reason in {Reason.OUT_OF_MEMORY, Reason.EXITED, Reason.START_FAILED}
    assert messages.shown(replace(END, reason=reason)).log == (("bye",) if tells else ())


@pytest.mark.parametrize(
    ("end", "lead"),
    [
        (END, "Ended"),
        (replace(END, reason=Reason.ADMIN), "Ended"),
        (OUT_OF_MEMORY, "Stopped"),
        (replace(OUT_OF_MEMORY, kind=Kind.KERNEL), "A program in your server was stopped"),
    ],
)
def test_a_page_puts_the_time_between_what_and_why(end: Receipt, lead: str) -> None:
    told = messages.shown(replace(end, log=()))
    assert told == Shown(lead, NOON, messages.receipt(end), ())
