"""``python -m auth.local.serve``: the provider as a process, on loopback behind the hub's proxy."""

import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from types import FrameType

from django.core.wsgi import get_wsgi_application
from waitress import create_server
from waitress.server import BaseWSGIServer

from auth.local import SERVICE_PREFIX
from auth.local.cleaning import keep_clean
from auth.local.errors import AccountsError
from auth.local.place import Place, read_place
from auth.local.start import prepare, start

HOST = "127.0.0.1"
THREADS = 8
PORT_WAIT_SECONDS = 10.0
PR_SET_PDEATHSIG = 1


def main(environ: Mapping[str, str]) -> int:
    """Serve until told to stop. Return 0, or 1 after one sentence."""
    try:
        place = read_place(environ)
        start(place)
        prepare(place)
        server = _listen(place)
    except AccountsError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    signal.signal(signal.SIGTERM, _stop)
    if "JUPYTERHUB_SERVICE_NAME" in environ:
        _end_with_hub()
    threading.Thread(target=keep_clean, name="cleaning", daemon=True).start()
    server.run()
    return 0


def _listen(place: Place) -> BaseWSGIServer:
    """Take the port; one that still ends from before a restart gets a moment to do so."""
    deadline = time.monotonic() + PORT_WAIT_SECONDS
    while True:
        try:
            return create_server(
                get_wsgi_application(),
                host=HOST,
                port=place.port,
                url_prefix=SERVICE_PREFIX,
                threads=THREADS,
                ident=None,
                # The hub's proxy is the only one that can reach this port.
                clear_untrusted_proxy_headers=False,
            )
        except OSError as error:
            if time.monotonic() > deadline:
                raise AccountsError(
                    f"accounts: cannot listen on {HOST}:{place.port}: {error.strerror}."
                ) from None
        time.sleep(0.2)


def _stop(_signal: int, _frame: FrameType | None) -> None:
    """Leave waitress's loop, which lets running requests finish."""
    raise SystemExit(0)


def _end_with_hub() -> None:
    """Ask the kernel for SIGTERM when the hub dies: an orphan would keep the port from the next."""
    hub = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != hub:
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(os.environ))
