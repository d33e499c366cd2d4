"""What NVIDIA's container toolkit does for a container that wants the driver's tools only.

`install(folder, library)` writes a `nvidia-container-runtime-hook` that puts the library
libnvidia-ml.so.1 into each container that asks for GPUs and for the capability `utility`, and
notes what it was asked for.
"""

import json
import sys
from pathlib import Path

HOOK = """\
import json, shutil, sys
from pathlib import Path

state = json.load(sys.stdin)
bundle = Path(state.get("bundle") or state["bundlePath"])
spec = json.loads((bundle / "config.json").read_text())
environment = dict(pair.partition("=")[::2] for pair in spec["process"]["env"])
wanted = environment.get("NVIDIA_VISIBLE_DEVICES", "")
if wanted in {"", "void", "none"}:
    sys.exit(0)
capabilities = environment.get("NVIDIA_DRIVER_CAPABILITIES", "")
with open(CALLS, "a") as calls:
    calls.write(json.dumps([state["id"], wanted, capabilities]) + "\\n")
if "utility" in capabilities.split(","):
    root = bundle / spec["root"]["path"]
    shutil.copy(LIBRARY, root / "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1")
"""


def install(folder: Path, library: Path) -> None:
    """Write the hook."""
    hook = folder / "nvidia-container-runtime-hook"
    names = f"CALLS = {str(folder / 'calls')!r}\nLIBRARY = {str(library)!r}\n"
    hook.write_text(f"#!{sys.executable}\n{names}{HOOK}")
    hook.chmod(0o755)


def calls(folder: Path) -> list[list[str]]:
    """Return each call: the container, which GPUs it wanted, and what of the driver."""
    return [json.loads(line) for line in (folder / "calls").read_text().splitlines()]
