"""The tests' hub, with a service by the name under which servers are culled."""

import os
from pathlib import Path

load_subconfig(str(Path(__file__).with_name("lab_config.py")))  # noqa: F821
c = get_config()  # noqa: F821
c.JupyterHub.services = [
    *(each for each in c.JupyterHub.services if each["name"] != "idle-culler"),
    {"name": "idle-culler", "api_token": os.environ["LABHUB_TEST_CULLER_TOKEN"], "admin": True},
]
