"""A second dockerd that a hub on this machine can use: its containers and the hub reach each other.

A pair of interfaces leads into the engine's network namespace. `address` is this machine's end,
where the hub must listen; the networks that the engine makes are routed through the other end.
"""

import random
from pathlib import Path
from typing import Any, Self

from tests.lib.second_engine import SecondEngine, run

# Of 198.18.0.0/15, which is kept for tests of networks: a link's two ends, and the engine's share.
BASE = "198.18"
SHARES = 120


class ReachableEngine(SecondEngine):
    """dockerd with networks that this machine has a route to."""

    def __init__(self, config: dict[str, Any], *, path: Path | None = None) -> None:
        """Choose addresses at random, so that two engines of two runs seldom share them."""
        share = 2 * random.randrange(SHARES)  # noqa: S311 - not a secret
        self.address = f"{BASE}.{share}.1"
        self._other_end = f"{BASE}.{share}.2"
        self._networks = f"{BASE}.{share + 1}.0/24"
        pool = {"base": self._networks, "size": 26}
        super().__init__({"default-address-pools": [pool], **config}, path=path)

    def __enter__(self) -> Self:
        """Start it, and lay the line to it."""
        super().__enter__()
        try:
            self._lay_the_line()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _lay_the_line(self) -> None:
        """Both ends vanish with the namespace, and the route with them."""
        here = f"lab{self.namespace[-8:]}"
        inside = ("nsenter", f"--net=/run/netns/{self.namespace}")
        line = ("ip", "link", "add", here, "type", "veth", "peer", "name", "eth0")
        run(*line, "netns", self.namespace)
        run("ip", "address", "add", f"{self.address}/30", "dev", here)
        run("ip", "link", "set", here, "up")
        run(*inside, "ip", "address", "add", f"{self._other_end}/30", "dev", "eth0")
        run(*inside, "ip", "link", "set", "eth0", "up")
        run("ip", "route", "add", self._networks, "via", self._other_end)
