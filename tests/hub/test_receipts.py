"""Receipts as the hub writes them: one for each end, and none for what never began."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from spawner.receipts import Receipts
from spawner.runs import Holder, Reason, Run
from spawner.sightings import Sightings
from spawner.store import Store

ADA = Holder("ada", "")
RUN = Run("r1", ADA, "lab/image:1", 1024**3, datetime(2026, 3, 1, 12, tzinfo=UTC))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new store."""
    opened = Store(f"sqlite:///{tmp_path}/labhub.sqlite")
    yield opened
    opened.close()


async def test_an_open_run_whose_container_is_gone_has_one_receipt(store: Store) -> None:
    receipts = Receipts(store, Sightings())
    store.transact(lambda ledger: ledger.begin(RUN))
    first, second = await asyncio.gather(receipts.close(RUN), receipts.close(RUN))
    assert [each for each in (first, second) if each is None] == [None]
    assert [each.run for each in store.transact(lambda ledger: ledger.receipts("ada"))] == ["r1"]
    assert await receipts.open_runs() == ()


async def test_a_start_withdrawn_since_a_round_looked_has_no_receipt(store: Store) -> None:
    ended: list[Reason] = []
    receipts = Receipts(store, Sightings(), lambda: ended.append(Reason.UNKNOWN))
    store.transact(lambda ledger: ledger.begin(RUN))
    [seen] = await receipts.open_runs() or ()
    await receipts.withdraw(RUN)
    assert await receipts.close(seen) is None
    assert await receipts.last(ADA) is None
    assert ended  # whoever waits may have a look all the same
