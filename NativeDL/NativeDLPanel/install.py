"""Setup: what is missing in Slicer's Python, installed by Slicer's own means once the user has agreed."""

import subprocess

import slicer
from NativeDLLib import requirements, texts


class Install:
    """Lists what is missing and installs it; ``ready`` tells whether anything can run."""

    def __init__(self, ui, onReady):
        self.ui, self._onReady = ui, onReady
        # What the bundled models run on; those of another runtime are asked for when such a model is chosen.
        self._extras, self._missing = {"torch", "onnx"}, None
        ui.installButton.connect("clicked()", self._install)
        ui.setupRefreshButton.connect("clicked()", self.check)

    @property
    def ready(self):
        return self._missing == []

    def check(self, runtime=None):
        """Look for what is missing, and show this section only where something is."""
        extras = set(requirements.RUNTIME_EXTRAS[runtime] if runtime else ())
        if runtime and extras <= self._extras:
            return
        self._extras |= extras
        self._missing = requirements.missing(sorted(self._extras))
        self.ui.setupSection.visible = not self.ready
        needed = "NativeDL needs packages that Slicer does not have yet:"
        self.ui.setupLabel.text = f"{needed}\n{texts.missing_text(self._missing)}"
        if self.ready:
            self._onReady()

    def _install(self):
        text = "This will be downloaded and added to Slicer's Python; it can take some minutes."
        if not slicer.util.confirmOkCancelDisplay(f"{text}\n\n{texts.missing_text(self._missing)}"):
            return
        try:
            torch = [r.specifier for r in self._missing if r.via_pytorch_extension]
            others = [r for r in self._missing if not r.via_pytorch_extension]
            if torch:
                self._installTorch(torch[0])
            names, kept = [r.specifier for r in others], list(requirements.skip(others))
            slicer.packaging.pip_ensure(names, skip_packages=kept, prompt_install=False, requester="NativeDL")
        except subprocess.CalledProcessError as error:
            slicer.util.errorDisplay(texts.pip_failure(error))
        except (ImportError, RuntimeError) as error:
            slicer.util.errorDisplay(str(error))
        self.check()

    def _installTorch(self, specifier):
        try:
            import PyTorchUtils
        except ImportError as error:
            message = 'Install the extension "PyTorch" in the Extensions Manager and start Slicer again.'
            raise ImportError(message) from error
        logic = PyTorchUtils.PyTorchUtilsLogic()
        if logic.installTorch(torchVersionRequirement=specifier.removeprefix("torch")) is None:
            raise RuntimeError("torch was not installed.")
