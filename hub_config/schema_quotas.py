"""The `quotas` section of labhub.yaml: numbers, for whom, and when. Pure."""

from typing import Annotated, Any

from pydantic import Field

from hub_config.budget_values import Budget
from hub_config.schema_base import Section
from hub_config.values import Days, Disk, Duration, Memory, Period, Shm, Since, Until, Word

GIB = 1024**3
Cpus = Annotated[float, Field(ge=0.01, le=4096, allow_inf_nan=False)]
Pids = Annotated[int, Field(ge=32, le=4194304)]
Gpus = Annotated[int, Field(ge=0, le=1024)]
Servers = Annotated[int, Field(ge=1, le=100)]

CPUS = "CPU cores, like `2` or `0.5`."
MEMORY = "Memory, like `8 GiB`. No swap on top. A program that needs more is killed."
SHM = "`/dev/shm`, like `2 GiB`: what data loaders share. It counts as memory."
PIDS = "Processes and threads, all together."
GPUS = "GPUs."
GPU_HOURS = (
    "GPU time that a person may use, in hours of whole GPUs: `{week: 40}`, `{month: 120}`, or both."
)
DISK = "What the files may take, like `50 GiB`. Kept, but not enforced by this version."
SERVERS = "Servers at the same time. All numbers hold for a person's servers together."
SESSION = "How long a server may run, like `12 h`; `unlimited` is for as long as it likes."
IDLE = "A server in which nothing happens for so long is stopped; `unlimited`: never."
EXTEND = (
    "How much longer a session gets by one click, and how long until the next click: `2 h`. "
    "Without it, sessions cannot be extended, nor a server with a GPU while others wait for it."
)


class GpuHours(Section):
    """How much GPU time a person may use before a moment comes from which it is counted anew."""

    week: Budget | None = Field(
        None, description="Hours from Monday to Monday, like `40`; `unlimited` lifts a limit."
    )
    month: Budget | None = Field(
        None, description="Hours in a calendar month, like `120`; `unlimited` lifts a limit."
    )


class Numbers(Section):
    """The numbers that an entry sets; what it does not set comes from elsewhere."""

    cpus: Cpus | None = Field(None, description=CPUS)
    memory: Memory | None = Field(None, description=MEMORY)
    shm: Shm | None = Field(None, description=SHM)
    pids: Pids | None = Field(None, description=PIDS)
    gpus: Gpus | None = Field(None, description=GPUS)
    gpu_hours: GpuHours | None = Field(None, description=GPU_HOURS)
    disk: Disk | None = Field(None, description=DISK)
    servers: Servers | None = Field(None, description=SERVERS)
    session: Duration | None = Field(None, description=SESSION)
    idle: Duration | None = Field(None, description=IDLE)
    extend: Duration | None = Field(None, description=EXTEND)


BUDGETS = tuple(f"gpu_hours.{period}" for period in GpuHours.model_fields)
# What an entry may set, each by itself; the parts of a key stand between dots.
NUMBERS = tuple(
    key for name in Numbers.model_fields for key in (BUDGETS if name == "gpu_hours" else (name,))
)


def number(entry: Section, key: str) -> Any:  # noqa: ANN401 - of the key's own type
    """Return what an entry itself sets as one of NUMBERS; None where it sets nothing."""
    found: Any = entry
    for part in key.split("."):
        found = getattr(found, part, None)
    return found


class Window(Numbers):
    """Numbers that hold at certain times only."""

    days: Days | None = Field(None, description="Days of the week, like `[mon, fri-sun]`.")
    hours: Period | None = Field(
        None,
        description='A part of the day, like `"20:00-06:00"`; it belongs to the day it begins on.',
    )
    since: Since | None = Field(None, description="From this day or time on, like `2026-12-01`.")
    until: Until | None = Field(
        None, description="Until the end of this day, or this time, like `2026-12-04 18:00`."
    )


Schedule = Annotated[tuple[Window, ...], Field(strict=False)]
SCHEDULE = (
    "A list of numbers for certain times, like `[{days: [sat, sun], cpus: 8}]`. The first that "
    "holds and sets a number gives it, in place of the entry's own."
)
UNTIL = "The whole entry ends by itself with this day, or at this time, like `2026-12-04 18:00`."


class Limits(Section):
    """What a server gets unless a group or a user says otherwise. The kernel enforces it."""

    cpus: Cpus = Field(2.0, description=CPUS)
    memory: Memory = Field(8 * GIB, description=MEMORY)
    shm: Shm = Field(2 * GIB, description=SHM)
    pids: Pids = Field(1024, description=PIDS)
    gpus: Gpus = Field(1, description=GPUS)
    gpu_hours: GpuHours | None = Field(None, description=GPU_HOURS)
    disk: Disk | None = Field(None, description=DISK)
    servers: Servers = Field(1, description=SERVERS)
    session: Duration | None = Field(None, description=SESSION)
    idle: Duration | None = Field(None, description=IDLE)
    extend: Duration | None = Field(None, description=EXTEND)
    schedule: Schedule = Field((), description=SCHEDULE)


class Total(Section):
    """What all members of a group may use together."""

    cpus: Cpus | None = Field(None, description="CPU cores of all members' servers together.")
    memory: Memory | None = Field(None, description="Memory of all members' servers together.")
    gpus: Gpus | None = Field(None, description="GPUs of all members' servers together.")
    servers: Servers | None = Field(None, description="Servers of all members at the same time.")


class Group(Numbers):
    """What members get in place of the default."""

    total: Total | None = Field(None, description="What all members may use together.")
    priority: Annotated[int, Field(ge=-100, le=100)] = Field(
        0,
        description="Who is in a group with a higher number comes first in the queue, until others "
        "have waited for `gpus.reserve_after` longer, once for each number between.",
    )
    schedule: Schedule = Field((), description=SCHEDULE)
    until: Until | None = Field(None, description=UNTIL)


class User(Numbers):
    """What one person gets, whatever their groups say."""

    schedule: Schedule = Field((), description=SCHEDULE)
    until: Until | None = Field(None, description=UNTIL)


class Quotas(Section):
    """Who may use how much."""

    default: Limits = Field(default_factory=Limits, description="What everybody gets.")
    groups: dict[Word, Group] = Field(
        default_factory=dict,
        description="What members of a group get, by the group's name. Of several groups the most "
        "generous number counts; it replaces the default's even when it is smaller.",
    )
    users: dict[Word, User] = Field(
        default_factory=dict, description="What one person gets, by the name used in the lab."
    )
