"""Every sentence about the machine's GPUs themselves, for admins. Pure."""

from collections.abc import Iterable
from datetime import datetime

from spawner.gpu_health import GOOD_PROBES
from spawner.gpu_readings import Cause, Health
from spawner.messages.text import short

USED_BY_OTHERS = "A program that is no server of labhub uses it; it is free when that has ended."
CLAIMED = (
    "A container that is no server of labhub was given it; it is free when that has ended. One "
    "that only watches GPUs does not count if it gets nothing but the capability utility."
)
UNSEEN = "The driver knows no GPU of this UUID; compare gpus.devices with nvidia-smi -L."
OTHER_GPUS = (
    "This machine gave your server other GPUs than those it was to get, so it was removed before "
    "anybody could use it; start it without a GPU, and tell your administrator."
)
# For the log, behind which ones.
OTHER_GPUS_WHY = (
    "numbers of /dev/nvidia*. Compare nvidia-smi -L with what describes the GPUs to Docker, and "
    "describe them anew (nvidia-ctk cdi generate)"
)
_FOUND = {
    Cause.LOST: "The driver cannot reach it: look for Xid in the kernel's log, then reset the GPU "
    "or restart the machine.",
    Cause.ECC: "Its memory had {number} that could not be corrected: stop its servers and reset it "
    "(nvidia-smi --gpu-reset).",
    Cause.XID: "It reported the error Xid {number}: look for it in the kernel's log.",
}


def quarantined(health: Health) -> str:
    """Say why a GPU gets no new servers and what to do, "" for a healthy one."""
    if health.cause is None:
        return ""
    if not health.good_probes:
        return _found(health)
    left = GOOD_PROBES - health.good_probes
    probes = "1 more good probe" if left == 1 else f"{left} more good probes"
    return f"{_found(health)} It seems well again, and gets new servers after {probes}."


def report_is_old(since: datetime) -> str:
    """Say that nobody knows the GPUs' state; `since` is in the time zone of who reads it."""
    return (
        f"The GPU monitor has said nothing since {since:%Y-%m-%d %H:%M:%S}; what it said last "
        "still counts. Look at its container's log, and restart it."
    )


def in_quarantine(count: int) -> str:
    """Say on every page that GPUs are not given out, "" for none."""
    if count == 0:
        return ""
    which = "1 GPU is" if count == 1 else f"{count} GPUs are"
    return f"{which} in quarantine, without new servers: labhub device list says why."


def report_is_unreadable(why: str) -> str:
    """Say that the monitor wrote what the hub cannot read."""
    return f"What the GPU monitor wrote cannot be read ({short(why)}): run deploy/up again."


def overlapped(held: Iterable[str]) -> str:
    """Say what of a device, or around it, somebody has; "" for nothing."""
    ids = ", ".join(sorted(held))
    return (
        f"A server has {ids}, which is a part of it, or was until it was cut anew, or the whole; "
        "it is free when that server has ended."
        if ids
        else ""
    )


def unshared(device: str) -> str:
    """Say that what is to be shared is no device here."""
    return (
        f"gpus.share names {short(device)}, and no GPU here has this UUID, so nothing is shared by "
        "it; compare it with the list above."
    )


def driver_is_silent(why: str) -> str:
    """Say that the driver tells nothing now."""
    return f"NVIDIA's driver tells nothing about the GPUs ({short(why, 200)})."


def _found(health: Health) -> str:
    cause = health.cause or Cause.LOST
    number = str(health.number)
    if cause is Cause.ECC:
        number = "1 error" if health.number == 1 else f"{health.number} errors"
    return _FOUND[cause].format(number=number)
