"""Which GPUs a container that runs can reach: the kernel's word, where inspect is the engine's.

    cgroup version 1    the container's devices.list names what it may open
    otherwise           the nodes in its /dev, as the machine's /proc shows them

Whoever cannot look knows nothing: that is no sign that something is wrong.
"""

import ctypes
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spawner.cgroups import Places, text
from spawner.gpu_monitor import container_of

# NVIDIA's devices by their numbers; those above the GPUs' are nvidiactl and the like.
# ref: NVIDIA/open-gpu-kernel-modules, kernel-open/common/inc/nv-chardev-numbers.h
MAJOR = 195
GPUS = frozenset(range(248))


class Nodes:
    """Looks at the containers of one machine."""

    def __init__(self, cgroup_dir: Path, proc_dir: Path) -> None:
        """Look at nothing yet; both are the machine's, as this process sees them."""
        self._cgroup_dir, self._proc_dir = cgroup_dir, proc_dir
        self._places = Places()

    def read(self, container: str, pid: int, uid: int) -> frozenset[int] | None:
        """Return the minor numbers of the GPUs that a container has, None where nobody can tell.

        `pid` is its first process on the machine, which runs as `uid`. Never raises.
        """
        try:
            place = self._places.find(f"{self._cgroup_dir}/devices", container)
            if place is not None:
                return permitted(text(f"{place}/devices.list"))
            return self._nodes(container, pid, uid)
        except (OSError, ValueError):
            return None

    def _nodes(self, container: str, pid: int, uid: int) -> frozenset[int] | None:
        """Return what is in its /dev; None for a process that is not, or not only, there."""
        process = f"{self._proc_dir}/{pid}"
        if pid <= 0 or container_of(text(f"{process}/cgroup")) != container:
            return None
        with _as_user(uid):
            # A link would be followed to what is here.
            file = os.open(f"{process}/root/dev", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            with os.scandir(file) as entries:
                found = [each.stat(follow_symlinks=False) for each in entries]
        finally:
            os.close(file)
        devices = [each.st_rdev for each in found if stat.S_ISCHR(each.st_mode)]
        return GPUS & {os.minor(each) for each in devices if os.major(each) == MAJOR}


def permitted(listed: str) -> frozenset[int]:
    """Return the GPUs that a devices.list lets a container open. Raises ValueError."""
    found: set[int] = set()
    for line in listed.splitlines():
        kind, number, access = line.split()
        major, minor = number.split(":")
        if kind in {"a", "c"} and major in {"*", str(MAJOR)} and {"r", "w"} & set(access):
            found |= GPUS if minor == "*" else {int(minor)}
    return GPUS & found


@contextmanager
def _as_user(uid: int) -> Iterator[None]:
    """Let this thread, and no other, open files as this user.

    The kernel shows what a process sees to whoever it runs as. Root would need a right over all
    processes of the machine (CAP_SYS_PTRACE), which the hub does not have.
    """
    # Not os.setresuid: that changes all threads. ref: setfsuid(2)
    libc = ctypes.CDLL(None)
    group, user = libc.setfsgid(uid), libc.setfsuid(uid)
    try:
        yield
    finally:
        libc.setfsuid(user)
        libc.setfsgid(group)
