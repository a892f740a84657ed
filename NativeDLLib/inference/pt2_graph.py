"""Networks of ``.pt2`` archives, run node by node: each is one operator on tensors, numbers and earlier results."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.jsonfile import parse_json
from NativeDLLib.inference.network import activation_of
from NativeDLLib.inference.pt2_archive import NotRunError, Pt2Archive, dtype
from NativeDLLib.inference.pt2_operators import find

if TYPE_CHECKING:
    import torch

_WITHOUT_GRADIENTS = "torch.ops.higher_order.wrap_with_set_grad_enabled"


class ExportedNetwork:
    """The network of an archive on a device, whatever it was exported on; nothing of it is called but operators of
    `find`. ModelError where it takes or gives something else than one tensor, or names an operator that a network has
    no need for.
    """

    def __init__(self, archive: Pt2Archive, device: "torch.device", path: Path) -> None:
        try:
            module = archive.model["graph_module"]
            self._graph = _Graph(module["graph"], device)
            self._kept: dict[str, Any] = {}
            taken = []
            for place, spec in zip(self._graph.inputs, module["signature"]["input_specs"], strict=True):
                ((kind, about),) = spec.items()
                if kind == "user_input":
                    taken.append(place.name)
                elif kind in ("parameter", "buffer", "tensor_constant"):
                    name = about[f"{kind}_name"]
                    tensors = archive.weights if name in archive.weights else archive.constants
                    self._kept[place.name] = tensors[name].to(device)
                elif kind != "constant_input":
                    raise NotRunError(f"it takes a {kind}")
            if len(taken) != 1:
                raise NotRunError(f"it takes {len(taken)} images; a series gives one")
            self._image = taken[0]
            self._sizes = [row.get("as_int") for row in module["graph"]["tensor_values"][self._image]["sizes"]]
            self.axes = len(self._sizes)
            _check_outputs(module)
            self.output, self.operators = next(_names(self._graph.outputs)), self._graph.operators
            whole = "" if dtype(module["graph"]["tensor_values"][self.output]["dtype"]).is_floating_point else "labels"
            self.activation = activation_of(self.output, self.operators) or whole
        except NotRunError as error:
            raise ModelError(f"{path}: cannot be run as a network: {error}") from error
        except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            raise ModelError(f"{path}: cannot be run as a network: its graph is damaged") from error

    def __call__(self, image: "torch.Tensor") -> Any:
        """Return the first output for an image of the sizes that the network was exported for."""
        sizes = tuple(image.shape)
        if len(sizes) != len(self._sizes) or any(n not in (None, m) for n, m in zip(self._sizes, sizes, strict=True)):
            raise NotRunError(f"takes {self._sizes}, not {list(sizes)}")
        return self._graph.run({**self._kept, self._image: image})[0]


def _check_outputs(module: Mapping[str, Any]) -> None:
    """Check that the first output is the one that the module gives first."""
    kinds = [next(iter(spec)) for spec in module["signature"]["output_specs"]]
    if set(kinds) != {"user_output"}:
        raise NotRunError("it changes itself when it runs; export it in evaluation mode")
    tree = parse_json(module["module_call_graph"][0]["signature"]["out_spec"], "out_spec", ModelError)[1]
    first = tree["children_spec"][0] if tree["children_spec"] else tree
    if tree["type"] not in (None, "builtins.tuple", "builtins.list") or first["children_spec"]:
        raise NotRunError("its outputs are not in a fixed order")


@dataclass(frozen=True)
class _Value:
    """An input, or a result of an earlier node."""

    name: str


@dataclass
class _Node:
    call: Callable[..., Any]
    positional: list[Any]
    named: dict[str, Any]
    gives: Any
    last: list[str] = field(default_factory=list)


class _Graph:
    def __init__(self, graph: Mapping[str, Any], device: "torch.device") -> None:
        self._device = device
        self.operators: dict[str, tuple[str, list[str]]] = {}
        self.inputs = [self._argument(row) for row in graph["inputs"]]
        self.outputs = [self._argument(row) for row in graph["outputs"]]
        self._nodes = [self._node(row) for row in graph["nodes"]]
        known = set(_names(self.inputs))
        for node in self._nodes:
            if unknown := {*_names(node.positional), *_names(node.named)} - known:
                raise NotRunError(f"it uses the value '{unknown.pop()[:80]}' before there is one")
            known |= {*_names(node.gives)}
        if unknown := {*_names(self.outputs)} - known:
            raise NotRunError(f"it gives the value '{unknown.pop()[:80]}', which it does not compute")
        # Values are forgotten after the last node that uses them: memory is what large networks have least of.
        needed = {*_names(self.outputs)}
        for node in reversed(self._nodes):
            here = {*_names(node.positional), *_names(node.named), *_names(node.gives)}
            node.last = list(here - needed)
            needed |= here

    def run(self, values: dict[str, Any]) -> list[Any]:
        for node in self._nodes:
            given = [_filled(argument, values) for argument in node.positional]
            named = {name: _filled(argument, values) for name, argument in node.named.items()}
            result = node.call(*given, **named)
            _keep(node.gives, result, values)
            del given, named, result
            for name in node.last:
                values.pop(name, None)
        return [_filled(output, values) for output in self.outputs]

    def _node(self, row: Mapping[str, Any]) -> _Node:
        given = [(argument["name"], self._argument(argument["arg"])) for argument in row["inputs"]]
        gives = [self._argument(output) for output in row["outputs"]]
        operator = row["target"].rpartition(".")[0].rpartition(".")[2], [*_names([value for _, value in given])]
        self.operators |= dict.fromkeys(_names(gives), operator)
        if row["target"] == _WITHOUT_GRADIENTS:
            (_, _), (_, inner), *rest = given
            return _Node(inner.run_on, [value for _, value in rest], {}, gives)
        gives = gives[0] if len(gives) == 1 else gives
        call, order = find(row["target"], [name for name, _ in given])
        if order is None:
            if any(isinstance(value, str) for _, value in given):
                raise NotRunError(f"it calls '{row['target']}' with a text")
            return _Node(call, [value for _, value in given], {}, gives)
        named, positional = dict(given), []
        for name in order:
            if name not in named:
                break
            positional.append(named.pop(name))
        return _Node(call, positional, named, gives)

    def run_on(self, *values: Any) -> list[Any]:
        """Run the nodes on values in the order of the inputs."""
        return self.run({place.name: value for place, value in zip(self.inputs, values, strict=True)})

    def _argument(self, row: Mapping[str, Any]) -> Any:
        """Value of an argument, with `_Value` for what is computed when the network runs."""
        import torch

        ((kind, value),) = row.items()
        match kind:
            case "as_none":
                return None
            case "as_int" | "as_bool" | "as_string":
                return value
            case "as_ints" | "as_bools" | "as_strings":
                return list(value)
            # Infinite numbers are words in JSON.
            case "as_float":
                return float(value)
            case "as_floats":
                return [float(number) for number in value]
            case "as_complex":
                return complex(float(value["real"]), float(value["imag"]))
            case "as_name":
                return _Value(str(value))
            case "as_tensor":
                return _Value(str(value["name"]))
            case "as_tensors":
                return [_Value(str(tensor["name"])) for tensor in value]
            case "as_optional_tensor" | "as_sym_int" | "as_sym_float" | "as_sym_bool":
                return self._argument(value)
            case "as_optional_tensors" | "as_sym_ints" | "as_sym_floats" | "as_sym_bools":
                return [self._argument(part) for part in value]
            case "as_scalar_type":
                return dtype(value)
            case "as_memory_format":
                names = (None, "contiguous_format", "channels_last", "channels_last_3d", "preserve_format")
                return getattr(torch, str(names[value]))
            case "as_layout" if value == 7:
                return torch.strided
            case "as_device":
                return self._device
            case "as_graph":
                return _Graph(value["graph"], self._device)
        raise NotRunError(f"it holds an argument of the kind '{kind[:40]}', which a network has no need for")


def _names(value: Any) -> Iterator[str]:
    if isinstance(value, _Value):
        yield value.name
    elif isinstance(value, (list, dict)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _names(part)


def _filled(argument: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(argument, _Value):
        return values[argument.name]
    return [_filled(part, values) for part in argument] if isinstance(argument, list) else argument


def _keep(place: Any, result: Any, values: dict[str, Any]) -> None:
    if isinstance(place, _Value):
        values[place.name] = result
    elif place:
        for part, one in zip(place, result, strict=True):
            _keep(part, one, values)
