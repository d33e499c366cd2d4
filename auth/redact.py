"""Codes, states and tokens of sign-ins never reach a log.

The hub's access log leaves them out, but tornado's own warning about a 400 or 403 has the whole
URL in it.
"""

import logging
import re

LOGGERS = ("tornado.general", "tornado.access", "tornado.application")

_SECRET = re.compile(
    r"([?&](?:code|state|session_state|id_token_hint|id_token|access_token|refresh_token|token"
    r"|oauth_token|oauth_verifier)=)[^&\s'\"]+"
)


class RedactSecrets(logging.Filter):
    """Replaces the values of secret query parameters in a record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, without secrets."""
        message = record.getMessage()
        clean = redact(message)
        if clean != message:
            record.msg, record.args = clean, ()
        return True


def redact(text: str) -> str:
    """Return the text without the values of secret query parameters."""
    return _SECRET.sub(r"\1[secret]", text)


def redact_secrets_in_logs() -> None:
    """Add the filter to tornado's loggers, once."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(present, RedactSecrets) for present in logger.filters):
            logger.addFilter(RedactSecrets())
