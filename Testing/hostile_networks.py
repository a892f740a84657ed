"""Files with networks as a stranger could make them. A payload only writes a file of the test's own folder."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import factories
import numpy as np
import onnx
import torch


class Payload:
    """An object whose pickle writes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return open, (str(self.marker), "w")


def members(path: Path) -> dict[str, bytes]:
    """Return the members of a ZIP archive."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(content: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a ZIP archive of members."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _pt2(folder: Path) -> dict[str, bytes]:
    return members(factories.threshold_pt2(folder / "honest.pt2", 1.5))


def _changed(folder: Path, end: str, change: Callable[[Any], Any]) -> bytes:
    """Return a .pt2 of which a JSON member was changed."""
    content = _pt2(folder)
    (name,) = (name for name in content if name.endswith(end))
    data = json.loads(content[name])
    change(data)
    return packed(content | {name: json.dumps(data).encode()})


def _pickle(marker: Path) -> bytes:
    stream = io.BytesIO()
    torch.save(Payload(marker), stream)
    return stream.getvalue()


def _node(target: str, **arguments: Any) -> dict[str, Any]:
    inputs = [{"name": name, "arg": value, "kind": 1} for name, value in arguments.items()]
    return {"target": target, "inputs": inputs, "outputs": [], "metadata": {}}


def _module(change: Callable[[Any, Path], Any]) -> Callable[[Path, Path], bytes]:
    return lambda folder, marker: _changed(folder, "models/model.json", lambda m: change(m, marker))


def _graph(change: Callable[[Any, Path], Any]) -> Callable[[Path, Path], bytes]:
    return lambda folder, marker: _changed(
        folder, "models/model.json", lambda m: change(m["graph_module"]["graph"], marker)
    )


def _calls(target: str, **arguments: Any) -> Callable[[Path, Path], bytes]:
    def change(graph: Any, marker: Path) -> None:
        filled = {key: {"as_string": str(marker)} if value == "MARKER" else value for key, value in arguments.items()}
        graph["nodes"].insert(0, _node(target, **filled))

    return _graph(change)


def _expression(text: str) -> Callable[[Path, Path], bytes]:
    def change(graph: Any, marker: Path) -> None:
        expression = {"expr_str": text.format(marker=marker), "hint": {"as_int": 1}}
        graph["sym_int_values"] = {"s0": {"as_expr": expression}}

    return _graph(change)


def _constant(name: str) -> Callable[[Path, Path], bytes]:
    def make(folder: Path, marker: Path) -> bytes:
        content = _pt2(folder)
        (config,) = (name for name in content if name.endswith("constants_config.json"))
        row = {"path_name": name, "is_param": False, "use_pickle": False, "tensor_meta": None}
        place = config.replace("model_constants_config.json", name)
        return packed(
            content | {config: json.dumps({"config": {"c": row}}).encode(), place: pickle.dumps(Payload(marker))}
        )

    return make


def _weights_flag(folder: Path, marker: Path) -> bytes:
    content = _pt2(folder)
    for name, data in content.items():
        if name.endswith("weights_config.json"):
            content[name] = data.replace(b'"use_pickle": false', b'"use_pickle": true')
        elif "/weight_" in name:
            content[name] = pickle.dumps(Payload(marker))
    return packed(content)


def _member(name: str, *, instead: bool = False) -> Callable[[Path, Path], bytes]:
    """Return a .pt2 with another member, a pickle, or with it in the place of the one that it is named as."""

    def make(folder: Path, marker: Path) -> bytes:
        content = _pt2(folder)
        root = next(iter(content)).partition("/")[0]
        assert instead == (f"{root}/{name}" in content)
        return packed(content | {f"{root}/{name}": _pickle(marker)})

    return make


def _two_directories(folder: Path, marker: Path) -> bytes:
    """Return a .pt2 with two directories: Python reads the one before the end, torch the one that the end states."""
    honest = packed(_pt2(folder))
    hostile = _calls("torch.ops.aten.save.default", t={"as_int": 1}, filename="MARKER")(folder, marker)
    size, start = struct.unpack_from("<2L", honest, len(honest) - 10)
    (stated,) = struct.unpack_from("<L", hostile, len(hostile) - 6)
    directory, end, position = bytearray(honest[start : start + size]), bytearray(honest[-22:]), 0
    while position < size:
        # Python adds the distance between where the directory is and where it should be to the place of a member.
        (place,) = struct.unpack_from("<L", directory, position + 42)
        struct.pack_into("<L", directory, position + 42, place + stated - start)
        position += 46 + sum(struct.unpack_from("<3H", directory, position + 28))
    struct.pack_into("<L", end, 16, stated)
    both = hostile[:-22] + honest[:start] + directory + end
    with zipfile.ZipFile(io.BytesIO(both)) as archive:
        assert all(b"save" not in archive.read(name) for name in archive.namelist() if name.endswith("model.json"))
    return both


def _twice(folder: Path, marker: Path) -> bytes:
    content = packed(_pt2(folder))
    stream = io.BytesIO(content)
    with zipfile.ZipFile(stream, "a") as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("model.json"))
        archive.writestr(name, b"{}")
    return stream.getvalue()


def _other_header(folder: Path, marker: Path) -> bytes:
    """Return a .pt2 whose first member has another name than its directory says."""
    content = bytearray(packed(_pt2(folder)))
    content[30:34] = b"evil"
    return bytes(content)


def _bomb(folder: Path, marker: Path) -> bytes:
    content = _pt2(folder)
    (name,) = (name for name in content if name.endswith("model.json"))
    return packed(content | {name: b"[" + b"0," * 2**22 + b"0]"}, zipfile.ZIP_DEFLATED)


def _large_json(folder: Path, marker: Path) -> bytes:
    content = _pt2(folder)
    (name,) = (name for name in content if name.endswith("model.json"))
    return packed(content | {name: b" " * 2**26})


def _old_format(folder: Path, marker: Path) -> bytes:
    names = ("serialized_state_dict.pt", "serialized_constants.pt", "serialized_example_inputs.pt")
    program = {"serialized_exported_program.json": b"{}", "version": b"8.20"}
    return packed(program | dict.fromkeys(names, _pickle(marker)))


def _torchscript(folder: Path, marker: Path) -> bytes:
    class Writing(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.place = str(marker)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.save(x, self.place)
            return torch.cat([x, x], 1)

    torch.jit.script(Writing()).save(str(folder / "script.pt"))
    content = members(folder / "script.pt")
    for name, data in content.items():
        # The operator is not written as anybody would look for it.
        content[name] = data.replace(b"torch.save(", b"(torch. # c\n  save)(") if name.endswith(".py") else data
    return packed(content)


def _honest_script(folder: Path, marker: Path) -> bytes:
    torch.jit.script(factories.threshold_module(1)).save(str(folder / "script.pt"))
    return (folder / "script.pt").read_bytes()


_FACTORY = {"default_factory_module": "module_of_a_stranger", "default_factory_name": "x", "dict_context": ["a"]}
_ENUMERATION = {"__enum__": True, "fqn": "module_of_a_stranger:X", "name": "x"}


def _tree(kind: str, context: Any) -> Callable[[Any, Path], None]:
    """Return a change of the inputs' layout, from which torch imports a module by its name."""

    def change(model: Any, marker: Path) -> None:
        leaf = {"type": None, "context": None, "children_spec": []}
        tree = [1, {"type": kind, "context": context, "children_spec": [leaf]}]
        model["graph_module"]["module_call_graph"][0]["signature"]["in_spec"] = json.dumps(tree)

    return change


def _renamed_input(graph: Any, marker: Path) -> None:
    """Give the image a name that is Python: torch makes source text of names, and has it run."""
    name, hostile = graph["inputs"][-1]["as_tensor"]["name"], f"x=open({str(marker)!r}, 'w')"
    text = json.dumps(graph).replace(f'"as_tensor": {{"name": "{name}"}}', f'"as_tensor": {{"name": "{hostile}"}}')
    graph.update(json.loads(text))
    graph["tensor_values"][hostile] = graph["tensor_values"][name]


def _metadata(graph: Any, marker: Path) -> None:
    for node in graph["nodes"]:
        node["metadata"] = {"source_fn_stack": "x,torch.os.system", "custom": "{}", "from_node": "[]"}


REFUSED: dict[str, Callable[[Path, Path], bytes]] = {
    "operator of another module": _calls("torch.os.system", command={"as_string": "true"}),
    "operator that writes a file": _calls("torch.ops.aten.save.default", t={"as_int": 1}, filename="MARKER"),
    "operator that maps a file": _calls(
        "torch.ops.aten.from_file.default", filename="MARKER", shared={"as_bool": True}, size={"as_int": 4}
    ),
    "operator of Python": _calls("_operator.methodcaller", name={"as_string": "x"}),
    "operator without end": _calls("_operator.pow", a={"as_int": 10}, b={"as_int": 10**10}),
    "operator of another library": _calls("torch.ops.profiler._record_function_enter.default", name="MARKER"),
    "state of the process": _calls("torch.ops.aten.manual_seed.default", seed={"as_int": 1}),
    "text that is formatted": _calls("_operator.mod", a={"as_string": "%999999999d"}, b={"as_int": 1}),
    "argument that is an object": _calls(
        "torch.ops.aten.relu.default", self={"as_custom_obj": {"name": "c", "class_fqn": "x"}}
    ),
    "argument that is an operator": _calls("torch.ops.aten.relu.default", self={"as_operator": "torch.os.system"}),
    "value that nobody computes": _calls("torch.ops.aten.relu.default", self={"as_tensor": {"name": "no"}}),
    "expression": _expression("open('{marker}', 'w')"),
    "expression with attributes": _expression("().__class__.__mro__"),
    "guards": _module(lambda model, marker: model.update(guards_code=[f"open({str(marker)!r}, 'w')"])),
    "weights that say that they are pickled": _weights_flag,
    "constant that is pickled by its name": _constant("opaque_obj_0"),
    "constant of TorchScript by its name": _constant("custom_obj_0"),
    "constant elsewhere": _constant("../weights/weight_0"),
    "weights as one pickle": _member("data/weights/model.pt"),
    "constants as one pickle": _member("data/constants/model.pt"),
    "compiled code": _member("data/aotinductor/model/x.so"),
    "another network": _member("models/other.json"),
    "member outside of its folder": _member("../escape.json"),
    "member that is code": _member("code/run.py"),
    "two directories": _two_directories,
    "a member twice": _twice,
    "a member with another name than in the directory": _other_header,
    "JSON that grows": _bomb,
    "JSON that is large": _large_json,
    "format of old versions": _old_format,
    "pickle in place of the JSON": _member("models/model.json", instead=True),
    "TorchScript": _honest_script,
    "TorchScript that hides what it does": _torchscript,
}  # fmt: skip
"""Attacks in a .pt2, or in its place, that are to be refused by name."""

IGNORED: dict[str, Callable[[Path, Path], bytes]] = {
    "example inputs that are a pickle": _member("data/sample_inputs/model.pt", instead=True),
    "layout that imports a module": _module(_tree("collections.defaultdict", _FACTORY)),
    "layout that imports an enumeration": _module(_tree("builtins.dict", json.dumps([_ENUMERATION]))),
    "name that is code": _graph(_renamed_input),
    "notes that name functions": _graph(_metadata),
}  # fmt: skip
"""Attacks in what torch's own reader reads and a network has no need for: it runs as if nothing were."""


def _external(folder: Path, marker: Path) -> bytes:
    """Return an ONNX file with an initialiser, also an input, that lies in a file of the working folder."""
    model = onnx.load(factories.threshold_onnx(folder / "honest.onnx", 1.5))
    for tensor in model.graph.initializer:
        model.graph.input.append(onnx.helper.make_tensor_value_info(tensor.name, 1, list(tensor.dims)))
    weight = model.graph.initializer[0]
    Path("ext.bin").write_bytes(np.array([0, 9], np.float32).tobytes())
    weight.ClearField("float_data")
    weight.ClearField("raw_data")
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="ext.bin")
    return bytes(model.SerializeToString())


def _foreign_operator(folder: Path, marker: Path) -> bytes:
    model = onnx.load(factories.threshold_onnx(folder / "honest.onnx", 1.5))
    model.graph.node[0].domain = "stranger"
    model.opset_import.append(onnx.helper.make_opsetid("stranger", 1))
    return bytes(model.SerializeToString())


ONNX: dict[str, Callable[[Path, Path], bytes]] = {
    "weights in the working folder": _external,
    "operator of a stranger": _foreign_operator,
    "format of onnxruntime": lambda folder, marker: b"\0\0\0\0ORTM" + os.urandom(64),
}

DESCRIPTION = {
    "schema_version": "1.0",
    "input_shape": [1, 16, 16, 16],
    "architecture": [{"type": "convolution", "filters": 2, "kernel_size": 1}],
}
"""The threshold network as JSON."""


def _state(folder: Path) -> dict[str, Any]:
    state = factories.threshold_module(1.5).state_dict()
    return {f"layers.0.{name}": value for name, value in state.items()}


def _saved(make: Callable[[Path, Path], Any], **options: Any) -> Callable[[Path, Path], bytes]:
    def write(folder: Path, marker: Path) -> bytes:
        stream = io.BytesIO()
        torch.save(make(folder, marker), stream, **options)
        return stream.getvalue()

    return write


def _compressed(folder: Path, marker: Path) -> bytes:
    torch.save(_state(folder), folder / "honest.pth")
    return packed(members(folder / "honest.pth"), zipfile.ZIP_DEFLATED)


STATE: dict[str, Callable[[Path, Path], bytes]] = {
    "pickle": _saved(lambda folder, marker: Payload(marker)),
    "pickle of old versions": _saved(lambda folder, marker: Payload(marker), _use_new_zipfile_serialization=False),
    "pickle among the weights": _saved(lambda folder, marker: _state(folder) | {"layers.0.bias": Payload(marker)}),
    "weights that grow": _compressed,
    "TorchScript": _honest_script,
    "pickle of Python": lambda folder, marker: pickle.dumps(Payload(marker)),
}
"""Attacks in a file of weights of a described network."""
