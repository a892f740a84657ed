"""ONNX files (protobuf messages of onnx.proto), as far as they must be known before a runtime reads them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference.network import Operators

# Fields that hold other messages, by number, and their kinds.
_MESSAGES: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
_DEEPEST = 100
_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION = 9, 13, 14
# onnxruntime reads no message beyond this.
_LARGEST = 2**31 - 1


class OnnxFile:
    """Content of an ONNX file, read without any runtime. `beside` holds what was read of other files. A field that
    stands twice counts twice, as protobuf merges messages. ModelError where the bytes are no such file.
    """

    def __init__(self, content: bytes, path: Path) -> None:
        self.content, self.path = content, path
        self.beside = dict[str, bytes]()
        if content[4:8] == b"ORTM":
            raise ModelError(f"{path}: is in onnxruntime's own format; give the .onnx file that it was made of")
        try:
            messages = list(_walk(memoryview(content), "model"))
            self.is_alone = not any(_is_elsewhere(data) for kind, data in messages if kind == "tensor")
        except (ValueError, IndexError) as error:
            raise ModelError(f"{path}: is damaged, or no ONNX file") from error

    def check_alone(self) -> None:
        """Raise ModelError where it keeps weights in other files, which would be read from the current folder."""
        if not self.is_alone:
            raise ModelError(f"{self.path}: keeps weights in other files; add it anew, which puts them into one")

    def operators(self) -> tuple[str, Operators]:
        """Name of the first output, and the operator with its inputs that gives each value of the graph."""
        outputs, found = list[str](), dict[str, tuple[str, Sequence[str]]]()
        for graph in _inner(memoryview(self.content), 7):
            for node in _inner(graph, 1):
                found |= dict.fromkeys(_texts(node, 2), ("".join(_texts(node, 4)), _texts(node, 1)))
            outputs += ["".join(_texts(output, 1)) for output in _inner(graph, 12)]
        return outputs[0], found

    def with_outputs(self, *values: str) -> bytes:
        """Content in which values of the graph are outputs too, after its own."""
        graph = b"".join(_field(12, _field(1, value.encode())) for value in values)
        return self.content + _field(7, graph)

    def in_one_piece(self) -> bytes:
        """Content with the weights of files beside it; ModelError where one is not there, or all is too large."""
        if self.is_alone:
            return self.content

        def read(data: memoryview) -> bytes:
            if not _is_elsewhere(data):
                return bytes(data)
            rows = {_texts(row, 1)[0]: _texts(row, 2)[0] for row in _inner(data, _EXTERNAL_DATA)}
            name = rows.get("location", "")
            if name not in self.beside:
                self.beside[name] = self._beside(name)
            start, size = int(rows.get("offset", "0")), len(self.beside[name])
            length = int(rows.get("length", size - start))
            if min(start, length) < 0 or start + length > size:
                raise ValueError("lies beyond the file")
            values = self.beside[name][start : start + length]
            kept = [
                raw for number, _, raw in _fields(data) if number not in (_RAW_DATA, _EXTERNAL_DATA, _DATA_LOCATION)
            ]
            return b"".join([*kept, _field(_RAW_DATA, values)])

        try:
            content = _rewritten(memoryview(self.content), "model", read)
        except (ValueError, IndexError) as error:
            raise ModelError(f"{self.path}: says wrongly where in other files its weights are") from error
        if len(content) > _LARGEST:
            raise ModelError(f"{self.path}: is larger than 2 GiB with its weights; export it in half precision")
        return content

    def _beside(self, name: str) -> bytes:
        path = self.path.parent / name
        if name in ("", ".", "..") or Path(name).name != name or "\\" in name:
            raise ModelError(f"{self.path}: keeps weights in '{name[:80]}', which is not a file beside it")
        if not path.is_file():
            raise ModelError(f"{self.path}: keeps weights in {path.name}, which is not beside it; put it there")
        if path.stat().st_size > _LARGEST:
            message = f"{path}: is larger than 2 GiB, which is too much for one file; export it in half precision"
            raise ModelError(message)
        return path.read_bytes()


def _walk(data: memoryview, kind: str, depth: int = 0) -> Iterator[tuple[str, memoryview]]:
    if depth > _DEEPEST:
        raise ValueError("is nested too deeply")
    yield kind, data
    for number, value, _ in _fields(data):
        if number in _MESSAGES[kind] and isinstance(value, memoryview):
            yield from _walk(value, _MESSAGES[kind][number], depth + 1)


def _rewritten(data: memoryview, kind: str, change: Callable[[memoryview], bytes]) -> bytes:
    """Message with every tensor in it changed."""
    if kind == "tensor":
        return change(data)
    parts = []
    for number, value, raw in _fields(data):
        inner = _MESSAGES[kind].get(number)
        known = inner is not None and isinstance(value, memoryview)
        parts.append(_field(number, _rewritten(value, inner, change)) if inner and known else bytes(raw))
    return b"".join(parts)


def _is_elsewhere(tensor: memoryview) -> bool:
    return any(n == _EXTERNAL_DATA or (n == _DATA_LOCATION and value != 0) for n, value, _ in _fields(tensor))


def _inner(data: memoryview, wanted: int) -> Iterator[memoryview]:
    return (value for number, value, _ in _fields(data) if number == wanted and isinstance(value, memoryview))


def _texts(data: memoryview, wanted: int) -> list[str]:
    return [bytes(value).decode("utf-8", "replace") for value in _inner(data, wanted)]


def _fields(data: memoryview) -> Iterator[tuple[int, Any, memoryview]]:
    """Number, value (a number or bytes) and written form of each field; ValueError or IndexError if damaged."""
    place = 0
    while place < len(data):
        start = place
        tag, place = _varint(data, place)
        kind, value = tag & 7, None
        if kind == 0:
            value, end = _varint(data, place)
        elif kind == 2:
            size, place = _varint(data, place)
            end = place + size
        else:
            end = place + {1: 8, 5: 4}.get(kind, len(data) + 1)
        if end > len(data) or not 8 <= tag < 2**32:
            raise ValueError("is damaged")
        yield tag >> 3, data[place:end] if value is None else value, data[start:end]
        place = end


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for count in range(10):
        byte = data[place + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value % 2**64, place + count + 1
    raise ValueError("is damaged")


def _field(number: int, content: bytes) -> bytes:
    """Field of bytes as protobuf writes it."""
    parts = bytearray()
    for value in (number << 3 | 2, len(content)):
        while value >= 0x80:
            parts.append(value & 0x7F | 0x80)
            value >>= 7
        parts.append(value)
    return bytes(parts) + content
