"""What the tests' hub loads: the real configuration, plus one service that may do anything.

The service's token comes from the environment, so it exists for the life of one test hub only.
"""

import os
from pathlib import Path

ROOT = Path(__file__).parents[2]

load_subconfig(str(ROOT / "hub_config" / "jupyterhub_config.py"))  # noqa: F821
c = get_config()  # noqa: F821
c.JupyterHub.services = [
    *c.JupyterHub.get("services", []),
    {"name": "lab-tests", "admin": True, "api_token": os.environ["LABHUB_TEST_TOKEN"]},
]
