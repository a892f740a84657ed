"""The last step of a network, which tells whether its channels exclude each other."""

from collections.abc import Mapping, Sequence

_ACTIVATIONS = {
    **{"sigmoid": "sigmoid", "hardsigmoid": "sigmoid", "argmax": "labels"},
    **dict.fromkeys(("softmax", "logsoftmax", "safesoftmax"), "softmax"),
}
# Move, copy or resize values, and leave what they mean.
_KEEP = frozenset(
    {
        *("identity", "cast", "tocopy", "alias", "clone", "contiguous", "detach", "clip", "clamp", "dropout"),
        *("transpose", "permute", "reshape", "view", "squeeze", "unsqueeze", "flatten", "slice", "pad"),
        *("concat", "cat", "resize", "upsample", "upsampling", "upsamplenearest3d", "upsampletrilinear3d"),
    }
)


def activation_of(output: str, operators: Mapping[str, tuple[str, Sequence[str]]]) -> str:
    """Tell from a graph in what its `output` ends: ``sigmoid``, ``softmax``, ``labels`` where it decides itself, or
    nothing where the graph does not tell. `operators` are operator and inputs that give each value of the graph.
    """
    ahead, seen, found = [output], {output}, set[str]()
    while ahead:
        operator, inputs = operators.get(ahead.pop(), ("", ()))
        name = operator.lower().replace("_", "")
        if name in _ACTIVATIONS:
            found.add(_ACTIVATIONS[name])
        elif name in _KEEP:
            ahead += [value for value in inputs if value not in seen]
            seen |= {*inputs}
    return next((kind for kind in ("labels", "sigmoid", "softmax") if kind in found), "")
