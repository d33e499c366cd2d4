"""The tests' hub, looking at what the proxy calls activity every second."""

from pathlib import Path

load_subconfig(str(Path(__file__).with_name("lab_config.py")))  # noqa: F821
c = get_config()  # noqa: F821
c.JupyterHub.last_activity_interval = 1
