"""Setup: what is missing in Slicer's Python, installed by Slicer's own means once the user has agreed."""

import subprocess

import slicer

from NativeDLLib.panel import requirements, wording
from NativeDLLib.registry.runtimes import RUNTIMES


class Install:
    """Lists what is missing and installs it; ``ready`` tells whether the bundled models can run."""

    def __init__(self, ui, onReady, onInstall):
        self.ui, self._onReady, self._onInstall, self.ready = ui, onReady, onInstall, False
        self._extras = set(requirements.BASE_EXTRAS)
        ui.installButton.connect("clicked()", self._install)
        ui.setupRefreshButton.connect("clicked()", self.check)

    def need(self, runtime):
        """Ask for what a model's runtime needs, once."""
        extra = RUNTIMES[runtime].extra
        if extra not in self._extras:
            self._extras.add(extra)
            self.check(goOn=False)

    def check(self, goOn=True):
        """Look for what is missing, and show this section only where something is."""
        self._missing = requirements.missing(sorted(self._extras))
        self.ready = not requirements.missing(sorted(requirements.BASE_EXTRAS))
        self.ui.setupSection.visible = bool(self._missing)
        self.ui.setupLabel.text = f"Slicer's Python still needs:\n{wording.missing_text(self._missing)}"
        if self.ready and goOn:
            self._onReady()

    def _install(self):
        if not slicer.util.confirmOkCancelDisplay(wording.consent_text(self._missing)):
            return
        self._onInstall()
        torch, others, kept = requirements.plan(self._missing)
        try:
            if torch is not None:
                import PyTorchUtils

                PyTorchUtils.PyTorchUtilsLogic().installTorch(torchVersionRequirement=torch)
            slicer.packaging.pip_ensure(others, skip_packages=kept, prompt_install=False, requester="NativeDL")
        except (ImportError, subprocess.CalledProcessError) as error:
            slicer.util.errorDisplay(wording.install_failure(error))
        self.check()
