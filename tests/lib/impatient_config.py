"""The tests' hub, whose API does not wait long for a start: one that waits in the queue is 202."""

from pathlib import Path

load_subconfig(str(Path(__file__).with_name("times_config.py")))  # noqa: F821
c = get_config()  # noqa: F821
settings = c.JupyterHub.get("tornado_settings", {})
c.JupyterHub.tornado_settings = {**settings, "slow_spawn_timeout": 2}
