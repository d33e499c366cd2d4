"""The machine that figures come from, and how busy it was meanwhile."""

import os
import platform
import signal
import sys
import time
from importlib.metadata import version
from typing import Any


def say(*words: object) -> None:
    """Print progress where it does not disturb the JSON."""
    print(*words, file=sys.stderr, flush=True)


def clean_up_when_told_to_end() -> None:
    """Let SIGTERM unwind what was begun, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


class Meanwhile:
    """Notes the load when the bench begins and when it ends."""

    def __init__(self) -> None:
        """Begin."""
        self._began = time.monotonic()
        self._load = _load()

    def facts(self) -> dict[str, Any]:
        """Return what the figures depend on; called at the end."""
        packages = ("jupyterhub", "dockerspawner", "docker")
        return {
            "cores": os.cpu_count(),
            "kernel": platform.release(),
            "python": platform.python_version(),
            **{package: version(package) for package in packages},
            "load_before": self._load,
            "load_after": _load(),
            "took_seconds": round(time.monotonic() - self._began),
        }


def _load() -> float:
    """Return the load of the last minute, which counts the bench's own processes too."""
    return round(os.getloadavg()[0], 2)
