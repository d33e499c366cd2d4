"""The create body of a user's server with GPUs, for engines where no hub runs."""

from pathlib import Path
from typing import Any

from spawner.container import Server, create_body
from spawner.devices import Device
from spawner.quota import Quota


def our_body(
    image: str, folder: Path, hub_environment: dict[str, str], *devices: Device
) -> dict[str, Any]:
    """Return what labhub really sends for a server that has these devices."""
    for name in ("passwd", "group"):
        (folder / name).write_text("root:x:0:0:root:/root:/bin/sh\n")
    server = Server(
        instance="labtest", network="none", bundle="labtest-server", user="ada", server="",
        key="abcdefghijklmnop", uid=200000, image_key="tensorflow", image=image,
        volume="labtest-ada", notebooks="/tf/notebooks", root_dir="/tf/notebooks",
        shell="/bin/sh", passwd_path=str(folder / "passwd"), group_path=str(folder / "group"),
        quota=Quota(cpus=1, memory_bytes=256 << 20, shm_bytes=16 << 20, pids=64),
        devices=devices,
    )  # fmt: skip
    return create_body(server, hub_environment)


def with_host_config(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Return the body with other words about its place on the machine."""
    return {**body, "HostConfig": {**body["HostConfig"], **changes}}
