"""A machine with NVIDIA's container toolkit and two GPUs, without the GPUs.

`install(folder)` writes two programs that do what the toolkit's do, as far as it decides which
devices a container gets:

    nvidia-container-runtime        adds the hook to every container that it creates, and what
                                    NVIDIA_GDS and its like ask for
    nvidia-container-runtime-hook   obeys mounts below /var/run/nvidia-container-devices, else the
                                    last NVIDIA_VISIBLE_DEVICES of the container's variables, which
                                    CUDA_VERSION alone stands for, too. With a GPU it also obeys
                                    NVIDIA_IMEX_CHANNELS and, where a container may administer the
                                    machine (else it fails), NVIDIA_MIG_CONFIG_DEVICES and _MONITOR_

The UUIDs of the two are GPU-0 and GPU-1. For all else that can be asked for, two devices of the
same kind stand: 2 is what the runtime gives, 3 what else the hook gives. Like the real ones, the
hook changes the device cgroup behind the engine's back; on cgroup v2 that takes a program in the
kernel, and here the container only gets the node.
(ref: github.com/NVIDIA/nvidia-container-toolkit, cmd/nvidia-container-runtime-hook and internal/)
"""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from spawner.cgroups import is_version_2
from tests.lib.gpu_probe import GRANTED, NODE_ALONE

RUNTIME = """\
import json, os, sys
from pathlib import Path

GATED = {"NVIDIA_GDS", "NVIDIA_MOFED", "NVIDIA_NVSWITCH", "NVIDIA_GDRCOPY"}
arguments = sys.argv[1:]
if "create" in arguments:
    config = Path(arguments[arguments.index("--bundle") + 1], "config.json")
    spec = json.loads(config.read_text())
    environment = dict(pair.partition("=")[::2] for pair in spec["process"]["env"])
    gated = any(environment.get(each) == "enabled" for each in GATED)
    hook = {"path": HOOK, "args": [HOOK, "prestart", *["gated"] * gated]}
    spec.setdefault("hooks", {}).setdefault("prestart", []).append(hook)
    config.write_text(json.dumps(spec))
os.execvp("runc", ["runc", *arguments])
"""

HOOK = """\
import json, os, sys
from pathlib import Path

ROOT = "/var/run/nvidia-container-devices/"
state = json.load(sys.stdin)
bundle = Path(state.get("bundle") or state["bundlePath"])
spec = json.loads((bundle / "config.json").read_text())
environment = dict(pair.partition("=")[::2] for pair in spec["process"]["env"])
mounted = [
    each["destination"].removeprefix(ROOT) for each in spec["mounts"]
    if each["source"] == "/dev/null" and each["destination"].startswith(ROOT)
]
is_old = "CUDA_VERSION" in environment and "NVIDIA_REQUIRE_CUDA" not in environment
unset = "all" if is_old else ""
wanted = ",".join(mounted) or environment.get("NVIDIA_VISIBLE_DEVICES", unset)
slices = any(environment.get(f"NVIDIA_MIG_{what}_DEVICES") for what in ("CONFIG", "MONITOR"))
numbers = []
if wanted not in {"", "void", "none"}:
    names = ["0", "1"] if wanted == "all" else wanted.split(",")
    numbers = [int(each.removeprefix("GPU-")) for each in names]
    numbers += [2] if "gated" in sys.argv else []
    numbers += [3] if environment.get("NVIDIA_IMEX_CHANNELS") or slices else []
    if slices and "CAP_SYS_ADMIN" not in spec["process"]["capabilities"]["bounding"]:
        sys.exit("cannot set MIG devices in non privileged container")
if Path(WIRES).exists():
    wires = json.loads(Path(WIRES).read_text())
    numbers = [node for each in numbers for node in wires.get(str(each), [each])]
with open(CALLS, "a") as calls:
    calls.write(json.dumps({"id": state["id"], "devices": numbers}) + "\\n")
root = Path("/proc", str(state["pid"]), "root", *(bundle / spec["root"]["path"]).parts[1:])
groups = Path("/proc", str(state["pid"]), "cgroup").read_text().split()
[group] = [line.split(":", 2)[2] for line in groups if ":devices:" in line] or [None]
for number in numbers:
    if group is not None:
        allow = Path("/sys/fs/cgroup/devices" + group, "devices.allow")
        allow.write_text(f"c 195:{number} rw")
    node = root / "dev" / f"nvidia{number}"
    if not node.exists():
        os.mknod(node, 0o20666, os.makedev(195, number))
        os.chmod(node, 0o666)
"""

# What is met at the node of a device that the hook gave.
HOOKED = NODE_ALONE if is_version_2(Path("/sys/fs/cgroup")) else GRANTED


@dataclass(frozen=True, slots=True)
class FakeGpus:
    """The programs in their folder, and what they were asked for."""

    folder: Path

    @property
    def daemon(self) -> dict[str, object]:
        """The daemon.json of a machine where nvidia is the default."""
        path = self.folder / "nvidia-container-runtime"
        return {
            "default-runtime": "nvidia",
            "runtimes": {"nvidia": {"path": str(path), "runtimeArgs": []}},
        }

    def calls(self) -> list[tuple[int, ...]]:
        """Return which devices each call of the hook gave, the oldest first."""
        lines = _calls(self.folder).read_text().splitlines()
        return [tuple(json.loads(line)["devices"]) for line in lines]

    @contextmanager
    def wired(self, number: int, *nodes: int) -> Iterator[None]:
        """For a while, give other nodes to who asks for a GPU, as after a change of the cards."""
        _wires(self.folder).write_text(json.dumps({number: nodes}))
        try:
            yield
        finally:
            _wires(self.folder).unlink()


def install(folder: Path) -> FakeGpus:
    """Write both programs."""
    hook = folder / "nvidia-container-runtime-hook"
    runtime = folder / "nvidia-container-runtime"
    calls, wires = _calls(folder), _wires(folder)
    calls.write_text("")
    begin = f"#!{sys.executable}\nHOOK, CALLS, WIRES = {[str(hook), str(calls), str(wires)]!r}\n"
    for path, code in ((hook, HOOK), (runtime, RUNTIME)):
        path.write_text(begin + code)
        path.chmod(0o755)
    return FakeGpus(folder)


def _calls(folder: Path) -> Path:
    return folder / "calls"


def _wires(folder: Path) -> Path:
    return folder / "wires"
