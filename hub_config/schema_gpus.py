"""The `gpus` section of labhub.yaml. Pure."""

from typing import Annotated

from pydantic import Field

from hub_config.schema_base import Section
from hub_config.values import Wait, Word, Words

HOUR_SECONDS = 3600


class Gpus(Section):
    """The machine's GPUs, and the queue for them and for memory."""

    devices: Words = Field(
        (),
        description="The UUIDs of the GPUs to give out, as `nvidia-smi -L` prints them. Without "
        "them all are given out that NVIDIA's driver shows, in MIG mode the slices in place of the "
        "whole; without a driver to ask, all that Docker names (28.2 and later).",
    )
    share: dict[Word, Annotated[int, Field(ge=1, le=64)]] = Field(
        default_factory=dict,
        description="GPUs that several servers may have at once: UUID and how many. They share "
        "its memory, and nothing keeps them apart there.",
    )
    half_life: Wait = Field(
        7 * 24 * HOUR_SECONDS,
        description="GPU time that a person had counts against them in the queue, and half as "
        "much after this time.",
    )
    reserve_after: Wait = Field(
        2 * HOUR_SECONDS,
        description="Who has waited for so long gets the next GPUs in the order of coming, however "
        "many they want; nobody who asks for less time goes first any more.",
    )
    ticket_ttl: Wait = Field(
        HOUR_SECONDS // 2,
        description="How long a place in the queue is kept for somebody who closed the page.",
    )
    claim: Wait = Field(
        HOUR_SECONDS // 4,
        description="How long a GPU is kept for somebody who was away when their turn came, while "
        "others wait.",
    )
    grace: Wait = Field(
        HOUR_SECONDS // 2,
        description="How long a server with GPUs goes on when the `gpu_hours` of its user are used "
        "up. They are told at once, and before.",
    )
    soft_limit: bool = Field(
        default=True,
        description="A server with a GPU goes on after its session while nobody waits for what it "
        "has. Once somebody does, its user is warned, and it ends after that.",
    )
