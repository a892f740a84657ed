"""``PyTorchUtils`` of the PyTorch extension: fails like it, installs nothing."""

from __future__ import annotations

import importlib
from subprocess import CalledProcessError
from typing import Any

from .packages import INSTALLER


class PyTorchUtilsLogic:
    """The part of the extension's logic that installs torch."""

    def installTorch(
        self,
        askConfirmation: bool = False,
        forceComputationBackend: str | None = None,
        torchVersionRequirement: str | None = None,
    ) -> Any:
        """Return the module ``torch``.

        Raises
        ------
        subprocess.CalledProcessError
            Where the installation fails.
        """
        if askConfirmation or forceComputationBackend is not None:
            raise NotImplementedError("the stand-in asks nothing, and leaves the kind of torch to the extension")
        packages = [f"torch{torchVersionRequirement or ''}", "torchvision"]
        INSTALLER.install(packages)
        if INSTALLER.fails:
            raise CalledProcessError(1, ["PythonSlicer", "-m", "light_the_torch", "install", *packages])
        return importlib.import_module("torch")
