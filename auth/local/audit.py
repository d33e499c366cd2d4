"""The audit trail: who did what from where, in one line each, never a secret."""

import json
import logging
import re
from typing import Final

LENGTH_MAX: Final = 64

_log = logging.getLogger("labhub.accounts.audit")
_SETUP_LINK = re.compile(r"(/setup/)[^\s\"']+")


def record(event: str, name: str, **details: object) -> None:
    """Write one line. Whatever people typed is cut first and quoted, so it cannot forge lines."""
    fields = {"name": name} | details
    text = " ".join(f"{key}={json.dumps(str(value)[:LENGTH_MAX])}" for key, value in fields.items())
    _log.info("%s %s", event, text)


class HideSetupLinks(logging.Filter):
    """Keeps the secret part of setup links out of logged paths."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace the link in the finished message."""
        message = record.getMessage()
        if "/setup/" in message:
            record.msg, record.args = _SETUP_LINK.sub(r"\1…", message), ()
        return True
