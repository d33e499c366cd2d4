"""What the hub of the reload tests loads: the tests' configuration, and death on order."""

import os
from pathlib import Path

from tests.lib.crash_points import obey

load_subconfig(str(Path(__file__).with_name("lab_config.py")))  # noqa: F821
obey(os.environ)
