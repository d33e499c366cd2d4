"""The tables of the store, and how runs and receipts lie in them."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from spawner.runs import Holder, Kind, Reason, Receipt, Run, Spent

metadata = sa.MetaData()
RESTAMP = (
    "CREATE TRIGGER {0}_stamp AFTER UPDATE ON {0} BEGIN "
    "UPDATE {0} SET stamp = random() WHERE rowid = new.rowid; END"
)


def stamp() -> sa.Column[int]:
    """Return a column with another number after each change: what is known need not be read.

    Whoever changes a row, also by hand: its table is `stamped`.
    """
    new = sa.func.random()
    return sa.Column("stamp", sa.BigInteger, nullable=False, default=new, server_default="0")


def stamped(table: sa.Table) -> sa.Table:
    """Return a table that, once it is made, gives each row that changes another stamp."""

    def make(_table: sa.Table, connection: sa.Connection, **_known: object) -> None:
        connection.exec_driver_sql(RESTAMP.format(table.name))

    sa.event.listen(table, "after_create", make)
    return table


schema = sa.Table("schema", metadata, sa.Column("version", sa.Integer, nullable=False))
runs = stamped(
    sa.Table(
        "runs",
        metadata,
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("server", sa.Text, nullable=False),
        sa.Column("image", sa.Text, nullable=False),
        sa.Column("memory_bytes", sa.BigInteger, nullable=False),
        sa.Column("began", sa.DateTime, nullable=False),
        sa.Column("container", sa.Text, nullable=False),
        sa.Column("stop", sa.Text),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("kills", sa.Integer, nullable=False, default=0),
        sa.Column("cpus", sa.Float, nullable=False, server_default="0"),
        sa.Column("pids", sa.Integer, nullable=False, server_default="0"),
        sa.Column("gpus", sa.Integer, nullable=False, server_default="0"),
        sa.Column("shm_bytes", sa.BigInteger, nullable=False, server_default="0"),
        sa.Column("groups", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("devices", sa.JSON, nullable=False, server_default="[]"),
        sa.Column("late", sa.Boolean, nullable=False, server_default="0"),
        sa.Column("offered", sa.DateTime),
        sa.Column("session_seconds", sa.Integer),
        sa.Column("idle_seconds", sa.Integer),
        sa.Column("extend_seconds", sa.Integer),
        sa.Column("ends_at", sa.DateTime),
        sa.Column("extended_at", sa.DateTime),
        sa.Column("chosen_seconds", sa.Integer),
        sa.Column("extended_seconds", sa.Integer, nullable=False, server_default="0"),
        sa.Column("extensions", sa.Integer, nullable=False, server_default="0"),
        sa.Column("warned_at", sa.DateTime),
        sa.Column("spent", sa.JSON(none_as_null=True)),
        stamp(),
        sa.Index("runs_of_holder", "user", "server"),
    )
)
receipts = sa.Table(
    "receipts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("run", sa.Text, nullable=False),
    sa.Column("user", sa.Text, nullable=False),
    sa.Column("server", sa.Text, nullable=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("at", sa.DateTime, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("limit_bytes", sa.BigInteger, nullable=False),
    sa.Column("exit_code", sa.Integer),
    sa.Column("peak_bytes", sa.BigInteger),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("log", sa.JSON, nullable=False),
    sa.Column("allowed_seconds", sa.Integer),
    sa.Column("extensions", sa.Integer, nullable=False, server_default="0"),
    sa.Column("spent", sa.JSON(none_as_null=True)),
    sa.Index("receipts_of_user", "user", "id"),
    sa.Index("receipts_of_run", "run"),
)
sa.Index(
    "one_end_per_run",
    receipts.c.run,
    unique=True,
    sqlite_where=receipts.c.kind == Kind.SERVER.value,
)


def row_of_run(run: Run) -> dict[str, Any]:
    """Return a run as a row."""
    return {
        "name": run.name,
        **run.holder._asdict(),
        "image": run.image,
        "began": utc(run.began),
        "container": run.container,
        "stop": run.stop,
        "actor": run.actor,
        "gpus": run.gpus,
        "shm_bytes": run.shm_bytes,
        # Whether it has each alone; an older labhub wrote a list, and reads this as one.
        "devices": {each: each in run.alone for each in run.devices},
        "late": run.late,
        "offered": utc_or_never(run.offered),
        **size_of_run(run),
        **times_of_run(run),
    }


def size_of_run(run: Run) -> dict[str, Any]:
    """Return the part of a run's row that follows labhub.yaml while its server runs."""
    return {
        "cpus": run.cpus,
        "memory_bytes": run.memory_bytes,
        "pids": run.pids,
        "groups": sorted(run.groups),
    }


def times_of_run(run: Run) -> dict[str, Any]:
    """Return the part of a run's row that changes while its server runs: until when it may."""
    return {
        "session_seconds": run.session_seconds,
        "idle_seconds": run.idle_seconds,
        "extend_seconds": run.extend_seconds,
        "ends_at": utc_or_never(run.ends_at),
        "extended_at": utc_or_never(run.extended_at),
        "chosen_seconds": run.chosen_seconds,
        "extended_seconds": run.extended_seconds,
        "extensions": run.extensions,
        "warned_at": utc_or_never(run.warned_at),
        "spent": _json_of_spent(run.spent),
    }


def run_of_row(row: Mapping[str, Any]) -> Run:
    """Return a row as a run; ValueError or TypeError when no labhub wrote it."""
    return Run(
        name=row["name"],
        holder=Holder(row["user"], row["server"]),
        image=row["image"],
        memory_bytes=row["memory_bytes"],
        began=moment(row["began"]),
        container=row["container"],
        stop=Reason(row["stop"]) if row["stop"] is not None else None,
        actor=row["actor"],
        cpus=row["cpus"],
        pids=row["pids"],
        gpus=row["gpus"],
        shm_bytes=row["shm_bytes"],
        groups=frozenset(row["groups"]),
        devices=tuple(row["devices"]),
        alone=_alone(row["devices"]),
        late=row["late"],
        offered=moment_or_never(row["offered"]),
        session_seconds=row["session_seconds"],
        idle_seconds=row["idle_seconds"],
        extend_seconds=row["extend_seconds"],
        ends_at=moment_or_never(row["ends_at"]),
        extended_at=moment_or_never(row["extended_at"]),
        chosen_seconds=row["chosen_seconds"],
        extended_seconds=row["extended_seconds"],
        extensions=row["extensions"],
        warned_at=moment_or_never(row["warned_at"]),
        spent=_spent_of_json(row["spent"]),
    )


def _alone(devices: dict[str, bool] | list[str]) -> frozenset[str]:
    """Return the devices that were noted as one run's alone; a list does not tell."""
    noted = devices if isinstance(devices, dict) else {}
    return frozenset(each for each, is_alone in noted.items() if is_alone)


def row_of_receipt(receipt: Receipt) -> dict[str, Any]:
    """Return a receipt as a row."""
    return {
        "run": receipt.run,
        **receipt.holder._asdict(),
        "kind": receipt.kind.value,
        "at": utc(receipt.at),
        "reason": receipt.reason.value,
        "limit_bytes": receipt.limit_bytes,
        "exit_code": receipt.exit_code,
        "peak_bytes": receipt.peak_bytes,
        "actor": receipt.actor,
        "log": list(receipt.log),
        "allowed_seconds": receipt.allowed_seconds,
        "extensions": receipt.extensions,
        "spent": _json_of_spent(receipt.spent),
    }


def receipt_of_row(row: Mapping[str, Any]) -> Receipt:
    """Return a row as a receipt; ValueError or TypeError when no labhub wrote it."""
    return Receipt(
        run=row["run"],
        holder=Holder(row["user"], row["server"]),
        kind=Kind(row["kind"]),
        at=moment(row["at"]),
        reason=Reason(row["reason"]),
        limit_bytes=row["limit_bytes"],
        exit_code=row["exit_code"],
        peak_bytes=row["peak_bytes"],
        actor=row["actor"],
        log=tuple(row["log"]),
        allowed_seconds=row["allowed_seconds"],
        extensions=row["extensions"],
        spent=_spent_of_json(row["spent"]),
    )


def _json_of_spent(spent: Spent | None) -> dict[str, Any] | None:
    return None if spent is None else {**asdict(spent), "anew_at": spent.anew_at.isoformat()}


def _spent_of_json(kept: dict[str, Any] | None) -> Spent | None:
    if kept is None:
        return None
    return Spent(**{**kept, "anew_at": datetime.fromisoformat(kept.get("anew_at", ""))})


def utc_or_never(moment: datetime | None) -> datetime | None:
    """Return a time as it is kept; None is never."""
    return None if moment is None else utc(moment)


def moment_or_never(kept: datetime | None) -> datetime | None:
    """Return a time that is kept, with its zone; None is never."""
    return None if kept is None else moment(kept)


def moment(kept: datetime) -> datetime:
    """Return a time that is kept, with its zone."""
    return kept.replace(tzinfo=UTC)


def utc(moment: datetime) -> datetime:
    """Return a time as it is kept: in UTC, without saying so."""
    if moment.tzinfo is None:
        message = f"{moment} has no time zone, so nobody knows when that was"
        raise ValueError(message)
    return moment.astimezone(UTC).replace(tzinfo=None)
