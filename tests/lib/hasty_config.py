"""The tests' hub, whose starts fail if they take seconds; waiting in the queue is no start yet."""

from pathlib import Path

load_subconfig(str(Path(__file__).with_name("impatient_config.py")))  # noqa: F821
c = get_config()  # noqa: F821
c.QuotaDockerSpawner.start_timeout = 8
