"""A file with a network: the shapes of its input and output, and the hints that its maker left in it."""

import hashlib
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from NativeDLLib.core.arrays import Floats
from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.jsonfile import parse_json, read_json
from NativeDLLib.inference.network import Operators, last_steps, require
from NativeDLLib.inference.onnx_file import OnnxFile
from NativeDLLib.inference.pt2_archive import Pt2Archive
from NativeDLLib.models.add.draft import STEP, Draft, identifier

HINTS = "nativedl.json"
"""Where a file may carry a fragment of its entry: a key of ONNX's metadata, an extra file in a ``.pt2``."""

_LARGEST_HINTS = 2**20
_MOST_CHANNELS = 16
# What an axis of free size is tried with: what networks that halve their input five times can take.
_FREE_SIZE = 32
_AXES = 5
_TOLD = {
    "": "{} channels",
    "softmax": "{} classes, the background included, as it ends in a softmax",
    "sigmoid": "{} channel(s) without a background, as it ends in a sigmoid; threshold 0.5",
    "labels": "{} labels, the background included, which it decides itself; where patches overlap, they vote",
}


def read_keras(path: Path) -> Draft:
    """Read a file of Keras 3, which becomes one of ONNX; see `read_source`."""
    from NativeDLLib.models.add.keras_file import to_onnx

    content, told = to_onnx(path)
    draft = read_onnx(path, content)
    draft.files, draft.content = {"weights.onnx": path}, content
    draft.put(("description",), f"{draft.entry['description'].removesuffix('.')} of {told}.")
    draft.told.insert(0, f"of {told}")
    return draft


def read_onnx(path: Path, converted: bytes = b"") -> Draft:
    """Read an ONNX file, with the files beside it where it keeps weights in others; see `read_source`."""
    from NativeDLLib.inference.onnx_runtime import OnnxNetwork, load_onnx

    file = OnnxFile(converted or path.read_bytes(), path)
    content = file.in_one_piece()
    loaded = load_onnx(content, path, "cpu", 1)
    network = loaded.network
    assert isinstance(network, OnnxNetwork)
    session = network.session
    taken, given = session.get_inputs()[0], session.get_outputs()[0]
    shape = _checked_shape(path, network.takes)
    classes = network.gives[1] if len(network.gives) == len(network.takes) else None
    zeros = np.zeros([1, shape[0] or 1, *(n or _FREE_SIZE for n in shape[1:])], np.float32)
    if loaded.activation == "labels" or not isinstance(classes, int):
        classes = network(zeros).shape[1]
    if loaded.activation == "labels":
        classes = _decided(OnnxFile(content, path), network, zeros, classes)
    draft = _draft(path, "onnx", shape, classes, loaded.activation, len(network.takes))
    draft.told.insert(0, f"ONNX, input {taken.name!r} {taken.shape}, output {given.name!r} {given.shape}")
    if file.beside:
        draft.content = content
        digests = [f"{name} (SHA-256 {hashlib.sha256(data).hexdigest()})" for name, data in file.beside.items()]
        draft.told.append(f"weights of {', '.join(digests)}, put into one file with it")
    hints = session.get_modelmeta().custom_metadata_map.get(HINTS)
    return _with_hints(draft, path, hints)


def _decided(file: OnnxFile, network: Any, zeros: Floats, channels: int) -> int:
    """Number of the labels that an ONNX network decides itself: of the values from which its ArgMax chooses."""
    from NativeDLLib.inference.onnx_runtime import CPU, start_session

    names = _choice(file.path, channels, *file.operators())
    known = {row.name for row in network.session.get_outputs()}
    content = file.with_outputs(*(name for name in names if name not in known))
    session = start_session(OnnxFile(content, file.path), CPU, 1)
    batch = zeros[:, :, 0] if len(network.takes) == len(zeros.shape) - 1 else zeros
    labels, values = session.run(names, network.fed(batch))
    return int(values.size // max(1, labels.size))


def _choice(path: Path, channels: int, output: str, operators: Operators) -> tuple[str, str]:
    """Names of the labels that a graph decides, and of the values from which it chooses."""
    label = dict(last_steps(output, operators)).get("labels")
    if channels != 1 or label is None:
        told = "labels that no ArgMax decides" if channels == 1 else f"{channels} channels of labels"
        raise ModelError(f"{path}: gives {told}; export it without its last step")
    return label, operators[label][1][0]


def read_pt2(path: Path) -> Draft:
    """Read an archive of ``torch.export``; see `read_source`."""
    from NativeDLLib.inference.pt2_graph import ExportedNetwork

    archive = Pt2Archive(path.read_bytes(), path)
    network = ExportedNetwork(archive, require("torch", "torch").device("cpu"), path)
    try:
        module = archive.model["graph_module"]
        (taken,) = (row["user_input"] for row in module["signature"]["input_specs"] if "user_input" in row)
        given = next(row["user_output"] for row in module["signature"]["output_specs"] if "user_output" in row)
        tensors = module["graph"]["tensor_values"]
        names = [row["arg"]["as_tensor"]["name"] for row in (taken, given)]
        sizes = {name: [size.get("as_int") for size in row["sizes"]] for name, row in tensors.items()}
        inputs, outputs = sizes[names[0]], sizes[names[1]]
        classes = outputs[1] if len(outputs) == len(inputs) else 1
        if network.activation == "labels":
            labels, values = (sizes[name] for name in _choice(path, classes, network.output, network.operators))
            classes = prod(n or 1 for n in values) // prod(n or 1 for n in labels)
    except (LookupError, ValueError, TypeError, AttributeError, StopIteration) as error:
        raise ModelError(f"{path}: is no network with one input and one output") from error
    shape = _checked_shape(path, inputs)
    if classes is None or not len(inputs) - 1 <= len(outputs) <= len(inputs):
        raise ModelError(f"{path}: gives {outputs}; an output (batch, classes, z, y, x) is needed")
    draft = _draft(path, "torch", shape, classes, network.activation, len(inputs))
    draft.told.insert(0, f"torch.export archive, input {inputs}, output {outputs}")
    return _with_hints(draft, path, archive.extra(HINTS, _LARGEST_HINTS))


def read_described(path: Path, architecture: Path) -> Draft:
    """Read a file of weights whose network is described as JSON; see `read_source`."""
    from NativeDLLib.inference.torch_runtime import load_torch
    from NativeDLLib.registry.architecture import make_plan

    description = read_json(architecture, ModelError)
    try:
        shapes = make_plan(description).passed
    except ModelError as error:
        raise ModelError(f"{architecture}: {error}") from error
    channels, *sizes = description["input_shape"]
    shape = _checked_shape(path, [1, channels, *sizes])
    loaded = load_torch(path.read_bytes(), path, "cpu", 1, description)
    draft = _draft(path, "torch", shape, shapes[-1][0], loaded.activation, 2 + len(sizes))
    draft.entry["architecture"] = description
    draft.told.insert(0, f"weights of the network in {architecture.name}, input {description['input_shape']}")
    return draft


def _checked_shape(path: Path, shape: Sequence[Any] | None) -> tuple[int | None, ...]:
    """Return the channels of the input, and the sizes of a patch along its own axes; None for those that are free."""
    sizes = [size if isinstance(size, int) else None for size in shape or ()]
    if len(sizes) == 4:
        # It is run on each plane.
        sizes = [*sizes[:2], 1, *sizes[2:]]
    if len(sizes) != _AXES:
        raise ModelError(f"{path}: takes {len(sizes)} axes; an input (batch, channels, z, y, x) is needed")
    if sizes[1] not in (*range(1, _MOST_CHANNELS + 1), None):
        raise ModelError(f"{path}: takes {sizes[1]} channels; 1 to {_MOST_CHANNELS} can be run")
    if sizes[0] not in (1, None):
        raise ModelError(f"{path}: takes batches of {sizes[0]}; export it with a free batch size, or 1")
    if any(size is not None and not 1 <= size <= 512 for size in sizes[2:]):
        raise ModelError(f"{path}: takes patches of {sizes[2:]} voxels; 1 to 512 along each axis can be run")
    return tuple(sizes[1:])


def _draft(path: Path, runtime: str, shape: Sequence[int | None], channels: int, activation: str, axes: int) -> Draft:
    if not 1 + (activation in ("softmax", "labels")) <= channels <= 255:
        raise ModelError(f"{path}: gives {channels} channel(s); 2 to 255 can be run, and one without a softmax")
    inputs = shape[0] or 1
    names = ["image"] if inputs == 1 else [f"channel {number}" for number in range(1, inputs + 1)]
    entry: dict[str, Any] = {
        **{"id": identifier(path.stem), "version": "1.0.0", "runtime": runtime},
        "description": f"Network of the file {path.name[:80]!r}.",
        "input": {"channels": [{"name": name} for name in names]},
        "sliding_window": {"step": {"parameter": "step"}},
        "output": {"channels": channels, "segments": [{"label": label} for label in range(1, channels)]},
        "parameters": [STEP],
    }
    # By it, weights in safetensors are told from a state dict of torch.
    suffix = path.suffix.lower() if path.suffix.lower() in (".onnx", ".pt2", ".safetensors") else ".pth"
    draft = Draft(entry, {f"weights{suffix}": path}, fixed=[("output", "channels")], outputs=channels)
    sizes, draft.inputs = [size for size in shape[1:] if size is not None], inputs
    draft.shape, draft.any_slices = sizes if len(sizes) == len(shape) - 1 else (), axes == 4
    if inputs > 1:
        draft.told.append(f"takes {inputs} channels, which a run makes of one series, each in its own window")
    if draft.any_slices:
        draft.told.append("a network for slices, which is run on each plane along the first of its axes")
    draft.told.append(_TOLD[activation].format(channels))
    # One channel is no class and its background.
    if activation or channels == 1:
        draft.put(("output", "activation"), "sigmoid" if channels == 1 else activation)
        draft.fixed = [*draft.fixed, ("output", "activation")]
    if activation == "sigmoid":
        draft.put(("output", "threshold"), 0.5)
    else:
        draft.offers[("output", "threshold")] = 0
    return draft


def _with_hints(draft: Draft, path: Path, hints: str | bytes | None) -> Draft:
    if hints is None:
        return draft
    where = f"{path}: {HINTS}"
    if len(hints) > _LARGEST_HINTS:
        raise ModelError(f"{where}: is larger than {_LARGEST_HINTS // 2**20} MiB")
    fragment: Mapping[str, Any] = parse_json(hints, where, ModelError)
    draft.merge(fragment, where)
    draft.told.append(f"{', '.join(sorted(fragment))}: from {HINTS} in the file")
    return draft
