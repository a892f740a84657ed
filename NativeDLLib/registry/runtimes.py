"""The table of the runtimes that an entry may name."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec


@dataclass(frozen=True)
class Runtime:
    """A library that runs networks."""

    module: str  # module without which nothing runs
    extra: str  # extra of this library's own package that installs it
    imports: tuple[str, ...]  # modules that are imported before there is a network, in this order
    # Full name of the function that makes an engine of a model, with the parameters of `load_engine`. Its module is
    # imported when a model asks for it: that takes seconds.
    loader: str

    @property
    def problem(self) -> str:
        """Reason why the runtime cannot be used here, such as ``needs onnxruntime``; empty where it is installed."""
        return "" if find_spec(self.module) is not None else f"needs {self.module}"


RUNTIMES: Mapping[str, Runtime] = {
    "torch": Runtime("torch", "torch", ("torch",), "NativeDLLib.inference.torch_runtime:torch_engine"),
    "onnx": Runtime("onnxruntime", "onnx", ("onnxruntime",), "NativeDLLib.inference.onnx_runtime:onnx_engine"),
    "nnunetv2": Runtime(
        "nnunetv2",
        "nnunet",
        (
            "torch",
            "nnunetv2.utilities.plans_handling.plans_handler",
            "nnunetv2.preprocessing.preprocessors.default_preprocessor",
            "dynamic_network_architectures.architectures.unet",
        ),
        "NativeDLLib.inference.nnunet:load_nnunet",
    ),
}
