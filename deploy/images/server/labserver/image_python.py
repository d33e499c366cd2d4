"""Find the Python of the image a server runs in; the bundle's own Python is never an answer."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROBE = """
import importlib.util, json, sys
found = importlib.util.find_spec("ipykernel") is not None
print(json.dumps({"version": list(sys.version_info[:2]), "has_ipykernel": found}))
"""
PROBE_SECONDS = 20


@dataclass(frozen=True, slots=True)
class ImagePython:
    """What one run of the image's interpreter told about it."""

    path: str
    version: tuple[int, int]
    has_ipykernel: bool


def in_bundle(path: str) -> bool:
    """Tell whether a program is the bundle's, also behind links."""
    bundle = Path(sys.prefix).resolve()
    return Path(path).resolve().is_relative_to(bundle)


def image_program(name: str) -> str | None:
    """Resolve a bare program name as a shell in the image would."""
    found = shutil.which(name)
    return None if found is None or in_bundle(found) else found


def image_python() -> str | None:
    """Give the path of the image's Python 3, without running it."""
    return image_program("python3") or image_program("python")


@cache
def probe() -> ImagePython | None:
    """Ask the image's Python, once, for its version and whether it has ipykernel."""
    path = image_python()
    if path is None:
        return None
    try:
        answer = subprocess.run(  # noqa: S603 - the image's own interpreter with a fixed program
            [path, "-c", PROBE], capture_output=True, check=True, timeout=PROBE_SECONDS, cwd="/"
        )
        facts = json.loads(answer.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return ImagePython(path, tuple(facts["version"]), facts["has_ipykernel"])


def package_folders() -> Iterator[Path]:
    """Yield the folders in which the image's Python looks for packages, by layout alone."""
    path = image_python()
    if path is None:
        return
    prefix = Path(path).parent.parent
    prefixes = [prefix, Path("/usr/local"), Path(os.environ.get("HOME", "/")) / ".local"]
    for folder in dict.fromkeys(prefixes):
        yield from folder.glob("lib/python3*/site-packages")
        yield from folder.glob("lib/python3*/dist-packages")
