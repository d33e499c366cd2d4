"""Rounds over servers that run, over a real store: once all is as it is to be, they ask nobody."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hub_config.schema import Config
from spawner.capacity import Facts
from spawner.container import CPU_PERIOD_MICROSECONDS
from spawner.engine import Container
from spawner.engine_answers import Made
from spawner.engine_errors import (
    ConflictError,
    EngineError,
    NotFoundError,
    UnavailableError,
)
from spawner.live import Live, Told
from spawner.receipts import Receipts
from spawner.runs import Holder, Run
from spawner.sightings import Sightings
from spawner.store import Store

ADA, BOB = Holder("ada", ""), Holder("bob", "")
GIB = 1 << 30
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPTIONS = {"image": "small"}


def config(cpus: float = 1, **default: object) -> Config:
    numbers = {"cpus": cpus, "memory": "1 GiB", "pids": 256, "shm": "64 MiB", **default}
    groups = {"staff": {"cpus": 4}}
    return Config.model_validate({"quotas": {"default": numbers, "groups": groups}})


def run(holder: Holder) -> Run:
    name = f"lab-{holder.user}-1"
    return Run(
        name,
        holder,
        "lab/image:1",
        GIB,
        NOON,
        container=name,
        cpus=1.0,
        pids=256,
        shm_bytes=1 << 26,
    )


class Engine:
    """An engine whose containers have one core each, which notes what it is told to change."""

    def __init__(self) -> None:
        """Refuse nothing yet."""
        self.updates: list[tuple[str, Mapping[str, int]]] = []
        self.refuses: EngineError | None = None

    async def container(self, name: str) -> Container:
        limits = {"CpuQuota": CPU_PERIOD_MICROSECONDS, "Memory": GIB, "PidsLimit": 256}
        made = Made({}, limits, ())
        return Container(name, name, "running", 0, False, "", {}, {}, made=made)

    async def update(self, container: str, limits: Mapping[str, int]) -> None:
        if self.refuses is not None:
            raise self.refuses
        self.updates.append((container, limits))


class World:
    """A store, an engine and a hub with servers; `looks` counts how often the machine was asked."""

    def __init__(self, folder: Path) -> None:
        """Begin with ada's server."""
        self.store = Store(f"sqlite:///{folder / 'labhub.sqlite'}")
        self.engine, self.config, self.looks = Engine(), config(), 0
        self.told: dict[Holder, Told] = {}
        self.begin(ADA)
        desk: Any = SimpleNamespace(
            store=self.store,
            receipts=Receipts(self.store, Sightings()),
            engine=self.engine,
            machine=self,
            meter=SimpleNamespace(held_bytes=lambda _container: 0),
            late={},
            limits_due=asyncio.Event(),
        )
        self.live = Live(desk, self, lambda: self.config)

    def begin(self, holder: Holder) -> None:
        self.store.transact(lambda ledger: ledger.begin(run(holder)))
        self.told[holder] = Told(frozenset(), OPTIONS)

    def standing(self) -> Mapping[Holder, Told]:
        return dict(self.told)

    def look(self, _containers: object) -> Facts:
        self.looks += 1
        return Facts(64 * GIB, 64, 0)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """One server, of which all is as it is to be."""
    made = World(tmp_path)
    asyncio.run(made.live.round())
    assert (made.looks, made.engine.updates) == (1, [])
    yield made
    made.store.close()


def joins_staff(world: World) -> None:
    world.told[ADA] = replace(world.told[ADA], groups=frozenset({"staff"}))


async def test_what_is_as_it_is_to_be_is_not_worked_out_again(world: World) -> None:
    assert [await world.live.round() for _ in range(3)] == [False] * 3
    assert world.looks == 1


@pytest.mark.parametrize(
    ("happens", "updated"),
    [
        (lambda world: setattr(world, "config", config(cpus=2)), ["lab-ada-1"]),
        (joins_staff, ["lab-ada-1"]),
        (lambda world: world.begin(BOB), []),
    ],
    ids=["the file", "a group", "another server"],
)
async def test_whatever_counts_is_noticed(
    world: World, happens: Callable[[World], None], updated: list[str]
) -> None:
    happens(world)
    assert [await world.live.round() for _ in range(3)] == [False] * 3
    assert [name for name, _ in world.engine.updates] == updated
    assert world.looks == (3 if updated else 2)  # what it wrote itself is looked at once more


async def test_a_schedule_that_begins_is_noticed(world: World) -> None:
    begins = datetime.now(UTC) + timedelta(seconds=3)
    world.config = config(schedule=[{"cpus": 2, "since": begins}])
    await world.live.round()
    assert world.engine.updates == []
    await asyncio.sleep((begins - datetime.now(UTC)).total_seconds())
    await world.live.round()
    assert [name for name, _ in world.engine.updates] == ["lab-ada-1"]


async def test_what_the_engine_refused_is_tried_in_each_round(world: World) -> None:
    world.engine.refuses, world.config = UnavailableError("no answer"), config(cpus=2)
    assert [await world.live.round() for _ in range(2)] == [True] * 2
    world.engine.refuses = None
    assert not await world.live.round()
    assert [name for name, _ in world.engine.updates] == ["lab-ada-1"]


@pytest.mark.parametrize("error", [ConflictError("removal in progress"), NotFoundError("none")])
async def test_what_cannot_be_changed_now_is_asked_for_again(
    world: World, error: EngineError
) -> None:
    world.engine.refuses, world.config = error, config(cpus=2)
    assert await world.live.round()
    world.engine.refuses = None
    assert not await world.live.round()
    assert [name for name, _ in world.engine.updates] == ["lab-ada-1"]


async def test_what_waits_is_tried_in_each_round(world: World) -> None:
    world.config = config(shm="128 MiB")  # for the next start only
    assert [await world.live.round() for _ in range(3)] == [True] * 3
    world.config = config()
    assert [await world.live.round() for _ in range(3)] == [False] * 3
