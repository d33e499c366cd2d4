"""Lab's usage bars with this server's own limits: settings that are written at every start."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

OVERRIDES = Path("/opt/labserver/share/jupyter/lab/settings/overrides.json")
BAR = "@jupyter-server/resource-usage:topbar-item"


def with_limits(settings: dict[str, Any], cpu_limit: str) -> dict[str, Any]:
    """Add the CPU limit to the bar's label; 100 % is one core, as in the bar itself."""
    try:
        percent = float(cpu_limit) * 100
    except ValueError:
        return settings
    bar = {**settings.get(BAR, {}), "cpu": {"label": f"CPU (limit {percent:g}%): "}}
    return {**settings, BAR: bar}


def settings_folder() -> str:
    """Write the settings where Lab reads them; the bundle's own where nothing can be written."""
    try:
        settings = json.loads(OVERRIDES.read_text("utf-8"))
        folder = Path(tempfile.mkdtemp(prefix="lab-settings-"))
        changed = with_limits(settings, os.environ.get("CPU_LIMIT", ""))
        (folder / OVERRIDES.name).write_text(json.dumps(changed), "utf-8")
    except OSError:
        return str(OVERRIDES.parent)
    return str(folder)
