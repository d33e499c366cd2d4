"""How much device time a person had lately: what is long ago counts for less. Pure."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recent:
    """Device-seconds at a moment, and on how many devices they go on from there."""

    seconds: float = 0.0
    at: float = 0.0
    devices: int = 0

    def then(self, moment: float, half_life: float) -> float:
        """Return the device-seconds at a later moment; each counts half after a half-life."""
        kept: float = 0.5 ** ((moment - self.at) / half_life)
        return self.seconds * kept + self.devices * (1.0 - kept) * half_life / math.log(2)

    def changed(self, moment: float, half_life: float, devices: int) -> "Recent":
        """Return it with so many devices more (or fewer) from a moment on."""
        return Recent(self.then(moment, half_life), moment, self.devices + devices)
