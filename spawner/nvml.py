"""What NVIDIA's driver library says, read through nvidia-ml-py.

Every number is read anew at each probe; one that this driver or this GPU does not know is None.
The library lists the GPUs when it is opened, and knows no others until it is opened anew. That is
done when the kernel lists others than before, and when something is wrong; not each time,
because closing it may let the driver put GPUs to sleep.
"""

import ctypes
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pynvml

from spawner.gpu_readings import Gpu, Process, Reading, Slice

log = logging.getLogger(__name__)

NO_LIBRARY = "no NVML here: this machine or this container has no libnvidia-ml.so.1"
NO_DRIVER = "no NVML here: NVIDIA's driver is not loaded"
# What a GPU answers that cannot be reached any more.
LOST = (pynvml.NVMLError_GpuIsLost, pynvml.NVMLError_GpuNotFound, pynvml.NVMLError_ResetRequired)
# What one that can be reached answers to a question that it does not know.
UNKNOWN = (
    pynvml.NVMLError_NotSupported,
    pynvml.NVMLError_FunctionNotFound,
    pynvml.NVMLError_NoPermission,
    pynvml.NVMLError_InvalidArgument,
)
# What says that there is nothing of what was asked for. Any other error leaves that open.
NONE = (pynvml.NVMLError_NotSupported, pynvml.NVMLError_FunctionNotFound)
FAILED = (pynvml.NVMLError, pynvml.NVMLLibraryMismatchError)
MOST_EVENTS = 1000


class Nvml:
    """NVML. For one thread at a time; a call may take as long as the driver likes."""

    def __init__(self, proc_dir: Path) -> None:
        """Open nothing yet; `proc_dir` is the machine's /proc, as this process sees it."""
        self._kernel_dir = proc_dir / "driver" / "nvidia"
        self._kernel: frozenset[str] = frozenset()
        self._is_open = False
        self._is_well = True
        self._xids: _Xids | None = None
        self._since: dict[str, int] = {}

    def kernel_devices(self) -> frozenset[str]:
        """Return what the kernel's driver has: GPUs by PCI address, and the parts of each."""
        places = ("gpus/*", "capabilities/gpu*/mig/gi*/ci*")
        try:
            return frozenset(str(each) for place in places for each in self._kernel_dir.glob(place))
        except OSError:
            return frozenset()

    def read(self) -> Reading:
        """Return what there is; never raises for what NVML says."""
        try:
            xids = self._begin()
            return self._read(xids)
        except pynvml.NVMLError_LibraryNotFound:
            return Reading(trouble=NO_LIBRARY)
        except pynvml.NVMLError_DriverNotLoaded:
            self._end()
            return Reading(trouble=NO_DRIVER)
        except FAILED as error:
            self._end()
            return Reading(trouble=f"NVML: {error}")

    def _begin(self) -> dict[str, list[int]]:
        """Open the library where that is due; return the new Xids of each GPU."""
        xids = self._xids.take() if self._xids is not None else {}
        kernel = self.kernel_devices()
        if self._is_open and (kernel != self._kernel or not self._is_well):
            self._end()
        if not self._is_open:
            pynvml.nvmlInit()
            self._is_open, self._kernel = True, kernel
            self._xids = _Xids(_handles())
        return xids

    def _end(self) -> None:
        if self._xids is not None:
            self._xids.close()
            self._xids = None
        if self._is_open:
            self._is_open = False
            _or_none(pynvml.nvmlShutdown)

    def _read(self, xids: dict[str, list[int]]) -> Reading:
        wanted = pynvml.nvmlDeviceGetCount()
        gpus = tuple(self._gpu(uuid, handle, xids) for uuid, handle in _handles())
        self._is_well = len(gpus) == wanted and not any(each.is_lost for each in gpus)
        return Reading(gpus, _or_none(pynvml.nvmlSystemGetDriverVersion) or "")

    def _gpu(self, uuid: str, handle: object, xids: dict[str, list[int]]) -> Gpu:
        found = tuple(xids.get(uuid, ()))
        try:
            return self._whole(uuid, handle, _memory(handle), found)
        except FAILED as error:
            log.warning("%s: %s", uuid, error)
            return Gpu(uuid, is_lost=True, xids=found)

    def _whole(self, uuid: str, handle: object, memory: "_Memory", xids: tuple[int, ...]) -> Gpu:
        load = _number(pynvml.nvmlDeviceGetUtilizationRates, handle)
        mode = _if_any(pynvml.nvmlDeviceGetMigMode, handle)
        is_mig = mode is not None and mode[0] == pynvml.NVML_DEVICE_MIG_ENABLE
        return Gpu(
            uuid=uuid,
            model=_number(pynvml.nvmlDeviceGetName, handle) or "",
            minor=_number(pynvml.nvmlDeviceGetMinorNumber, handle),
            memory_bytes=memory.total,
            used_bytes=memory.used,
            busy_percent=None if load is None else load.gpu,
            ecc_errors=_ecc_errors(handle),
            is_mig=is_mig,
            xids=xids,
            slices=tuple(_slices(handle)) if is_mig else (),
            processes=_processes(handle, self._busy(uuid, handle), is_mig=is_mig),
        )

    def _busy(self, uuid: str, handle: object) -> dict[int, int] | None:
        """Return how busy each process was at most since the last look; None: nobody can tell."""
        since = self._since.get(uuid, 0)
        try:
            samples = pynvml.nvmlDeviceGetProcessUtilization(handle, since)
        except (pynvml.NVMLError_NotFound, pynvml.NVMLError_NoData):
            return {}
        except FAILED as error:
            # A call that found nothing to report says success, which nvidia-ml-py takes for wrong.
            return {} if getattr(error, "value", None) == pynvml.NVML_SUCCESS else None
        busy: dict[int, int] = {}
        for each in samples:
            busy[each.pid] = max(busy.get(each.pid, 0), each.smUtil)
        self._since[uuid] = max([since, *(each.timeStamp for each in samples)])
        return busy


class _Xids:
    """Waits for errors of these GPUs. The driver tells each once, and only to who waits."""

    def __init__(self, handles: Iterator[tuple[str, Any]]) -> None:
        self._uuids: dict[int | None, str] = {}
        self._events = _or_none(pynvml.nvmlEventSetCreate)
        if self._events is None:
            return
        for uuid, handle in handles:
            wanted = pynvml.nvmlEventTypeXidCriticalError
            _or_none(pynvml.nvmlDeviceRegisterEvents, handle, wanted, self._events)
            self._uuids[_address(handle)] = uuid

    def take(self) -> dict[str, list[int]]:
        """Return what came since the last time, by UUID."""
        found: dict[str, list[int]] = {}
        for _ in range(MOST_EVENTS if self._events is not None else 0):
            event = _or_none(pynvml.nvmlEventSetWait_v2, self._events, 0)
            if event is None:
                break
            uuid = self._uuids.get(_address(event.device), "")
            log.warning("Xid %s on %s", event.eventData, uuid or "an unknown GPU")
            found.setdefault(uuid, []).append(event.eventData)
        return found

    def close(self) -> None:
        """Wait no more."""
        if self._events is not None:
            _or_none(pynvml.nvmlEventSetFree, self._events)


def _handles() -> Iterator[tuple[str, Any]]:
    """Yield each GPU that can be reached; one that fell off the bus may have no name any more."""
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            yield pynvml.nvmlDeviceGetUUID(handle), handle
        except FAILED as error:
            log.warning("GPU %d: %s", index, error)


def _slices(gpu: object) -> Iterator[Slice]:
    """Yield the slices of a GPU as they are now; the numbers of some places are empty."""
    for index in range(_if_any(pynvml.nvmlDeviceGetMaxMigDeviceCount, gpu) or 0):
        try:
            handle = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index)
        except pynvml.NVMLError_NotFound:
            continue
        memory = _or_none(_memory, handle) or _Memory()
        yield Slice(
            uuid=pynvml.nvmlDeviceGetUUID(handle),
            model=_or_none(pynvml.nvmlDeviceGetName, handle) or "",
            memory_bytes=memory.total,
            used_bytes=memory.used,
            processes=_processes(handle, None),
        )


def _processes(
    handle: object, busy: dict[int, int] | None, *, is_mig: bool = False
) -> tuple[Process, ...]:
    """Return the programs that compute or draw there, each once.

    Of a GPU in MIG mode only who has every right is told of all; its slices tell of their own.
    """
    try:
        found = [*_running("Compute", handle), *_running("Graphics", handle)]
    except pynvml.NVMLError_NoPermission:
        if not is_mig:
            raise
        found = []
    once = {each.pid: each for each in reversed(found)}
    return tuple(
        Process(each.pid, each.usedGpuMemory, None if busy is None else busy.get(each.pid, 0))
        for each in reversed(once.values())
    )


def _running(kind: str, handle: object) -> list[Any]:
    """Return the programs of one kind; older drivers know only an older way of asking."""
    for version in ("v3", "v2"):
        ask = getattr(pynvml, f"nvmlDeviceGet{kind}RunningProcesses_{version}")
        found: list[Any] | None = _if_any(ask, handle)
        if found is not None:
            return found
    return []


@dataclass(frozen=True, slots=True)
class _Memory:
    total: int | None = None
    used: int | None = None


def _memory(handle: object) -> _Memory:
    """Return a GPU's memory; raises what NVML says where the GPU cannot be reached."""
    try:
        found = pynvml.nvmlDeviceGetMemoryInfo(handle)
    except UNKNOWN:
        return _Memory()
    return _Memory(found.total, found.used)


def _ecc_errors(handle: object) -> int | None:
    kind, since_reset = pynvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, pynvml.NVML_VOLATILE_ECC
    count: int | None = _number(pynvml.nvmlDeviceGetTotalEccErrors, handle, kind, since_reset)
    return count


def _number(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - untyped
    """Return what a function says, None for a number that nobody has; raises what LOST names."""
    try:
        return function(*arguments)
    except LOST:
        raise
    except FAILED:
        return None


def _if_any(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - untyped
    """Return what a function says, None where there is no such thing; raises any other error.

    A GPU whose slices or programs are not told is not known: it must not look free.
    """
    try:
        return function(*arguments)
    except NONE:
        return None


def _or_none(function: Callable[..., Any], *arguments: object) -> Any:  # noqa: ANN401 - untyped
    """Return what a function says, None for any error."""
    try:
        return function(*arguments)
    except FAILED:
        return None


def _address(handle: object) -> int | None:
    """Return what tells one handle from another."""
    return ctypes.cast(handle, ctypes.c_void_p).value  # type: ignore[arg-type]
