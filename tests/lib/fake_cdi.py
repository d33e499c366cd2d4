"""Four GPUs that are not there, as NVIDIA's toolkit describes them to engines (CDI)."""

import json
from pathlib import Path

UUIDS = tuple(f"GPU-{letter * 8}-0000-0000-0000-000000000000" for letter in "abcd")
KIND = "nvidia.com/gpu"


def describe(folder: Path) -> dict[str, object]:
    """Write the description into an empty folder; return the daemon.json of a machine with it.

    Like the toolkit's own, it names each device by number and by UUID, and all of them at once.
    """
    devices = [
        _device(name, [number]) for number, uuid in enumerate(UUIDS) for name in (str(number), uuid)
    ]
    everything = _device("all", range(len(UUIDS)))
    text = json.dumps({"cdiVersion": "0.5.0", "kind": KIND, "devices": [*devices, everything]})
    (folder / "nvidia.json").write_text(text)
    return {"features": {"cdi": True}, "cdi-spec-dirs": [str(folder)]}


def _device(name: str, numbers: "list[int] | range") -> dict[str, object]:
    """With type and major given, no engine looks for the node of this machine."""
    nodes = [
        {"path": f"/dev/nvidia{number}", "type": "c", "major": 195, "minor": number,
         "fileMode": 0o666, "permissions": "rw"}
        for number in numbers
    ]  # fmt: skip
    return {"name": name, "containerEdits": {"deviceNodes": nodes}}
