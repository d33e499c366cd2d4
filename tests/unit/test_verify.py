"""What an engine made is what was decided, whatever else it writes into its answer."""

import copy
from typing import Any

import pytest

from spawner.container import create_body
from spawner.verify import NEVER, differences
from tests.unit.test_container import ADA, HUB

BODY = create_body(ADA, HUB, ("--debug",))
# What Docker 20.10 adds to what it was sent.
FILLED_IN: dict[str, Any] = {
    "Binds": None, "ContainerIDFile": "", "PortBindings": None, "VolumeDriver": "",
    "VolumesFrom": None, "CapAdd": None, "CgroupnsMode": "host", "Dns": None, "DnsOptions": None,
    "DnsSearch": None, "ExtraHosts": None, "GroupAdd": None, "Cgroup": "", "Links": None,
    "OomScoreAdj": 0, "PidMode": "", "Privileged": False, "PublishAllPorts": False,
    "ReadonlyRootfs": False, "UTSMode": "", "UsernsMode": "", "ConsoleSize": [0, 0],
    "Isolation": "", "CpuShares": 0, "NanoCpus": 0, "CgroupParent": "", "BlkioWeight": 0,
    "BlkioDeviceReadBps": None, "CpuRealtimePeriod": 0, "CpuRealtimeRuntime": 0,
    "CpusetCpus": "", "CpusetMems": "", "Devices": None, "DeviceCgroupRules": None,
    "DeviceRequests": None, "KernelMemory": 0, "MemoryReservation": 0, "MemorySwappiness": None,
    "OomKillDisable": False, "CpuCount": 0, "IOMaximumIOps": 0,
    "MaskedPaths": ["/proc/kcore"], "ReadonlyPaths": ["/proc/sys"],
}  # fmt: skip
MOUNTED: list[dict[str, Any]] = [
    {
        "Type": "volume", "Name": "labhub-server-0123456789ab", "Driver": "local", "Mode": "z",
        "Source": "/var/lib/docker/volumes/labhub-server-0123456789ab/_data", "RW": False,
        "Destination": "/opt/labserver", "Propagation": "",
    },
    {
        "Type": "volume", "Name": "labhub-ada-abcdefghijklmnop", "Driver": "local", "Mode": "z",
        "Source": "/var/lib/docker/volumes/labhub-ada-abcdefghijklmnop/_data", "RW": True,
        "Destination": "/tf/notebooks", "Propagation": "",
    },
    {
        "Type": "bind", "Source": "/srv/labhub/state/passwd/ada.passwd", "RW": False, "Mode": "",
        "Destination": "/etc/passwd", "Propagation": "rprivate",
    },
]  # fmt: skip

Answer = tuple[dict[str, Any], dict[str, Any], list[dict[str, Any]]]


def answer() -> Answer:
    """Return Config, HostConfig and Mounts as Docker shows what it made of BODY."""
    body = copy.deepcopy(BODY)
    host = {**copy.deepcopy(FILLED_IN), **body.pop("HostConfig")}
    for mount in host["Mounts"]:
        if not mount["ReadOnly"]:
            del mount["ReadOnly"]
    host["RestartPolicy"]["MaximumRetryCount"] = 0
    config = {**body, "Tty": False, "Volumes": None, "OnBuild": None}
    config["Env"] += ["PATH=/usr/local/bin:/usr/bin", "PYTHON_VERSION=3.8"]
    config["Labels"]["maintainer"] = "the image's"
    return config, host, copy.deepcopy(MOUNTED)


def found(made: Answer) -> list[str]:
    return [each.key for each in differences(BODY, *made)]


def test_what_docker_fills_in_is_no_difference() -> None:
    assert found(answer()) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Memory", 0), ("Memory", 16 << 30), ("Memory", None), ("Memory", "8589934592"),
        ("MemorySwap", -1), ("MemorySwap", 0),
        ("CpuQuota", 0), ("CpuQuota", -1), ("CpuPeriod", 50_000), ("NanoCpus", 4 * 10**9),
        ("PidsLimit", 0), ("PidsLimit", None), ("PidsLimit", -1), ("ShmSize", 64 << 30),
        ("Runtime", "nvidia"), ("Runtime", None), ("Init", None), ("AutoRemove", True),
        ("Privileged", True), ("CapAdd", ["SYS_ADMIN"]), ("CapDrop", None), ("CapDrop", []),
        ("CapDrop", ["ALL", "X"]), ("SecurityOpt", None), ("SecurityOpt", []),
        ("SecurityOpt", ["no-new-privileges", "seccomp=unconfined"]),
        ("SecurityOpt", ["no-new-privileges", "label=disable"]),
        ("SecurityOpt", ["no-new-privileges", "no-new-privileges=false"]),
        ("DeviceRequests", [{"Driver": "", "Count": -1, "Capabilities": [["gpu"]]}]),
        ("Annotations", {"cdi.k8s.io/gpu": "nvidia.com/gpu=all"}),
        ("Devices", [{"PathOnHost": "/dev/sda"}]), ("DeviceCgroupRules", ["a *:* rwm"]),
        ("Mounts", None), ("Mounts", []), ("Binds", ["/:/host"]), ("VolumesFrom", ["other"]),
        ("NetworkMode", "host"), ("IpcMode", "host"), ("PidMode", "host"), ("UTSMode", "host"),
        ("UsernsMode", "host"), ("CgroupParent", "/"), ("GroupAdd", ["docker"]),
        ("PublishAllPorts", True), ("PortBindings", {"22/tcp": [{}]}), ("Sysctls", {"a": "b"}),
        ("OomKillDisable", True), ("OomScoreAdj", -1000), ("CpuShares", 9999),
        ("CpusetCpus", "0"), ("RestartPolicy", {"Name": "always"}), ("RestartPolicy", None),
        ("LogConfig", {"Type": "none", "Config": {}}), ("LogConfig", "json-file"),
        ("Ulimits", None), ("Ulimits", [{"Name": "nofile", "Soft": 1 << 20, "Hard": 1 << 20}]),
        ("MaskedPaths", []), ("ReadonlyPaths", None),
    ],
)  # fmt: skip
def test_a_limit_that_is_not_as_decided(key: str, value: object) -> None:
    config, host, mounted = answer()
    assert found((config, {**host, key: value}, mounted)) == [key]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("User", "0:0"), ("User", ""), ("Image", "other"), ("Entrypoint", ["sh"]), ("Cmd", None),
        ("WorkingDir", "/"), ("Env", []), ("Env", None), ("Labels", None), ("Labels", {}),
        ("Env", [*answer()[0]["Env"], "NVIDIA_VISIBLE_DEVICES=all"]),
    ],
)  # fmt: skip
def test_a_container_that_is_another_one(key: str, value: object) -> None:
    config, host, mounted = answer()
    assert found(({**config, key: value}, host, mounted)) == [key]


@pytest.mark.parametrize(
    "change",
    [
        {"Type": "bind", "Source": "/", "Destination": "/host", "RW": False},
        {"Type": "bind", "Source": "/etc/shadow", "Destination": "/etc/passwd", "RW": False},
        {**MOUNTED[0], "RW": True},
        {**MOUNTED[1], "Name": "labhub-bob-abcdefghijklmnop"},
        {"Type": "npipe"},
    ],
)
def test_a_mount_that_nobody_sent(change: dict[str, Any]) -> None:
    config, host, mounted = answer()
    assert found((config, host, [*mounted, change])) == ["Mounts"]


def test_an_image_s_own_empty_volume_is_its_business() -> None:
    config, host, mounted = answer()
    own = {"Type": "volume", "Name": "9f2c", "Destination": "/var/cache", "RW": True}
    assert found((config, host, [*mounted, own])) == []


@pytest.mark.parametrize("mount", [{"Target": "/etc/shadow"}, {"ReadOnly": False}, {"Source": "/"}])
def test_a_mount_that_became_another(mount: dict[str, Any]) -> None:
    config, host, mounted = answer()
    host["Mounts"][2] |= mount
    assert found((config, host, mounted)) == ["Mounts"]


def test_devices_that_were_asked_for_are_those_that_come() -> None:
    config, host, mounted = answer()
    asked = {"DeviceIDs": ["GPU-1"], "Capabilities": [["gpu"]]}
    body = {**BODY, "HostConfig": {**BODY["HostConfig"], "DeviceRequests": [asked]}}
    filled_in = {"Driver": "", "Count": 0, "Options": {}, **asked}
    assert differences(body, config, {**host, "DeviceRequests": [filled_in]}, mounted) == ()
    for other in ([], [{**filled_in, "DeviceIDs": ["GPU-2"]}], [filled_in, filled_in]):
        [one] = differences(body, config, {**host, "DeviceRequests": other}, mounted)
        assert one.key == "DeviceRequests"


def test_nothing_that_is_never_sent_is_sent() -> None:
    assert not set(NEVER) & set(BODY["HostConfig"])


def test_no_secret_is_shown() -> None:
    config, host, mounted = answer()
    assert "t0k3n" not in str(differences(BODY, {**config, "Env": [], "Cmd": ["x"]}, host, mounted))


def test_an_answer_without_anything_is_different_in_everything() -> None:
    assert {"Memory", "User", "Mounts"} <= set(found(({}, {}, [])))
