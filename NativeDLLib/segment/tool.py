"""The interface that every algorithm has: segmentation, and whatever else makes something of a series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import SimpleITK as sitk
from pydicom.dataset import Dataset

from NativeDLLib.core.progress import Progress
from NativeDLLib.source import Series


@dataclass(frozen=True)
class Verdict:
    """Whether a tool can process a series, and why or why not."""

    ok: bool
    reason: str


class ProcessingResult(Protocol):
    """What a tool made of a series."""

    @property
    def tool_name(self) -> str:
        """Which tool, with its version."""

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What was found and how, as JSON values without patient data."""

    @property
    def labels(self) -> sitk.Image:
        """Label map on the grid of the series, 0 for none."""

    def to_dicom(self) -> list[Dataset]:
        """Return the result as DICOM instances in the study of the series."""


class ImageProcessingTool(Protocol):
    """An algorithm that takes a series."""

    def can_process_image(self, series: Series) -> Verdict:
        """Tell whether the series is what this tool is for."""

    def description(self) -> str:
        """Return a sentence for the user."""

    def version_id(self) -> str:
        """Return what tells this version from others, such as ``liver-ct-demo 1.0.0``."""

    def process(self, series: Series, parameters: Mapping[str, Any], progress: Progress) -> ProcessingResult:
        """Process a series.

        Raises
        ------
        NativeDLError
            Where it cannot be processed; nothing has then been written.
        """
