"""The tests' hub for people who never sign in, with a provider that is never asked."""

from pathlib import Path

load_subconfig(str(Path(__file__).with_name("lab_config.py")))  # noqa: F821
c = get_config()  # noqa: F821
c.LabGitHubOAuthenticator.auth_refresh_age = 0
c.LabGitHubOAuthenticator.refresh_pre_spawn = False
