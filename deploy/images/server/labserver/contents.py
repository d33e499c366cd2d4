"""Files that last: Lab opens above the user's volume, and what is beside the volume is the image's.

Whatever is written outside the volume is gone when the server stops. So files there, such as the
image's tutorials, can be opened and run, but are read-only; a new notebook that somebody begins
there is made in the volume instead, and so is a copy.
"""

import os
from pathlib import Path
from typing import Any

from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from tornado.web import HTTPError

FORBIDDEN = 403


def lasting_folder(root: str, notebooks: str) -> str | None:
    """Give the volume's folder as a path below the root, None when all of the root lasts."""
    root_path, volume = Path(root), Path(notebooks or root)
    if volume == root_path or not volume.is_relative_to(root_path):
        return None
    return volume.relative_to(root_path).as_posix()


def lasts(path: str, folder: str | None) -> bool:
    """Say whether a file at this path (as the contents API writes it) outlives the server."""
    return folder is None or f"{path.strip('/')}/".startswith(f"{folder}/")


class LastingContents(AsyncLargeFileManager):
    """The contents manager of every server; see above."""

    @property
    def _folder(self) -> str | None:
        return lasting_folder(self.root_dir, os.environ.get("LABHUB_NOTEBOOKS", ""))

    def _place(self, path: str) -> str:
        """Give the folder where something new is made."""
        folder = self._folder
        return path if folder is None or lasts(path, folder) else folder

    def _require_lasting(self, path: str) -> None:
        folder = self._folder
        if not lasts(path, folder):
            sentence = (
                f"Files outside the folder {folder} belong to the image and do not last: "
                f"save yours in {folder}."
            )
            raise HTTPError(FORBIDDEN, log_message=sentence, reason=sentence)

    async def get(self, path: str, *args: Any, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401 - upstream's
        """Read a file; what does not last is marked read-only, so that Lab says it at once."""
        model = await super().get(path, *args, **kwargs)
        if model["type"] != "directory" and not lasts(path, self._folder):
            model["writable"] = False
        return model

    async def new_untitled(self, path: str = "", type: str = "", ext: str = "") -> dict[str, Any]:  # noqa: A002
        """Make a new file or folder, in the volume wherever Lab's file list happens to be."""
        return await super().new_untitled(self._place(path.strip("/")), type, ext)

    async def copy(self, from_path: str, to_path: str | None = None) -> dict[str, Any]:
        """Copy a file beside itself or into a folder; out of the image into the volume."""
        beside = from_path.strip("/").rpartition("/")[0] if to_path is None else to_path
        return await super().copy(from_path, self._place(beside.strip("/")))

    async def save(self, model: dict[str, Any], path: str = "") -> dict[str, Any]:
        """Write a file that lasts, or say where one would."""
        self._require_lasting(path)
        return await super().save(model, path)

    async def rename_file(self, old_path: str, new_path: str) -> None:
        """Move a file, but not to where it would be lost."""
        self._require_lasting(new_path)
        await super().rename_file(old_path, new_path)
