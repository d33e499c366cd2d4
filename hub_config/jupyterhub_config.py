"""The one file JupyterHub loads: what labhub.yaml says becomes the hub's settings."""

import os

from hub_config.configure import configure

configure(get_config(), os.environ)  # noqa: F821 - JupyterHub provides it
