"""The tests' own eye: it must see everything that does not fit together."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from spawner.runs import Holder, Run
from tests.lib.agreement import Box, Story, disagreements, read_box, read_hub

BOX = Box(id="c1", name="lab-ada-1", state="running", role="server", user="ada")
RUN = Run("lab-ada-1", Holder("ada", ""), "image", 1, datetime(2026, 1, 1, tzinfo=UTC), "c1")
ALL_WELL = Story({"ada": "ready"}, (BOX,), (RUN,), frozenset({"ada"}))
NOTHING = Story({}, (), (), frozenset())
LOOK = replace(BOX, id="c2", name="look", state="created", role="look", user="")


@pytest.mark.parametrize("story", [ALL_WELL, NOTHING])
def test_what_agrees_is_not_complained_of(story: Story) -> None:
    assert disagreements(story) == []


@pytest.mark.parametrize(
    ("change", "sentences"),
    [
        ({"boxes": (BOX, LOOK)}, ["the container look (role look) is created"]),
        (
            {"boxes": (replace(BOX, state="exited"),)},
            ["the container lab-ada-1 (role server) is exited"],
        ),
        (
            {"boxes": ()},
            [
                "the hub says ready of ada, who has 0 containers",
                "the run lab-ada-1 is open without a container",
            ],
        ),
        ({"hub": {}}, ["the hub says stopped of ada, who has 1 containers"]),
        (
            {"hub": {"ada": "pending stop"}},
            ["the hub says pending stop of ada, who has 1 containers"],
        ),
        ({"answering": frozenset()}, ["the server of ada does not answer"]),
        ({"runs": ()}, ["the container lab-ada-1 is in no run"]),
        (
            {"runs": (replace(RUN, container=""),)},
            ["the run lab-ada-1 is bound to '', not 'c1'"],
        ),
        (
            {"boxes": (BOX, replace(BOX, id="c2", name="lab-ada-2"))},
            ["ada has two containers", "the container lab-ada-2 is in no run"],
        ),
    ],
)
def test_each_disagreement_is_a_sentence(change: dict[str, Any], sentences: list[str]) -> None:
    assert disagreements(replace(ALL_WELL, **change)) == sentences


def test_the_engines_and_the_hubs_words_are_read() -> None:
    labels = {"labhub.role": "server", "labhub.user": "ada"}
    entry = {"Id": "c1", "Names": ["/lab-ada-1"], "State": "running", "Labels": labels}
    assert read_box(entry) == BOX
    assert read_box({"Id": "c2", "Names": ["/look"], "State": "created", "Labels": None}) == (
        replace(LOOK, role="")
    )
    servers = [
        {"name": "ada", "servers": {"": {"ready": True, "pending": None}}},
        {"name": "ben", "servers": {"": {"ready": False, "pending": "spawn"}}},
        {"name": "cyd", "servers": {"": {"ready": False, "pending": None}}},
        {"name": "dan", "servers": {}},
    ]
    assert read_hub(servers) == {"ada": "ready", "ben": "pending spawn", "cyd": "not ready"}
