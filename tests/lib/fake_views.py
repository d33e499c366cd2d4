"""What the fake engine shows of its objects, and which of them a filter selects."""

import io
import tarfile

from tests.lib.fake_life import Life
from tests.lib.fake_rules import Body, EngineError
from tests.lib.fake_state import Container


def labels_match(labels: Body, wanted: list[str]) -> bool:
    """Whether every wanted `key` or `key=value` is among the labels."""
    pairs = (entry.partition("=") for entry in wanted)
    return all(key in labels and (not eq or labels[key] == value) for key, eq, value in pairs)


def matches(container: Container, wanted: dict[str, list[str]]) -> bool:
    """Whether the container passes the list filters; an unknown filter is refused."""
    unknown = set(wanted) - {"label", "status", "name", "id"}
    if unknown:
        raise EngineError(400, f"Invalid filter '{min(unknown)}'")
    return (
        labels_match(container.labels, wanted.get("label", []))
        and container.status in wanted.get("status", [container.status])
        and any(part.strip("^$/") in container.name for part in wanted.get("name", [""]))
        and any(container.id.startswith(part) for part in wanted.get("id", [""]))
    )


def summary(container: Container) -> Body:
    """One entry of the container list."""
    return {
        "Id": container.id, "Names": ["/" + container.name], "Image": container.image,
        "ImageID": container.image, "Labels": container.labels, "State": container.status,
        "Status": container.status, "Created": 0, "Ports": [], "Mounts": [],
        "HostConfig": {"NetworkMode": container.host_config["NetworkMode"]},
        "NetworkSettings": {"Networks": networks(container)},
    }  # fmt: skip


def details(container: Container, life: Life) -> Body:
    """Everything inspect shows."""
    config = {k: v for k, v in container.body.items() if k not in {"HostConfig", "Networking"}}
    state = {
        "Status": container.status, "Running": container.running, "Paused": False,
        "Restarting": False, "OOMKilled": container.oom_killed, "Dead": False,
        "Pid": 4711 if container.running else 0, "ExitCode": container.exit_code,
        "Error": container.error, "StartedAt": container.started_at,
        "FinishedAt": container.finished_at,
    }  # fmt: skip
    return {
        "Id": container.id, "Name": "/" + container.name, "Created": container.created,
        "State": state, "Image": life.images[container.image]["Id"], "RestartCount": 0,
        "Config": {"Tty": False, **config}, "HostConfig": container.host_config, "Mounts": [],
        "NetworkSettings": {"IPAddress": "", "Ports": {}, "Networks": networks(container)},
    }  # fmt: skip


def networks(container: Container) -> Body:
    """The container's place on its networks: the fake server's address while it runs."""
    address = container.server.address if container.server else ""
    return {name: {"IPAddress": address, "Gateway": "127.0.0.1"} for name in container.networks}


def event_matches(event: Body, wanted: dict[str, list[str]]) -> bool:
    """Whether an event passes the filters of the stream."""
    return (
        event["Type"] in wanted.get("type", [event["Type"]])
        and event["Action"] in wanted.get("event", [event["Action"]])
        and event["id"] in wanted.get("container", [event["id"]])
        and labels_match(event["Actor"]["Attributes"], wanted.get("label", []))
    )


def tar_of(name: str, content: bytes) -> bytes:
    """Return a tar archive that holds one file."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        entry = tarfile.TarInfo(name)
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
