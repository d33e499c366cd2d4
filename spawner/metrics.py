"""What the hub's /hub/metrics tells of the engine, the servers' ends and the GPUs.

Every label value exists from the start, so that "never happened" is a zero and not a gap.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from spawner.engine_calls import CALLS, LANES
from spawner.engine_errors import (
    ConflictError,
    EngineError,
    NotFoundError,
    RefusedError,
    UnavailableError,
)
from spawner.gpu_view import Sight
from spawner.runs import Reason

OUTCOMES: Final = ("ok", "not_found", "conflict", "refused", "unknown", "unavailable")
RESIZED: Final = ("done", "waits", "at_next_start", "failed")
LOADED: Final = ("valid", "invalid")
ACTIONS: Final = ("notify", "finish", "close", "record")

ENGINE_CALLS = Counter(
    "labhub_engine_calls_total",
    "Calls to the Docker engine, by lane, call and outcome",
    ["lane", "call", "outcome"],
)
ENGINE_SECONDS = Histogram(
    "labhub_engine_call_duration_seconds",
    "How long calls to the Docker engine took, queueing and retries included, by lane and outcome",
    ["lane", "outcome"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800),
)
ENGINE_UP = Gauge("labhub_engine_up", "Whether the Docker engine answered when last asked")
EVENT_LAG = Histogram(
    "labhub_event_lag_seconds",
    "From the moment the engine notes an event until the hub knows of it",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
RECONCILE_ACTIONS = Counter(
    "labhub_reconcile_actions_total",
    "What was done because the hub and the engine did not agree, by action",
    ["action"],
)
RESIZES = Counter(
    "labhub_resizes_total",
    "Changed limits of running servers, by what became of them",
    ["outcome"],
)
QUEUE_LENGTH = Gauge("labhub_queue_length", "Starts that wait for room")
QUEUE_WAITS = Histogram(
    "labhub_queue_wait_seconds",
    "From the wish for a server until there was room for it",
    buckets=(0.1, 1, 10, 60, 300, 900, 1800, 3600, 7200, 14400, 28800, 86400, 172800),
)
CONFIG_VALID = Gauge(
    "labhub_config_valid", "Whether labhub.yaml, as it stands in the file, is what holds"
)
CONFIG_LOADED = Gauge(
    "labhub_config_loaded_timestamp_seconds", "When labhub.yaml was last read, good or bad"
)
CONFIG_LOADS = Counter(
    "labhub_config_loads_total", "How often a changed labhub.yaml was read", ["outcome"]
)
ENDS = Counter("labhub_server_ends_total", "Ends of servers, by reason", ["reason"])

GPU_SEEN = Gauge(
    "labhub_gpu_seen", "Whether what is said of GPUs is true of this moment, as far as known"
)
GPU_HEALTHY = Gauge("labhub_gpu_healthy", "Whether a GPU is in no quarantine", ["device"])
GPU_OTHERS = Gauge(
    "labhub_gpu_used_by_others", "Whether a program that is no server uses a GPU", ["device"]
)
GPU_MEMORY = Gauge("labhub_gpu_memory_bytes", "The memory of a GPU", ["device", "model"])
GPU_USED = Gauge("labhub_gpu_memory_used_bytes", "How much memory of a GPU is held", ["device"])
GPU_BUSY = Gauge(
    "labhub_gpu_busy_ratio", "How much of the time a GPU computed, from 0 to 1", ["device"]
)


def tell_gpus(sight: Sight) -> None:
    """Say how the GPUs are now. A number that nobody knows is left out, as is a GPU that left."""
    GPU_SEEN.set(bool(sight.seen) and not sight.trouble)
    for gauge in (GPU_HEALTHY, GPU_OTHERS, GPU_MEMORY, GPU_USED, GPU_BUSY):
        gauge.clear()
    for each in sight.seen:
        GPU_HEALTHY.labels(each.id).set(each.healthy)
        GPU_OTHERS.labels(each.id).set(each.used_by_others or sight.is_claimed(each.id))
        if each.memory_bytes is not None:
            GPU_MEMORY.labels(each.id, each.model).set(each.memory_bytes)
        if each.used_bytes is not None:
            GPU_USED.labels(each.id).set(each.used_bytes)
        if each.busy_percent is not None:
            GPU_BUSY.labels(each.id).set(each.busy_percent / 100)


def outcome(error: EngineError | None) -> str:
    """Return the label for how a call went."""
    match error:
        case None:
            return "ok"
        case NotFoundError():
            return "not_found"
        case ConflictError():
            return "conflict"
        case RefusedError():
            return "refused"
        case UnavailableError():
            return "unavailable"
        case _:
            return "unknown"


def _create_all() -> None:
    """Make every label value exist."""
    for name, call in CALLS.items():
        for each in OUTCOMES:
            ENGINE_CALLS.labels(call.lane.name, name, each)
    for lane in LANES:
        for each in OUTCOMES:
            ENGINE_SECONDS.labels(lane.name, each)
    for action in ACTIONS:
        RECONCILE_ACTIONS.labels(action)
    for each in RESIZED:
        RESIZES.labels(each)
    for each in LOADED:
        CONFIG_LOADS.labels(each)
    for reason in Reason:
        ENDS.labels(reason.value)


_create_all()
