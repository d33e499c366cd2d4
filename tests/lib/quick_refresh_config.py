"""The tests' hub, asking the provider again at nearly every request."""

from pathlib import Path

import auth.refresh

load_subconfig(str(Path(__file__).with_name("lab_config.py")))  # noqa: F821
c = get_config()  # noqa: F821
c.LabGenericOAuthenticator.auth_refresh_age = 1
auth.refresh.SHARE_SECONDS = 0.2
