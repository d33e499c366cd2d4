"""labhub.yaml, always as it stands in the file, as long as what stands there is valid.

The file is looked at several times a second: that sees editors that write it in place, those that
put a new file in its place, and network file systems, which tell nobody of a change. A file that
changed is read once it has stayed the same for a moment, so that a half-written one is not taken
for whole. What is wrong changes nothing: the last good configuration holds, and everybody who is
to know can read why.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hub_config.load import ConfigError, ConfigErrors, load
from hub_config.schema import Config
from spawner.messages import config as messages

LOOK_SECONDS = 0.25
SETTLED_SECONDS = 0.4

Signature = tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Reading:
    """What became of the file when it was last read. `waits`: what only deploy/up brings about."""

    at: datetime
    errors: tuple[ConfigError, ...] = ()
    waits: tuple[str, ...] = ()


class LiveConfig:
    """The configuration that holds now. Whoever looks does so away from the event loop."""

    def __init__(
        self, path: Path, environ: Mapping[str, str], settled_seconds: float = SETTLED_SECONDS
    ) -> None:
        """Read the file for the first time; raises ConfigErrors, because nothing holds yet."""
        self.path = path
        self._environ, self._settled_seconds = environ, settled_seconds
        self._read = self._seen = _signature(path)
        self._seen_at = time.monotonic()
        self.config = self._first = load(path, environ)
        self.reading = Reading(datetime.now(UTC))

    def __deepcopy__(self, _memo: object) -> "LiveConfig":
        """Return this very one: traitlets copies what it is given, and a copy would stand still."""
        return self

    def __call__(self) -> Config:
        """Return the configuration that holds."""
        return self.config

    def look(self) -> bool:
        """Read the file if it is another one than before; return whether anything is new."""
        found, now = _signature(self.path), time.monotonic()
        if found != self._seen:
            self._seen, self._seen_at = found, now
        if found == self._read or now - self._seen_at < self._settled_seconds:
            return False
        self._read = found
        self._load()
        return True

    def _load(self) -> None:
        try:
            self.config = load(self.path, self._environ)
        except ConfigErrors as error:
            self.reading = Reading(datetime.now(UTC), tuple(error.errors), self.reading.waits)
            return
        self.reading = Reading(datetime.now(UTC), (), waits(self._first, self.config))

    @property
    def trouble(self) -> str:
        """Return what admins must know, mostly nothing."""
        errors, waits_for = self.reading.errors, self.reading.waits
        if errors:
            return messages.trouble(len(errors), str(errors[0]))
        return " ".join(waits_for)


def waits(running: Config, now: Config) -> tuple[str, ...]:
    """Return a sentence for each section whose change takes effect with a new hub only."""
    changed = [
        key
        for key, before, after in (
            ("hub.url", running.hub.url, now.hub.url),
            ("hub.bind", running.hub.bind, now.hub.bind),
            ("login", running.login, now.login),
        )
        if before != after
    ]
    return tuple(map(messages.needs_up, changed))


def _signature(path: Path) -> Signature:
    """Return what is another number whenever the file is another one; None: it cannot be seen."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
