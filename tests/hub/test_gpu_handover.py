"""How a GPU is handed over when the hub has just begun: only the engine knows, so it is asked."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from auth.accounts import Account
from hub_config.schema import Config
from spawner.capacity import Facts
from spawner.container import Server
from spawner.desk import Desk
from spawner.engine_errors import EngineError, UnavailableError
from spawner.entrance import Entered, Entrance, Request
from spawner.launch import Launch
from spawner.options import Choice
from spawner.progress import Steps
from spawner.quota import Quota
from spawner.runs import Holder, Run
from tests.lib.model_hub import LAB

A = "GPU-aaaa"
NAMES = ("nvidia.com/gpu=0", f"nvidia.com/gpu={A}")
QUOTA = Quota(cpus=1, memory_bytes=1 << 30, shm_bytes=64 << 20, pids=256, gpus=1)
ACCOUNT = Account("ada", 200_000, "a" * 16, "issuer", "subject", "ada", "Ada")
SERVER = Server(
    instance=LAB.name, network=LAB.network, bundle=LAB.bundle, user="ada", server="",
    key=ACCOUNT.key, uid=ACCOUNT.uid, image_key="one", image="lab/image:1", volume="lab-ada",
    notebooks="/tf", root_dir="/tf", shell="/bin/sh", passwd_path="/p", group_path="/g",
    quota=QUOTA,
)  # fmt: skip
BY_CDI = [{"Driver": "cdi", "DeviceIDs": [f"nvidia.com/gpu={A}"]}]
BY_HOOK = [{"Driver": "nvidia", "DeviceIDs": [A], "Capabilities": [["gpu"]]}]


class Engine:
    """An engine that names these GPUs, or (None) does not answer what it knows."""

    def __init__(self, names: tuple[str, ...] | None) -> None:
        """Name these."""
        self.names, self.asked = names, 0
        self.bodies: list[Mapping[str, Any]] = []

    async def discovered(self) -> tuple[str, ...]:
        self.asked += 1
        if self.names is None:
            raise UnavailableError("broken off")
        return self.names

    async def create(self, _name: str, body: Mapping[str, Any]) -> str:
        self.bodies.append(body)
        return "c0ffee"


class Machine:
    """A machine with room for all."""

    def look(self, _containers: object) -> Facts:
        return Facts(memory_bytes=1 << 40, cpus=8)


def desk_with(engine: Engine, folder: Path) -> Desk:
    desk = Desk(replace(LAB, state_dir=folder))
    desk.engine = engine  # type: ignore[assignment]
    desk.machine = Machine()  # type: ignore[assignment]
    return desk


def request(**gpus: object) -> Request:
    config = Config.model_validate(
        {
            "images": {"one": {"title": "One", "image": "lab/image:1"}},
            "quotas": {
                "default": {
                    "cpus": 1, "memory": "1 GiB", "shm": "64 MiB", "pids": 256, "gpus": 1,
                },
            },
            "gpus": gpus,
        }
    )  # fmt: skip
    return Request(config, "ada", "", {"gpus": 1})


def launch(desk: Desk, *devices: str) -> Launch:
    """Return a launch that came in with these GPUs before anybody asked the engine."""
    asked = request(devices=[A])
    now = datetime.now(UTC)
    run = Run("lab-ada-1", Holder("ada", ""), "lab/image:1", 1 << 30, now, devices=devices)
    desk.store.transact(lambda ledger: ledger.begin(run))
    there = desk.devices(asked.config.gpus)
    entered = Entered(asked, {}, ACCOUNT, Choice("one", QUOTA), run, there)
    return Launch(desk, entered, Steps())


@pytest.mark.parametrize(
    ("names", "requests"), [(NAMES, BY_CDI), ((), BY_HOOK), (("nvidia.com/gpu=0",), BY_HOOK)]
)
async def test_before_the_first_gpu_is_handed_over_the_engine_is_asked_how(
    names: tuple[str, ...], requests: object, tmp_path: Path
) -> None:
    engine = Engine(names)
    await launch(desk_with(engine, tmp_path), A).create(SERVER, {}, ())
    assert [each["HostConfig"]["DeviceRequests"] for each in engine.bodies] == [requests]


async def test_what_the_engine_told_meanwhile_counts(tmp_path: Path) -> None:
    engine = Engine(NAMES)
    desk = desk_with(engine, tmp_path)
    started = launch(desk, A)
    await desk.discover()
    await started.create(SERVER, {}, ())
    assert engine.bodies[0]["HostConfig"]["DeviceRequests"] == BY_CDI
    assert engine.asked == 1


async def test_while_the_engine_does_not_tell_no_gpu_is_handed_over(tmp_path: Path) -> None:
    engine = Engine(None)
    with pytest.raises(EngineError):
        await launch(desk_with(engine, tmp_path), A).create(SERVER, {}, ())
    assert engine.bodies == []


async def test_who_gets_no_gpu_does_not_ask(tmp_path: Path) -> None:
    engine = Engine(None)
    await launch(desk_with(engine, tmp_path)).create(SERVER, {}, ())
    assert "DeviceRequests" not in engine.bodies[0]["HostConfig"]
    assert engine.asked == 0


async def test_nobody_is_told_of_no_gpu_before_the_engine_was_asked(tmp_path: Path) -> None:
    engine = Engine(NAMES)
    desk = desk_with(engine, tmp_path)
    desk.accounts.sign_in("local", "ada", "ada", "ada")
    entered = await Entrance(desk, request, Steps()).enter()
    assert entered.run.devices == (A,)
    assert engine.asked == 1
