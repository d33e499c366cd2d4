"""The tier that needs a real Docker engine; without one every test fails with the fix."""

from tests.lib.engine import *  # noqa: F403
