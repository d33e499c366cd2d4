"""What one person may use, and which line of labhub.yaml says so. Pure."""

from datetime import datetime
from typing import Any

from hub_config.document import Document
from hub_config.schema import Config
from hub_config.schema_quotas import BUDGETS, NUMBERS
from hub_config.sizes import format_bytes, format_seconds
from spawner.quota import Number, Person, Ruled, explain

SIZES = frozenset({"memory", "shm", "disk"})
DURATIONS = frozenset({"session", "idle", "extend"})


def explanation(
    config: Config, document: Document, person: Person, moment: datetime
) -> dict[str, dict[str, Any]]:
    """Return each number for programs: its value, the rule that gave it, and the rule's line.

    Sizes are in bytes, durations in seconds; None is no limit. `line` is None where the number is
    labhub's own default.
    """
    ruled = explain(config, person, moment)
    return {key: _number(ruled[key], document) for key in NUMBERS}


def _number(ruled: Ruled, document: Document) -> dict[str, Any]:
    found: dict[str, Any] = {
        "value": plain(ruled.value),
        "from": ruled.source,
        "line": document.key_at(ruled.path).line if document.has(ruled.path) else None,
    }
    if ruled.schedule is not None:
        found["rule"] = f"schedule[{ruled.schedule}]"
    if ruled.total:
        found["rule"] = "total"
    return found


def plain(value: Number) -> Number:
    """Return a number as people write it: whole ones without a fraction."""
    return int(value) if value is not None and value == int(value) else value


def shown(key: str, value: Number) -> str:
    """Return a number for people."""
    if value is None:
        return "no" if key == "extend" else "unlimited"
    if key in SIZES:
        return format_bytes(int(value))
    if key in BUDGETS:
        return f"{value:g} h"
    return format_seconds(int(value)) if key in DURATIONS else f"{value:g}"


def rule(found: dict[str, Any], file: str) -> str:
    """Return for people where a number comes from."""
    if found["line"] is None:
        return "built in"
    source = f"{found['from']}.{found['rule']}" if "rule" in found else found["from"]
    return f"{source} ({file}:{found['line']})"
