"""Result of a segmentation: the label map, its segments and the algorithm, wherever the network ran."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import SimpleITK as sitk
from pydicom.dataset import Dataset

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.provenance import Algorithm
from NativeDLLib.quality.finding import Finding
from NativeDLLib.registry.entry import Segment
from NativeDLLib.registry.segment_json import segment_json
from NativeDLLib.results.folder import ResultFolder
from NativeDLLib.results.names import LABELS, PREVIEW, SEG, SLICER, STRUCTURES
from NativeDLLib.source import Series, Source
from NativeDLLib.tools.tool import Storage
from NativeDLLib.volumes.preview import write_preview
from NativeDLLib.volumes.seg_nrrd import write_image, write_seg_nrrd


@dataclass(frozen=True)
class SegmentationResult:
    """A segmentation on the grid of its source; see `ProcessingResult`."""

    source: Source
    image: sitk.Image  # values on the grid of the source
    labels: sitk.Image  # Segment Numbers on the same grid, 0 for none
    segments: tuple[Segment, ...]  # all segments that were looked for, numbered from 1
    measured: list[dict[str, Any]]  # voxels, volume and mean value of each segment, as `measure` returns them
    quality: list[Finding]
    algorithm: Algorithm
    # Model, digest of its weights, device and parameters, as the report tells them; for vertebrae also `levels`, the
    # landmark that they are counted from (``sacrum``, ``ribs`` or ``numbered``), for a coarse model also its box.
    facts: Mapping[str, Any]
    storage: Storage = field(default_factory=Storage)

    @property
    def tool_name(self) -> str:
        """Name and version of the model."""
        return f"{self.algorithm.name} {self.algorithm.version}"

    @property
    def is_empty(self) -> bool:
        """Whether no voxel belongs to any segment."""
        return not any(row["voxels"] for row in self.measured)

    @property
    def no_seg_because(self) -> str:
        """Reason why there is no DICOM SEG of it, for the user; empty where there is one."""
        if not isinstance(self.source, Series):
            return "the image does not come from DICOM, and a SEG must refer to the instances it was made from"
        if self.is_empty and not self.storage.keep_empty:
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
            "no_seg_because": self.no_seg_because or None,
        }

    def to_dicom(self, *, buffered: bool = False) -> list[Dataset]:
        """Return the SEG; see `make_segmentation` for the parameters and errors."""
        if not isinstance(self.source, Series):
            raise InputError(self.no_seg_because)
        # highdicom is imported when there is something to write: see `import_ahead`.
        from NativeDLLib.dicom.seg import make_segmentation

        values, storage = sitk.GetArrayViewFromImage(self.labels), self.storage
        how: dict[str, Any] = {"kind": storage.kind, "allow_empty": storage.keep_empty, "findings": self.quality}
        dataset = make_segmentation(self.source, values, self.segments, self.algorithm, buffered=buffered, **how)
        if buffered:
            dataset.PixelData.owner = self.labels
        return [dataset]

    def save(self, folder: ResultFolder, progress: Progress) -> None:
        """Write label maps and a picture, and the DICOM objects there are; see `ProcessingResult`."""
        if self.is_empty and self.no_seg_because:
            told = f"{self.algorithm.name} found none of its segments: no SEG is written"
            progress.warn(told, hint="--keep-empty stores an empty one")
        with ThreadPoolExecutor() as pool:
            # An image is shared by no two threads: a look at its voxels moves them while another holds it.
            own = [sitk.Image(self.labels) for _ in range(2)]
            others = [
                pool.submit(write_image, own[0], folder.path(LABELS)),
                pool.submit(write_seg_nrrd, folder.path(SLICER), own[1], self.segments, self.tool_name),
            ]
            is_ct = self.source.text("Modality") == "CT"
            write_preview(folder.path(PREVIEW), self.image, self.labels, self.segments, is_ct=is_ct)
            if not self.no_seg_because:
                (dataset,) = self.to_dicom(buffered=True)
                folder.report.segmentation = folder.save(SEG, dataset, self.storage.kind)
            if self.storage.structures and isinstance(self.source, Series) and not self.is_empty:
                from NativeDLLib.regions.structure import whole_structure_set

                values = sitk.GetArrayViewFromImage(self.labels)
                dataset = whole_structure_set(
                    self.source, values, self.segments, self.algorithm, progress, findings=self.quality
                )
                folder.report.structure_set = folder.save(STRUCTURES, dataset)
            for other in others:
                other.result()
