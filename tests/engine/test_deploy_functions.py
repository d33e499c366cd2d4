"""The decisions in deploy/lib that need no engine: sourced by sh, asked, answered."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

pytestmark = pytest.mark.engine

LIB = Path(__file__).parents[2] / "deploy" / "lib"


def sh(script: str, *parts: str) -> subprocess.CompletedProcess[str]:
    """Run a script after sourcing these parts of deploy/lib."""
    sources = "".join(f". {LIB}/{part}.sh\n" for part in parts)
    return subprocess.run(
        ["sh", "-euc", f"deploy={LIB.parent}\n{sources}{script}"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("version", "floor", "below"),
    [
        ("19.03.15", "20.10", True),
        ("20.10.24+dfsg1", "20.10", False),
        ("20.10", "20.10", False),
        ("29.5.1", "29.5.1", False),
        ("28.5.2", "29.5.1", True),
        ("1.1.5+ds1", "1.3.6", True),
        ("29.10.0", "29.5.1", False),
    ],
)
def test_versions_are_compared_by_number(version: str, floor: str, below: bool) -> None:
    assert (sh(f"version_below '{version}' '{floor}'", "engine").returncode == 0) is below


@pytest.mark.parametrize(
    ("version", "noted"),
    [("1.17.8", True), ("1.19.0", True), ("1.19.1", False), ("1.20.0-rc.1", False)],
)
def test_an_old_toolkit_is_noted(tmp_path: Path, version: str, noted: bool) -> None:
    program = tmp_path / "nvidia-ctk"
    program.write_text(f"#!/bin/sh\necho 'NVIDIA Container Toolkit CLI version {version}'\n")
    program.chmod(0o755)
    stubs = 'note() { echo "$*"; }\ndocker() { :; }\nengine_info() { :; }\nengine_version=99\n'
    done = sh(f"{stubs}PATH={tmp_path}:$PATH\nnote_old_parts", "engine")
    assert done.returncode == 0, done.stderr
    assert (f"nvidia-container-toolkit {version} is older" in done.stdout) is noted


HOOKS = """\
---
cdiVersion: 0.5.0
containerEdits:
  env:
  - NVIDIA_VISIBLE_DEVICES=void
  hooks:
  - args:
    - nvidia-cdi-hook
    - create-symlinks
    env:
    - NVIDIA_CTK_DEBUG=false
    hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
  - hookName: createContainer
    path: /usr/bin/nvidia-cdi-hook
    env: [NVIDIA_CTK_DEBUG=false]
  mounts:
  - containerPath: /usr/bin/nvidia-smi
    hostPath: /usr/bin/nvidia-smi
devices:
- containerEdits:
    deviceNodes:
    - path: /dev/nvidia0
    hooks:
    - args:
      - nvidia-cdi-hook
      - chmod
      env:
      - NVIDIA_CTK_DEBUG=false
      hookName: createContainer
      path: /usr/bin/nvidia-cdi-hook
  name: "0"
kind: nvidia.com/gpu
"""
HOOK = {"hookName": "createContainer", "path": "/usr/bin/nvidia-cdi-hook", "args": ["x"]}


def in_json(*hooks: dict[str, object]) -> str:
    return json.dumps({"kind": "nvidia.com/gpu", "containerEdits": {"hooks": hooks}, "devices": []})


@pytest.mark.parametrize(
    ("name", "text", "bare"),
    [
        ("nvidia.yaml", HOOKS, 0),
        ("nvidia.yaml", HOOKS.replace("    env:\n    - NVIDIA_CTK_DEBUG=false\n", ""), 1),
        ("nvidia.yaml", HOOKS.replace("      env:\n      - NVIDIA_CTK_DEBUG=false\n", ""), 1),
        ("nvidia.yaml", HOOKS.replace("    env: [NVIDIA_CTK_DEBUG=false]\n", ""), 1),
        ("nvidia.yaml", HOOKS.replace("[NVIDIA_CTK_DEBUG=false]", "[]"), 1),
        ("nvidia.yaml", re.sub(r" +env:.*\n( +- NVIDIA_CTK.*\n)?", "", HOOKS), 3),
        ("nvidia.yaml", "kind: nvidia.com/gpu\ndevices: []\n", 0),
        ("other.yaml", "kind: vendor.com/net\nhooks:\n- path: /x\n  hookName: prestart\n", 0),
        ("nvidia.json", in_json({**HOOK, "env": ["A=1"]}), 0),
        ("nvidia.json", in_json({**HOOK, "env": ["A=1"]}, HOOK, {**HOOK, "env": []}), 2),
        ("nvidia.json", in_json(HOOK).replace(",", ",\n  "), 1),
        ("nvidia.txt", in_json(HOOK), 0),
    ],
)
def test_hooks_that_would_run_with_an_image_s_variables_are_noted(
    tmp_path: Path, name: str, text: str, bare: int
) -> None:
    (tmp_path / name).write_text(text)
    script = f'note() {{ echo "$*"; }}\nengine_info() {{ echo {tmp_path}; }}\nnote_bare_hooks'
    done = sh(script, "engine")
    assert (done.returncode, done.stderr) == (0, "")
    begin = f"{tmp_path / name} describes {bare} hook(s) without variables of their own"
    assert done.stdout.startswith(begin) if bare else done.stdout == ""


def test_an_engine_that_names_no_directories_has_the_usual_ones() -> None:
    done = sh("engine_info() { :; }\nset -x\nnote_bare_hooks", "engine")
    assert done.returncode == 0
    assert "/etc/cdi/*.yaml" in done.stderr
    assert "/var/run/cdi/*.json" in done.stderr


@pytest.mark.parametrize(
    ("directory", "name"),
    [
        ("/srv/labhub", "labhub"),
        ("/srv/labhub/", "labhub"),
        ("/srv/../srv/labhub", "labhub"),
        ("/srv/lab2", "labhub-23a921"),
    ],
)
def test_an_instance_is_named_by_its_directory(directory: str, name: str) -> None:
    assert sh(f"read_dir '{directory}'; echo $instance", "arguments").stdout == f"{name}\n"


STUBS = """
dir=/srv/labhub
die() { echo "$*"; exit 1; }
say() { echo "$*"; }
get_tensorflow() { tensorflow=$what_is_there; }
have_image() { [ "$1" = "$what_is_there" ]; }
"""


def test_the_official_image_that_cannot_be_had_is_never_replaced_silently() -> None:
    there = "what_is_there=$local_tensorflow\n"
    done = sh(STUBS + there + 'get_image "$official_tensorflow"', "images")
    assert done.returncode == 1
    assert "write 'image: labhub/tensorflow:2.9.0-jupyter-local'" in done.stdout


def test_the_official_image_satisfies_its_own_name_only() -> None:
    there = "what_is_there=$official_tensorflow\n"
    assert sh(STUBS + there + 'get_image "$official_tensorflow"', "images").returncode == 0
    done = sh(STUBS + there + 'get_image "$local_tensorflow"', "images")
    assert done.returncode == 1
    assert "write 'image: tensorflow/tensorflow:2.9.0-gpu-jupyter'" in done.stdout


def test_a_secret_is_made_once_and_an_empty_one_is_named(tmp_path: Path) -> None:
    script = f'dir={tmp_path}\ndie() {{ echo "$*"; exit 1; }}\nmake_secrets'
    assert sh(script, "secrets").returncode == 0
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert sh(script, "secrets").returncode == 0
    assert {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()} == made
    (tmp_path / "secrets" / "crypt_key").write_text("")
    done = sh(script, "secrets")
    assert done.returncode == 1
    assert done.stdout.startswith(f"{tmp_path}/secrets/crypt_key is empty: ")


# An engine with one version of everything for each reason to keep it, and one for none.
VERSIONS = r"""
hub_tag=labhub/hub:current server_tag=labhub/server:current bundle=labhub-server-current
build=name_of
say() { echo "$*"; }
name_of() { echo labhub/hub-dependencies:current; }
docker() {
    case "$*" in
        "image ls "*labhub/hub) printf 'labhub/hub:%s\n' current old young busy ;;
        "image ls "*labhub/hub-dependencies) printf 'labhub/hub-dependencies:%s\n' current old ;;
        "image ls "*labhub/server) printf 'labhub/server:%s\n' current old elsewhere ;;
        "volume ls "*) printf 'labhub-server-%s\n' current old young elsewhere ;;
        "image inspect "*young | "volume inspect "*young) date -Is ;;
        "image inspect "* | "volume inspect "*) echo 2020-01-01T00:00:00Z ;;
        "ps "*) echo another ;;
        "inspect "*) printf 'PATH=/bin\nLABHUB_BUNDLE=labhub-server-elsewhere\n' ;;
        *busy) return 1 ;;
        *" rm "*) echo "$*" ;;
    esac
}
"""


def test_an_upgrade_removes_only_versions_that_nothing_names() -> None:
    done = sh(VERSIONS + "remove_old_versions", "tidy")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "  4 older images and bundles removed\n"


@pytest.mark.parametrize(
    ("driver", "toolkit", "does", "said"),
    [
        (False, False, "forget", ""),
        (False, True, "forget", ""),  # a toolkit without a driver has nothing to show
        (True, False, "forget", "note NVIDIA's driver is here and its container toolkit is not: "
         "servers get no GPUs; install nvidia-container-toolkit and run deploy/up again\n"),
        (True, True, "compose lab-gpus compose.gpu.yaml up -d",
         "found NVIDIA's driver and container toolkit\n"),
    ],
)  # fmt: skip
def test_the_gpu_monitor_is_for_machines_with_nvidias_driver_and_toolkit(
    driver: bool, toolkit: bool, does: str, said: str
) -> None:
    stubs = f"""
        instance=lab
        host_has_gpu() {{ {str(driver).lower()}; }}
        host_has_toolkit() {{ {str(toolkit).lower()}; }}
        note() {{ echo "note $*"; }}
        found() {{ echo "found $*"; }}
        compose_run() {{ echo "compose $*"; }}
        forget_gpus() {{ echo forget; }}
        say() {{ :; }}
    """
    assert sh(f"{stubs} check_gpus", "gpus").stdout == said
    done = sh(f"{stubs} start_gpu_monitor", "gpus")
    assert (done.returncode, done.stdout) == (0, f"{does}\n")


@pytest.mark.parametrize("ran", [True, False])
def test_what_a_monitor_said_does_not_outlive_the_gpus(tmp_path: Path, ran: bool) -> None:
    report = tmp_path / "state" / "gpus" / "gpus.json"
    if ran:
        report.parent.mkdir(parents=True)
        report.touch()
    stubs = f"""
        dir={tmp_path} instance=lab
        docker() {{
            case "$*" in
                "ps -aq --filter name=^/lab-gpu-monitor$") {"echo 0123" if ran else ":"} ;;
                "rm --force lab-gpu-monitor") echo removed >&2 ;;
                *) return 1 ;;
            esac
        }}
        say() {{ echo "$*"; }}
    """
    done = sh(f"{stubs} forget_gpus", "gpus")
    assert (done.returncode, done.stdout) == (0, "  GPU monitor removed\n" * ran)
    assert done.stderr == "removed\n" * ran
    assert not report.exists()


def test_a_gpu_monitor_that_cannot_be_started_is_no_reason_to_end(tmp_path: Path) -> None:
    done = sh(
        f"""
        instance=lab scratch={tmp_path} log=up.log
        host_has_gpu() {{ true; }}
        host_has_toolkit() {{ true; }}
        compose_run() {{ echo "ERROR: no such driver" >"$scratch/err"; return 1; }}
        note() {{ echo "note $*"; }}
        start_gpu_monitor
        """,
        "gpus",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "without a look at their health: ERROR: no such driver; see up.log" in done.stdout


def composed(folder: Path, file: str) -> dict[str, Any]:
    """Return the services of a file as Compose reads them."""
    found = sh("find_compose; echo $compose", "packages").stdout.split()
    values = {"LABHUB_INSTANCE": "lab", "LABHUB_DIR": str(folder), "LABHUB_HUB_IMAGE": "hub:1"}
    done = subprocess.run(
        [*found, "--project-name", "lab", "--file", str(LIB.parent / file), "config"],
        capture_output=True, text=True, check=False, env={**os.environ, **values},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    services: dict[str, Any] = YAML(typ="safe").load(done.stdout)["services"]
    return services


def test_the_gpu_monitor_gets_all_gpus_and_nothing_else(tmp_path: Path) -> None:
    services = composed(tmp_path, "compose.gpu.yaml")
    assert set(services) == {"gpu-monitor"}
    monitor = services["gpu-monitor"]
    [wanted] = monitor["deploy"]["resources"]["reservations"]["devices"]
    assert (wanted["driver"], wanted["capabilities"]) == ("nvidia", ["gpu", "utility"])
    assert wanted["count"] in ("all", -1)
    mounted = {each["source"]: each.get("read_only", False) for each in monitor["volumes"]}
    assert mounted == {f"{tmp_path}/state/gpus": False, "/proc": True}
    assert (monitor["network_mode"], monitor["read_only"], monitor["cap_drop"]) == (
        "none", True, ["ALL"],
    )  # fmt: skip
    assert "privileged" not in monitor
    assert "ports" not in monitor
