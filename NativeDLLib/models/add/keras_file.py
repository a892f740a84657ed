"""Networks of Keras 3 (``.keras``), converted to ONNX once, when they are added.

Keras' own reader makes whatever the JSON in a file names. So that JSON is written anew before: layers of our list with
numbers and words, without modules, functions and objects of the file's own. Keras then reads it in safe mode, in a
process of its own that can neither write files, start programs nor connect.
"""

import io
import json
import math
import os
import subprocess
import tempfile
import time
import zipfile
import zlib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import scratch, sha256
from NativeDLLib.core.jsonfile import parse_json
from NativeDLLib.core.memory import available
from NativeDLLib.core.zip_check import ZipError, check_zip
from NativeDLLib.inference.confined import confined
from NativeDLLib.inference.onnx_file import OnnxFile
from NativeDLLib.inference.onnx_runtime import CPU, start_session
from NativeDLLib.worker import child
from NativeDLLib.worker.processes import CONVERT, environment, python_command

WEIGHTS = "model.weights.h5"
"""Member by which an archive is known as one of Keras 3."""

_LARGEST = {"metadata.json": 2**16, "config.json": 2**25, WEIGHTS: 2**31 - 1}
_MODELS = {"Functional": "keras.src.models.functional", "Sequential": "keras"}
_BY_AXES = (
    *("Conv", "DepthwiseConv", "SeparableConv", "MaxPooling", "AveragePooling", "GlobalMaxPooling", "UpSampling"),
    *("GlobalAveragePooling", "ZeroPadding", "Cropping", "SpatialDropout"),
)
_LAYERS = {
    *(f"{name}{axes}D" for name in _BY_AXES for axes in (2, 3)),
    *("Conv2DTranspose", "Conv3DTranspose", "Dense", "InputLayer", "Identity", "Rescaling", "Reshape", "Permute"),
    *("Concatenate", "Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Dropout", "GaussianNoise"),
    *("BatchNormalization", "LayerNormalization", "GroupNormalization", "UnitNormalization", "Activation", "ReLU"),
    *("LeakyReLU", "PReLU", "ELU", "Softmax", "GaussianDropout"),
}
_FUNCTIONS = {
    *("linear", "relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "silu", "swish", "mish", "sigmoid", "tanh"),
    *("hard_sigmoid", "hard_silu", "softmax", "log_softmax", "softplus", "softsign", "exponential"),
}
# Are for training, or follow from the rest.
_LEFT_OUT = ("_initializer", "_regularizer", "_constraint", "seed", "shared_object_id", "compile_config")
_LARGEST_NUMBER, _DEEPEST = 2**20, 60
_SECONDS = 600.0
# Largest difference of the ONNX network's values to those of Keras, relative to the largest of them.
_TOLERANCE = 1e-4


def to_onnx(path: Path) -> tuple[bytes, str]:
    """Network of a ``.keras`` file as ONNX, and the words about where it is from. ModelError where the file is damaged,
    holds more than layers of Keras' own, or Keras is not installed or gives other values than the converted network.
    """
    members = _members(path)
    version = parse_json(members["metadata.json"], f"{path}: metadata.json", ModelError)
    written = json.dumps(_plain(parse_json(members["config.json"], f"{path}: config.json", ModelError), path, ""))
    if any(find_spec(name) is None for name in ("keras", "torch", "onnxscript")):
        told = f"{path}: is converted by Keras, which is not installed"
        raise ModelError(told, hint="install it with: pip install 'NativeDL[keras]'")
    with scratch("nativedl-keras-") as folder:
        with zipfile.ZipFile(folder / "model.keras", "w") as archive:
            for name, content in (members | {"config.json": written.encode()}).items():
                archive.writestr(name, content)
        content, image, expected = _in_child(path, folder / "model.keras")
    _compare(path, content, image, expected)
    by = version.get("keras_version") if isinstance(version, dict) else ""
    return content, f"Keras {str(by)[:20]!r}, SHA-256 {sha256(path)}, converted to ONNX in single precision"


def _members(path: Path) -> dict[str, bytes]:
    try:
        with path.open("rb") as stream, zipfile.ZipFile(stream) as archive:
            check_zip(stream)
            if {*archive.namelist()} != {*_LARGEST}:
                raise ModelError(f"{path}: holds other files than a network of Keras 3; save it with Keras 3 as .keras")
            found = {name: archive.open(name).read(most + 1) for name, most in _LARGEST.items()}
    # Besides its own error, zipfile lets through those of the decompressor and of what it does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OverflowError, OSError) as error:
        reason = str(error) if isinstance(error, ZipError) else "it is damaged"
        raise ModelError(f"{path}: is not a .keras file that can be read: {reason}") from error
    for name, most in _LARGEST.items():
        if len(found[name]) > most:
            raise ModelError(f"{path}: {name}: is larger than {most} bytes")
    return found


def _plain(value: Any, path: Path, key: str, depth: int = 0) -> Any:
    """Part of a configuration of Keras with nothing in it but what is known; ModelError names what is not."""
    if depth > _DEEPEST:
        raise ModelError(f"{path}: config.json: is nested too deeply")
    if key == "dtype":
        return "float32"
    is_layer = isinstance(value, dict) and str(value.get("class_name")) in _LAYERS
    if key == "activation" and value is not None and not is_layer and str(value) not in _FUNCTIONS:
        raise ModelError(f"{path}: has the activation {str(value)[:60]!r}, which is none of Keras' own")
    if isinstance(value, list):
        return [_plain(part, path, "", depth + 1) for part in value]
    if isinstance(value, dict):
        kept = {name: part for name, part in value.items() if not name.endswith(_LEFT_OUT)}
        plain = {name: _plain(part, path, name, depth + 1) for name, part in kept.items()}
        return plain | _known(value, path) if "class_name" in value else plain
    if isinstance(value, (int, float)) and not (math.isfinite(value) and abs(value) <= _LARGEST_NUMBER):
        raise ModelError(f"{path}: config.json: {key[:40]!r}: {str(value)[:40]} is no number that a network has")
    return value


def _known(value: dict[str, Any], path: Path) -> dict[str, Any]:
    """Class of an object, in our own words."""
    name, module, registered = (value.get(key) for key in ("class_name", "module", "registered_name"))
    if name == "__keras_tensor__":
        return {}
    if not isinstance(name, str) or name not in _LAYERS | {*_MODELS} or registered not in (None, "", name):
        named = str(registered or name)[:60]
        raise ModelError(f"{path}: has {named!r}, which is none of the layers of Keras that are known to only compute")
    if module is not None and str(module).partition(".")[0] != "keras":
        raise ModelError(f"{path}: has {name!r} of {str(module)[:60]!r}, and not of Keras")
    return {"module": _MODELS.get(name, "keras.layers"), "registered_name": None}


def _in_child(path: Path, archive: Path) -> tuple[bytes, bytes, bytes]:
    """ONNX network, an image of noise, and Keras' own result, as the process that converts gives them."""
    # Keras and others make sure that there are places for files of their own, also where they write none.
    places = dict.fromkeys(("KERAS_HOME", "MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR"), str(archive.parent))
    surroundings = environment() | places | {"KERAS_BACKEND": "torch", "CUDA_VISIBLE_DEVICES": ""}
    limit, converted = available() // 2, archive.with_name("converted")
    with converted.open("wb") as target:
        process = subprocess.Popen(
            python_command(CONVERT, archive), stdout=target, stderr=subprocess.DEVNULL, env=surroundings
        )

    def is_too_large() -> bool:
        if child.resident_of(process.pid) + converted.stat().st_size > limit:
            raise ModelError(f"{path}: needs more memory for its conversion than there is")
        return False

    try:
        child.wait(process, is_too_large, time.monotonic() + _SECONDS, math.inf)
    finally:
        process.kill()
        process.wait()
    lengths, _, parts = converted.read_bytes().partition(b"\n")
    if not parts:
        why = "a setting of a layer is wrong, its weights are not those of its layers, or it takes several images"
        raise ModelError(f"{path}: Keras cannot make and convert it: {why}")
    first, second = map(int, lengths.split())
    return parts[:first], parts[first : first + second], parts[first + second :]


def convert(archive: Path) -> None:
    """Write sizes of network and image, and what `_in_child` returns, to standard output; nothing where it fails."""
    target = os.fdopen(os.dup(1), "wb")
    # Libraries tell of themselves there.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    import_module("keras")
    # Found out, it would be tried by writing there.
    tempfile.tempdir = str(archive.parent)
    content, *images = confined(_converted, archive)
    target.write(b"%d %d\n" % (len(content), len(images[0])) + content + b"".join(images))
    target.close()


def _converted(archive: Path) -> tuple[bytes, bytes, bytes]:
    import keras
    import torch

    with zipfile.ZipFile(archive) as file:
        check_weights(file.read(WEIGHTS))
    model = keras.saving.load_model(str(archive), compile=False, safe_mode=True)
    (sizes,) = (image.shape[1:] for image in model.inputs)
    model.eval()
    image = torch.rand([1, *(size or 64 for size in sizes)])
    free = {axis: torch.export.Dim.AUTO for axis, size in enumerate(sizes, 1) if size is None}
    with torch.no_grad():
        program = torch.export.export(model, (image,), dynamic_shapes=((free,),) if free else None, strict=False)
        exported = torch.onnx.export(program, verbose=False).model_proto.SerializeToString()
        return exported, image.numpy().tobytes(), model(image).numpy().tobytes()


def check_weights(content: bytes) -> None:
    """Check that a file of HDF5 holds what it says, and leads to no other one."""
    import h5py

    def check(group: Any) -> None:
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise ValueError("leads to another place")
            value = group[name]
            if isinstance(value, h5py.Group):
                check(value)
            elif value.external or value.is_virtual or value.nbytes > value.id.get_storage_size():
                raise ValueError("is not stored as it is")

    with h5py.File(io.BytesIO(content)) as file:
        check(file)


def _compare(path: Path, content: bytes, image: bytes, expected: bytes) -> None:
    session = start_session(OnnxFile(content, path), CPU)
    taken, given = session.get_inputs()[0], np.frombuffer(expected, np.float32)
    sizes = [size if isinstance(size, int) else 64 for size in taken.shape]
    # ONNX Runtime's exceptions are classes of a private module without a common base but Exception.
    try:
        result = session.run(None, {taken.name: np.frombuffer(image, np.float32).reshape(sizes)})[0].ravel()
        is_same = np.abs(result - given).max() <= _TOLERANCE * max(1.0, np.abs(given).max())
    except Exception:
        is_same = False
    if not is_same:
        raise ModelError(f"{path}: gives other values as ONNX than in Keras; it is not added")
