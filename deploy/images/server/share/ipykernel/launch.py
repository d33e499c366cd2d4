"""Start ipykernel from a tree beside this file: launch.py TREE [ipykernel arguments].

Runs on the image's Python (3.8 or newer). Only this process sees the tree; nothing is exported.
"""

import sys
from pathlib import Path

tree = sys.argv.pop(1)
sys.path[0] = tree
# The tree is read-only and holds no compiled files for this Python: keep them in the user's cache.
sys.pycache_prefix = str(Path("~/.cache/labhub/pycache").expanduser())
from ipykernel import kernelapp  # noqa: E402

sys.pycache_prefix = None
kernelapp.launch_new_instance()
