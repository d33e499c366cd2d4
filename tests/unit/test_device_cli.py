"""labhub device list, labhub lease list: which GPUs there are, and who has which."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hub_config.cli import main
from hub_config.status import write_status
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
        {"id": A, "places": 1, "held_by": ["ada"]},
        {"id": B, "places": 2, "held_by": ["bob/night"]},
    ]


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
