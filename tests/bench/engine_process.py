"""The fake engine in a process of its own, so that it takes no time from whoever measures.

    with EngineProcess() as engine:
        engine.next_server(stop_seconds=10)
        ... run a hub with DOCKER_HOST=engine.url ...
        assert engine.running() == 1000

Run as a program it is that process: one JSON line in, one out; it ends when its input does.
"""

import json
import re
import resource
import subprocess
import sys
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

from tests.lib.fake_engine import FakeEngine
from tests.lib.node import ROOT

END_SECONDS = 60


class EngineProcess:
    """The engine as its parent sees it."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self.url = ""
        self._child: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start it and wait until it serves."""
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.engine_process"], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        self.url = self._answer()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it; by force when it does not end by itself."""
        child, self._child = self._child, None
        if child is not None and child.stdin is not None:
            child.stdin.close()
            try:
                child.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def next_server(self, **plan: object) -> None:
        """Say how the next started container behaves."""
        self._ask("next_server", **plan)

    def running(self) -> int:
        """Return how many containers run."""
        return int(self._ask("running"))

    def environments(self) -> dict[str, dict[str, str]]:
        """Return the environment of every container that runs, by the container's id."""
        return dict(self._ask("environments"))

    def under_way(self, method: str, path: str) -> int:
        """Return how many calls of this kind have arrived and are not answered yet."""
        return int(self._ask("under_way", method=method, path=path))

    def _ask(self, what: str, **given: object) -> Any:
        if self._child is None or self._child.stdin is None:
            message = "the fake engine does not run"
            raise RuntimeError(message)
        self._child.stdin.write(json.dumps([what, given]) + "\n")
        self._child.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        line = self._child.stdout.readline() if self._child and self._child.stdout else ""
        if not line:
            message = "the fake engine has ended; its standard error says why"
            raise RuntimeError(message)
        return json.loads(line)


def allow_many_files() -> None:
    """A thousand servers listen in one process: let it open as many files as it may."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _abilities(engine: FakeEngine) -> Mapping[str, Callable[..., object]]:
    def running() -> int:
        return sum(container.running for container in engine.containers())

    def environments() -> dict[str, dict[str, str]]:
        return {each.id: each.environment for each in engine.containers() if each.running}

    def under_way(method: str, path: str) -> int:
        found = re.compile(path)
        # Most calls were answered long ago, and there are many of them: the latest are enough.
        latest = engine.calls[-1000:]
        return sum(c.status[0] == 0 and c.method == method for c in latest if found.search(c.path))

    return {
        "next_server": engine.next_server,
        "running": running,
        "environments": environments,
        "under_way": under_way,
    }


def main() -> None:
    """Serve until the input ends."""
    allow_many_files()
    with FakeEngine() as engine:
        abilities = _abilities(engine)
        print(json.dumps(engine.url), flush=True)
        for line in sys.stdin:
            what, given = json.loads(line)
            print(json.dumps(abilities[what](**given)), flush=True)


if __name__ == "__main__":
    main()
