"""A machine with NVIDIA's container toolkit and two GPUs, without the GPUs.

`install(folder)` writes two programs: `nvidia-container-runtime`, which like the real one adds the
hook to every container it creates, and `nvidia-container-runtime-hook`, which like the real one
obeys the last NVIDIA_VISIBLE_DEVICES of the container's environment and puts device nodes into it.
The UUIDs of the two are GPU-0 and GPU-1.
"""

import sys
from pathlib import Path

RUNTIME = """\
import json, os, sys
from pathlib import Path

arguments = sys.argv[1:]
if "create" in arguments:
    config = Path(arguments[arguments.index("--bundle") + 1], "config.json")
    spec = json.loads(config.read_text())
    hook = {"path": HOOK, "args": [HOOK, "prestart"]}
    spec.setdefault("hooks", {}).setdefault("prestart", []).append(hook)
    config.write_text(json.dumps(spec))
os.execvp("runc", ["runc", *arguments])
"""

HOOK = """\
import json, os, sys
from pathlib import Path

state = json.load(sys.stdin)
bundle = Path(state.get("bundle") or state["bundlePath"])
spec = json.loads((bundle / "config.json").read_text())
environment = dict(pair.partition("=")[::2] for pair in spec["process"]["env"])
wanted = environment.get("NVIDIA_VISIBLE_DEVICES", "")
if wanted in {"", "void", "none"}:
    sys.exit(0)
numbers = ["0", "1"] if wanted == "all" else wanted.split(",")
root = Path("/proc", str(state["pid"]), "root", *(bundle / spec["root"]["path"]).parts[1:])
for number in (each.removeprefix("GPU-") for each in numbers):
    node = root / "dev" / f"nvidia{int(number)}"
    os.mknod(node, 0o20666, os.makedev(195, int(number)))
    os.chmod(node, 0o666)
"""


def install(folder: Path) -> dict[str, object]:
    """Write both programs; return the daemon.json of a machine where nvidia is the default."""
    hook = folder / "nvidia-container-runtime-hook"
    runtime = folder / "nvidia-container-runtime"
    begin = f"#!{sys.executable}\nHOOK = {str(hook)!r}\n"
    for path, code in ((hook, HOOK), (runtime, RUNTIME)):
        path.write_text(begin + code)
        path.chmod(0o755)
    return {
        "default-runtime": "nvidia",
        "runtimes": {"nvidia": {"path": str(runtime), "runtimeArgs": []}},
    }
