"""What the crash tests' hub loads: the tests' configuration, and a hook that can end the hub.

Nobody signs in at it: an authenticator without a service of its own saves a second at each start
of the hub. Users and their accounts are made by the tests.
"""

import os
from pathlib import Path

from tests.lib.crash_points import obey

load_subconfig(str(Path(__file__).with_name("lab_config.py")))  # noqa: F821
c = get_config()  # noqa: F821
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.allow_all = True
c.JupyterHub.services = [each for each in c.JupyterHub.services if each["name"] != "accounts"]
c.JupyterHub.load_roles = [each for each in c.JupyterHub.load_roles if each["name"] != "user"]
obey(os.environ)
