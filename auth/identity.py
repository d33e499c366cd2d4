"""Names that never collide: one person → one account key → hub name, volume, container.

Pure functions, plain data in and out. What they promise together:

- ``account_key`` depends on the pair (issuer, subject) and on nothing else, so a rename at the
  provider moves nobody, and no two pairs share an encoding.
- ``canonical_name`` is a hub name ``[a-z][a-z0-9]{0,30}``. A provider's name that already is one
  stays as it is; every other name becomes a readable slug plus a piece of the key. The two kinds
  cannot meet: a name that merely *looks* derived is derived itself.
- ``object_name`` and ``container_name`` are DNS labels (at most 63 characters) and injective: from
  the right they can be taken apart again, because hub names and keys have no hyphen.

DockerSpawner's own escape is not used: it lower-cases unpadded hex, so that different users can
end in the same container and the same volume.
"""

import base64
import hashlib
import re
import unicodedata

KEY_LENGTH = 16
NAME_LENGTH_MAX = 31
LABEL_LENGTH_MAX = 63
INSTANCE_LENGTH_MAX = 14
ATTEMPT_MAX = 10**13

_NAME = re.compile(r"[a-z][a-z0-9]{0,30}")
_KEY = re.compile(r"[a-z2-7]{16}")
_INSTANCE = re.compile(r"[a-z]([a-z0-9-]{0,12}[a-z0-9])?")

# The piece of the key in a derived name, and the mark before it. Base32 has no zero, so the mark
# is found again from the right, and a provider's name of this shape is never taken as it is.
_PIECE_LENGTH = 10
_MARK = "0"
_DERIVED = re.compile(r"[a-z][a-z0-9]*0[a-z2-7]{10}")
_SLUG_LENGTH_MAX = NAME_LENGTH_MAX - len(_MARK) - _PIECE_LENGTH
_READABLE_USER_LENGTH = 16

# Paths of the hub (/hub/spawn/new, /api/users/bulk …), and accounts every image has in its own
# passwd file: a person called root would be shown as the one with all rights.
RESERVED_NAMES = frozenset(
    {
        "new",
        "bulk",
        "hub",
        "api",
        "user",
        "users",
        "services",
        "login",
        "logout",
        "static",
        "health",
        "root",
        "daemon",
        "bin",
        "sys",
        "sync",
        "games",
        "man",
        "lp",
        "mail",
        "news",
        "uucp",
        "proxy",
        "backup",
        "list",
        "irc",
        "gnats",
        "nobody",
        "nogroup",
        "messagebus",
        "sshd",
        "jovyan",
    }
)


def account_key(issuer: str, subject: str) -> str:
    """Return the 16 characters that name the account of this subject at this issuer for ever."""
    return _digest(issuer, subject)[:KEY_LENGTH]


def is_canonical(name: str) -> bool:
    """Say whether a provider's name can be the hub name as it is."""
    return (
        _NAME.fullmatch(name) is not None
        and name not in RESERVED_NAMES
        and _DERIVED.fullmatch(name) is None
    )


def canonical_name(provider_name: str, key: str) -> str:
    """Return the hub name for a provider's name; ``key`` keeps look-alikes apart."""
    _require(_KEY, key, "account key")
    if is_canonical(provider_name):
        return provider_name
    return _slug(provider_name) + _MARK + key[:_PIECE_LENGTH]


def object_name(instance: str, user: str, key: str) -> str:
    """Return the name of a user's volume and of its directory."""
    _require_instance(instance)
    _require(_NAME, user, "hub name")
    _require(_KEY, key, "account key")
    return f"{instance}-{user}-{key}"


def container_name(instance: str, user: str, key: str, server: str, attempt: int) -> str:
    """Return the name of one start of one server, so that a leftover never blocks the next start.

    ``server`` may be any text; it is carried by its digest. ``attempt`` is readable at the end.
    """
    _require_instance(instance)
    _require(_NAME, user, "hub name")
    _require(_KEY, key, "account key")
    if not 0 <= attempt < ATTEMPT_MAX:
        msg = f"attempt must be between 0 and {ATTEMPT_MAX - 1}, not {attempt}"
        raise ValueError(msg)
    digest = _digest(user, key, server)[:KEY_LENGTH]
    return f"{instance}-{user[:_READABLE_USER_LENGTH]}-{digest}-{attempt}"


def _digest(*parts: str) -> str:
    """Hash texts so that different lists of texts give different input: each has its length."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    data = b"".join(b"%d:%s" % (len(part), part) for part in encoded)
    return base64.b32encode(hashlib.sha256(data).digest()).decode("ascii").lower()


def _slug(provider_name: str) -> str:
    """Return what a person would recognise: of an e-mail address the part before the @."""
    local_part = provider_name.partition("@")[0]
    folded = unicodedata.normalize("NFKD", local_part[:256]).casefold()
    kept = re.sub(r"[^a-z0-9]", "", folded).lstrip("0123456789")
    return kept[:_SLUG_LENGTH_MAX] or "u"


def _require_instance(instance: str) -> None:
    """Refuse an instance name that would make object names too long or not DNS-safe."""
    _require(_INSTANCE, instance, f"instance name of at most {INSTANCE_LENGTH_MAX} characters")


def _require(pattern: re.Pattern[str], text: str, what: str) -> None:
    """Raise ValueError unless the whole text matches."""
    if pattern.fullmatch(text) is None:
        msg = f"{text[:80]!r} is not a valid {what} ({pattern.pattern})"
        raise ValueError(msg)
