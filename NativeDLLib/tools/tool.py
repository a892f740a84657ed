"""The interface that every algorithm has: segmentation, and whatever else makes something of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydicom.dataset import Dataset

from NativeDLLib.core.progress import Progress
from NativeDLLib.source.source import Source


@dataclass(frozen=True)
class Verdict:
    """Whether a tool can process an image, and why or why not."""

    ok: bool
    reason: str


class ProcessingResult(Protocol):
    """The result of a tool."""

    @property
    def tool_name(self) -> str:
        """Name and version of the tool."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Findings and how they came about, as JSON values without patient data."""

    def to_dicom(self) -> list[Dataset]:
        """Return the result as DICOM instances in the study of the series."""


class ImageProcessingTool(Protocol):
    """An algorithm that takes an image."""

    def can_process_image(self, source: Source) -> Verdict:
        """Tell whether the image is one that this tool is for."""

    def description(self) -> str:
        """Return a sentence for the user."""

    def version_id(self) -> str:
        """Return the name and version that tell this tool from others, such as ``liver-ct-demo 1.0.0``."""

    def process(self, source: Source, parameters: Mapping[str, Any], progress: Progress) -> ProcessingResult:
        """Process an image.

        Raises
        ------
        NativeDLError
            Where it cannot be processed; nothing has then been written.
        """
