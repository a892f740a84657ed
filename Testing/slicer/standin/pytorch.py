"""``PyTorchUtils`` of the PyTorch extension: asks and fails like it, installs nothing."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
from subprocess import CalledProcessError
from typing import Any

from .packages import INSTALLER


class PyTorchUtilsLogic:
    """The part of the extension's logic that installs torch."""

    @staticmethod
    def torchInstalled() -> bool:
        try:
            importlib.metadata.version("torch")
        except importlib.metadata.PackageNotFoundError:
            return False
        return "torch" not in INSTALLER.missing

    @property
    def torch(self) -> Any:
        return importlib.import_module("torch") if self.torchInstalled() else self.installTorch()

    def installTorch(
        self,
        askConfirmation: bool = False,
        forceComputationBackend: str | None = None,
        torchVersionRequirement: str | None = None,
    ) -> Any:
        """Return the module ``torch``, or None where the user declines.

        Raises
        ------
        subprocess.CalledProcessError
            Where the installation fails.
        """
        import slicer

        args = ["install", f"torch{torchVersionRequirement or ''}", "torchvision"]
        if forceComputationBackend is not None:
            args.append(f"--pytorch-computation-backend={forceComputationBackend}")
        if askConfirmation and not slicer.app.commandOptions().testingEnabled:
            text = f"PyTorch will be downloaded and installed using light-the-torch (ltt {' '.join(args)})."
            if not slicer.util.confirmOkCancelDisplay(f"{text} The process might take some minutes."):
                logging.info("Installation of PyTorch aborted by user")
                return None
        INSTALLER.install(args[1:])
        if INSTALLER.fails:
            raise CalledProcessError(1, ["PythonSlicer", "-m", "light_the_torch", *args])
        return importlib.import_module("torch")
