"""Which GPUs are in quarantine, from one probe to the next. Pure.

    lost    the driver cannot reach the GPU, or does not name it any more (it fell off the bus)
    ecc     its memory had errors that could not be corrected; they count until it is reset
    xid     the driver reported an error of the GPU itself, not of a program on it

A GPU in quarantine keeps the servers that it has and gets no new ones, until three probes in a row
found nothing wrong. One that is not seen is not gone: it stays, as it was when last seen. Slices
that a GPU does not have any more are remembered with it: somebody may still have one.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from spawner.gpu_readings import WELL, Cause, Gpu, Health, Reading

GOOD_PROBES: Final = 3
# Seven at most are there at once.
MOST_FORMER: Final = 256
# Errors of programs. ref: NVIDIA's list of Xid errors; k8s-device-plugin ignores the same ones
OF_PROGRAMS: Final = frozenset({13, 31, 43, 45, 68, 109})


def follow(known: Iterable[Gpu], reading: Reading) -> Reading:
    """Return a reading with the health of each GPU, and with those that it does not name.

    `known` are the GPUs of the probe before. Where the driver tells nothing at all, nothing changes
    but what is said about that.
    """
    before = {each.uuid: each for each in known}
    if reading.trouble:
        return replace(reading, gpus=tuple(_silent(each) for each in before.values()))
    seen = {each.uuid: _probed(before.get(each.uuid), each) for each in reading.gpus}
    missing = [_vanished(each) for uuid, each in before.items() if uuid not in seen]
    return replace(reading, gpus=(*seen.values(), *missing))


def judge(before: Health, probe: Gpu) -> Health:
    """Return a GPU's health after a probe."""
    found = _wrong(probe)
    if found is not None:
        return found
    if before.cause is None:
        return WELL
    good = before.good_probes + 1
    return WELL if good >= GOOD_PROBES else replace(before, good_probes=good)


def _wrong(probe: Gpu) -> Health | None:
    """Return what is wrong with a GPU now, the worst first."""
    if probe.is_lost:
        return Health(Cause.LOST)
    if probe.ecc_errors:
        return Health(Cause.ECC, probe.ecc_errors)
    own = [number for number in probe.xids if number not in OF_PROGRAMS]
    return Health(Cause.XID, own[-1]) if own else None


def _probed(before: Gpu | None, probe: Gpu) -> Gpu:
    """Return a GPU with its health; of a lost one, what was known of it."""
    health = judge(before.health if before is not None else WELL, probe)
    if probe.is_lost and before is not None:
        return replace(_silent(before), is_lost=True, xids=probe.xids, health=health)
    return replace(probe, health=health, former_slices=_former(before, probe))


def _former(before: Gpu | None, probe: Gpu) -> tuple[str, ...]:
    """Return the slices that a GPU once had and has not now."""
    if before is None:
        return probe.former_slices
    now = {each.uuid for each in probe.slices}
    ever = dict.fromkeys((*before.former_slices, *(each.uuid for each in before.slices)))
    return tuple(each for each in ever if each not in now)[-MOST_FORMER:]


def _vanished(before: Gpu) -> Gpu:
    return replace(_silent(before), is_lost=True, health=Health(Cause.LOST))


def _silent(before: Gpu) -> Gpu:
    """Return a GPU without what is only true of one moment; who has it open is not forgotten."""
    return replace(before, busy_percent=None, xids=())
