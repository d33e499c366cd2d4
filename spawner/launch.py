"""One start of one server: from a person's click to the first answer, and how to undo it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import PurePosixPath

from auth.accounts import Account
from auth.identity import object_name
from spawner import messages, passwd
from spawner.container import (
    Body,
    Server,
    create_body,
    identity_labels,
    shared_for,
    volume_labels,
)
from spawner.desk import Desk
from spawner.devices import Device, chosen, named
from spawner.engine import Container
from spawner.engine_errors import (
    ConflictError,
    EngineError,
    ImageMissingError,
    NotFoundError,
    RefusedError,
)
from spawner.entrance import Entered
from spawner.failure import (
    DiedError,
    NotAsDecidedError,
    OtherGpusError,
    StartFailed,
    explain,
)
from spawner.gpu_view import minors
from spawner.images import Contents
from spawner.progress import Steps
from spawner.quota import Quota
from spawner.ready import first_answer_or_death
from spawner.receipts import Asked, Story
from spawner.runs import Holder, Reason
from spawner.storage import ensure_volume, write_file
from spawner.store import Ledger, StoreError
from spawner.tasks import all_or_none
from spawner.verify import differences, other_gpus, unlimited_swap

NAME_ATTEMPTS = 3
TIDY_SECONDS = 5

log = logging.getLogger(__name__)


class Launch:
    """One start. Its container's name is known before the container exists."""

    def __init__(self, desk: Desk, entered: Entered, steps: Steps) -> None:
        """Do nothing yet."""
        self.container = ""
        self._desk = desk
        self._entered = entered
        self._request = entered.request
        self._run = entered.run
        self.quota: Quota = entered.choice.quota
        self._body: Body = {}
        self._steps = steps
        self._creating: asyncio.Task[str] | None = None

    @property
    def name(self) -> str:
        """The name of the container, which is the key of the run."""
        return self._run.name

    @property
    def holder(self) -> Holder:
        """Whose server this is."""
        return Holder(self._request.user, self._request.server)

    @property
    def labels(self) -> dict[str, str]:
        """The labels by which the containers of this server are known."""
        request = self._request
        return identity_labels(self._desk.lab.name, request.user, request.server)

    async def prepare(self) -> Server:
        """Check the choice, make the files ready, clear the place; return what to create."""
        self._steps.add(5, messages.STEP_PREPARE)
        files = asyncio.ensure_future(self._files(self._entered.account))
        contents = asyncio.ensure_future(self._contents(self._run.image))
        await all_or_none(files, contents, asyncio.ensure_future(self._clear()))
        return await asyncio.to_thread(self._server, contents.result())

    async def _files(self, account: Account) -> None:
        """Make sure of the account's volume."""
        lab, user = self._desk.lab, self._request.user
        name = object_name(lab.name, user, account.key)
        labels = volume_labels(lab.name, user, account.key)
        device = str(lab.volumes_dir_on_host / name)
        engine = self._desk.engine
        await ensure_volume(engine, lab.volumes_dir / name, device, labels, account.uid)

    async def _contents(self, image: str) -> Contents:
        """Look the image up; this also tells at once when there is none."""
        found = await self._desk.images.look(image)
        return await self._desk.images.contents(found, self._parent_dir)

    async def _clear(self) -> None:
        """Remove what carries this server's labels: at this point nothing of it may run."""
        leftovers = await self._desk.engine.listed(self.labels)
        if leftovers:
            self._steps.add(10, messages.STEP_LEFTOVER)
            await asyncio.gather(*(self._clear_one(each.id) for each in leftovers))

    async def _clear_one(self, container: str) -> None:
        """End one leftover, with its receipt; what the engine still keeps fails this start."""
        with contextlib.suppress(NotFoundError):
            await self._desk.ends.end(await self._desk.engine.container(container), 0)
            await self._desk.engine.remove(container)

    @property
    def _parent_dir(self) -> str:
        """The directory above the notebooks, where upstream's image keeps its tutorials."""
        return str(PurePosixPath(self._request.config.storage.notebooks).parent)

    def _server(self, contents: Contents) -> Server:
        """Write the files that name the user, and put all decisions together."""
        lab, user = self._desk.lab, self._request.user
        account, choice = self._entered.account, self._entered.choice
        volume = object_name(lab.name, user, account.key)
        notebooks = self._request.config.storage.notebooks
        files = {
            f"{volume}-{contents.digest}.passwd": passwd.passwd_text(
                contents.passwd, name=user, uid=account.uid, home=notebooks, shell=contents.shell
            ),
            f"{volume}-{contents.digest}.group": passwd.group_text(
                contents.group, name=user, gid=account.uid
            ),
        }
        for name, text in files.items():
            write_file(lab.state_dir / "passwd" / name, text)
        passwd_path, group_path = (str(lab.state_dir_on_host / "passwd" / name) for name in files)
        return Server(
            instance=lab.name,
            network=lab.network,
            bundle=lab.bundle,
            user=user,
            server=self._request.server,
            key=account.key,
            uid=account.uid,
            image_key=choice.image_key,
            image=self._run.image,
            volume=volume,
            notebooks=notebooks,
            root_dir=self._parent_dir if contents.has_root_dir else notebooks,
            shell=contents.shell,
            passwd_path=passwd_path,
            group_path=group_path,
            quota=self.quota,
            shared=shared_for(self._request.config, self._request.groups),
            groups=self._request.groups,
        )

    async def create(
        self, server: Server, environment: dict[str, str], arguments: tuple[str, ...]
    ) -> str:
        """Create the container under a name nobody had before; return its id."""
        self._steps.add(20, messages.STEP_CREATE)
        for _ in range(NAME_ATTEMPTS):
            self._creating = asyncio.create_task(self._create(server, environment, arguments))
            with contextlib.suppress(ConflictError):
                self.container = await asyncio.shield(self._creating)
                return self.container
            await self._rename()
        msg = f"the names before {self.name} are taken"
        raise RefusedError(msg)

    async def _create(
        self, server: Server, environment: dict[str, str], arguments: tuple[str, ...]
    ) -> str:
        """Create the container and note its id: the intent was noted before, so nothing is lost."""
        server = replace(server, devices=await self._devices())
        self._body, name = create_body(server, environment, arguments), self.name
        container = await self._desk.engine.create(name, self._body)
        await self._note(lambda ledger: ledger.bind(name, container))
        return container

    async def _devices(self) -> tuple[Device, ...]:
        """Return what the server gets; how it is handed over is what the engine says by now."""
        if not self._run.devices:
            return ()
        mine = chosen(self._entered.devices, self._run.devices)
        return named(mine, await self._desk.names_of_gpus())

    async def _rename(self) -> None:
        """Take another name: somebody's container has this one."""
        old, new = self.name, self._entered.another_name(self._desk.lab.name)
        await self._note(lambda ledger: ledger.rename(old, new))
        self._run = replace(self._run, name=new)

    async def _note(self, work: Callable[[Ledger], None]) -> None:
        """Write into the store; without that nothing is started."""
        await asyncio.to_thread(self._desk.store.transact, work)

    async def start(self) -> str:
        """Start the container, if it is what was decided; return its address for users."""
        self._steps.add(30, messages.STEP_START)
        self._verify(await self._desk.engine.container(self.container))
        await self._desk.engine.start(self.container)
        state = await self._desk.engine.container(self.container)
        self._verify(state)
        address = state.addresses.get(self._desk.lab.network, "")
        if state.ended:
            raise DiedError(state, self.quota.memory_bytes)
        if not address:
            raise RefusedError(messages.no_address(self._desk.lab.network))
        await self._verify_gpus(state)
        return address

    def _verify(self, state: Container) -> None:
        """Raise NotAsDecidedError unless the engine made, and has kept, what was decided."""
        made = state.made
        found = differences(self._body, made.config, made.host_config, made.mounted)
        if any(map(unlimited_swap, found)) and not self._desk.machine.has_swap():
            found = tuple(each for each in found if not unlimited_swap(each))
        if found:
            raise NotAsDecidedError(found)

    async def _verify_gpus(self, state: Container) -> None:
        """Raise OtherGpusError where the kernel shows other GPUs than the lease names."""
        uid = self._entered.account.uid
        found = await asyncio.to_thread(self._desk.nodes.read, state.id, state.pid, uid)
        other = other_gpus(found, minors(self._desk.sight, self._run.devices))
        if other is not None:
            raise OtherGpusError(other)

    async def wait(self, url: str) -> None:
        """Return at the first answer; raise DiedError when the container ends before."""
        self._steps.add(60, messages.STEP_WAIT)
        state: Container | None = await first_answer_or_death(
            self._desk, self.container, self.labels, url
        )
        if state is not None:
            raise DiedError(state, self.quota.memory_bytes)

    async def failed(self, error: Exception, seconds: float, secret: str) -> StartFailed:
        """Keep the log's last lines, remove the container, and say why the start failed."""
        await self.settle()
        tail = messages.log_tail(await self._log_text(), (secret,))
        await asyncio.wait({self._desk.detach(self._given_up())}, timeout=TIDY_SECONDS)
        fetch = isinstance(error, ImageMissingError)
        missing = self._desk.images.missing(self._run.image) if fetch else ""
        return explain(error, missing, seconds, tail)

    async def _log_text(self) -> str:
        """Return the end of the log, as far as there is one and the engine gives it."""
        if not self.container:
            return ""
        try:
            return await self._desk.engine.log_tail(self.container, 2 * messages.LOG_LINES)
        except EngineError:
            return ""

    async def settle(self) -> None:
        """Note that a place in the queue is not kept any more: the start is through, or failed."""
        await self._desk.receipts.transact(
            lambda ledger: ledger.settle(self.holder), otherwise=None
        )

    async def cancelled(self) -> None:
        """End what was begun, because the user does not want it any more."""
        # In the store, so that a hub that comes back knows it, too.
        await self._desk.receipts.ask(self.holder, Asked(Reason.CANCELLED), run=self.name)
        await self._undo(Story(Reason.CANCELLED, answered=False))

    async def _given_up(self) -> None:
        """End what was begun, because it came to nothing."""
        await self._undo(Story(answered=False))

    async def _never_began(self, story: Story) -> None:
        """Forget a run without a container; but people are told that they cancelled it."""
        if story.asked is not Reason.CANCELLED:
            await self._desk.receipts.withdraw(self._run)
            return
        try:
            await self._desk.receipts.close(self._run, story)
        except StoreError as error:  # the run stays open, and a round closes it
            log.warning("Noting that the start of %s was cancelled: %s", self.name, error)
            self._desk.round_due.set()

    async def _undo(self, story: Story) -> None:
        """End the container, also one that a call still under way is about to create.

        What the engine does not do now, a round of the watch does later.
        """
        if self._creating is None:  # the engine was not asked for anything yet
            await self._never_began(story)
            return
        await asyncio.gather(self._creating, return_exceptions=True)
        try:
            state = await self._desk.find(self.container or self.name, self.labels)
            if state is not None and state.name == self.name:  # any other is a later start's
                await self._desk.ends.end(state, 0, story)
            elif state is None:
                await self._desk.receipts.close(self._run, story)
        except (EngineError, StoreError) as error:
            log.warning("Undoing the start of %s: %s", self.name, error)
            self._desk.round_due.set()
