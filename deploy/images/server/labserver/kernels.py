"""Kernels run the image's Python: the specs of the image, or one made for an image without any."""

import os
from pathlib import Path

from jupyter_client.kernelspec import KernelSpec, KernelSpecManager, NoSuchKernel
from traitlets import default

from labserver.image_python import ImagePython, image_program, image_python, probe

TREES = Path("/opt/labserver/share/ipykernel")
LAUNCHER = TREES / "launch.py"
NATIVE = "python3"


def fallback_spec(python: ImagePython | None, trees: Path = TREES) -> KernelSpec | None:
    """Describe a kernel on a Python that has no kernelspec, or None where none can run.

    An image with ipykernel uses its own; one without borrows the tree of its version, which only
    that kernel process sees: nothing is put into its environment.
    """
    if python is None:
        return None
    if python.has_ipykernel:
        argv = [python.path, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    else:
        tree = trees / f"py{python.version[0]}{python.version[1]}"
        if not tree.is_dir():
            return None
        argv = [python.path, str(trees / LAUNCHER.name), str(tree), "-f", "{connection_file}"]
    major, minor = python.version
    return KernelSpec(
        argv=argv,
        display_name=f"Python {major}.{minor}",
        language="python",
        metadata={"debugger": True},
    )


class ImageKernelSpecManager(KernelSpecManager):
    """The image's kernelspecs, never the bundle's."""

    ensure_native_kernel = False

    @default("kernel_dirs")
    def _kernel_dirs_default(self) -> list[str]:
        """Add the folder of an image whose Python lies elsewhere, such as conda's."""
        folders = super()._kernel_dirs_default()
        python = image_python()
        if python is not None:
            folders.append(str(Path(python).parent.parent / "share/jupyter/kernels"))
        return list(dict.fromkeys(folders))

    def find_kernel_specs(self) -> dict[str, str]:
        """Name every kernel, with the fallback where the image brings no python3."""
        specs = super().find_kernel_specs()
        if NATIVE not in specs and fallback_spec(probe()) is not None:
            specs[NATIVE] = str(TREES)
        return specs

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Read a spec so that it starts the image's program, or raise NoSuchKernel."""
        try:
            spec = super().get_kernel_spec(kernel_name)
        except NoSuchKernel:
            spec = fallback_spec(probe()) if kernel_name == NATIVE else None
            if spec is None:
                raise
        # jupyter_client replaces a bare "python" by its own interpreter, which is the bundle's.
        if spec.argv and os.sep not in spec.argv[0]:
            spec.argv[0] = image_program(spec.argv[0]) or f"/usr/bin/{spec.argv[0]}"
        return spec
