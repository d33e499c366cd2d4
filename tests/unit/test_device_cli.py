"""labhub device list, labhub lease list: which GPUs there are, and who has which."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub_config.cli import main
from hub_config.reload import Reading
from hub_config.status import Known, describe, write_status
from spawner.devices import Device
from spawner.gpu_readings import Cause, Health
from spawner.gpu_view import Seen, Sight
from spawner.messages.devices import CLAIMED, overlapped, quarantined
from spawner.runs import Holder, Run
from spawner.store import Store

NOON = datetime(2026, 12, 2, 12, tzinfo=UTC)
A, B = "GPU-aaaa", "GPU-bbbb"
ADA = Run("lab-ada-1", Holder("ada", ""), "image", 1 << 30, NOON, "c1", gpus=1, devices=(A,),
          ends_at=NOON + timedelta(hours=4))  # fmt: skip
BOB = Run("lab-bob-1", Holder("bob", "night"), "image", 1 << 30, NOON, "c2", gpus=1, devices=(B,))
CLEO = Run("lab-cleo-1", Holder("cleo", ""), "image", 1 << 30, NOON, "c3")


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An instance's files: two GPUs, one of which two servers may share."""
    for key in ("SECRETS", "STATE", "STATE_ON_HOST", "VOLUMES", "VOLUMES_ON_HOST"):
        monkeypatch.setenv(f"LABHUB_{key}", str(tmp_path))
    for key in ("PORT", "API_PORT", "HUB_PORT", "ACCOUNTS_PORT"):
        monkeypatch.setenv(f"LABHUB_{key}", "1")
    for key in ("INSTANCE", "NETWORK", "BUNDLE"):
        monkeypatch.setenv(f"LABHUB_{key}", "lab")
    monkeypatch.setenv("LABHUB_GATEWAY", "127.0.0.1")
    write_status(tmp_path, {"devices": [{"id": A, "places": 1}, {"id": B, "places": 2}]})
    store = Store(f"sqlite:///{tmp_path / 'labhub.sqlite'}")
    store.transact(lambda ledger: [ledger.begin(each) for each in (ADA, BOB, CLEO)])
    store.close()
    return tmp_path


def labhub(folder: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["--config", str(folder / "labhub.yaml"), *words])


def test_devices_for_people(lab: Path) -> None:
    lines = labhub(lab, "device", "list").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["device", "free", "held", "by"],
        [A, "0", "of", "1", "ada"],
        [B, "1", "of", "2", "bob/night"],
    ]


def test_devices_for_programs(lab: Path) -> None:
    assert json.loads(labhub(lab, "device", "list", "--json").stdout) == [
        {"id": A, "places": 1, "draining": False, "held_by": ["ada"]},
        {"id": B, "places": 2, "draining": False, "held_by": ["bob/night"]},
    ]


def test_a_drained_device(lab: Path) -> None:
    assert labhub(lab, "lease", "drain", B).exit_code == 0
    found = labhub(lab, "device", "list").stdout.splitlines()
    assert [line.split() for line in found[2:]] == [
        [B, "0", "of", "2", "bob/night"],
        [f"{B}:", *["It", "is", "drained:", "nobody", "new", "gets", "it."]],
    ]
    facts = json.loads(labhub(lab, "device", "list", "--json").stdout)
    assert [each["draining"] for each in facts] == [False, True]
    assert labhub(lab, "lease", "drain", B, "--undo").exit_code == 0
    again = labhub(lab, "lease", "drain", B, "--undo")
    assert (again.exit_code, again.stderr) == (
        1, f"Error: {B} is not drained; see `labhub device list`.\n",
    )  # fmt: skip


@pytest.mark.parametrize("command", [("device", "list"), ("queue", "list"), ("lease", "drain", A)])
def test_what_the_hub_wrote_is_damaged(
    lab: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    (lab / "status.json").write_text("{")
    monkeypatch.setattr("hub_config.queue_cli.hub_runs", lambda _folder: True)
    done = labhub(lab, *command)
    assert done.exit_code == 1
    assert done.stderr.startswith("Error: what the hub wrote about itself cannot be read (")
    assert "Traceback" not in done.output


KNOWN = Sight(
    seen=(
        Seen(A, "NVIDIA H100", 80 << 30, 1 << 30, 37),
        Seen(B, "NVIDIA A30", 24 << 30, 0, None, Health(Cause.XID, 79, 1)),
        Seen("GPU-cccc", used_by_others=True),
    ),
    driver="550.54.15",
    trouble="The report is old.",
)
DEVICES = (Device(A), Device(B, 2, healthy=False), Device("GPU-cccc", used_by_others=True))
READING = Reading(at=NOON, errors=(), waits=())


def known(devices: tuple[Device, ...]) -> Known:
    return Known(devices=devices, sight=KNOWN)


def test_what_the_driver_shows_for_people(lab: Path) -> None:
    write_status(lab, describe(READING, known((*DEVICES, Device("GPU-typo", healthy=False)))))
    assert labhub(lab, "device", "list").stdout.splitlines() == [
        "device    free    model        memory   busy     held by",
        "GPU-aaaa  0 of 1  NVIDIA H100  80 GiB   37 %     ada",
        "GPU-bbbb  0 of 2  NVIDIA A30   24 GiB   unknown  bob/night",
        "GPU-cccc  0 of 1  unknown      unknown  unknown  nobody",
        "GPU-typo  0 of 1  unknown      unknown  unknown  nobody",
        "GPU-bbbb: It reported the error Xid 79: look for it in the kernel's log. It seems well "
        "again, and gets new servers after 2 more good probes.",
        "GPU-cccc: A program that is no server of labhub uses it; it is free when that has ended.",
        "GPU-typo: The driver knows no GPU of this UUID; compare gpus.devices with nvidia-smi -L.",
        "The report is old.",
    ]


def test_what_others_were_given_without_a_driver(lab: Path) -> None:
    found = (Device(A, used_by_others=True), Device(B))
    write_status(lab, describe(READING, Known(devices=found)))
    lines = labhub(lab, "device", "list").stdout.splitlines()
    assert lines[1].split()[:4] == [A, "0", "of", "1"]
    assert lines[3:] == [f"{A}: {CLAIMED}"]


def test_what_overlaps_what_somebody_has(lab: Path) -> None:
    sight = Sight((Seen("MIG-9"), Seen("MIG-8")), parts={"MIG-9": A, "MIG-8": B})
    write_status(lab, describe(READING, Known(devices=(Device("MIG-9"),), sight=sight)))
    assert labhub(lab, "device", "list").stdout.splitlines() == [
        "device  free    model    memory   busy     held by",
        "MIG-9   0 of 1  unknown  unknown  unknown  nobody",
        f"MIG-9: {overlapped([A])}",
    ]
    [facts] = json.loads(labhub(lab, "device", "list", "--json").stdout)
    assert facts["overlaps"] == [A]


def test_what_is_shared_and_is_no_device_here(lab: Path) -> None:
    write_status(lab, describe(READING, Known(devices=(Device(A),), unshared=("GPU-typo",))))
    assert labhub(lab, "device", "list").stdout.splitlines()[2:] == [
        "gpus.share names GPU-typo, and no GPU here has this UUID, so nothing is shared by it; "
        "compare it with the list above.",
    ]


def test_what_the_driver_shows_for_programs(lab: Path) -> None:
    write_status(lab, describe(READING, known(DEVICES[:2])))
    assert json.loads(labhub(lab, "device", "list", "--json").stdout) == [
        {"id": A, "places": 1, "model": "NVIDIA H100", "memory_bytes": 80 << 30,
         "used_bytes": 1 << 30, "busy_percent": 37, "driver": "550.54.15", "healthy": True,
         "used_by_others": False, "why": "", "draining": False, "held_by": ["ada"]},
        {"id": B, "places": 2, "model": "NVIDIA A30", "memory_bytes": 24 << 30,
         "used_bytes": 0, "busy_percent": None, "driver": "550.54.15", "healthy": False,
         "used_by_others": False, "why": quarantined(Health(Cause.XID, 79, 1)), "draining": False,
         "held_by": ["bob/night"]},
    ]  # fmt: skip


def test_leases(lab: Path) -> None:
    assert json.loads(labhub(lab, "lease", "list", "--json").stdout) == [
        {"user": "ada", "server": "", "devices": [A], "since": NOON.isoformat(),
         "until": (NOON + timedelta(hours=4)).isoformat()},
        {"user": "bob", "server": "night", "devices": [B], "since": NOON.isoformat(),
         "until": None},
    ]  # fmt: skip
    lines = labhub(lab, "lease", "list").stdout.splitlines()
    assert lines[0].split() == ["server", "since", "until", "devices"]
    assert len(lines) == 3


def test_a_machine_without(lab: Path) -> None:
    (lab / "labhub.sqlite").unlink()
    (lab / "status.json").unlink()
    assert "names no GPU" in labhub(lab, "device", "list").stdout
    assert labhub(lab, "lease", "list").stdout == "No server has a GPU.\n"


def test_a_damaged_file_is_a_sentence(lab: Path) -> None:
    (lab / "status.json").write_text("[")
    done = labhub(lab, "device", "list")
    assert done.exit_code == 1
    assert "cannot be read" in done.stderr
