"""The interface that every algorithm has: segmentation, and whatever else makes something of an image."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, Protocol

from pydicom.dataset import Dataset

from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.provenance import Kind
from NativeDLLib.registry.entry import Model
from NativeDLLib.results.folder import ResultFolder
from NativeDLLib.source import Source


@dataclass(frozen=True)
class Machine:
    """Device, memory and turn of a run."""

    device: str = "auto"  # device of the network; see `check_device`
    max_memory: int | None = None  # bytes of main memory that this process may have; None for no limit
    turns: tuple[Path, ...] = ()  # files, one of which is held while the network runs; see `take_turn`


TOOLS = {"segmentation": "NativeDLLib.segment.run:SegmentationTool"}
"""Full name of what makes a tool, of the parameters of `tool_of`, by the kind of a model."""


@dataclass(frozen=True)
class Verdict:
    """Whether a tool can process an image, and why or why not."""

    ok: bool
    reason: str


@dataclass(frozen=True)
class Storage:
    """How a result is stored."""

    kind: Kind = "BINARY"  # kind of a SEG: BINARY or LABELMAP
    keep_empty: bool = False  # whether there is a SEG where nothing was found
    structures: bool = False  # whether there is an RT Structure Set too, where something was found


class ProcessingResult(Protocol):
    """The result of a tool."""

    @property
    def tool_name(self) -> str:
        """Name and version of the tool."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Rows of the report, among them the ``outcome`` in a word, as JSON values without patient data."""

    def to_dicom(self) -> list[Dataset]:
        """Return the result as DICOM instances in the study of the series."""

    def save(self, folder: ResultFolder, progress: Progress) -> None:
        """Write the files of the result into its folder, whose report is there but for what is written."""


class ImageProcessingTool(Protocol):
    """An algorithm that takes an image."""

    def can_process_image(self, source: Source) -> Verdict:
        """Tell whether the image is one that this tool is for."""

    def description(self) -> str:
        """Return a sentence for the user."""

    def version_id(self) -> str:
        """Return the name and version that tell this tool from others, such as ``liver-ct-demo 1.0.0``."""

    def process(self, source: Source, parameters: Mapping[str, Any], progress: Progress) -> ProcessingResult:
        """Process an image; NativeDLError, with nothing written, where that is not possible."""


def tool_of(model: Model, machine: Machine, storage: Storage) -> ImageProcessingTool:
    """Return the tool of a registry entry, whose module is imported now."""
    tool: ImageProcessingTool = resolve_name(TOOLS[model.kind])(model, machine, storage)
    return tool
