"""The files of a user: a directory that lasts, the volume that shows it, a name for the uid."""

import asyncio
import os
import stat
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from spawner import messages
from spawner.engine import Engine

PRIVATE = 0o700
READABLE = 0o644
_making = threading.Lock()


class StorageError(Exception):
    """The files could not be made ready; the text is one sentence for the user."""


async def ensure_volume(
    engine: Engine, path: Path, device: str, labels: Mapping[str, str], uid: int
) -> None:
    """Make sure that the volume called like `path` exists and shows the directory at `path`.

    `path` is where the hub sees the directory, `device` where the engine does. Existing files are
    never given to another user, and a volume that points elsewhere is never used.
    """
    await asyncio.to_thread(ensure_directory, path, uid)
    found = await engine.volume(path.name, device, labels)
    if found != device:
        raise StorageError(messages.volume_elsewhere(path.name, found, device))


def ensure_directory(path: Path, uid: int) -> None:
    """Make a directory that only this user can open; an existing one must already be that."""
    try:
        with _making:
            if not os.path.lexists(path):
                _make_directory(path, uid)
        found = path.lstat()
    except OSError as error:
        raise StorageError(messages.storage(f"{error.strerror} ({error.filename})")) from error
    if not stat.S_ISDIR(found.st_mode):
        raise StorageError(messages.not_a_directory(str(path)))
    if found.st_uid != uid:
        raise StorageError(messages.other_owner(str(path), uid, found.st_uid))


def _make_directory(path: Path, uid: int) -> None:
    """Make it under another name first, so that it is never seen with a wrong owner."""
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=path.parent))
    try:
        os.chown(fresh, uid, uid)
        fresh.chmod(PRIVATE)
        fresh.rename(path)
    except OSError:
        fresh.rmdir()
        raise


def write_file(path: Path, text: str) -> None:
    """Make sure that a file has this text; readers see the old one or the new one, never half."""
    try:
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, fresh = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        Path(fresh).chmod(READABLE)
        Path(fresh).replace(path)
    except OSError as error:
        raise StorageError(messages.storage(f"{error.strerror} ({error.filename})")) from error
