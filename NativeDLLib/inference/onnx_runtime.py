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

CPU = ["CPUExecutionProvider"]
_CUDA = "CUDAExecutionProvider"
_FEW = 5
_FLOATS = {"tensor(float)": "float32", "tensor(float16)": "float16", "tensor(double)": "float64"}
_TYPES = _FLOATS | {f"tensor({name})": name for name in ("uint8", "int8", "uint16", "int16", "int32", "int64")}


class OnnxNetwork:
    """An ONNX Runtime `session` behind the interface of `Network`. `takes` and `gives` are the sizes of its first input
    and output with their channels second, words where they are free.
    """

    def __init__(self, session: Any, description: str, classes: int, path: Path, *, concurrency: int = 1) -> None:
        self.device, self.concurrency = description, concurrency
        self.session, self._classes, self._path = session, classes, path
        inputs = session.get_inputs()
        if len(inputs) != 1 or inputs[0].type not in _TYPES:
            told = ", ".join(f"{row.name} of {row.type.removeprefix('tensor')}" for row in inputs)
            raise ModelError(f"{path}: takes {told}; one input of numbers is needed")
        self._input, shape = inputs[0].name, list(inputs[0].shape)
        self.dtype = np.dtype(_TYPES[inputs[0].type])
        # Networks of TensorFlow have their channels last, and no image is as narrow as there are few of them.
        self._is_last = len(shape) in (4, 5) and shape[-1] in range(1, _FEW) and shape[1] not in range(1, shape[-1] + 1)
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
        except ModelError:
            raise
        # ONNX Runtime's exceptions are classes of a private module without a common base but Exception.
        except Exception as error:
            sizes = " x ".join(str(size) for size in batch.shape[2:])
            what = f"{self._path}: cannot run a patch of {sizes} voxels on {self.device}"
            raise ModelError(f"{what}: its layers do not fit this size, or memory ran out") from error
        return checked_output(output, batch, self._classes, self._path)

    def _run(self, batch: ArrayOrTensor) -> ArrayOrTensor:
        given = self.session.run(None, self.fed(batch))[0].astype(np.float32, copy=False)
        return np.ascontiguousarray(np.moveaxis(given, -1, 1)) if self._is_last and given.ndim == batch.ndim else given

    def fed(self, batch: Array) -> dict[str, Array]:
        """Input by its name, of the network's own type and with its channels where it has them; ModelError where whole
        numbers are taken, and the batch has others than the type holds.
        """
        if self.dtype.kind in "iu":
            batch, held = np.rint(batch), np.iinfo(self.dtype)
            if batch.min() < held.min or batch.max() > held.max:
                found = f"its entry's intensities lead to {batch.min():g} to {batch.max():g}"
                raise ModelError(f"{self._path}: takes whole numbers from {held.min} to {held.max}, and {found}")
        batch = np.moveaxis(batch, 1, -1) if self._is_last else batch
        return {self._input: np.ascontiguousarray(batch, self.dtype)}

    def _channels_second(self, shape: list[Any]) -> list[Any]:
        return [shape[0], shape[-1], *shape[1:-1]] if self._is_last and len(shape) > 2 else shape


def onnx_engine(model: Model, weights: Weights, device: str, *, measure: bool = True) -> ContractEngine:
    """Load the ONNX file of a model; see `load_engine`."""
    return ContractEngine(model, load_onnx(weights.read(), weights.path, device, model.given_channels))


def load_onnx(content: bytes, path: Path, device: str, classes: int) -> Loaded:
    """Load an ONNX file as `load_torch` does its own; ModelError where onnxruntime or the device is not there too."""
    providers, notes = _providers(check_device(device))
    file = OnnxFile(content, path)
    session = start_session(file, providers)
    used = session.get_providers()[0]
    if device.startswith("cuda") and used != _CUDA:
        raise ModelError(f"device {device} was asked for, but onnxruntime could not start CUDA; use auto or cpu")
    if device == "auto" and providers != CPU and used != _CUDA:
        notes.append("onnxruntime could not start CUDA on the GPU that is here: running on the CPU")
    text = f"cuda:{providers[0][1]['device_id']} (onnxruntime)" if used == _CUDA else "cpu (onnxruntime)"
    network = OnnxNetwork(session, text, classes, path)
    whole = "" if session.get_outputs()[0].type in _FLOATS else "labels"
    return Loaded(network, notes, activation_of(*file.operators()) or whole)


def start_session(file: OnnxFile, providers: Sequence[Any], threads: int = 0) -> Any:
    """Return a session of an ONNX file on so many threads of the processor; with 0 onnxruntime chooses."""
    file.check_alone()
    runtime = require("onnxruntime", "onnx")
    runtime.disable_telemetry_events()  # on Windows no variable of the environment does that
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    # Between two patches its threads would go on waiting for work, on cores that have other things to do.
    options.add_session_config_entry("session.force_spinning_stop", "1")
    try:
        return confined(runtime.InferenceSession, file.content, options, providers=providers)
    except Exception as error:
        raise ModelError(
            f"{file.path}: onnxruntime {runtime.__version__} cannot load it: it is damaged, or has operators that this "
            "version does not know"
        ) from error


def _providers(device: str) -> tuple[list[Any], list[str]]:
    runtime = require("onnxruntime", "onnx")
    if device == "mps":
        raise ModelError("ONNX models do not run on mps; use auto or cpu")
    if device == "cpu":
        return CPU, []
    if _CUDA in runtime.get_available_providers():
        return [(_CUDA, {"device_id": int(device.partition(":")[2] or 0)}), *CPU], []
    lack = f"this onnxruntime ({runtime.__version__}) is built without CUDA"
    if device != "auto":
        raise ModelError(f"device {device} was asked for, but {lack}; install onnxruntime-gpu, or use auto or cpu")
    note = f"an NVIDIA GPU is here but {lack}: running on the CPU; install onnxruntime-gpu to use it"
    return CPU, [note] if has_nvidia_gpu() else []
