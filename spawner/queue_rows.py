"""The tables of the queue, and how starts that wait and drained devices lie in them."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from spawner.rows import metadata, moment, moment_or_never, stamp, stamped, utc, utc_or_never
from spawner.runs import Holder
from spawner.waiting import Drain, Waiting


def _of_a_start() -> tuple[sa.Column[Any], ...]:
    """Return the columns that tell of a start that waits, or did."""
    return (
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("server", sa.Text, nullable=False),
        sa.Column("since", sa.DateTime, nullable=False),
        sa.Column("gpus", sa.Integer, nullable=False),
        sa.Column("cpus", sa.Float, nullable=False),
        sa.Column("memory_bytes", sa.BigInteger, nullable=False),
        sa.Column("pids", sa.Integer, nullable=False),
        sa.Column("asked_seconds", sa.Integer),
        sa.Column("groups", sa.JSON, nullable=False),
        sa.Column("options", sa.JSON, nullable=False),
        sa.Column("rank", sa.Integer, nullable=False),
        sa.Column("lost_at", sa.DateTime),
    )


tickets = stamped(
    sa.Table(
        "tickets",
        metadata,
        sa.Column("id", sa.Integer, primary_key=True),
        *_of_a_start(),
        stamp(),
        sa.UniqueConstraint("user", "server"),
    )
)
# Whose turn came, and whose start is not through yet: the place is theirs again if the hub ends.
called = sa.Table("called", metadata, *_of_a_start(), sa.PrimaryKeyConstraint("user", "server"))
drains = sa.Table(
    "drains",
    metadata,
    sa.Column("device", sa.Text, primary_key=True),
    sa.Column("since", sa.DateTime, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
)


def row_of_waiting(waiting: Waiting) -> dict[str, Any]:
    """Return a start that waits as a row."""
    return {
        **waiting.holder._asdict(),
        "since": utc(waiting.since),
        "gpus": waiting.gpus,
        "cpus": waiting.cpus,
        "memory_bytes": waiting.memory_bytes,
        "pids": waiting.pids,
        "asked_seconds": waiting.asked_seconds,
        "groups": sorted(waiting.groups),
        "options": dict(waiting.options),
        "rank": waiting.rank,
        "lost_at": utc_or_never(waiting.lost_at),
    }


def waiting_of_row(row: Mapping[str, Any]) -> Waiting:
    """Return a row as a start that waits; ValueError or TypeError when no labhub wrote it."""
    return Waiting(
        holder=Holder(row["user"], row["server"]),
        since=moment(row["since"]),
        gpus=row["gpus"],
        cpus=row["cpus"],
        memory_bytes=row["memory_bytes"],
        pids=row["pids"],
        asked_seconds=row["asked_seconds"],
        groups=frozenset(row["groups"]),
        options=dict(row["options"]),
        rank=row["rank"],
        lost_at=moment_or_never(row["lost_at"]),
    )


def row_of_drain(drain: Drain) -> dict[str, Any]:
    """Return a drained device as a row."""
    return {"device": drain.device, "since": utc(drain.since), "actor": drain.actor}


def drain_of_row(row: Mapping[str, Any]) -> Drain:
    """Return a row as a drained device; ValueError or TypeError when no labhub wrote it."""
    return Drain(row["device"], moment(row["since"]), row["actor"])
