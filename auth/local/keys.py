"""The provider's own keys: made once, kept for ever, readable by the service only."""

import json
import os
import secrets
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from jwcrypto import jwk

from auth.local.errors import AccountsError

SIGNING_KEY_BITS = 2048


@dataclass(frozen=True, slots=True)
class Keys:
    """What signs sessions and setup links, what signs tokens, and the ones they replaced.

    On rotation the old keys move to the ``old_`` lists: links and id tokens that were issued under
    them stay valid until they end by themselves.
    """

    secret_key: str
    signing_key: str
    old_secret_keys: tuple[str, ...] = ()
    old_signing_keys: tuple[str, ...] = ()


def read_or_make_keys(path: Path) -> Keys:
    """Return the keys in this file; make the file first if there is none."""
    try:
        if not path.exists():
            _write_once(path, _new_keys())
        return _parse(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise AccountsError(f"accounts: cannot use {path}: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError):
        raise AccountsError(
            f"accounts: {path} is damaged: restore it from a backup, or delete it (everybody signs "
            "in again, open setup links end)."
        ) from None


def _new_keys() -> Keys:
    signing_key = jwk.JWK.generate(kty="RSA", size=SIGNING_KEY_BITS)
    pem = signing_key.export_to_pem(private_key=True, password=None)
    return Keys(secret_key=secrets.token_urlsafe(64), signing_key=pem.decode("ascii"))


def _parse(text: str) -> Keys:
    found = json.loads(text)
    return Keys(
        secret_key=str(found["secret_key"]),
        signing_key=str(found["signing_key"]),
        old_secret_keys=tuple(found["old_secret_keys"]),
        old_signing_keys=tuple(found["old_signing_keys"]),
    )


def _write_once(path: Path, keys: Keys) -> None:
    """Write the file complete and private, or not at all; the first of two writers wins."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(keys), file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()
