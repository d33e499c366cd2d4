"""What is known of one server's time at a moment, and what of it people see. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from spawner import times
from spawner.budget import Level, Standing
from spawner.idleness import Use
from spawner.messages import budgets as budget_messages
from spawner.messages import times as messages
from spawner.quota import Quota
from spawner.runs import Run

# How often times are worked out: often enough for the shortest limit, and no more.
SLOWEST_SECONDS, FASTEST_SECONDS = 30.0, 0.5
LOOKS_PER_LIMIT = 20


@dataclass(frozen=True, slots=True)
class Timepiece:
    """A server's run, what its quota says about time, what uses it; `now` and `steady` agree.

    `standing` is that of its user's GPU time as of the last round; None where there is nothing to
    say of it. `awaited`: somebody waits for the server's end.
    """

    run: Run
    allowed: Quota
    use: Use
    now: datetime
    steady: float
    standing: Standing | None = None
    awaited: bool = False

    @property
    def left_seconds(self) -> float | None:
        """How long the session still lasts; None: as long as its user likes."""
        ends_at = self.run.ends_at
        return None if ends_at is None else max(0.0, (ends_at - self.now).total_seconds())

    @property
    def is_warned(self) -> bool:
        """Whether the end of the session is near enough to be told."""
        return self.run.ends_at is not None and self.run.warned_at is not None

    @property
    def idle_left_seconds(self) -> float | None:
        """How long it may go on without use; None: nobody minds, or nobody can tell."""
        limit = self.allowed.idle_seconds
        if limit is None or not self.use.is_measured:
            return None
        return max(0.0, limit - self.use.idle_for(self.steady))

    @property
    def is_idle_soon(self) -> bool:
        """Whether it is about to be ended for not being used, as far as is known."""
        limit, left = self.allowed.idle_seconds, self.idle_left_seconds
        if limit is None or left is None or self.use.asked_at is None:
            return False
        return self.use.is_quiet and left <= times.warnings(limit)[0]

    @property
    def is_idle(self) -> bool:
        """Whether it may be ended for not being used."""
        return self.use.is_idle(self.allowed.idle_seconds, self.steady)

    @property
    def limits(self) -> tuple[float, ...]:
        """What is so short that times must be worked out often enough for it."""
        found = (
            self.allowed.session_seconds,
            self.allowed.idle_seconds,
            self.standing and self.standing.grace_seconds,
            self.standing and self.standing.account.allowed_seconds,
        )
        return tuple(each for each in found if each is not None)

    @property
    def extension(self) -> times.Extension:
        """What an extension would give now, or why there is none."""
        return times.extension(self.run, self.allowed, self.now, awaited=self.awaited)

    def shown(self) -> dict[str, Any]:
        """Return what pages and JupyterLab show, as JSON has it; `{left}` stands for the rest."""
        more = self.extension
        return {
            "ends_at": None if self.run.ends_at is None else self.run.ends_at.isoformat(),
            "left_seconds": self.left_seconds,
            "left": "" if self.left_seconds is None else messages.span(self.left_seconds),
            "warning": self._session_warning() if self.is_warned else "",
            "warnings": times.warnings(self.run.session_seconds or 0),
            "extend": messages.button(more),
            "no_extension": messages.no_extension(more) if self.is_warned else "",
            "idle_left_seconds": self.idle_left_seconds if self.is_idle_soon else None,
            "idle_left": messages.span(self.idle_left_seconds or 0) if self.is_idle_soon else "",
            "idle_warning": (
                messages.idle_warning(self.allowed.idle_seconds or 0) if self.is_idle_soon else ""
            ),
            "idle_warnings": times.warnings(self.allowed.idle_seconds or 0),
            **self._gpu_time(),
        }

    def _gpu_time(self) -> dict[str, Any]:
        """Return the same of GPU time; `gpu_step` grows with each warning that is another one."""
        standing = self.standing
        if standing is None or standing.account.level is Level.FAR:
            return {"gpu_step": 0, "gpu_warning": "", "gpu_left_seconds": None, "gpu_left": "",
                    "gpu_warnings": ()}  # fmt: skip
        level, ends_in = standing.account.level, standing.ends_in_seconds
        left = standing.account.lasts_seconds if ends_in is None else ends_in
        if left is not None:  # of the last round
            left = max(0.0, left - max(0.0, self.steady - standing.at))
        return {
            "gpu_step": int(level),
            "gpu_warning": budget_messages.warning(standing),
            "gpu_left_seconds": left,
            "gpu_left": "" if left is None else messages.span(left),
            "gpu_warnings": () if ends_in is None else times.warnings(standing.grace_seconds),
        }

    def _session_warning(self) -> str:
        return messages.session_warning(self.run.session_seconds or 0)


def pace(pieces: Iterable[Timepiece]) -> float:
    """Return how many seconds to wait before times are worked out again."""
    limits = [seconds for each in pieces for seconds in each.limits]
    shortest = min(limits, default=SLOWEST_SECONDS * LOOKS_PER_LIMIT)
    return min(SLOWEST_SECONDS, max(FASTEST_SECONDS, shortest / LOOKS_PER_LIMIT))
