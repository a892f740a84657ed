"""Archives of ``torch.export.save`` (``.pt2``), read as what they are: JSON and numbers.

torch's own reader unpickles what a name in the archive asks for, imports modules that the JSON names, and has
expressions evaluated. None of that is needed to run a network, and it is never called here.
"""

import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.jsonfile import parse_json
from NativeDLLib.core.zip_check import ZipError, check_zip

if TYPE_CHECKING:
    import torch

EXPORT = (
    "export the network it was made of with torch.export.export and torch.export.save (torch 2.9 or later) to a .pt2 "
    "file, or as ONNX"
)
"""Way out of every file that is code."""

_MEMBER = re.compile(
    r"(data/weights/(weight_\d+|model_weights_config\.json)|data/constants/(tensor_\d+|model_constants_config\.json)"
    r"|models/model\.json|data/sample_inputs/model\.pt|archive_(format|version)|byteorder|\.data/(version|serialization_id)"
    r"|extra/[\w.-]+)"
)
_LARGEST_JSON = 2**25
# Sizes and guards are kept out of what runs, and have to be arithmetic all the same.
_ARITHMETIC = re.compile(r"[\w\s'()\[\]+\-*/%<>=!&|,.]*")
_WORD, _SYMBOL, _ARGUMENT = re.compile(r"\b[^\W\d]\w*"), re.compile(r"[suz]\d+"), re.compile(r"\bL\['\w+'\]")
_WORDS = {
    *("Symbol", "positive", "nonnegative", "integer", "True", "False", "None", "Integer", "Rational", "Float"),
    *("Add", "Mul", "Pow", "Max", "Min", "Abs", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not", "Mod"),
    *("PythonMod", "FloorDiv", "CleanDiv", "CeilDiv", "CeilToInt", "FloorToInt", "TruncToInt", "TruncToFloat"),
    *("RoundToInt", "RoundDecimal", "ToFloat", "IntTrueDiv", "FloatTrueDiv", "FloatPow", "PowByNatural"),
    *("ModularIndexing", "Where", "Identity", "LShift", "RShift", "IsNonOverlappingAndDenseIndicator", "floor"),
    *("ceiling", "max", "min", "and", "or", "not", "is", "int", "float", "size", "stride", "storage_offset"),
}
# The numbers that files have for torch's types.
_TYPES = {
    **{1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32", 8: "float64"},
    **{9: "complex32", 10: "complex64", 11: "complex128", 12: "bool", 13: "bfloat16"},
}


class NotRunError(ValueError):
    """A network asks for what is not run here, in words of ours."""


class Pt2Archive:
    """An archive, read from bytes, of which every member and every name has been checked. `model` is the content of
    ``models/model.json``: graph, signature and outputs. ModelError where it is no such archive, is damaged, or holds
    what an exported network has no need for.
    """

    def __init__(self, content: bytes, path: Path) -> None:
        self._path = path
        try:
            stream = io.BytesIO(content)
            check_zip(stream)
            self._archive = zipfile.ZipFile(stream)
        except (ZipError, zipfile.BadZipFile, ValueError) as error:
            told = str(error) if isinstance(error, ZipError) else "it is no archive"
            raise ModelError(f"{path}: is no .pt2 file that can be read: {told}; {EXPORT}") from error
        names = self._archive.namelist()
        if any(name.endswith(("/constants.pkl", ".py")) for name in names):
            raise ModelError(f"{path}: is TorchScript, which is code and is not run; {EXPORT}")
        self._root = names[0].partition("/")[0] if names else ""
        for member in self._archive.infolist():
            root, _, name = member.filename.partition("/")
            if root != self._root or not _MEMBER.fullmatch(name):
                raise ModelError(f"{path}: holds '{member.filename[:80]}', which a network has no need for; {EXPORT}")
            if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                raise ModelError(f"{path}: '{member.filename[:80]}' is compressed, which torch never writes")
        if not {"models/model.json", "archive_format"} <= {name.partition("/")[2] for name in names}:
            raise ModelError(f"{path}: holds no exported network; {EXPORT}")
        self.model: dict[str, Any] = self._json("models/model.json")
        _check_texts(self.model, path)

    def extra(self, name: str, largest: int) -> bytes | None:
        """Content of an extra file; None where there is none, or it is too large."""
        try:
            member = self._archive.getinfo(f"{self._root}/extra/{name}")
        except KeyError:
            return None
        return self._read(f"extra/{name}") if member.file_size <= largest else None

    @cached_property
    def weights(self) -> "dict[str, torch.Tensor]":
        """Parameters and buffers by name, as the module had them."""
        return dict(self._tensors("data/weights", "model_weights_config.json"))

    @cached_property
    def constants(self) -> "dict[str, torch.Tensor]":
        """Constants of the graph by name."""
        return dict(self._tensors("data/constants", "model_constants_config.json"))

    def _tensors(self, folder: str, listing: str) -> "Iterator[tuple[str, torch.Tensor]]":
        import torch

        contents: dict[str, torch.Tensor] = {}
        try:
            for name, row in self._json(f"{folder}/{listing}")["config"].items():
                place, described = f"{folder}/{row['path_name']}", row["tensor_meta"]
                # The flag is not all that torch goes by: names alone make it unpickle, too.
                if row["use_pickle"] or not _MEMBER.fullmatch(place):
                    raise ModelError(f"{self._path}: holds pickled weights, which are not loaded; export it again")
                kind = dtype(described["dtype"])
                if place not in contents:
                    contents[place] = torch.frombuffer(bytearray(self._read(place)) or bytearray(16), dtype=torch.uint8)
                flat = contents[place].view(kind)
                sizes, strides = ([size["as_int"] for size in described[key]] for key in ("sizes", "strides"))
                yield name, torch.as_strided(flat, sizes, strides, described["storage_offset"]["as_int"])
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
            told = str(error) if isinstance(error, NotRunError) else "their sizes are not those of the file"
            raise ModelError(f"{self._path}: its weights cannot be read: {told}") from error

    def _json(self, name: str) -> Any:
        if self._archive.getinfo(f"{self._root}/{name}").file_size > _LARGEST_JSON:
            raise ModelError(f"{self._path}: {name} is larger than {_LARGEST_JSON // 2**20} MiB")
        return parse_json(self._read(name), f"{self._path}: {name}", ModelError)

    def _read(self, name: str) -> bytes:
        try:
            return self._archive.read(f"{self._root}/{name}")
        except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
            raise ModelError(f"{self._path}: {name} is damaged") from error


def dtype(number: int) -> "torch.dtype":
    """Type of numbers that a file means; ValueError where it is one that no network has."""
    import torch

    if number not in _TYPES:
        raise NotRunError(f"type {number} of its numbers is not known")
    kind: torch.dtype = getattr(torch, _TYPES[number])
    return kind


def _check_texts(model: Any, path: Path) -> None:
    rest = [model]
    while rest:
        here = rest.pop()
        if isinstance(here, dict):
            if "expr_str" in here and not _is_arithmetic(here["expr_str"]):
                raise ModelError(f"{path}: holds the expression '{str(here['expr_str'])[:80]}', which is not a size")
            if not all(_is_arithmetic(text) for text in here.get("guards_code") or ()):
                raise ModelError(f"{path}: holds Python code as guards, which is not run; export it without them")
        rest += here.values() if isinstance(here, dict) else here if isinstance(here, list) else ()


def _is_arithmetic(text: Any) -> bool:
    if not isinstance(text, str) or not _ARITHMETIC.fullmatch(text):
        return False
    words = _WORD.findall(_ARGUMENT.sub("", text))
    return all(word in _WORDS or _SYMBOL.fullmatch(word) for word in words)
