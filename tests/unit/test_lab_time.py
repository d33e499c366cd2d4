"""What JupyterLab shows of a server's time, and what it tells the hub."""

import json
import subprocess
from typing import Any

from tests.lib.node import NODE_FOLDER, ROOT

EXTENSION = ROOT / "deploy/images/server/share/jupyter/labextensions/labhub-time/static"
H, MIN = 3600, 60
LOOK = ["GET", "/user/ada/labhub/time", None]
KEEP = ["POST", "/user/ada/labhub/time", "keep"]
MORE, SENTENCE = "Extend by 2 h", "Your server stops in {left}: its session of 12 h is over then."
UNUSED = "Your server stops in {left}: it stops when nothing happened in it for 1 h."

Step = tuple[str, list[tuple[int, dict[str, Any]]]]


def live(*steps: Step) -> list[dict[str, Any]]:
    """Run the extension through these steps (tests/lib/lab_time.mjs); what was seen after each."""
    script = ROOT / "tests" / "lib" / "lab_time.mjs"
    argv = [str(NODE_FOLDER / "bin" / "node"), str(script), str(EXTENSION / "remoteEntry.js")]
    done = subprocess.run([*argv, json.dumps(steps)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen: list[dict[str, Any]] = json.loads(done.stdout)
    return seen


def left(seconds: float, **more: Any) -> list[tuple[int, dict[str, Any]]]:
    """The hub's answer while so much of the session is left."""
    warning = SENTENCE if seconds <= 30 * MIN else ""
    return [(200, {"left_seconds": seconds, "warning": warning, "extend": MORE, **more})]


def unused(seconds: float | None) -> list[tuple[int, dict[str, Any]]]:
    """The hub's answer about a server without end in which nothing happens."""
    idle = {"idle_left_seconds": seconds, "idle_warning": "" if seconds is None else UNUSED}
    return [(200, {"left_seconds": None, "warning": "", "extend": "", **idle})]


def test_the_status_bar_tells_the_rest_and_a_click_tells_more() -> None:
    begun, clicked = live(("begin", left(11 * H + 20 * MIN + 40)), ("click", []))
    assert begun == {"asked": [LOOK], "bar": "Runs for 11 h 20 min", "shown": []}
    text = "This server runs until 18:40 (in 11 h 20 min)."
    assert clicked["shown"] == [["info", text, [MORE]]]


def test_a_server_without_end_shows_nothing() -> None:
    assert live(("begin", unused(None)), ("click", []))[-1] == {"asked": [], "bar": "", "shown": []}


def test_each_warning_is_shown_once() -> None:
    times = (31 * MIN, 30 * MIN, 29 * MIN, 10 * MIN, 9 * MIN, 119, 60)
    begin, *rest = times
    seen = live(("begin", left(begin)), *(("look", left(each)) for each in rest))
    texts = [each["shown"] for each in seen]
    warned = [
        [["warning", SENTENCE.replace("{left}", f"{words} (at 18:40)"), [MORE]]]
        for words in ("30 min", "10 min", "1 min 59 s")
    ]
    assert texts == [[], warned[0], warned[0], warned[1], warned[1], warned[2], warned[2]]
    assert [each["bar"] for each in seen[-3:]] == [
        "Stops in 9 min",
        "Stops in 1 min 59 s",
        "Stops in 1 min",
    ]


def test_the_warnings_of_a_short_session_are_the_hubs() -> None:
    short = {"warning": SENTENCE, "warnings": [2, 1, 0.5]}
    seen = live(("begin", left(1.9, **short)), ("look", left(0.9, **short)))
    assert [each["shown"][0][1].split(" (")[0] for each in seen] == [
        "Your server stops in 2 s",
        "Your server stops in 1 s",
    ]


def test_extend_takes_the_warning_away_and_says_so() -> None:
    said = "Extended: your server now stops in {left}."
    _, seen = live(("begin", left(600)), (MORE, left(7800, said=said, extend="")))
    assert seen == {
        "asked": [["POST", "/user/ada/labhub/time", "extend"]],
        "bar": "Runs for 2 h 10 min",
        "shown": [["success", "Extended: your server now stops in 2 h 10 min.", []]],
    }


def test_why_it_cannot_be_extended_is_told() -> None:
    why = "It cannot be extended. Save your work before; you can start it again right after."
    [begun] = live(("begin", left(600, extend="", no_extension=why)))
    text = SENTENCE.replace("{left}", "10 min (at 18:40)")
    assert begun["shown"] == [["warning", f"{text} {why}", []]]
    refused = [(409, {"message": "You can extend by 2 h once in 2 h: again in 1 h."})]
    seen = live(("begin", left(600)), (MORE, refused))[-1]["shown"]
    assert seen[-1] == ["error", "You can extend by 2 h once in 2 h: again in 1 h.", []]


def test_gpu_time_is_warned_of_when_it_becomes_more_urgent() -> None:
    soon = "Your GPU time of this week is used up in {left} (33 h of 40 h are used)."
    over = "Your server stops in {left}: your GPU time of this week is used up."

    def gpus(level: int, seconds: float, text: str) -> list[tuple[int, dict[str, Any]]]:
        warnings = [450, 150, 30] if level == 3 else []
        return [(200, {"left_seconds": None, "gpu_step": level, "gpu_warning": text,
                       "gpu_left_seconds": seconds, "gpu_warnings": warnings})]  # fmt: skip

    seen = live(
        ("begin", gpus(0, 20 * H, "")), ("look", gpus(1, 7 * H, soon)),
        ("look", gpus(1, 6 * H, soon)), ("look", gpus(2, 50 * MIN, soon)),
        ("look", gpus(3, 30 * MIN, over)),
        ("look", gpus(3, 7 * MIN, over)), ("look", gpus(0, 9 * H, "")),
    )  # fmt: skip
    texts = [[text for _, text, _ in each["shown"]] for each in seen]
    first = [soon.replace("{left}", "7 h (at 18:40)")]
    assert texts == [
        [], first, first,
        [soon.replace("{left}", "50 min (at 18:40)")],
        [over.replace("{left}", "30 min (at 18:40)")],
        [over.replace("{left}", "7 min (at 18:40)")],
        [],
    ]  # fmt: skip


def test_keyboard_and_mouse_are_use_and_are_told_with_the_next_question() -> None:
    _, touched, looked, again = live(
        ("begin", unused(None)), ("touch", []), ("look", unused(None)), ("look", unused(None))
    )
    assert [each["asked"] for each in (touched, looked, again)] == [[], [KEEP], [LOOK]]


def test_near_the_end_they_are_told_at_once() -> None:
    warned, touched = live(("begin", unused(9 * MIN)), ("touch", unused(None)))
    text = UNUSED.replace("{left}", "9 min (at 18:40)")
    assert warned["shown"] == [["warning", text, ["Keep"]]]
    assert touched == {"asked": [KEEP], "bar": "", "shown": []}


def test_the_hub_hears_of_it_later_when_it_did_not_answer() -> None:
    away = [(503, {"message": "The hub does not answer at the moment; try again in a minute."})]
    *_, failed, later = live(
        ("begin", left(5 * H)), ("touch", []), ("look", away), ("look", left(4 * H))
    )
    assert failed == {"asked": [KEEP], "bar": "Runs for 5 h", "shown": []}
    assert later["asked"] == [KEEP]


def test_a_hub_that_keeps_no_time_shows_none() -> None:
    gone = [(404, {"message": "There is no such server running."})]
    _, seen = live(("begin", left(600)), ("look", gone))
    assert seen == {"asked": [LOOK], "bar": "", "shown": []}
