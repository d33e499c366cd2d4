"""The `gpus` section of labhub.yaml. Pure."""

from typing import Annotated

from pydantic import Field

from hub_config.schema_base import Section
from hub_config.values import Word, Words


class Gpus(Section):
    """The machine's GPUs."""

    devices: Words = Field(
        (),
        description="The UUIDs of the GPUs to give out. Only for machines whose driver does not "
        "tell: elsewhere all GPUs are found.",
    )
    share: dict[Word, Annotated[int, Field(ge=1, le=64)]] = Field(
        default_factory=dict,
        description="GPUs that several servers may have at once: UUID and how many. They share "
        "its memory, and nothing keeps them apart there.",
    )
