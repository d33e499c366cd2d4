"""The create body, whole: what is not in these dictionaries is not sent."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_config.schema import Config
from spawner.container import (
    SERVER_COMMAND,
    Server,
    SharedDirectory,
    create_body,
    environment,
    identity_labels,
    shared_for,
    volume_labels,
)
from spawner.devices import Device
from spawner.quota import Quota

GIB = 1024**3
ADA = Server(
    instance="labhub",
    network="labhub-users",
    bundle="labhub-server-0123456789ab",
    user="ada",
    server="",
    key="abcdefghijklmnop",
    uid=200001,
    image_key="tensorflow",
    image="tensorflow/tensorflow:2.9.0-gpu-jupyter",
    volume="labhub-ada-abcdefghijklmnop",
    notebooks="/tf/notebooks",
    root_dir="/tf",
    shell="/bin/bash",
    passwd_path="/srv/labhub/state/passwd/ada.passwd",
    group_path="/srv/labhub/state/passwd/ada.group",
    quota=Quota(cpus=1.5, memory_bytes=8 * GIB, shm_bytes=2 * GIB, pids=1024),
)
HUB = {"JUPYTERHUB_USER": "ada", "JUPYTERHUB_API_TOKEN": "t0k3n"}
# Last of all, in this order.
NO_OTHER_GPU = [
    "NVIDIA_IMEX_CHANNELS=",
    "NVIDIA_MIG_CONFIG_DEVICES=",
    "NVIDIA_MIG_MONITOR_DEVICES=",
    "NVIDIA_GDS=",
    "NVIDIA_MOFED=",
    "NVIDIA_NVSWITCH=",
    "NVIDIA_GDRCOPY=",
    "NVIDIA_VISIBLE_DEVICES=void",
]
BODY = {
    "Image": "tensorflow/tensorflow:2.9.0-gpu-jupyter",
    "Entrypoint": ["/opt/labserver/bin/python3", "-I", "-m", "jupyterhub.singleuser"],
    "Cmd": [],
    "User": "200001:200001",
    "WorkingDir": "/tf",
    "Hostname": "ada",
    "Env": [
        "JUPYTERHUB_USER=ada",
        "JUPYTERHUB_API_TOKEN=t0k3n",
        "HOME=/tf/notebooks",
        "USER=ada",
        "LOGNAME=ada",
        "SHELL=/bin/bash",
        "LABHUB_NOTEBOOKS=/tf/notebooks",
        "JUPYTERHUB_ROOT_DIR=/tf",
        *NO_OTHER_GPU,
    ],
    "Labels": {
        "labhub.instance": "labhub",
        "labhub.role": "server",
        "labhub.user": "ada",
        "labhub.server": "",
        "labhub.account": "abcdefghijklmnop",
        "labhub.image": "tensorflow",
        "labhub.run": '{"gpus": 0, "devices": [], "alone": [], "groups": [], '
        '"session_seconds": null, "idle_seconds": null, "extend_seconds": null}',
    },
    "StopSignal": "SIGTERM",
    "StopTimeout": 10,
    "HostConfig": {
        "Runtime": "runc",
        "Init": True,
        "NetworkMode": "labhub-users",
        "IpcMode": "private",
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
        "RestartPolicy": {"Name": "no"},
        "AutoRemove": False,
        "Memory": 8 * GIB,
        "MemorySwap": 8 * GIB,
        "CpuPeriod": 100_000,
        "CpuQuota": 150_000,
        "PidsLimit": 1024,
        "ShmSize": 2 * GIB,
        "Ulimits": [
            {"Name": "nofile", "Soft": 16384, "Hard": 16384},
            {"Name": "core", "Soft": 0, "Hard": 0},
        ],
        "LogConfig": {"Type": "json-file", "Config": {"max-size": "10m", "max-file": "3"}},
        "Mounts": [
            {
                "Type": "volume",
                "Source": "labhub-server-0123456789ab",
                "Target": "/opt/labserver",
                "ReadOnly": True,
                "VolumeOptions": {"NoCopy": True},
            },
            {
                "Type": "volume",
                "Source": "labhub-ada-abcdefghijklmnop",
                "Target": "/tf/notebooks",
                "ReadOnly": False,
                "VolumeOptions": {"NoCopy": True},
            },
            {
                "Type": "bind",
                "Source": "/srv/labhub/state/passwd/ada.passwd",
                "Target": "/etc/passwd",
                "ReadOnly": True,
            },
            {
                "Type": "bind",
                "Source": "/srv/labhub/state/passwd/ada.group",
                "Target": "/etc/group",
                "ReadOnly": True,
            },
        ],
    },
}


def test_the_whole_body() -> None:
    assert create_body(ADA, HUB) == BODY


def test_a_server_with_gpus_gets_these_and_no_others() -> None:
    devices = (Device("GPU-aaaa", by_cdi=True), Device("GPU-bbbb", by_cdi=True))
    body = create_body(replace(ADA, devices=devices), HUB)
    assert body["HostConfig"]["DeviceRequests"] == [
        {"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-aaaa", "nvidia.com/gpu=GPU-bbbb"]}
    ]
    assert json.loads(body["Labels"]["labhub.run"])["alone"] == ["GPU-aaaa", "GPU-bbbb"]
    shared = create_body(replace(ADA, devices=(Device("GPU-aaaa", 2), Device("GPU-bbbb"))), HUB)
    assert json.loads(shared["Labels"]["labhub.run"])["alone"] == ["GPU-bbbb"]
    assert body["HostConfig"]["Runtime"] == "runc"
    assert body["Env"][-10:] == [
        "CUDA_CACHE_PATH=/tf/notebooks/.nv/ComputeCache",
        "CUDA_CACHE_MAXSIZE=4294967296",
        *NO_OTHER_GPU,
    ]


def test_directories_that_all_servers_see() -> None:
    storage = {
        "shared": [
            {"name": "data", "path": "/srv/data", "mount": "/data", "writable_by": ["staff"]},
            {"name": "models", "path": "/srv/models", "mount": "/models"},
        ]
    }
    config = Config.model_validate({"storage": storage})
    assert shared_for(config, {"staff", "gpu"}) == (
        SharedDirectory("/srv/data", "/data", is_writable=True),
        SharedDirectory("/srv/models", "/models", is_writable=False),
    )
    shared = shared_for(config, {"students"})
    assert create_body(replace(ADA, shared=shared), HUB)["HostConfig"]["Mounts"][4:] == [
        {"Type": "bind", "Source": "/srv/data", "Target": "/data", "ReadOnly": True},
        {"Type": "bind", "Source": "/srv/models", "Target": "/models", "ReadOnly": True},
    ]


def test_a_named_server_in_an_image_without_the_root_directory() -> None:
    server = replace(ADA, server="night", image_key="r", root_dir="/tf/notebooks", shell="/bin/sh")
    body = create_body(server, {}, ("--debug",))
    assert body == {
        **BODY,
        "Cmd": ["--debug"],
        "WorkingDir": "/tf/notebooks",
        "Env": [
            "HOME=/tf/notebooks",
            "USER=ada",
            "LOGNAME=ada",
            "SHELL=/bin/sh",
            "LABHUB_NOTEBOOKS=/tf/notebooks",
            "JUPYTERHUB_ROOT_DIR=/tf/notebooks",
            *NO_OTHER_GPU,
        ],
        "Labels": {**BODY["Labels"], "labhub.server": "night", "labhub.image": "r"},
    }


def test_builders_share_nothing_between_calls() -> None:
    create_body(ADA, HUB)["HostConfig"]["LogConfig"]["Config"]["max-size"] = "1k"
    assert create_body(ADA, HUB) == BODY
    assert SERVER_COMMAND[1] == "-I"


def test_labels_find_a_server_and_a_volume() -> None:
    assert identity_labels("lab", "ada", "night") == {
        "labhub.instance": "lab",
        "labhub.role": "server",
        "labhub.user": "ada",
        "labhub.server": "night",
    }
    assert volume_labels("lab", "ada", "k") == {
        "labhub.instance": "lab",
        "labhub.role": "volume",
        "labhub.user": "ada",
        "labhub.account": "k",
    }


@pytest.mark.parametrize(
    "hub",
    [
        {},
        {"NVIDIA_VISIBLE_DEVICES": "all"},
        {"NVIDIA_VISIBLE_DEVICES": "0", "Z": "z"},
        {"NVIDIA_IMEX_CHANNELS": "0", "NVIDIA_GDS": "enabled"},
        {"HOME": "/root", "USER": "root", "LABHUB_NOTEBOOKS": "/"},
    ],
)
def test_ours_win_and_void_is_last(hub: dict[str, str]) -> None:
    merged = environment(ADA, hub)
    assert [f"{key}={value}" for key, value in merged.items()][-8:] == NO_OTHER_GPU
    assert (merged["HOME"], merged["USER"]) == ("/tf/notebooks", "ada")
    assert merged["LABHUB_NOTEBOOKS"] == "/tf/notebooks"


quotas = st.builds(
    Quota,
    cpus=st.floats(min_value=0.01, max_value=512),
    memory_bytes=st.integers(1, 1 << 50),
    shm_bytes=st.integers(1, 1 << 50),
    pids=st.integers(1, 1 << 20),
)


@given(quotas, st.dictionaries(st.text(), st.text()))
def test_every_quota_is_sent_as_it_is(quota: Quota, hub: dict[str, str]) -> None:
    body = create_body(replace(ADA, quota=quota), hub)
    host = body["HostConfig"]
    assert host["Memory"] == host["MemorySwap"] == quota.memory_bytes
    assert abs(host["CpuQuota"] / host["CpuPeriod"] - quota.cpus) <= 0.5 / host["CpuPeriod"]
    assert (host["ShmSize"], host["PidsLimit"]) == (quota.shm_bytes, quota.pids)
    assert body["Env"][-1] == "NVIDIA_VISIBLE_DEVICES=void"
    assert sum(pair.startswith("NVIDIA_VISIBLE_DEVICES=") for pair in body["Env"]) == 1
    assert json.loads(json.dumps(body)) == body


def test_nothing_dangerous_is_ever_sent() -> None:
    forbidden = {
        "Privileged", "Binds", "CapAdd", "Devices", "DeviceRequests", "PortBindings",
        "VolumesFrom", "PidMode", "UTSMode", "UsernsMode", "NanoCpus", "MemorySwappiness",
        "OomKillDisable", "DeviceCgroupRules", "Sysctls",
    }  # fmt: skip
    assert not forbidden & (set(BODY["HostConfig"]) | set(BODY))
