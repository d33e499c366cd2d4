"""The table of what was used, and how spans lie in it."""

from typing import Any

import sqlalchemy as sa

from spawner.rows import metadata, moment, moment_or_never, utc, utc_or_never
from spawner.runs import Holder
from spawner.usage import Span

uses = sa.Table(
    "uses",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("server", sa.Text, nullable=False),
    sa.Column("groups", sa.JSON, nullable=False),
    sa.Column("gpus", sa.Integer, nullable=False),
    sa.Column("devices", sa.JSON, nullable=False),
    sa.Column("cpus", sa.Float, nullable=False),
    sa.Column("memory_bytes", sa.BigInteger, nullable=False),
    sa.Column("since", sa.DateTime, nullable=False),
    sa.Column("until", sa.DateTime),
    sa.Index("uses_by_end", "until"),
    sa.Index("uses_of_user", "user", "until"),
)
sa.Index("one_open_use_per_run", uses.c.run, unique=True, sqlite_where=uses.c.until.is_(None))


def row_of_span(span: Span) -> dict[str, Any]:
    """Return a span as a row."""
    return {
        "run": span.run,
        **span.holder._asdict(),
        "groups": sorted(span.groups),
        "gpus": span.gpus,
        "devices": list(span.devices),
        "cpus": span.cpus,
        "memory_bytes": span.memory_bytes,
        "since": utc(span.since),
        "until": utc_or_never(span.until),
    }


def span_of_row(row: sa.RowMapping) -> Span:
    """Return a row as a span; ValueError or TypeError when no labhub wrote it."""
    return Span(
        run=row["run"],
        holder=Holder(row["user"], row["server"]),
        groups=frozenset(row["groups"]),
        gpus=row["gpus"],
        devices=tuple(row["devices"]),
        cpus=row["cpus"],
        memory_bytes=row["memory_bytes"],
        since=moment(row["since"]),
        until=moment_or_never(row["until"]),
    )
