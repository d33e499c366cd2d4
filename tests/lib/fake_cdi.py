"""Four GPUs that are not there, as NVIDIA's toolkit describes them to engines (CDI).

With each GPU goes a hook, as the toolkit's updates the container's links to libraries. This one
only writes down with which variables it is run.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

UUIDS = tuple(f"GPU-{letter * 8}-0000-0000-0000-000000000000" for letter in "abcd")
KIND = "nvidia.com/gpu"
HOOK = """\
#!/bin/sh
env >>{record}
echo "a hook ran" >>{record}
"""
RAN = "a hook ran"


def describe(folder: Path) -> dict[str, object]:
    """Write the description into an empty folder; return the daemon.json of a machine with it.

    Like the toolkit's own, it names each device by number and by UUID, and all of them at once.
    """
    devices = [
        _device(name, [number]) for number, uuid in enumerate(UUIDS) for name in (str(number), uuid)
    ]
    everything = _device("all", range(len(UUIDS)))
    # As the toolkit's hooks were until 1.17.8, without variables of their own.
    hook = {"hookName": "createContainer", "path": str(_hook(folder)), "args": ["hook"]}
    description = {
        "cdiVersion": "0.5.0",
        "kind": KIND,
        "devices": [*devices, everything],
        "containerEdits": {"hooks": [hook]},
    }
    (folder / "nvidia.json").write_text(json.dumps(description))
    return {"features": {"cdi": True}, "cdi-spec-dirs": [str(folder)]}


@contextmanager
def without(folder: Path, name: str) -> Iterator[None]:
    """Leave one device out of the description for a while, as if it had fallen off the bus."""
    path = folder / "nvidia.json"
    before = path.read_text()
    description = json.loads(before)
    left = [each for each in description["devices"] if each["name"] != name]
    path.write_text(json.dumps({**description, "devices": left}))
    try:
        yield
    finally:
        path.write_text(before)


def record(folder: Path) -> Path:
    """Return where the hook writes its variables, and `RAN` after each run."""
    return folder / "hook-record"


def _hook(folder: Path) -> Path:
    path = folder / "hook"
    path.write_text(HOOK.format(record=record(folder)))
    path.chmod(0o755)
    return path


def _device(name: str, numbers: "list[int] | range") -> dict[str, object]:
    """With type and major given, no engine looks for the node of this machine."""
    nodes = [
        {"path": f"/dev/nvidia{number}", "type": "c", "major": 195, "minor": number,
         "fileMode": 0o666, "permissions": "rw"}
        for number in numbers
    ]  # fmt: skip
    return {"name": name, "containerEdits": {"deviceNodes": nodes}}
