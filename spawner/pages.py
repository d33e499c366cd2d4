"""What JupyterHub's pages ask of a server: what is on offer, how far it is, how it last ended."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from dockerspawner import DockerSpawner
from traitlets import Callable, default
from traitlets import Instance as InstanceOf

from hub_config.instance import Instance
from spawner import budgets, messages, offer, options, servers
from spawner.container import identity_labels
from spawner.desk import Desk, desk
from spawner.gate import Gate
from spawner.machine import MachineUnknownError
from spawner.messages import budgets as budget_messages
from spawner.messages.times import span
from spawner.progress import Steps
from spawner.quota import Person, Quota, at_the_lab, effective
from spawner.runs import Holder, Receipt
from spawner.store import StoreError


class PagesSpawner(DockerSpawner):
    """The half of the spawner that shows and changes nothing."""

    current_config = Callable(
        help="Returns the configuration that holds now. Called at each start and each page.",
    ).tag(config=True)
    lab = InstanceOf(
        Instance, help="Which instance this is: its name, directories, network and bundle."
    ).tag(config=True)

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401
        """Begin with no step done."""
        super().__init__(**kwargs)
        self._steps = Steps(self._looked)

    @property
    def _desk(self) -> Desk:
        return desk(self.lab)

    @property
    def _labels(self) -> dict[str, str]:
        return identity_labels(self.lab.name, self.user.name, self.name)

    @property
    def person(self) -> Person:
        """Whom the rules of the file apply to: the server's owner, as the hub knows them now."""
        return Person(self.user.name, frozenset(group.name for group in self.user.groups))

    @property
    def _holder(self) -> Holder:
        return Holder(self.user.name, self.name)

    @property
    def entitlement(self) -> Quota:
        """Return what all servers of this one's owner may use together, at this moment."""
        return effective(self.current_config(), self.person, datetime.now().astimezone())

    def check(self, choice: object) -> None:
        """Raise OptionRefusedError unless the owner may choose this now."""
        config = self.current_config()
        gpus_here = len(self._desk.devices(config.gpus))
        options.choose(config, self.entitlement, choice, gpus_here)

    @property
    def may_add(self) -> int:
        """Return how many named servers the owner may still make."""
        return servers.left(self.user.orm_spawners, self.entitlement.servers)

    shown = staticmethod(messages.shown)
    silent = messages.SILENT

    @property
    def late(self) -> tuple[str, ...]:
        """Return what of a changed labhub.yaml this server cannot have yet."""
        return self._desk.late.get(self._holder, ())

    @property
    def time(self) -> dict[str, Any] | None:
        """Return until when this server may run, None where that is not known yet."""
        piece = self._desk.time_of(self._holder)
        return None if piece is None else piece.shown()

    async def gpu_time(self) -> tuple[str, ...]:
        """Return what the owner has used of their GPU time and has left, where it is limited."""
        config, person, now = self.current_config(), self.person, datetime.now().astimezone()
        allowed, local = effective(config, person, now), at_the_lab(config, now)
        found = await self._desk.receipts.transact(
            lambda ledger: budgets.read(ledger, allowed, person, local), otherwise=()
        )
        return tuple(map(budget_messages.state, found))

    @property
    def place(self) -> dict[str, Any] | None:
        """Return where this start stands in the queue, None where it does not wait."""
        place = self._desk.room.places.get(self._holder)
        seated = self._desk.room.seat(self._holder) is not None
        return place.shown(time.time()) if place is not None and seated else None

    @property
    def place_kept(self) -> str:
        """Return for how long a place in the queue is kept, in words."""
        return span(self.current_config().gpus.ticket_ttl)

    @property
    def claim_within(self) -> str:
        """Return within what time a person has to come, in words."""
        return span(self.current_config().gpus.claim)

    async def last_end(self, server: str | None = None) -> messages.Shown | None:
        """Return how the last run or start ended, as pages tell it; None while nobody knows.

        Of this server, or of another one of the same owner.
        """
        holder = self._holder if server is None else self._holder._replace(server=server)
        if (start := self._desk.room.cancelled.get(holder)) is not None:  # and none came after it
            return messages.cancelled(start.at, waited=start.waited)
        end = await self._desk.receipts.last(holder)
        return None if end is None else messages.shown(end)

    async def kernel_ends(self) -> tuple[Receipt, ...]:
        """Return what was killed for its memory inside this run, newest first."""
        return await self._desk.receipts.kernels(self._holder)

    async def offer(self) -> offer.Offer:
        """Return what the start page shows: images and sizes to choose from, and the limits."""
        config = self.current_config()
        gate = Gate(self._desk, config, self.person)
        shares = offer.Shares({}, {})
        with contextlib.suppress(StoreError, MachineUnknownError):  # the start will say it
            shares = await asyncio.to_thread(gate.shares, self._holder)
        local = self._desk.images.built_here
        return offer.offer(config.images, local, gate.entitlement, shares, len(gate.devices))

    @default("options_form")
    def _default_options_form(self) -> Any:  # noqa: ANN401
        return type(self).options_page

    async def options_page(self) -> str:
        """Return the choice as bare HTML, after a look at the images."""
        cards = self.current_config().images.values()
        await self._desk.images.look_at_all(tuple(card.image for card in cards))
        return offer.form(await self.offer())

    @default("apply_user_options")
    def _default_apply_user_options(self) -> Any:  # noqa: ANN401
        # Options never set traits: `launch.py` checks them against what is on offer at the start.
        return lambda _spawner, _options: None

    @default("options_from_form")
    def _default_options_from_form(self) -> Any:  # noqa: ANN401
        return offer.from_form

    def _looked(self, viewers: int) -> None:
        """Note since when nobody looks at this start, while it waits."""
        holder, looked_at = self._holder, viewers > 0
        if self._desk.room.look(holder, looked_at=looked_at):
            noting = self._desk.receipts.transact(
                lambda ledger: ledger.look(holder, looked_at=looked_at), otherwise=None
            )
            self._desk.detach(noting)

    async def progress(self) -> AsyncIterator[dict[str, object]]:
        """Yield the steps of this start, from the first on."""
        async for event in self._steps.follow():
            yield event
