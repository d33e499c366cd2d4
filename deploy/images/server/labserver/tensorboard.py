"""TensorBoard as a launcher tile: run by the image's Python, reached through the proxy."""

import contextlib
import os
from pathlib import Path

from labserver.image_python import image_python, package_folders

ICON = "/opt/labserver/share/labserver/tensorboard.svg"
READY_SECONDS = 60  # importing TensorFlow on a busy host


def log_folder() -> Path:
    """Give the folder TensorBoard watches, creating it where possible."""
    notebooks = os.environ.get("LABHUB_NOTEBOOKS") or os.environ.get("HOME") or "/tmp"  # noqa: S108
    folder = Path(notebooks) / "logs"
    # Without the folder TensorBoard shows a page that names it; a full disk must not stop it.
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder


def command() -> list[str]:
    """Give the command line; `{port}` is filled in by jupyter-server-proxy."""
    python = image_python() or "python3"
    arguments = ["--logdir", str(log_folder()), "--host", "127.0.0.1", "--port", "{port}"]
    return [python, "-m", "tensorboard.main", *arguments]


def is_installed() -> bool:
    """Look for TensorBoard by its files; starting a Python to ask would cost every server start."""
    return any((folder / "tensorboard/main.py").is_file() for folder in package_folders())


def servers() -> dict[str, dict[str, object]]:
    """Give the proxy's entry: always reachable, shown in the launcher where the image has it."""
    return {
        "tensorboard": {
            "command": command,
            "timeout": READY_SECONDS,
            "new_browser_tab": True,
            "launcher_entry": {
                "enabled": is_installed(),
                "title": "TensorBoard",
                "icon_path": ICON,
                # The only category whose tiles show an icon of their own.
                "category": "Notebook",
            },
        }
    }
