"""Networks in the layout of the paper's published code: private elements without a creator, base64 of a torch file.

====================  ==========================================================================================
Element (as VR)       Meaning
====================  ==========================================================================================
0017,0016 (UT)        Architecture: JSON, or the text of a Python dictionary, or base64 of a torch file of one
0017,0018 (UT)        Weights: base64 of ``torch.save(state_dict)``
0017,0020 (ST)        Name
0017,0022 (UI)        UID, which is also that of study, series, instance and, in the data set, SOP class
====================  ==========================================================================================

By the standard these elements are private creators, which is why other libraries may give them another VR; the file
may lack preamble and prefix too. Nothing is unpickled but tensors and plain containers.
"""

from __future__ import annotations

import ast
import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset

from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference.network import require
from NativeDLLib.inference.torch_file import load_tensors
from NativeDLLib.models.iodeep.choose import Offer
from NativeDLLib.models.iodeep.object_reader import LARGEST_INSTANCE
from NativeDLLib.source.header import text

_ARCHITECTURE, _WEIGHTS, _NAME, _UID = 0x00170016, 0x00170018, 0x00170020, 0x00170022
_LARGEST_ARCHITECTURE = 2**22


@dataclass(frozen=True)
class PublishedModel:
    """A network in the published layout: what it is for, its architecture, its weights.

    Attributes
    ----------
    architecture
        As the paper's code or `NativeDLLib.registry.architecture` describes networks, not checked yet.
    state
        Tensors by the name that torch's modules give them.
    """

    offer: Offer
    uid: str
    rows: int | None
    columns: int | None
    architecture: Mapping[str, Any]
    state: Mapping[str, Any]

    def module(self) -> Any:
        """Build the network as a torch module with its weights, ready to run: (n, channels, y, x) in and out.

        Raises
        ------
        ModelError
            Where the architecture is not understood, or the weights are not those of such a network.
        """
        from NativeDLLib.inference.described_network import load_network
        from NativeDLLib.models.iodeep.published_layout import from_iodeep

        description, state = self.architecture, self.state
        if isinstance(description.get("architecture"), Mapping):
            description, state = from_iodeep(description, state)
        return load_network(description, state)

    def predict(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Run the network on one image, resized to the input that it was made for and back.

        Parameters
        ----------
        pixels
            Array (y, x), or (y, x, sample) for a network for colour; values as the network was trained on.

        Returns
        -------
        ndarray
            Output (class, y, x) on the image's grid.

        Raises
        ------
        ModelError
            Where the network cannot be built or run, or does not take such an image.
        """
        torch = require("torch", "torch")
        samples = 1 if pixels.ndim == 2 else pixels.shape[-1]
        if samples != self.offer.samples_per_pixel:
            raise ModelError(f"{self.offer.id}: takes {self.offer.samples_per_pixel} sample(s) a pixel, not {samples}")
        image = torch.from_numpy(np.ascontiguousarray(pixels, np.float32)).reshape(*pixels.shape[:2], samples)
        image, size = image.permute(2, 0, 1)[None], tuple(pixels.shape[:2])
        resize = partial(torch.nn.functional.interpolate, mode="bilinear", align_corners=False, antialias=True)
        try:
            with torch.inference_mode():
                output = self.module()(resize(image, size=(self.rows or size[0], self.columns or size[1])))
                result: npt.NDArray[np.float32] = resize(output, size=size)[0].numpy()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{self.offer.id}: cannot be run: {str(error)[:300]}") from error
        return result


def read_published(path: Path) -> PublishedModel:
    """Read an object in the published layout.

    Raises
    ------
    ModelError
        Where it is not one, is damaged, or holds anything but tensors and plain values.
    """
    dataset = _open(path)
    architecture = _architecture(_content(dataset, _ARCHITECTURE, path), path)
    state = _load(_decoded(_content(dataset, _WEIGHTS, path), path), path)
    torch = require("torch", "torch")
    if not isinstance(state, Mapping) or not all(
        isinstance(key, str) and isinstance(value, torch.Tensor) for key, value in state.items()
    ):
        raise ModelError(f"{path}: its weights are no dictionary of tensors by name")
    body_part = text(dataset, "BodyPartExamined").upper()
    name = _content(dataset, _NAME, path).decode("utf-8", "replace")
    offer = Offer(
        id="".join(character for character in name if character.isprintable()).strip()[:64],
        version="",
        modality=text(dataset, "Modality"),
        body_parts=(body_part,) if body_part else (),
        samples_per_pixel=_number(dataset, "SamplesPerPixel") or 1,
        photometric_interpretation=text(dataset, "PhotometricInterpretation"),
    )
    rows, columns = _number(dataset, "Rows"), _number(dataset, "Columns")
    return PublishedModel(offer, text(dataset, "SOPInstanceUID"), rows, columns, architecture, state)


def _open(path: Path) -> Dataset:
    try:
        if path.stat().st_size > LARGEST_INSTANCE:
            raise ModelError(f"{path}: is larger than {LARGEST_INSTANCE // 2**20} MiB")
        dataset = dcmread(path, force=True)
        if dataset.file_meta.get("TransferSyntaxUID", "").endswith(".1.99"):
            raise ModelError(f"{path}: is deflated, which a model never is")
    except ModelError:
        raise
    except Exception as error:  # a damaged file can make the parser raise nearly anything
        raise ModelError(f"{path}: is damaged or no DICOM object ({error})") from error
    if _WEIGHTS not in dataset or _ARCHITECTURE not in dataset:
        raise ModelError(f"{path}: holds no network in the published layout (elements 0017,0016 and 0017,0018)")
    return dataset


def _content(dataset: Dataset, tag: int, path: Path) -> bytes:
    # Before pydicom takes it for a private creator and looks for backslashes in megabytes of text.
    value = getattr(dataset.get_item(tag), "value", None) if tag in dataset else b""
    if isinstance(value, str):
        return value.encode()
    if not isinstance(value, (bytes, type(None))):
        raise ModelError(f"{path}: element {tag >> 16:04X},{tag & 0xFFFF:04X} is no text")
    return value or b""


def _architecture(content: bytes, path: Path) -> Mapping[str, Any]:
    if len(content) > _LARGEST_ARCHITECTURE:
        raise ModelError(f"{path}: its architecture is larger than {_LARGEST_ARCHITECTURE // 2**20} MiB")
    written = content.decode("utf-8", "replace").strip(" \0")
    found: Any = None
    try:
        found = json.loads(written) if written.startswith("{") else _load(_decoded(content, path), path)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(written)
        except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
            raise ModelError(f"{path}: its architecture is neither JSON nor a Python dictionary") from error
    if not isinstance(found, Mapping):
        raise ModelError(f"{path}: its architecture is no dictionary")
    return found


def _decoded(content: bytes, path: Path) -> bytes:
    try:
        return base64.b64decode(content.strip(b" \0"), validate=True)
    except binascii.Error as error:
        raise ModelError(f"{path}: holds something else than base64 where a torch file should be") from error


def _load(content: bytes, path: Path) -> Any:
    """Load a torch file, tensors and plain values only."""
    require("torch", "torch")
    if not content.startswith(b"PK"):
        raise ModelError(f"{path}: holds no torch file")
    try:
        return load_tensors(content)
    except Exception as error:  # torch raises its own, pickle's and Python's errors
        reason = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ModelError(f"{path}: its torch file holds more than tensors, or is damaged ({reason})") from error


def _number(dataset: Dataset, keyword: str) -> int | None:
    value = text(dataset, keyword)
    return int(value) if value.isdecimal() else None
