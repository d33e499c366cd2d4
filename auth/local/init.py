"""``python -m auth.local.init``: make keys and database, register the hub. Safe to run again."""

import os
import sys
from collections.abc import Mapping

from auth.local.errors import AccountsError
from auth.local.place import read_place
from auth.local.start import prepare, start


def main(environ: Mapping[str, str]) -> int:
    """Return 0, or 1 after one sentence."""
    try:
        place = read_place(environ)
        start(place)
        prepare(place)
    except AccountsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(os.environ))
