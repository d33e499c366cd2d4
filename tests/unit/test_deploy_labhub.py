"""deploy/labhub: what goes into the hub's container, here an imitation of docker that shows it."""

import os
import subprocess
from pathlib import Path

COMMAND = Path(__file__).parents[2] / "deploy" / "labhub"
DOCKER = """#!/bin/sh
case $1 in container) echo true; exit ;; esac
shift 2
echo "$*"
cat
"""


def labhub(folder: Path, *words: str, comes_in: str = "") -> str:
    """Return what the imitation of docker was told."""
    docker = folder / "docker"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    socket = folder / "docker.sock"
    socket.touch()
    environment = os.environ | {
        "PATH": f"{folder}:{os.environ['PATH']}",
        "DOCKER_HOST": f"unix://{socket}",
    }
    return subprocess.run(
        [COMMAND, "--dir", folder / "lab", *words],
        env=environment, input=comes_in, capture_output=True, text=True, check=True,
    ).stdout.partition(" ")[2]  # fmt: skip


def test_a_trace_of_this_machine_goes_in_by_what_it_holds(tmp_path: Path) -> None:
    trace = tmp_path / "my trace.csv"
    trace.write_text("arrival_s\n")
    told = labhub(tmp_path, "simulate", str(trace), "--devices", "4")
    assert told == "labhub simulate - --devices 4\narrival_s\n"


def test_what_comes_in_goes_on_into_the_hub(tmp_path: Path) -> None:
    told = labhub(tmp_path, "simulate", "-", "--devices", "4", comes_in="arrival_s\n")
    assert told == "labhub simulate - --devices 4\narrival_s\n"
    assert labhub(tmp_path, "receipts", "ada") == "labhub receipts ada\n"
