"""What people read when a start fails: one sentence, and a log without secrets or tricks."""

import pytest

from spawner import messages
from spawner.quota import Quota

GIB = 1024**3


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
