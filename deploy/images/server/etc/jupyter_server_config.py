# ruff: noqa: F821 - Jupyter executes this file and provides get_config
"""Settings of every user's server; users may override them in ~/.jupyter of their volume."""

import os
import secrets
import shutil
from pathlib import Path

from labserver.tensorboard import servers
from labserver.usage import settings_folder

c = get_config()

c.ServerApp.kernel_spec_manager_class = "labserver.kernels.ImageKernelSpecManager"
c.ServerApp.contents_manager_class = "labserver.contents.LastingContents"
# A new one at every start: a key kept in the volume would never change.
c.ServerApp.cookie_secret = secrets.token_bytes(32)
# Not installed in the image, or nothing to serve: language servers find no program here.
c.ServerApp.jpserver_extensions = {"jupyter_lsp": False, "labserver.times": True}
# A login shell would read /etc/profile, which replaces the image's PATH.
shell = shutil.which("bash") or shutil.which("sh") or "sh"
c.ServerApp.terminado_settings = {"shell_command": [shell]}

# /tf and the user's volume are different file systems, between which a trash can cannot move files.
c.FileContentsManager.delete_to_trash = False

c.LabApp.app_settings_dir = c.JupyterNotebookApp.app_settings_dir = settings_folder()
c.LabApp.extension_manager = "readonly"
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
# The image's extensions were built for its own, older JupyterLab.
c.LabServerApp.labextensions_path = c.LabApp.labextensions_path = [
    "/opt/labserver/share/jupyter/labextensions",
    str(Path(os.environ.get("HOME", "/")) / ".local/share/jupyter/labextensions"),
]

c.ServerProxy.servers = servers()

# Limits come from MEM_LIMIT and CPU_LIMIT; the Prometheus loop would wake every server each second.
c.ResourceUseDisplay.track_cpu_percent = True
c.ResourceUseDisplay.cpu_warning_threshold = 0  # it compares cores with percent
c.ResourceUseDisplay.enable_prometheus_metrics = False
