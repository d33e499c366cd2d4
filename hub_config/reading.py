"""labhub.yaml for commands: the file, or its errors as they are and status 1."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import click

from hub_config.document import Document
from hub_config.load import ConfigErrors, load_document
from hub_config.schema import Config


class InvalidFile(click.ClickException):
    """labhub.yaml is not valid; every error has its own line and names the file itself."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the errors as they are."""
        click.echo(self.message, file=file or sys.stderr)


def read_document(file: Path, environ: Mapping[str, str] | None = None) -> tuple[Config, Document]:
    """Return the configuration and its places; with an environment, secrets must be there too."""
    try:
        return load_document(file, environ)
    except ConfigErrors as error:
        raise InvalidFile(str(error)) from None
