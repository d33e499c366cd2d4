"""What is wrong with a file although each key of it is right by itself. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any

from hub_config.document import Document, Path, Problem
from hub_config.schema import Config, Shared
from hub_config.schema_quotas import NUMBERS, Group, Window, number
from hub_config.sizes import format_bytes
from hub_config.values import quoted

TOTALS = ("cpus", "memory", "gpus", "servers")
CONDITIONS = ("days", "hours", "since", "until")


def contradictions(config: Config, document: Document) -> list[Problem]:
    """Return all such problems, each at its place."""
    found = [
        *_images(config),
        *_totals(config),
        *_schedules(config),
        *_devices(config),
        *_shared(config),
    ]
    return [Problem(document.value_at(path), path, text) for path, text in found]


def is_doubtful(path: Path, problems: Iterable[Problem]) -> bool:
    """Say whether what is wrong there may be so only because something else could not be read."""
    names = {key.partition(".")[0] for key in NUMBERS}
    others = names - {path[-1]} if path[3:4] == ("total",) else set()
    wrong = [each.path for each in problems if not others.intersection(each.path)]
    return any(_is_part(each, other) for other in _compared(path) for each in wrong)


def _compared(path: Path) -> tuple[Path, ...]:
    """Return what the value at a path is held against."""
    match path:
        case ("quotas", "groups", name, "total", _):
            return ("quotas", "groups", name), ("quotas", "default")
        case ("storage", "shared", _, "mount"):
            return (("storage", "notebooks"),)
        case ("storage", "shared", _, "writable_by", _):
            return ("quotas", "groups"), ("login", "allow")
        case ("login", *_):
            return (("login", "provider"),)
        case _:
            return ()


def _is_part(first: Path, second: Path) -> bool:
    """Say whether one of them lies within the other."""
    return all(one == other for one, other in zip(first, second, strict=False))


def _devices(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield GPUs that are listed twice: two people would get the same."""
    for index, each in enumerate(config.gpus.devices):
        if each in config.gpus.devices[:index]:
            text = f"{quoted(each)} stands here twice; remove one of them"
            yield ("gpus", "devices", index), text


def _images(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield images that are offered twice."""
    seen: dict[tuple[str, str], str] = {}
    for key, card in config.images.items():
        for field, value in (("image", card.image), ("title", card.title)):
            first = seen.setdefault((field, value), key)
            if first != key:
                text = f"{quoted(value)} is images.{first} already; keep one of them"
                yield ("images", key, field), text


def _totals(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield totals of groups that are less than one member may have."""
    for name, group in config.quotas.groups.items():
        for key in TOTALS:
            total = getattr(group.total, key, None)
            most = _most(config, group, key)
            if total is not None and total < most:
                text = (
                    f"{_shown(key, total)} for all members together is less than one of them may "
                    f"have ({_shown(key, most)}); write at least that, or set {key} of the group "
                    "to less"
                )
                yield ("quotas", "groups", name, "total", key), text


def _most(config: Config, group: Group, key: str) -> float:
    """Return the most that a member may have at any time, by the group or else by the default."""
    own = [getattr(each, key) for each in (group, *group.schedule)]
    default = config.quotas.default
    others = [getattr(each, key) for each in (default, *default.schedule)]
    rules = own if own[0] is not None else own + others
    return float(max(value for value in rules if value is not None))


def _shown(key: str, number: float) -> str:
    return format_bytes(int(number)) if key == "memory" else f"{number:g}"


def _schedules(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield entries of schedules that say nothing."""
    quotas = config.quotas
    owners: list[tuple[Path, Any]] = [(("quotas", "default"), quotas.default)]
    owners += [(("quotas", "groups", name), each) for name, each in quotas.groups.items()]
    owners += [(("quotas", "users", name), each) for name, each in quotas.users.items()]
    for path, owner in owners:
        for index, window in enumerate(owner.schedule):
            yield from (((*path, "schedule", index), text) for text in _window(window))


def _window(window: Window) -> Iterator[str]:
    if all(number(window, key) is None for key in NUMBERS):
        yield "sets no number; write one, like cpus: 8, or remove the entry"
    if all(getattr(window, key) is None for key in CONDITIONS):
        yield f"holds at any time; write one of {', '.join(CONDITIONS)}, or set the number above"
    since, until = window.since, window.until
    comparable = since and until and (since.tzinfo is None) == (until.tzinfo is None)
    if comparable and since and until and since >= until:
        yield "ends before it begins; write a later until, or an earlier since"


def _shared(config: Config) -> Iterator[tuple[Path, str]]:
    """Yield shared directories that are in each other's way, and groups that nobody is in."""
    known = {*config.quotas.groups, *config.login.allow.groups}
    names: set[str] = set()
    mounts = {config.storage.notebooks: "storage.notebooks"}
    for index, shared in enumerate(config.storage.shared):
        path: Path = ("storage", "shared", index)
        if shared.name in names:
            yield (*path, "name"), f"{quoted(shared.name)} stands here twice; choose another"
        names.add(shared.name)
        for mount, owner in mounts.items():
            if _overlap(mount, shared.mount):
                text = f"{shared.mount} and {owner} ({mount}) overlap; choose another directory"
                yield (*path, "mount"), text
        mounts[shared.mount] = f"storage.shared[{index}]"
        yield from _writers(path, shared, known)


def _overlap(first: str, second: str) -> bool:
    return f"{first}/".startswith(f"{second}/") or f"{second}/".startswith(f"{first}/")


def _writers(path: Path, shared: Shared, known: set[str]) -> Iterator[tuple[Path, str]]:
    for index, group in enumerate(shared.writable_by):
        if group not in known:
            text = f"no group {quoted(group)} is in this file; write it under quotas.groups"
            yield (*path, "writable_by", index), text
