"""What can go wrong between the hub and an engine: calls that fail, event streams that lie."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from enum import StrEnum

from tests.lib.http_wire import Call

FOREVER = 10**9


class Kind(StrEnum):
    """What happens to a call, or (from DUPLICATE on) to each line of the event stream."""

    REFUSE = "refuse"  # closed at once; the engine never hears of the call
    LOST = "lost"  # the engine does it; the connection is closed instead of an answer
    HANG = "hang"  # no answer, and the engine never hears of it; closed when cleared
    LATE = "late"  # no answer; the engine does it when the fault is cleared
    SLOW = "slow"  # passed on after `seconds`
    DRIP = "drip"  # one byte of the answer each `seconds`
    ERROR = "error-500"  # the engine never hears of it
    GONE_ONCE = "404-once"  # the same, for the next call only
    TRUNCATED = "truncated"  # closed in the middle of the answer's body
    HALF_JSON = "half-json"  # a whole answer with half of its body
    DUPLICATE = "duplicate"  # every event twice
    DELAY = "delay"  # every event `seconds` after it happened
    REORDER = "reorder"  # neighbours swapped; a single one comes `seconds` late
    DROP = "drop"  # no event at all
    CUT = "cut"  # the stream ends instead of an event
    CUT_LINE = "cut-line"  # the stream ends in the middle of an event
    GARBLE = "garble"  # half of an event as if it were a whole one


STREAM_KINDS = frozenset(
    {Kind.DUPLICATE, Kind.DELAY, Kind.REORDER, Kind.DROP, Kind.CUT, Kind.CUT_LINE, Kind.GARBLE}
)
CALL_KINDS = frozenset(Kind) - STREAM_KINDS


@dataclass(eq=False)
class Fault:
    """What happens to the calls of `method` whose path, without version, contains a match.

    `text` is what an event must contain to be meant.
    """

    kind: Kind
    method: str = "*"
    path: str = ""
    where: Callable[[Call], bool] = lambda _call: True
    seconds: float = 1.0
    times: int = FOREVER
    hits: int = 0
    text: str = ""
    cleared: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        """Let the kinds that happen once happen once."""
        if self.kind is Kind.GONE_ONCE:
            self.times = 1

    def meets(self, call: Call, kinds: frozenset[Kind], line: bytes = b"") -> bool:
        """Whether this call, or this line of the event stream that answers it, is meant."""
        return (
            self.kind in kinds
            and self.hits < self.times
            and self.method in {"*", call.method}
            and re.search(self.path, call.path) is not None
            and self.text.encode() in line
            and self.where(call)
        )


class Closed(Exception):
    """The connection to the client has to end now."""


async def spoiled(
    body: AsyncIterator[bytes], hit: Callable[[bytes], Fault | None]
) -> AsyncIterator[bytes]:
    """Yield the lines of an event stream; `hit` names the fault, if any, that meets each one."""
    lines = _whole_lines(body)
    coming = asyncio.ensure_future(anext(lines, b""))
    try:
        while line := await coming:
            coming = asyncio.ensure_future(anext(lines, b""))
            fault = hit(line)
            if fault is not None and fault.kind is Kind.REORDER:
                await asyncio.wait({coming}, timeout=fault.seconds)
                if coming.done() and (other := coming.result()):
                    coming = asyncio.ensure_future(anext(lines, b""))
                    yield other
            async for changed in _changed(line, fault):
                yield changed
    finally:
        coming.cancel()


async def _changed(line: bytes, fault: Fault | None) -> AsyncIterator[bytes]:
    """Yield what becomes of one line."""
    match fault and fault.kind:
        case None | Kind.REORDER:
            yield line
        case Kind.DUPLICATE:
            yield line
            yield line
        case Kind.DELAY:
            due = json.loads(line)["timeNano"] / 1e9 + (fault.seconds if fault else 0)
            await asyncio.sleep(max(0.0, due - time.time()))
            yield line
        case Kind.CUT:
            raise Closed
        case Kind.CUT_LINE:
            yield line[: len(line) // 2]
            raise Closed
        case Kind.GARBLE:
            yield line[: len(line) // 2] + b"\n"


async def _whole_lines(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """Yield lines with their ends, however the pieces are cut."""
    rest = b""
    async for piece in body:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            yield line + b"\n"
