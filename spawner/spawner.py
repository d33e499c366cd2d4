"""QuotaDockerSpawner: JupyterHub's verbs on one server, in the words of `launch.py`.

The parent class gives the traits and the stored state. Its verbs are all replaced: it takes an
engine's HTTP 500 for "gone", restarts old containers with old limits, loses exit codes and sends
every user's calls through one thread.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from jupyterhub.utils import maybe_future

from spawner import messages, options
from spawner.container import STOP_SECONDS
from spawner.engine import Container
from spawner.engine_errors import EngineError
from spawner.entrance import Entered, Entrance, Request
from spawner.failure import DiedError, StartFailed, explain
from spawner.launch import TIDY_SECONDS, Launch
from spawner.pages import PagesSpawner
from spawner.progress import Steps
from spawner.ready import answers_or_died
from spawner.receipts import NOBODY, Asked

OWN_DEADLINE = 0.9
STOP_WAIT_SECONDS = 60
ADDRESS_PAUSE_SECONDS = 1


class QuotaDockerSpawner(PagesSpawner):
    """A personal server: a fresh container per start, limits that hold, files that last."""

    # Nothing is resumed, so the hub may revoke the server's token when it stops.
    will_resume = False

    _starting = False
    _entered: Entered | None = None
    _ended: int | None = None
    _final: Container | None = None
    _unwritten = False
    _address = ""
    _asked = NOBODY
    # JupyterHub reads it, and gives it to a server at its first stop only.
    _stop_future: asyncio.Future[None] | None = None

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401
        """Begin with nobody who wants its end."""
        super().__init__(**kwargs)
        self._end_wanted = asyncio.Event()

    # start

    async def run_pre_spawn_hook(self) -> None:
        """Wait until there is room: the hub calls this first, and no time limit runs here."""
        await maybe_future(super().run_pre_spawn_hook())
        self._ended, self._address, self._asked, self._unwritten = None, "", NOBODY, False
        self._starting = True
        self._end_wanted.clear()
        if self._steps.closed:
            self._steps = Steps(self._looked)
        entrance = Entrance(self._desk, self._request, self._steps)
        with self._failing(entrance.cancelled):
            try:
                self._entered = await entrance.enter()
            except Exception as error:  # the user must read one sentence, whatever it was
                await entrance.give_up()
                raise self._failure(error, explain(error, "", 0, ())) from error
        if (wished := self._entered.options) != self.user_options:  # they chose anew meanwhile
            self.user_options = self.orm_spawner.user_options = wished
            self.user.db.commit()

    async def start(self) -> str:
        """Start a fresh container and return its URL once the server answers there."""
        if self._entered is None:
            await self.run_pre_spawn_hook()
        entered, self._entered = self._entered, None
        launch = Launch(self._desk, entered, self._steps)
        seconds = self.start_timeout * OWN_DEADLINE
        with self._failing(launch.cancelled, begun=True):
            try:
                async with asyncio.timeout(seconds):
                    url = await self._run(launch)
            except Exception as error:  # the user must read one sentence, whatever it was
                if self._desk.room.closing:  # it is the hub that fails, not this start
                    raise asyncio.CancelledError from error
                self._ended = error.state.exit_code if isinstance(error, DiedError) else 1
                failure = await launch.failed(error, seconds, self.api_token)
                raise self._failure(error, failure) from error
        self._starting = False
        self._steps.close()
        self._desk.detach(launch.settle())
        if self._request() != replace(entered.request, options=self.user_options):
            self._desk.limits_due.set()  # labhub.yaml or groups changed meanwhile
        return url

    async def _run(self, launch: Launch) -> str:
        server = await launch.prepare()
        self.image, self.cpu_limit = server.image, server.quota.cpus
        self.mem_limit = server.quota.memory_bytes
        arguments = tuple(self.get_args())
        self.object_id = await launch.create(server, self.get_env(), arguments)
        self.object_name = launch.name
        self._address = await launch.start()
        await launch.wait(f"{self._url}{self.server.base_url}api")
        self._desk.time_due.set()
        return self._url

    def _request(self) -> Request:
        """Return what is wanted, by whom, and what holds at this moment."""
        person = self.person
        return Request(
            self.current_config(), person.name, self.name, self.user_options, person.groups
        )

    @contextmanager
    def _failing(
        self, undo: Callable[[], Coroutine[Any, Any, None]], *, begun: bool = False
    ) -> Iterator[None]:
        """Begin nothing more once this fails; undo what was begun when it is cancelled.

        A hub that ends cancels its starts, too: what is `begun` then is for the next one to find,
        as after a crash.
        """
        try:
            yield
        except BaseException as error:
            self._starting = False
            self._steps.close()
            is_left = begun and self._desk.room.closing
            if isinstance(error, asyncio.CancelledError) and not is_left:
                # The hub calls a server with an address "ready" for a second after a cancelled
                # start, and answers 500 unless the start ends at once: forget the address, tidy up
                # apart.
                self.server = None
                self.user.db.commit()
                self._ended = 0
                self._desk.detach(undo())
            raise

    def _failure(self, error: Exception, failure: StartFailed) -> StartFailed:
        """Note why a start failed, and return what people are told."""
        self.object_id = ""
        self._ended = self._ended if self._ended is not None else 1
        if isinstance(error, options.OptionRefusedError):
            self.orm_spawner.user_options = {}  # else the next start would take them again
        trace = error if failure.reason == "error" else None
        self.log.error("Start of %s: %r", self._log_name, error, exc_info=trace)
        return failure

    @property
    def _url(self) -> str:
        return f"http://{self._address}:{self.port}"

    async def get_url(self) -> str:
        """Return where a server that was found again after a restart of the hub is."""
        return f"{self._url}{self.server.base_url}" if self._address else str(self.server.url)

    # poll

    async def poll(self) -> int | None:
        """Return None while the server may be running, its exit code once it certainly is not.

        Certain is: the engine shows it ended, or knows it neither by id nor by its labels. An
        engine that does not answer, or answers nonsense, changes nothing.
        """
        return await (self._found_again() if self._check_pending else self._look())

    async def _found_again(self) -> int | None:
        """Wait until a server that an earlier hub left answers or is dead, however long that takes.

        The hub ends a server that does not answer for `http_timeout`. One that is paused or too
        busy is not gone, so the wait is here, and has no end while nobody knows. But when somebody
        wants its end, the hub is told that it is over: then the hub ends what there is of it.
        """
        found = asyncio.ensure_future(self._answer_or_end())
        asked = asyncio.ensure_future(self._end_wanted.wait())
        try:
            await asyncio.wait({found, asked}, return_when=asyncio.FIRST_COMPLETED)
            return found.result() if found.done() else 0
        finally:
            for task in (found, asked):
                task.cancel()
            await asyncio.gather(found, asked, return_exceptions=True)

    async def _answer_or_end(self) -> int | None:
        """Return None once the server answers, its exit code once it certainly is not running."""
        while (status := await self._look()) is None:
            # The last hub may have died before it could note where the server is.
            if not (self._address or self.server.ip):
                await asyncio.sleep(ADDRESS_PAUSE_SECONDS)
                continue
            url = f"{await self.get_url()}api"
            if await answers_or_died(self._desk, self.object_id, self._labels, url):
                break
        return status

    async def _look(self) -> int | None:
        """Ask the engine once."""
        if self._starting or self._ended is not None:
            return self._ended
        container = self.object_id
        try:
            state = await self._desk.find(container, self._labels)
        except EngineError as error:
            self.log.debug("Docker says nothing about %s: %s", self._log_name, error)
            return None
        if self._starting or self.object_id != container:
            return self._ended  # the answer is about an earlier server
        self.object_id = state.id if state is not None else ""
        if state is not None and not state.ended:
            self._address = state.addresses.get(self.lab.network, "")
            return None
        self._remember(state)
        return self._ended

    async def poll_and_notify(self) -> int | None:
        """Let the hub end a server that certainly ended, and call it ready no more from here on.

        JupyterHub forgets whom to notify before it is done, so that a proxy that is away at this
        moment would leave a ghost: what failed is done again by the next round.
        """
        # JupyterHub marks a server as pending before it asks here on behalf of a new start.
        callbacks, asker = list(self._callbacks), self.pending
        status = await self._look()
        elsewhere = self.pending != asker or self.user.spawners.get(self.name) is not self
        if status is None or elsewhere:
            return status  # it may run, somebody is at it already, or a later one is there
        self._stop_pending = True
        try:
            await super().poll_and_notify()
        finally:
            self._stop_pending = False  # also when there was nothing to end: a start that failed
            if self.server is not None:
                self._callbacks = callbacks
        return status

    async def look(self, container: str = "") -> None:
        """Ask after the server, because the engine told of the end of `container`.

        While the engine tidies up after that, which it does before it answers, the hub calls the
        server pending. News of an earlier container changes nothing.
        """
        self._check_pending = bool(container) and container == self.object_id
        try:
            await self.poll_and_notify()
        finally:
            self._check_pending = False

    def _remember(self, state: Container | None) -> None:
        """Keep how the server ended, because its container is removed soon."""
        self._ended, self._final = (state.exit_code if state is not None else 0), state
        self._unwritten = True

    # stop

    def asked_to_stop(self, asked: Asked) -> None:
        """Keep who wants the server to end, and why; `stop` comes next.

        Also a start that was cancelled before it came to the queue: the place that an earlier hub
        left it there is not wanted any more.
        """
        self._asked = asked
        self._end_wanted.set()
        if not self.pending:
            self._desk.room.dismiss(self._holder)

    async def stop(self, now: bool = False) -> None:  # noqa: FBT001, FBT002
        """End the server, remove its container, keep its volume."""
        grace_seconds = 0 if now else STOP_SECONDS
        stop = self._desk.stop(self._holder, self.object_id, self._asked, grace_seconds)
        end = self._desk.detach(stop)
        await asyncio.wait({end}, timeout=STOP_WAIT_SECONDS)
        self.object_id = ""
        self._remember(end.result() if end.done() else None)
        self._unwritten = False

    async def run_post_stop_hook(self) -> None:
        """Write the receipt of a server that ended by itself; the hub calls this after all."""
        await maybe_future(super().run_post_stop_hook())
        if not self._unwritten:
            return
        self._unwritten = False
        work: Coroutine[Any, Any, Any]
        if self._final is None:
            work = self._desk.receipts.close_all(self._holder)
        else:
            work = self._desk.ends.finish(self._final)
        await asyncio.wait({self._desk.detach(work)}, timeout=TIDY_SECONDS)

    def clear_state(self) -> None:
        """Forget the container; the next start makes a new one."""
        super().clear_state()
        self.object_id = ""

    def delete_forever(self) -> None:
        """Keep the files: deleting a server or a user is no reason to lose work."""
        self.log.info("%s deleted. %s", self._log_name, messages.KEPT_VOLUME)
