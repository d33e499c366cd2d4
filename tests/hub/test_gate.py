"""The gate lets in whoever the queue lets in: both count the same devices in the same way."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hub_config.schema import Config
from spawner.admission import GPUS
from spawner.capacity import Facts
from spawner.devices import Device
from spawner.gate import Gate, Start
from spawner.gpu_view import Sight
from spawner.quota import Person, effective
from spawner.room import Room
from spawner.runs import Holder, Run
from spawner.store import Ledger, Store

GIB = 1 << 30
NOW = datetime.now(UTC)
CONFIG = Config.model_validate({"quotas": {"default": {"gpus": 2, "session": "12 h"}}})
A, B = Device("GPU-a"), Device("GPU-b")


class Lab:
    """A store in front of a machine with these GPUs, and whoever asks the gate."""

    def __init__(self, store: Store, devices: tuple[Device, ...]) -> None:
        """Nobody has anything."""
        self.desk: Any = SimpleNamespace(
            store=store,
            devices=lambda _gpus: devices,
            machine=SimpleNamespace(look=lambda _containers: Facts(1 << 45, 512)),
            room=Room(),
            sight=Sight(),
        )

    def has(self, user: str, *devices: str) -> None:
        began = NOW - timedelta(hours=1)
        run = Run(
            f"lab-{user}-{devices}", Holder(user, ""), "image", GIB, began, f"c-{user}", cpus=1,
            pids=64, gpus=len(devices), devices=devices, session_seconds=12 * 3600,
        )  # fmt: skip
        self.desk.store.transact(lambda ledger: ledger.begin(run))

    def gate(self, user: str) -> Gate:
        return Gate(self.desk, CONFIG, Person(user))

    def asks(self, user: str, gpus: int) -> tuple[str, ...] | None:
        """Return the devices that somebody gets for an hour, None while they wait."""
        whole = effective(CONFIG, Person(user), NOW)
        quota = replace(whole, gpus=gpus, memory_bytes=GIB, session_seconds=3600)
        holder = Holder(user, "")
        run = self.gate(user).enter(Start(f"lab-{user}", "image", holder, quota, {}))
        return None if run is None else run.devices

    def since(self, user: str) -> datetime:
        """Return since when somebody waits."""
        tickets = self.desk.store.transact(Ledger.tickets)
        return next(each.since for each in tickets if each.holder.user == user)

    def waits(self) -> list[str]:
        return [each.holder.user for each in self.desk.store.transact(Ledger.tickets)]


Make = Callable[..., Lab]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make a lab with these GPUs."""
    store = Store(f"sqlite:///{tmp_path / 'labhub.sqlite'}")
    yield lambda *devices: Lab(store, devices)
    store.close()


def test_a_device_that_is_gone_takes_nothing_of_those_that_are_there(make: Make) -> None:
    lab = make(A, B)
    lab.has("ada", "GPU-gone")
    assert lab.gate("bob").left(Holder("bob", ""))[GPUS].left == 2
    assert lab.asks("bob", 2) == ("GPU-a", "GPU-b")


def test_nobody_idles_behind_who_is_refused_for_a_device_that_is_gone(make: Make) -> None:
    lab = make(A, B)
    lab.has("ada", "GPU-gone", "GPU-a")
    assert lab.asks("bob", 2) is None
    assert lab.asks("cyd", 1) == ("GPU-b",)
    assert lab.waits() == ["bob"]


def test_a_device_that_fewer_may_share_from_now_on_takes_nothing_of_others(make: Make) -> None:
    lab = make(A, replace(B, places=1))
    for user in ("ada", "bob", "cyd"):  # when `share` was 3
        lab.has(user, "GPU-b")
    assert lab.asks("dan", 1) == ("GPU-a",)
    assert lab.asks("eve", 1) is None


def test_a_server_that_comes_anew_has_room_where_others_have_none(make: Make) -> None:
    lab = make(A, B)
    lab.has("ada", "GPU-gone")
    lab.has("bob", "GPU-a", "GPU-b")
    assert lab.gate("ada").left(Holder("ada", ""))[GPUS].left == 0
    assert lab.gate("bob").left(Holder("bob", ""))[GPUS].left == 2


def test_who_comes_before_an_earlier_hubs_place_is_given_back_has_it_all_the_same(
    make: Make,
) -> None:
    lab = make(A)
    lab.has("ada", "GPU-a")
    assert lab.asks("bob", 1) is None
    [ticket] = lab.desk.store.transact(Ledger.tickets)
    earlier = replace(ticket, since=NOW - timedelta(hours=2))
    lab.desk.store.transact(lambda ledger: ledger.call(earlier))
    assert (lab.asks("bob", 1), lab.since("bob")) == (None, earlier.since)
    assert lab.desk.store.transact(Ledger.called) == ()


def test_a_device_that_gets_no_new_lease_is_as_if_somebody_had_it(make: Make) -> None:
    lab = make(A, replace(B, places=2, healthy=False))
    lab.has("ada", "GPU-b")
    assert lab.gate("bob").left(Holder("bob", ""))[GPUS].left == 1
