"""NVIDIA's driver library without GPUs: `nvml_double.c`, compiled, and the file it obeys.

    driver = NvmlDouble(folder)
    driver.says(gpu("GPU-a", busy=40), "proc GPU-a 4711 500")
    subprocess.run(…, env=driver.environment)

The real nvidia-ml-py loads it. `without` names functions that this driver is too old for.
"""

import os
import subprocess
from collections.abc import Collection
from pathlib import Path

SOURCE = Path(__file__).with_name("nvml_double.c")
LIBRARY = "libnvidia-ml.so.1"
H100 = "NVIDIA H100 80GB HBM3"
DRIVER = "550.54.15"


class NvmlDouble:
    """One library and its state file, in a folder."""

    def __init__(
        self, folder: Path, without: Collection[str] = (), *, state: str = "/dev/null"
    ) -> None:
        """Compile; the machine has a driver and no GPU.

        `state` is where programs find the state file whose environment does not name it.
        """
        self.folder = folder
        self._state = folder / "nvml.state"
        gone = [f"-D{name}=gone_{name}" for name in without]
        flags = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", f"-Wl,-soname,{LIBRARY}"]
        flags.append(f'-DSTATE="{state}"')
        command = ["gcc", *flags, *gone, "-o", str(folder / LIBRARY), str(SOURCE)]
        subprocess.run(command, check=True)
        self.says()

    @property
    def environment(self) -> dict[str, str]:
        """What lets a program find this library, and the library its state."""
        return {"LD_LIBRARY_PATH": str(self.folder), "LABHUB_NVML_STATE": str(self._state)}

    def says(self, *lines: str) -> None:
        """Let the driver say this from now on, all at once."""
        new = self._state.with_suffix(".new")
        new.write_text("".join(f"{line}\n" for line in (f"driver {DRIVER}", *lines)))
        os.replace(new, self._state)  # noqa: PTH105 - the library must never see half of it


def gpu(uuid: str, *, minor: int = 0, used: int = 0, busy: int = 0, ecc: int = 0) -> str:
    """Return a line for a GPU of 80 GiB, of which so many MiB are used; it is so much % busy."""
    return f"gpu {uuid} {minor} 81920 {used} {busy} {ecc} {H100}"


def mig_slice(uuid: str, parent: str, *, used: int = 0) -> str:
    """Return a line for a slice of a GPU, with 10 GiB."""
    return f"slice {uuid} {parent} 10240 {used} {H100} MIG 1g.10gb"
