"""REFERENCE.md: every key of labhub.yaml, generated from the schema."""

from collections.abc import Iterator
from typing import Any, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hub_config.keys import (
    Section,
    alternatives,
    choices,
    entries_below,
    items_below,
    model_below,
    sections,
)
from hub_config.schema import SecretRef
from hub_config.schema_quotas import NUMBERS, GpuHours, Numbers, Window
from hub_config.sizes import format_bytes, format_seconds

COMMAND = "labhub config reference > hub_config/REFERENCE.md"
SIZES = ("memory", "shm", "disk")
DURATIONS = (
    *("session", "idle", "extend"),
    *("half_life", "reserve_after", "ticket_ttl", "claim", "grace"),
)
KINDS = (
    {
        "days": "a list of days",
        "hours": "a part of the day",
        "schedule": "a list",
        "since": "a day or a time",
        "until": "a day or a time",
    }
    | dict.fromkeys(SIZES, "a size")
    | dict.fromkeys(DURATIONS, "a duration")
)
# Sections that stand in several places.
SHARED: dict[type[BaseModel], str] = {
    Window: "quotas.….schedule[]",
    GpuHours: "quotas.….gpu_hours",
}
HEADER = f"""\
# labhub.yaml

Every key, generated from `hub_config/schema.py` by
`{COMMAND}`.
`labhub config example` prints a file to start from, and `labhub config check` names every error by
line and column. A key that is not here is an error. A size has a unit: `8 GiB` is 8 · 2³⁰ bytes,
`8 GB` is 8 · 10⁹; a duration has one, too: `30 min`, `12 h`, `7 d`. A saved change
takes effect within seconds, also for CPU, memory and processes of servers that run; `login`,
`hub.url` and `hub.bind` when `deploy/up` is run again.
"""


def reference() -> str:
    """Return the whole page."""
    pages = [_page(f"`{each.path}`", each.model, each.description) for each in _different()]
    text = "Wherever a secret belongs, one of these keys says where it is kept."
    return "\n".join([HEADER, *pages, _page("Secrets", SecretRef, text)])


def _different() -> Iterator[Section]:
    """Yield every section; one that stands in several places for all of them."""
    seen: set[type[BaseModel]] = set()
    for each in sections():
        if each.path and each.model not in seen:
            seen.add(each.model)
            path = SHARED.get(each.model, each.path)
            yield Section(path, each.model, each.description)


def _page(title: str, model: type[BaseModel], text: str) -> str:
    some = issubclass(model, Numbers)
    text += " Every number of `quotas.default` may stand here, and these keys." if some else ""
    rows = [
        _row(name, field)
        for name, field in model.model_fields.items()
        if not (some and name in NUMBERS)
        and model_below(field.annotation) in (None, SecretRef)
        and not entries_below(field.annotation)
        and items_below(field.annotation) in (None, Window)
    ]
    head = ["| key | value | default | meaning |", "|---|---|---|---|"]
    return "\n".join([f"## {title}", "", text, "", *(head + rows if rows else []), ""])


def _row(name: str, field: FieldInfo) -> str:
    meaning = (field.description or "").replace("|", "\\|")
    return f"| `{name}` | {_kind(name, field)} | {_default(name, field)} | {meaning} |"


def _kind(name: str, field: FieldInfo) -> str:
    """Return in words what a key takes."""
    if name in KINDS:
        return KINDS[name]
    if words := choices(field.annotation):
        return ", ".join(f"`{word}`" for word in words)
    kinds = [
        _WORDS.get(get_origin(each) or each, "a text") for each in alternatives(field.annotation)
    ]
    return " or ".join(dict.fromkeys(kinds))


_WORDS: dict[Any, str] = {
    bool: "`true` or `false`",
    int: "a whole number",
    float: "a number",
    tuple: "a list of texts",
    SecretRef: "`{file: …}` or `{env: …}`",
}


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.default
    if value is None or value in {(), ""} or field.default_factory is dict:
        return "none"
    if name in SIZES:
        return f"`{format_bytes(value)}`"
    if name in DURATIONS:
        return f"`{format_seconds(value)}`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value:g}`" if isinstance(value, int | float) else f"`{value}`"
