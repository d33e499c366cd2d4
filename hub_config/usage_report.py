"""What was used as JSON, CSV and a table, with budgets of GPU time where there are any. Pure."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hub_config.tables import table
from spawner.budget import Account
from spawner.usage import HOUR_SECONDS, NO_GROUP, Amount, Window

COLUMNS = ("gpu_seconds", "cpu_seconds", "gib_hours")
HEAD = ("GPU hours", "CPU hours", "GiB hours")
PERIODS = ("week", "month")
# A spreadsheet takes a cell that begins with one of these for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


@dataclass(frozen=True, slots=True)
class Report:
    """What was used in a window by each user or group (`by`), and by all.

    `accounts` has what users have used of their budgets, in the periods around now.
    """

    by: str
    window: Window
    found: Mapping[str, Amount]
    total: Amount
    accounts: Mapping[str, Sequence[Account]] = field(default_factory=dict)

    @property
    def rows(self) -> list[tuple[str, Amount]]:
        """Who used most first: GPUs, then CPU cores, then memory."""
        return sorted(
            self.found.items(),
            key=lambda each: (
                -each[1].gpu_seconds, -each[1].cpu_seconds, -each[1].gib_seconds, each[0],
            ),
        )  # fmt: skip

    @property
    def periods(self) -> tuple[str, ...]:
        """Of which periods anybody has a budget."""
        known = {each.period.name for found in self.accounts.values() for each in found}
        return tuple(period for period in PERIODS if period in known)

    def account(self, name: str, period: str) -> Account | None:
        """Return one account of a user."""
        return next((a for a in self.accounts.get(name, ()) if a.period.name == period), None)


def facts(report: Report) -> dict[str, Any]:
    """Return all of it for programs; the group of those in none is null."""
    return {
        "since": report.window.since.isoformat(),
        "until": report.window.until.isoformat(),
        "by": report.by,
        "usage": [
            {
                report.by: name if name != NO_GROUP else None,
                **_numbers(each),
                **({"budgets": _budgets(report, name)} if report.by == "user" else {}),
            }
            for name, each in report.rows
        ],
        "total": _numbers(report.total),
    }


def _budgets(report: Report, name: str) -> dict[str, Any]:
    return {
        each.period.name: {
            "gpu_seconds": round(each.used_seconds, 3),
            "allowed_gpu_seconds": round(each.allowed_seconds, 3),
            "begins_anew_at": each.period.until.isoformat(),
        }
        for each in report.accounts.get(name, ())
    }


def as_csv(report: Report) -> str:
    """Return the rows for spreadsheets; those in no group have an empty name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    more = [
        f"{period}_{column}"
        for period in report.periods
        for column in ("gpu_seconds", "allowed_gpu_seconds")
    ]
    writer.writerow((report.by, *COLUMNS, *more))
    for name, each in report.rows:
        writer.writerow((_harmless(name), *_numbers(each).values(), *_spent_cells(report, name)))
    return text.getvalue()


def _spent_cells(report: Report, name: str) -> list[float | None]:
    found = (report.account(name, period) for period in report.periods)
    return [
        cell
        for each in found
        for cell in (
            (round(each.used_seconds, 3), round(each.allowed_seconds, 3)) if each else (None, None)
        )
    ]


def _harmless(name: str) -> str:
    """Return a name as a text that no spreadsheet takes for a formula."""
    return f"'{name}" if name.startswith(FORMULA) else name


def as_text(report: Report, begin: datetime, end: datetime) -> str:
    """Return the table for people, with a total where that says more; times are the window's."""
    span = f"{_shown(begin)} to {_shown(end)}"
    if not report.found:
        return f"Nothing was used from {span}."
    rows = [
        (
            _printable(name),
            *_hours(each),
            *(_share(report.account(name, period)) for period in report.periods),
        )
        for name, each in report.rows
    ]
    if len(rows) > 1:
        rows.append(("total", *_hours(report.total), *("" for _ in report.periods)))
    head = (report.by, *HEAD, *(f"GPU hours this {period}" for period in report.periods))
    return "\n".join((f"From {span}:", *table(head, rows)))


def _share(account: Account | None) -> str:
    if account is None:
        return ""
    used, allowed = account.used_seconds / HOUR_SECONDS, account.allowed_seconds / HOUR_SECONDS
    return f"{used:.2f} of {allowed:g}"


def _shown(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M %Z}"


def _printable(name: str) -> str:
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)
    return shown or "(no group)"


def _numbers(amount: Amount) -> dict[str, float]:
    values = (amount.gpu_seconds, amount.cpu_seconds, amount.gib_seconds / HOUR_SECONDS)
    return {key: round(value, 3) for key, value in zip(COLUMNS, values, strict=True)}


def _hours(amount: Amount) -> tuple[str, ...]:
    values = (amount.gpu_seconds, amount.cpu_seconds, amount.gib_seconds)
    return tuple(f"{value / HOUR_SECONDS:.2f}" for value in values)
