"""Whether anybody or anything uses a server. Pure.

    a person     the server says when it last did something for one (JupyterHub's activity), and
                 JupyterLab when keyboard or mouse were last touched
    a program    more processor time than the server takes for itself, use of a GPU, a busy kernel

A server is idle when nothing of this happened for its limit, and it then said itself that no
kernel is busy. Unknown is not idle: processor time that nobody measures and a server that does not
answer end nothing. Moments are those of a clock that only runs forward, so a wall clock that is set
changes nothing; a hub that has just begun knows nothing of before: its first look counts as use.
"""

from dataclasses import dataclass
from datetime import datetime

from spawner.times import warnings

# In cores. A server with an open JupyterLab takes about one hundredth of a core.
BUSY_CORES = 0.02
# A program that has computed since the first look must not pass for the server itself.
BASELINE_MOST_CORES = 0.05
LEAST_MEASURE_SECONDS = 0.5
# Servers tell their activity every 5 min, give or take a tenth.
REPORT_SECONDS = 360
ASK_AGAIN_SECONDS = 20
# Processor time for an answer: a hundredth of a second on a quick machine, three on a slow one.
ANSWER_CPU_SECONDS = 0.1


@dataclass(slots=True)
class Use:
    """What is known of the use of one server since `last`, the first look or the last use."""

    last: float
    said: datetime | None = None
    answered: datetime | None = None
    cpu_seconds: float | None = None
    cpu_at: float = 0.0
    baseline_cores: float = BASELINE_MOST_CORES
    is_measured: bool = False
    busy_at: datetime | None = None
    gpu_busy_at: datetime | None = None
    asked_at: float | None = None
    answer_cpu_seconds: float = 0.0
    is_quiet: bool = False

    def idle_for(self, steady: float) -> float:
        """Return for how many seconds nothing has used it, as far as is known without asking."""
        return max(0.0, steady - self.last)

    def is_idle(self, limit_seconds: int | None, steady: float) -> bool:
        """Whether it may be ended for not being used."""
        if limit_seconds is None or not self.is_measured or self.idle_for(steady) < limit_seconds:
            return False
        asked_in_time = self.asked_at is not None and self.asked_at >= self.last + limit_seconds
        return asked_in_time and self.is_quiet

    def is_due_to_be_asked(self, limit_seconds: int | None, steady: float) -> bool:
        """Whether to ask the server: once before its user is warned, and once the limit is over."""
        if limit_seconds is None:
            return False
        warned_from = limit_seconds - warnings(limit_seconds)[0]
        if self.idle_for(steady) < warned_from:
            return False
        if self.asked_at is None or self.asked_at < self.last + warned_from:
            return True
        if self.idle_for(steady) < limit_seconds:
            return False
        return self.asked_at < self.last + limit_seconds or (
            steady - self.asked_at >= ASK_AGAIN_SECONDS
        )

    # what was seen

    def used(self, steady: float) -> None:
        """Something used it, at this moment or a while ago."""
        self.last = max(self.last, steady)

    def hub_says(self, said: datetime | None, now: datetime, steady: float) -> None:
        """JupyterHub knows of activity; only another moment than before is news."""
        if said != self.said:
            self.said = said
            self._did_something(said, now, steady)

    def measure(self, cpu_seconds: float | None, now: datetime, steady: float) -> None:
        """Compare its processor time with the last look. None: nobody can tell."""
        before, since = self.cpu_seconds, steady - self.cpu_at
        if cpu_seconds is not None and before is not None and since < LEAST_MEASURE_SECONDS:
            return
        self.cpu_seconds, self.cpu_at = cpu_seconds, steady
        self.is_measured = cpu_seconds is not None
        if cpu_seconds is None or before is None:
            self.used(steady)
            return
        spent = max(0.0, cpu_seconds - before)
        if self._without_answer(spent) / since > self.baseline_cores + BUSY_CORES:
            self.busy_at = now
            self.used(steady)
        self.baseline_cores = min(self.baseline_cores, spent / since)

    def gpu_is_busy(self, now: datetime, steady: float) -> None:
        """One of its GPUs computes."""
        self.gpu_busy_at = now
        self.used(steady)

    def asks(self) -> None:
        """The server is asked from now on: what it computes next is its answer."""
        self.answer_cpu_seconds = ANSWER_CPU_SECONDS

    def answer(self, answered: "Answer | None", now: datetime, steady: float) -> None:
        """The server told what its kernels do. None: it did not, so nobody knows."""
        self.asked_at, self.is_quiet = steady, answered is not None and not answered.is_busy
        if answered is None:
            return
        if answered.is_busy:
            self.used(steady)
        if answered.last_activity != self.answered:
            is_news = self.answered is not None or _is_later(answered.last_activity, self.said)
            self.answered = answered.last_activity
            if is_news:
                self._did_something(answered.last_activity, now, steady)

    def _without_answer(self, spent_seconds: float) -> float:
        """Return processor time without what may have gone into the last answer."""
        other = max(0.0, spent_seconds - self.answer_cpu_seconds)
        self.answer_cpu_seconds -= spent_seconds - other
        return other

    def _did_something(self, moment: datetime | None, now: datetime, steady: float) -> None:
        """The server did something for a person at a moment of a clock that may have been set."""
        ago = (now - moment).total_seconds() if moment is not None else 0.0
        self.used(steady - min(max(ago, 0.0), REPORT_SECONDS))


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server says of itself: whether a kernel computes, when it last did anything."""

    is_busy: bool
    last_activity: datetime | None


def _is_later(moment: datetime | None, than: datetime | None) -> bool:
    return moment is not None and (than is None or moment > than)
