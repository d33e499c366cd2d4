"""The gate: one more server begins only if everything has room for it, decided where it is noted.

What was begun is read, judged and added to in one transaction of the store, so that of any number
of starts at once each sees all that came before it.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from spawner import budgets
from spawner.admission import Measure, Pot, Refused, Wait, admit, counted, pots, tightest
from spawner.capacity import Facts, capacity
from spawner.devices import assign, free_places
from spawner.messages import quotas as messages
from spawner.options import Choice, choose
from spawner.quota import Person, Quota, effective, totals
from spawner.runs import Holder, Run
from spawner.store import Ledger
from spawner.times import chosen_seconds

if TYPE_CHECKING:
    from hub_config.schema import Config
    from spawner.desk import Desk


class NotAdmittedError(Exception):
    """There is no room for the server; the text is one sentence for its user."""


class Gate:
    """What one person's servers have to pass. The configuration is the one that holds now."""

    def __init__(self, desk: "Desk", config: "Config", person: Person) -> None:
        """Decide nothing yet."""
        self._desk, self._config = desk, config
        self._person, self._moment = person, datetime.now().astimezone()
        self._facts: Facts | None = None  # one look for `left` and `begin`, so that they agree
        self.entitlement = effective(config, person, self._moment)
        self.devices = desk.devices(config.gpus)

    def choose(self, holder: Holder, options: object) -> Choice:
        """Return what a server of this holder is to get. Raises OptionRefusedError; as `begin`."""
        left = self.left(holder)
        return choose(self._config, self.entitlement, options, len(self.devices), left)

    def begin(self, name: str, image: str, holder: Holder, wanted: Quota) -> Run:
        """Note that a server of this size begins, or raise NotAdmittedError and note nothing.

        It waits for the store and reads files: not for the event loop. Raises StoreError and
        MachineUnknownError, too.
        """
        run = replace(
            _run(name, image, holder, wanted, self._person.groups),
            chosen_seconds=chosen_seconds(wanted, self.entitlement),
        )

        def decide(ledger: Ledger) -> Run:
            self._require_gpu_time(ledger, wanted)
            answer = admit(wanted, self._pots(ledger, holder))
            if isinstance(answer, Refused | Wait):
                raise NotAdmittedError(answer.sentence)
            begun = replace(run, devices=self._assign(ledger, wanted.gpus))
            ledger.begin(begun)
            return begun

        return self._desk.store.transact(decide)

    def _require_gpu_time(self, ledger: Ledger, wanted: Quota) -> None:
        """Let nobody begin with a GPU who has used up their GPU time."""
        if not wanted.gpus:
            return
        if sentence := budgets.refusal(ledger, self._config, self._person, self._moment):
            raise NotAdmittedError(sentence)

    def _assign(self, ledger: Ledger, count: int) -> tuple[str, ...]:
        """Return GPUs that no open run has: what is not proven to have ended keeps its own."""
        taken = [each for run in ledger.open_runs() for each in run.devices]
        found = assign(self.devices, taken, count)
        if found is None:
            free = sum(map(bool, free_places(self.devices, taken).values()))
            raise NotAdmittedError(messages.too_few_gpus(free, count))
        return found

    def left(self, holder: Holder) -> dict[Measure, Pot]:
        """Return what there is at this moment for a server of this holder. Raises as `begin`."""
        return self._desk.store.transact(lambda ledger: tightest(self._pots(ledger, holder)))

    def _pots(self, ledger: Ledger, holder: Holder) -> list[Pot]:
        runs = ledger.open_runs()
        if self._facts is None:
            containers = [run.container for run in runs if run.container]
            self._facts = self._desk.machine.look(containers)
        in_use = [counted(run, self._whole) for run in runs]
        gpus = self._places(runs, sum(each.gpus for each in in_use))
        return list(
            pots(
                holder,
                in_use,
                self.entitlement,
                totals(self._config, self._person.groups, self._moment),
                replace(capacity(self._config.host, self._facts), gpus=gpus),
            )
        )

    def _places(self, runs: Sequence[Run], in_use: int) -> int:
        """How many places there are on all GPUs, without free ones of GPUs that nobody gets now."""
        free = free_places(self.devices, [each for run in runs for each in run.devices])
        return min(sum(each.places for each in self.devices), in_use + sum(free.values()))

    def _whole(self, run: Run) -> Quota:
        """Return what the holder of a run may have."""
        return effective(self._config, Person(run.holder.user, run.groups), self._moment)


def _run(name: str, image: str, holder: Holder, quota: Quota, groups: frozenset[str]) -> Run:
    """Return a run that begins now, with all that it may use."""
    began, session = datetime.now(UTC), quota.session_seconds
    return Run(
        name=name,
        holder=holder,
        image=image,
        memory_bytes=quota.memory_bytes,
        began=began,
        cpus=quota.cpus,
        pids=quota.pids,
        gpus=quota.gpus,
        shm_bytes=quota.shm_bytes,
        groups=groups,
        session_seconds=session,
        idle_seconds=quota.idle_seconds,
        extend_seconds=quota.extend_seconds,
        ends_at=None if session is None else began + timedelta(seconds=session),
    )
