"""From plain facts to the Engine API's create request. Pure; the body is posted as it is.

    ours                  Docker's                               why
    --------------------  -------------------------------------  ---------------------------------
    quota.cpus            CpuPeriod 100000, CpuQuota             NanoCpus excludes CpuPeriod
    quota.memory_bytes    Memory == MemorySwap                   equal: no swap on top
    quota.shm_bytes       ShmSize                                the engine's default is 64 MiB
    quota.pids            PidsLimit                              a fork bomb stays in its container
    account.uid           User "uid:gid"                         a uid of one's own, never root
    volume                Mounts type=volume at `notebooks`      the only place that lasts; HOME
    bundle                Mounts type=volume, read-only          the server, not part of the image
    passwd, group         Mounts type=bind, read-only            the uid has a name
    storage.shared        Mounts type=bind, mostly read-only     data that is there once for all
    devices               DeviceRequests, by UUID                what nobody else has
    no other GPU          Runtime runc, NVIDIA_VISIBLE_DEVICES   an image that says "all" gets none,
                          =void (last), NOTHING_ELSE             even with nvidia as the default

What is absent is as much a decision: no Privileged, no Binds, no CapAdd, no Devices, no empty
DeviceRequests (that means all GPUs on most engines), no published ports.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from spawner.devices import Device, requests, variables
from spawner.quota import Quota
from spawner.runs import Holder

if TYPE_CHECKING:
    from hub_config.schema import Config

BUNDLE_MOUNT = "/opt/labserver"
# -I: neither the image's PYTHONPATH nor the user's site-packages reach the server.
SERVER_COMMAND = (f"{BUNDLE_MOUNT}/bin/python3", "-I", "-m", "jupyterhub.singleuser")
CPU_PERIOD_MICROSECONDS = 100_000
# An engine inside a container of its own cannot raise a limit above its own, often 20,000.
OPEN_FILES = 16_384
STOP_SECONDS = 10
LOG_OPTIONS = {"max-size": "10m", "max-file": "3"}

# What images say to NVIDIA's toolkit, which adds to a server's own GPUs: channels between machines,
# other drivers' devices, the right to change slices. Empty is no (ref: nvidia-container-toolkit
# cmd/nvidia-container-runtime-hook/container_config.go, internal/modifier/cdi.go).
NOTHING_ELSE = dict.fromkeys(
    (
        "NVIDIA_IMEX_CHANNELS", "NVIDIA_MIG_CONFIG_DEVICES", "NVIDIA_MIG_MONITOR_DEVICES",
        "NVIDIA_GDS", "NVIDIA_MOFED", "NVIDIA_NVSWITCH", "NVIDIA_GDRCOPY",
    ),
    "",
)  # fmt: skip

# What only the store knows of a run otherwise (spawner/recall.py).
RUN_LABEL = "labhub.run"

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class SharedDirectory:
    """A directory of the machine, where it is in the container, and whether to write there."""

    path: str
    mount: str
    is_writable: bool


@dataclass(frozen=True, slots=True)
class Server:
    """Everything that decides how one server's container is made."""

    instance: str
    network: str
    bundle: str
    user: str
    server: str
    key: str
    uid: int
    image_key: str
    image: str
    volume: str
    notebooks: str
    root_dir: str
    shell: str
    passwd_path: str
    group_path: str
    quota: Quota
    shared: tuple[SharedDirectory, ...] = ()
    groups: frozenset[str] = frozenset()
    devices: tuple[Device, ...] = ()


def identity_labels(instance: str, user: str, server: str) -> dict[str, str]:
    """Return the labels by which a server's containers are found again."""
    return {
        "labhub.instance": instance,
        "labhub.role": "server",
        "labhub.user": user,
        "labhub.server": server,
    }


def holder_of(labels: Mapping[str, str]) -> Holder:
    """Return whose server carries these labels."""
    return Holder(labels.get("labhub.user", ""), labels.get("labhub.server", ""))


def run_label(server: Server) -> str:
    """Return what a run is noted with and the engine does not know, as JSON."""
    quota = server.quota
    kept = {
        "gpus": quota.gpus,
        "devices": [each.id for each in server.devices],
        "alone": [each.id for each in server.devices if each.places == 1],
        "groups": sorted(server.groups),
        "session_seconds": quota.session_seconds,
        "idle_seconds": quota.idle_seconds,
        "extend_seconds": quota.extend_seconds,
    }
    return json.dumps(kept)


def volume_labels(instance: str, user: str, key: str) -> dict[str, str]:
    """Return the labels of the volume that lasts."""
    return {
        "labhub.instance": instance,
        "labhub.role": "volume",
        "labhub.user": user,
        "labhub.account": key,
    }


def create_body(
    server: Server, hub_environment: Mapping[str, str], arguments: tuple[str, ...] = ()
) -> Body:
    """Return the body of POST /containers/create for one start of one server."""
    return {
        "Image": server.image,
        "Entrypoint": list(SERVER_COMMAND),
        "Cmd": list(arguments),
        "User": f"{server.uid}:{server.uid}",
        "WorkingDir": server.root_dir,
        "Hostname": server.user,
        "Env": [f"{key}={value}" for key, value in environment(server, hub_environment).items()],
        "Labels": {
            **identity_labels(server.instance, server.user, server.server),
            "labhub.account": server.key,
            "labhub.image": server.image_key,
            RUN_LABEL: run_label(server),
        },
        "StopSignal": "SIGTERM",
        "StopTimeout": STOP_SECONDS,
        "HostConfig": host_config(server),
    }


def environment(server: Server, hub_environment: Mapping[str, str]) -> dict[str, str]:
    """Return the container's environment: the hub's, then ours, and the GPU rules last of all."""
    ours = {
        "HOME": server.notebooks,
        "USER": server.user,
        "LOGNAME": server.user,
        "SHELL": server.shell,
        "LABHUB_NOTEBOOKS": server.notebooks,
        "JUPYTERHUB_ROOT_DIR": server.root_dir,
        **variables(server.devices, server.notebooks),
    }
    last = {**NOTHING_ELSE, "NVIDIA_VISIBLE_DEVICES": "void"}
    merged = {key: value for key, value in {**hub_environment, **ours}.items() if key not in last}
    return {**merged, **last}


def host_config(server: Server) -> Body:
    """Return the limits, the mounts and everything that keeps the container in its place."""
    quota = server.quota
    return {
        **requests(server.devices),
        "Runtime": "runc",
        "Init": True,
        "NetworkMode": server.network,
        "IpcMode": "private",
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        "Memory": quota.memory_bytes,
        "MemorySwap": quota.memory_bytes,
        "CpuPeriod": CPU_PERIOD_MICROSECONDS,
        "CpuQuota": round(quota.cpus * CPU_PERIOD_MICROSECONDS),
        "PidsLimit": quota.pids,
        "ShmSize": quota.shm_bytes,
        "Ulimits": [
            {"Name": "nofile", "Soft": OPEN_FILES, "Hard": OPEN_FILES},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "LogConfig": {"Type": "json-file", "Config": dict(LOG_OPTIONS)},
        "Mounts": mounts(server),
    }


def mounts(server: Server) -> list[Body]:
    """Return what the container sees of the world: its server, its files, its own name."""
    return [
        _volume(server.bundle, BUNDLE_MOUNT, read_only=True),
        _volume(server.volume, server.notebooks, read_only=False),
        _bind(server.passwd_path, "/etc/passwd", read_only=True),
        _bind(server.group_path, "/etc/group", read_only=True),
        *(_bind(each.path, each.mount, read_only=not each.is_writable) for each in server.shared),
    ]


def shared_for(config: "Config", groups: Collection[str]) -> tuple[SharedDirectory, ...]:
    """Return the directories that all servers see, as a member of these groups has them."""
    return tuple(
        SharedDirectory(each.path, each.mount, bool({*groups} & {*each.writable_by}))
        for each in config.storage.shared
    )


def _volume(name: str, target: str, *, read_only: bool) -> Body:
    """Mount a volume. NoCopy: else the engine copies the image's files and owner into it."""
    return {
        "Type": "volume",
        "Source": name,
        "Target": target,
        "ReadOnly": read_only,
        "VolumeOptions": {"NoCopy": True},
    }


def _bind(source: str, target: str, *, read_only: bool) -> Body:
    """Mount a file or a directory of the host, which must be there."""
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only}
