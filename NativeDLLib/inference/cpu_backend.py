"""The fastest way to run a network on this computer's processor, measured once and remembered.

It depends on the network and the processor: torch as it is, torch with channels last, ONNX Runtime, or two ONNX Runtime
sessions, each on half of the threads, with fewer barriers per layer. All compute in single precision; one that gives
other values than torch does is not taken.
"""

import hashlib
import importlib.util
import os
import platform
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from NativeDLLib.core.arrays import Floats
from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import atomic_path, write_json
from NativeDLLib.core.jsonfile import read_json
from NativeDLLib.core.versions import versions
from NativeDLLib.inference.network import Network, call_concurrently
from NativeDLLib.inference.onnx_file import OnnxFile
from NativeDLLib.inference.onnx_runtime import CPU, OnnxNetwork, start_session
from NativeDLLib.inference.torch_runtime import TorchNetwork

# Below this a patch is not worth the seconds that the other ways take to make ready.
_WORTH_S = 0.2
# A way that is not clearly faster is not worth another rounding.
_GAIN = 0.9
# Largest difference to torch's values, relative to the largest of them. At 7e-5, which OpenVINO gives, and ONNX Runtime
# with a network of nnU-Net's full size, 0.2 to 0.3 % of the labels of random weights are others; at 1e-5 0.07 % are.
_TOLERANCE = 3e-5
_REMEMBERED = 8
_TORCH, _CHANNELS_LAST, _ONNX, _ONNX_TWICE = "torch", "channels last", "onnxruntime", "onnxruntime for two patches"
# Patches that ONNX Runtime is given at once.
_AT_ONCE = {_ONNX: 1, _ONNX_TWICE: 2}
_WAYS = (_TORCH, _CHANNELS_LAST, *_AT_ONCE)


def fastest(module: Any, shape: Sequence[int], description: str, path: Path, folder: Path) -> Network:
    """Network that runs a torch module in evaluation mode on the processor in the fastest way; its weights may be laid
    out anew. `shape` is that of the input (1, channels, z, y, x), `description` the device in words, such as ``cpu (2
    threads)``, to which the way is added; `path` is for messages, and `folder` keeps the measurement and the network in
    another format. With ``NATIVEDL_FORWARD=torch`` in the environment torch runs it as it is, and nothing is measured.
    """
    way, exported = _TORCH, b""
    if os.environ.get("NATIVEDL_FORWARD") != _TORCH:
        key = _key(module, shape)
        way, exported = _remembered(folder, key) or _measure(module, shape, folder, key)
    device = description if way == _TORCH else f"{description.removesuffix(')')}, {way})"
    return _network(way, module, exported, device, path)


def _remembered(folder: Path, key: str) -> tuple[str, bytes] | None:
    """Way that was measured and what it needs; None where there is none for this network on this computer."""
    weights, content = folder / f"{key}.onnx", b""
    try:
        choice = read_json(folder / f"{key}.json", ModelError)
        if choice["way"] not in _WAYS:
            return None
        if choice["way"] in _AT_ONCE:
            content = weights.read_bytes()
            if hashlib.sha256(content).hexdigest() != choice["sha256"]:
                return None
            os.utime(weights)
    except (ModelError, KeyError, TypeError, OSError):
        return None
    return choice["way"], content


def _measure(module: Any, shape: Sequence[int], folder: Path, key: str) -> tuple[str, bytes]:
    """Run patches of noise in every way, and remember which is the fastest."""
    import torch

    patch, weights = np.random.default_rng(0).standard_normal(shape, np.float32), folder / f"{key}.onnx"
    choice, content, seconds = dict[str, Any](), b"", dict[str, float]()
    plain = _network(_TORCH, module, content, "cpu", weights)
    expected = plain(patch)
    seconds[_TORCH] = _seconds(plain, patch)
    if seconds[_TORCH] < _WORTH_S:
        return _TORCH, b""

    def consider(way: str) -> None:
        network, tolerated = _network(way, module, content, "cpu", weights), _TOLERANCE * np.abs(expected).max()
        if all(np.abs(result - expected).max() <= tolerated for result in call_concurrently(network, patch)):
            seconds[way] = _seconds(network, patch)

    consider(_CHANNELS_LAST)
    module.to(memory_format=torch.contiguous_format)
    try:
        if _export(module, patch, weights):
            content = weights.read_bytes()
            consider(_ONNX)
            if _ONNX in seconds and torch.get_num_threads() > 1:
                consider(_ONNX_TWICE)
            choice["sha256"] = hashlib.sha256(content).hexdigest()
        best = min(seconds, key=seconds.__getitem__)
        choice["way"] = best if seconds[best] < _GAIN * seconds[_TORCH] else _TORCH
        if choice["way"] not in _AT_ONCE:
            weights.unlink(missing_ok=True)
        write_json(folder / f"{key}.json", choice | {"seconds": seconds})
        used = sorted(folder.glob("*.onnx"), key=lambda path: path.stat().st_mtime)
        for other in used[:-_REMEMBERED]:
            other.unlink(missing_ok=True)
    except OSError:
        # A way that cannot be kept would be measured at every run.
        return _TORCH, b""
    return choice["way"], content


def _seconds(network: Network, patch: Floats) -> float:
    """Seconds that a patch takes."""
    began = time.perf_counter()
    call_concurrently(network, patch)
    return (time.perf_counter() - began) / network.concurrency


def _network(way: str, module: Any, exported: bytes, device: str, path: Path) -> Network:
    """Network that runs a module, whose weights are laid out for it, or that module as ONNX."""
    import torch

    if concurrency := _AT_ONCE.get(way):
        session = start_session(OnnxFile(exported, path), CPU, torch.get_num_threads() // concurrency)
        return OnnxNetwork(session, device, 2, path, concurrency=concurrency)
    module.to(memory_format=torch.channels_last_3d if way == _CHANNELS_LAST else torch.contiguous_format)
    return TorchNetwork(module, torch.device("cpu"), device, 2, path)


def _export(module: Any, patch: Floats, path: Path) -> bool:
    """Write a module as ONNX, if that is possible here."""
    import torch

    if any(importlib.util.find_spec(name) is None for name in ("onnxruntime", "onnxscript")):
        return False
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(module, (torch.from_numpy(patch),))
            with atomic_path(path) as temporary:
                torch.onnx.export(program, f=str(temporary), external_data=False, verbose=False)
        except OSError:
            raise
        # What the exporter cannot express it tells by exceptions of many kinds; torch then runs it.
        except Exception:
            return False
    return True


def _key(module: Any, shape: Sequence[int]) -> str:
    """Return a name for a network on this computer with these programs."""
    import torch

    programs, threads = versions(("torch", "onnxruntime")), torch.get_num_threads()
    about = (_WAYS, repr(module), tuple(shape), programs, platform.node(), threads)
    digest = hashlib.sha256(repr(about).encode())
    for name, value in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.contiguous().numpy().tobytes())
    return digest.hexdigest()[:32]
