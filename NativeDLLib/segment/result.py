"""Result of a segmentation: the label map, its segments and the algorithm, wherever the network ran."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import SimpleITK as sitk
from pydicom.dataset import Dataset

from NativeDLLib.core.errors import InputError
from NativeDLLib.dicom.provenance import Algorithm
from NativeDLLib.quality.finding import Finding
from NativeDLLib.registry.entry import Segment
from NativeDLLib.registry.segment_json import segment_json
from NativeDLLib.source import Series
from NativeDLLib.source.source import Source

if TYPE_CHECKING:
    from NativeDLLib.dicom.seg import Kind


@dataclass(frozen=True)
class SegmentationResult:
    """A segmentation on the grid of its source; see `ProcessingResult`.

    Attributes
    ----------
    image, labels
        Values and Segment Numbers (0 for none), both on the grid of the source.
    segments
        All segments that were looked for, numbered from 1.
    measured
        Voxels, volume and mean value of each segment, as `measure` returns them.
    facts
        Model, digest of its weights, device and parameters, as the report tells them; for vertebrae also `levels`, the
        landmark that they are counted from (``sacrum``, ``ribs`` or ``numbered``), for a coarse model also its box.
    """

    source: Source
    image: sitk.Image
    labels: sitk.Image
    segments: tuple[Segment, ...]
    measured: list[dict[str, Any]]
    quality: list[Finding]
    algorithm: Algorithm
    facts: Mapping[str, Any]

    @property
    def tool_name(self) -> str:
        """Name and version of the model."""
        return f"{self.algorithm.name} {self.algorithm.version}"

    @property
    def is_empty(self) -> bool:
        """Whether no voxel belongs to any segment."""
        return not any(row["voxels"] for row in self.measured)

    def no_seg_because(self, *, allow_empty: bool = False) -> str:
        """Return why there is no DICOM SEG of it, for the user; empty where there is one."""
        if not isinstance(self.source, Series):
            return "the image does not come from DICOM, and a SEG must refer to the instances it was made from"
        if self.is_empty and not allow_empty:
            return f"{self.algorithm.name} found none of its segments"
        return ""

    @property
    def metadata(self) -> dict[str, Any]:
        """Facts, algorithm, segments and findings, as JSON values."""
        return {
            **self.facts,
            "algorithm": asdict(self.algorithm),
            "outcome": "empty" if self.is_empty else "segmented",
            "segments": [
                segment_json(segment) | {"plausible": asdict(segment.plausible)} | row
                for segment, row in zip(self.segments, self.measured, strict=True)
            ],
            "quality": [asdict(finding) for finding in self.quality],
        }

    def to_dicom(self, *, kind: Kind = "BINARY", allow_empty: bool = False, buffered: bool = False) -> list[Dataset]:
        """Return the SEG; see `make_segmentation` for the parameters and errors."""
        if not isinstance(self.source, Series):
            raise InputError(self.no_seg_because())
        # highdicom is imported when there is something to write: see `import_ahead`.
        from NativeDLLib.dicom.seg import make_segmentation

        dataset = make_segmentation(
            self.source,
            sitk.GetArrayViewFromImage(self.labels),
            self.segments,
            self.algorithm,
            kind=kind,
            allow_empty=allow_empty,
            findings=self.quality,
            buffered=buffered,
        )
        if buffered:
            dataset.PixelData.owner = self.labels
        return [dataset]
