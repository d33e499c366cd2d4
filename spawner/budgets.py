"""Budgets of GPU time at work: a start that is refused, a server that is warned, and its end.

What was used stands in the store. Since when somebody was told that nothing is left is kept here,
on a clock that nobody sets, so that neither a hub that was away nor a clock that jumped, nor a
smaller budget in labhub.yaml, ends anything untold. Unknown is not over: of somebody whose use
cannot be read, or one of whose servers saw the machine's clock jump, nothing is said, and nothing
is ended.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from spawner.budget import Account, Level, Standing, accounts, budgets, earliest, tightest
from spawner.messages import budgets as messages
from spawner.quota import Person, Quota
from spawner.runs import Run
from spawner.store import Ledger, Store, StoreError
from spawner.usage import Span

# A clock that is set by more than this between two rounds has jumped; others are only put right.
JUMP_SECONDS = 60

log = logging.getLogger(__name__)


def refusal(ledger: Ledger, allowed: Quota, person: Person, local: datetime) -> str:
    """Say why a person's server with GPUs may not begin, "" when it may."""
    found = read(ledger, allowed, person, local)
    used_up = [each for each in found if each.level is Level.USED_UP]
    account = tightest(used_up)
    return "" if account is None else messages.refused(account)


def read(ledger: Ledger, allowed: Quota, person: Person, local: datetime) -> tuple[Account, ...]:
    """Return what a person has used of each of their budgets, and read nothing without one."""
    if not budgets(allowed, local):
        return ()
    return accounts(allowed, ledger.spans(earliest(local), person.name), local)


class Budgets:
    """Knows the GPU time of all whose servers have GPUs, as of the last look."""

    def __init__(self, store: Store) -> None:
        """Know nothing yet."""
        self._store = store
        self._standings: dict[str, Standing] = {}
        # Since when (on the steady clock) each user is told that nothing is left.
        self._told: dict[str, float] = {}
        self._offset: float | None = None
        self._doubtful: frozenset[str] = frozenset()

    def of(self, run: Run) -> Standing | None:
        """Return how a server's user stands; None: no GPU, no budget, or nobody knows."""
        return self._standings.get(run.holder.user) if run.gpus else None

    def look(
        self,
        runs: Sequence[Run],
        allowed: Mapping[str, Quota],
        grace_seconds: float,
        local: datetime,
        steady: float,
    ) -> None:
        """Work it out anew, for servers that run; `allowed` is by run. It waits for the store."""
        with_gpus = [run for run in runs if run.gpus]
        self._doubt(with_gpus, local.timestamp() - steady)
        doubted = {run.holder.user for run in with_gpus if run.name in self._doubtful}
        quotas = {
            run.holder.user: allowed[run.name]
            for run in with_gpus
            if run.holder.user not in doubted and budgets(allowed[run.name], local)
        }
        found = self._accounts(quotas, local)
        self._told = {
            user: self._told.get(user, steady)
            for user, account in found.items()
            if account.level is Level.USED_UP
        }
        self._standings = {
            user: Standing(account, grace_seconds, steady, self._told.get(user))
            for user, account in found.items()
        }

    def _accounts(self, quotas: Mapping[str, Quota], local: datetime) -> dict[str, Account]:
        if not quotas:
            return {}
        window = earliest(local)

        def spans(ledger: Ledger) -> dict[str, tuple[Span, ...]]:
            return {user: ledger.spans(window, user) for user in quotas}

        try:
            found = self._store.transact(spans)
        except StoreError as error:
            log.warning("GPU time is not known: %s", error)
            return {}
        pairs = ((user, tightest(accounts(quotas[user], found[user], local))) for user in quotas)
        return {user: account for user, account in pairs if account is not None}

    def _doubt(self, runs: Iterable[Run], offset: float) -> None:
        """Believe nothing of servers that saw the clock jump: it is not they who used the time."""
        names = frozenset(run.name for run in runs)
        jumped = self._offset is not None and abs(offset - self._offset) > JUMP_SECONDS
        if jumped:
            log.warning("The clock was set; the GPU time of servers that run is not counted on")
        self._doubtful = names if jumped else self._doubtful & names
        self._offset = offset


def noted(run: Run, standing: Standing | None) -> Run:
    """Return a run with what its receipt will say, once its end is due, and without before.

    Where nothing is new, it is the very run that was given.
    """
    is_due = standing is not None and standing.is_over
    if is_due == (run.spent is not None):
        return run
    return replace(run, spent=standing.spent if standing is not None and is_due else None)
