"""What the hub of the queue's crash tests loads: an API that does not wait, and death on order."""

import os
from pathlib import Path

from tests.lib.crash_points import obey

load_subconfig(str(Path(__file__).with_name("impatient_config.py")))  # noqa: F821
obey(os.environ)
