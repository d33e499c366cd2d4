"""labhub.yaml as types: every key, its meaning, its default, its check. Pure.

Strict: an unknown key is an error, a text is no number. REFERENCE.md is generated from the
descriptions here (`labhub config reference`). Each large section has a module of its own.
"""

from typing import Annotated

from pydantic import AfterValidator, Field

from hub_config.schema_base import Section
from hub_config.schema_gpus import Gpus
from hub_config.schema_login import Allow, Login, Provider, SecretRef
from hub_config.schema_quotas import Limits, Quotas
from hub_config.values import (
    Address,
    Bytes,
    ContainerPath,
    HostPath,
    Key,
    Line,
    Origin,
    Reference,
    Title,
    Words,
    Zone,
)

__all__ = [
    "Allow", "Config", "Gpus", "Host", "Hub", "Image", "Limits", "Login", "Provider", "Quotas",
    "SecretRef", "Shared", "Storage",
]  # fmt: skip

TENSORFLOW = "tensorflow/tensorflow:2.9.0-gpu-jupyter"


class Hub(Section):
    """Where people find the lab."""

    url: Origin | None = Field(
        None,
        description="The address people open, when it is not this machine's own: scheme and host, "
        "like `https://gpu.example.org`. Without it the lab is at `http://127.0.0.1:PORT`.",
    )
    bind: Address = Field(
        "127.0.0.1",
        description="The IP address to listen on: `127.0.0.1` is this machine only (people come "
        "through SSH or through a web server with TLS), `0.0.0.0` is every network it is in.",
    )
    timezone: Zone | None = Field(
        None,
        description="The time zone that `schedule` and `until` are meant in, like "
        "`Europe/Berlin`. Without it, the machine's own.",
    )


class Image(Section):
    """An image that people may choose."""

    title: Title = Field(description="What people read, like `TensorFlow 2.9`.")
    image: Reference = Field(description=f"The image, like `{TENSORFLOW}`. It is never modified.")
    description: Line = Field("", description="One more line for people to choose by.")


class Reserve(Section):
    """What no server ever gets."""

    cpus: Annotated[float, Field(ge=0, le=4096, allow_inf_nan=False)] = Field(
        0.0, description="CPU cores for the system and the hub. Counts with `overcommit.cpus` only."
    )
    memory: Bytes = Field(0, description="Memory for the system and the hub, like `8 GiB`.")


class Overcommit(Section):
    """How often each core and each byte may be promised."""

    cpus: Annotated[float, Field(ge=0.1, le=1000, allow_inf_nan=False)] | None = Field(
        None,
        description="How many times over the machine's cores may be promised. Without it as often "
        "as anybody likes: cores are shared, and run out for nobody.",
    )
    memory: Annotated[float, Field(ge=0.1, le=100, allow_inf_nan=False)] = Field(
        1.0,
        description="How many times over the machine's memory may be promised. Above `1`, a server "
        "may be killed although it keeps to its limit.",
    )


class Host(Section):
    """What the machine gives to all servers. A start beyond it is refused."""

    reserve: Reserve = Field(default_factory=Reserve, description="What no server ever gets.")
    overcommit: Overcommit = Field(
        default_factory=Overcommit, description="How often each core and each byte may be promised."
    )


class Shared(Section):
    """A directory of the machine that all servers see."""

    name: Key = Field(description="What it is called, like `datasets`.")
    path: HostPath = Field(description="The directory on the machine, like `/srv/datasets`.")
    mount: ContainerPath = Field(description="Where it is inside servers, like `/data`.")
    writable_by: Words = Field(
        (),
        description="Groups whose members may write there, as far as the directory's own "
        "permissions let everybody; for all others it is read-only.",
    )


class Storage(Section):
    """Where files are."""

    notebooks: ContainerPath = Field(
        "/tf/notebooks",
        description="Where a person's own volume is inside the server. It is the home directory, "
        "and all that lasts.",
    )
    shared: Annotated[tuple[Shared, ...], Field(strict=False)] = Field(
        (), description="Directories of the machine that all servers see."
    )


def _default_images() -> dict[str, Image]:
    return {"tensorflow": Image(title="TensorFlow 2.9", image=TENSORFLOW)}


def _require_image(images: dict[str, Image]) -> dict[str, Image]:
    if not images:
        raise ValueError(
            f"offers no image; write at least one, like {{title: …, image: {TENSORFLOW}}}"
        )
    return images


class Config(Section):
    """The whole file."""

    hub: Hub = Field(default_factory=Hub, description="Where people find the lab.")
    login: Login = Field(default_factory=Login, description="How people sign in.")
    images: Annotated[dict[Key, Image], AfterValidator(_require_image)] = Field(
        default_factory=_default_images,
        description="The images people may choose, each under a name of your own. The first is "
        "chosen unless somebody chooses another.",
    )
    quotas: Quotas = Field(default_factory=Quotas, description="Who may use how much.")
    host: Host = Field(
        default_factory=Host,
        description="What the machine gives to all servers. A start beyond it is refused.",
    )
    gpus: Gpus = Field(default_factory=Gpus, description="The machine's GPUs.")
    storage: Storage = Field(default_factory=Storage, description="Where files are.")
