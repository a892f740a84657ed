"""Networks as ONNX files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from NativeDLLib.core.arrays import Array
from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference.confined import confined
from NativeDLLib.inference.device import check_device, has_nvidia_gpu
from NativeDLLib.inference.engine import ContractEngine
from NativeDLLib.inference.network import ArrayOrTensor, Loaded, activation_of, checked_output, plane_by_plane, require
from NativeDLLib.inference.onnx_file import OnnxFile
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.weights import Weights

_CUDA = "CUDAExecutionProvider"


class OnnxNetwork:
    """An ONNX Runtime `session` behind the interface of `Network`. `takes` and `gives` are the sizes of its first input
    and output with their channels second, words where they are free.
    """

    def __init__(self, session: Any, description: str, classes: int, path: Path, *, concurrency: int = 1) -> None:
        self.device, self.concurrency = description, concurrency
        self.session, self._classes, self._path = session, classes, path
        inputs = session.get_inputs()
        if len(inputs) != 1 or inputs[0].type != "tensor(float)":
            told = ", ".join(f"{row.name} of {row.type.removeprefix('tensor')}" for row in inputs)
            raise ModelError(f"{path}: takes {told}; one input of 32-bit floating-point numbers is needed")
        self._input, shape = inputs[0].name, list(inputs[0].shape)
        # Networks of TensorFlow have their channels last, and a series gives one.
        self._is_last = len(shape) in (4, 5) and shape[-1] == 1 and shape[1] != 1
        self.takes, self.gives = (
            self._channels_second(list(row.shape)) for row in (inputs[0], session.get_outputs()[0])
        )

    def to_device(self, array: Array) -> ArrayOrTensor:
        """See `Network`."""
        return array

    def __call__(self, batch: ArrayOrTensor) -> ArrayOrTensor:
        """Run the session on a batch; see `Network`."""
        try:
            output = plane_by_plane(self._run, batch) if len(self.takes) == 4 else self._run(batch)
        # ONNX Runtime's exceptions are classes of a private module without a common base but Exception.
        except Exception as error:
            sizes = " x ".join(str(size) for size in batch.shape[2:])
            what = f"{self._path}: cannot run a patch of {sizes} voxels on {self.device}"
            raise ModelError(f"{what}: its layers do not fit this size, or memory ran out") from error
        return checked_output(output, batch, self._classes, self._path)

    def _run(self, batch: ArrayOrTensor) -> ArrayOrTensor:
        if not self._is_last:
            return self.session.run(None, {self._input: batch})[0]
        given = self.session.run(None, {self._input: np.ascontiguousarray(np.moveaxis(batch, 1, -1))})[0]
        return np.ascontiguousarray(np.moveaxis(given, -1, 1))

    def _channels_second(self, shape: list[Any]) -> list[Any]:
        return [shape[0], shape[-1], *shape[1:-1]] if self._is_last and len(shape) > 2 else shape


def onnx_engine(model: Model, weights: Weights, device: str, *, measure: bool = True) -> ContractEngine:
    """Load the ONNX file of a model; see `load_engine`."""
    return ContractEngine(model, load_onnx(weights.read(), weights.path, device, model.given_channels))


def load_onnx(content: bytes, path: Path, device: str, classes: int) -> Loaded:
    """Load an ONNX file as `load_torch` does its own; ModelError where onnxruntime or the device is not there too."""
    runtime = require("onnxruntime", "onnx")
    runtime.disable_telemetry_events()  # on Windows no variable of the environment does that
    providers, notes = _providers(runtime, check_device(device))
    file = OnnxFile(content, path)
    session = _session(runtime, file, _options(runtime), providers)
    used = session.get_providers()[0]
    if device.startswith("cuda") and used != _CUDA:
        raise ModelError(f"device {device} was asked for, but onnxruntime could not start CUDA; use auto or cpu")
    if device == "auto" and providers[0] != "CPUExecutionProvider" and used != _CUDA:
        notes.append("onnxruntime could not start CUDA on the GPU that is here: running on the CPU")
    text = f"cuda:{providers[0][1]['device_id']} (onnxruntime)" if used == _CUDA else "cpu (onnxruntime)"
    network = OnnxNetwork(session, text, classes, path)
    return Loaded(network, notes, activation_of(*file.operators()))


def cpu_session(content: bytes, path: Path, threads: int) -> Any:
    """Return a session of an ONNX network on so many threads of the processor."""
    runtime = require("onnxruntime", "onnx")
    runtime.disable_telemetry_events()
    options = _options(runtime)
    options.intra_op_num_threads = threads
    return _session(runtime, OnnxFile(content, path), options, ["CPUExecutionProvider"])


def _session(runtime: Any, file: OnnxFile, options: Any, providers: Sequence[Any]) -> Any:
    file.check_alone()
    try:
        return confined(runtime.InferenceSession, file.content, options, providers=providers)
    except Exception as error:
        raise ModelError(
            f"{file.path}: onnxruntime {runtime.__version__} cannot load it: it is damaged, or has operators that this "
            "version does not know"
        ) from error


def _options(runtime: Any) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    # Between two patches its threads would go on waiting for work, on cores that have other things to do.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return options


def _providers(runtime: Any, device: str) -> tuple[list[Any], list[str]]:
    available = runtime.get_available_providers()
    if device == "mps":
        raise ModelError("ONNX models do not run on mps; use auto or cpu")
    if device == "cpu":
        return ["CPUExecutionProvider"], []
    if _CUDA in available:
        index = int(device.partition(":")[2] or 0) if device != "auto" else 0
        return [(_CUDA, {"device_id": index}), "CPUExecutionProvider"], []
    if device != "auto":
        raise ModelError(
            f"device {device} was asked for, but this onnxruntime ({runtime.__version__}) is built without CUDA; "
            "install onnxruntime-gpu, or use auto or cpu"
        )
    notes = []
    if has_nvidia_gpu():
        notes.append(
            f"an NVIDIA GPU is here but this onnxruntime ({runtime.__version__}) is built without CUDA: running on the "
            "CPU; install onnxruntime-gpu to use it"
        )
    return ["CPUExecutionProvider"], notes
