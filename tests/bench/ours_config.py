"""The tests' hub for people who never sign in: there is nothing to ask a provider about."""

from pathlib import Path

load_subconfig(str(Path(__file__).parents[1] / "lib" / "lab_config.py"))  # noqa: F821
c = get_config()  # noqa: F821
c.LabGenericOAuthenticator.auth_refresh_age = 0
c.LabGenericOAuthenticator.refresh_pre_spawn = False
