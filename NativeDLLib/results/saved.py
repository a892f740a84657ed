"""Result in a folder, read back: what a run found, or what a physician approved of it."""

import re
from dataclasses import dataclass
from pathlib import Path

import SimpleITK as sitk

from NativeDLLib.core.arrays import Array, Bools
from NativeDLLib.core.errors import InputError
from NativeDLLib.dicom.provenance import Algorithm, AlgorithmType, Predecessor
from NativeDLLib.registry.entry import Segment
from NativeDLLib.registry.segment_json import segment_of
from NativeDLLib.results.names import APPROVED, APPROVED_REPORT, LABELS, REPORT
from NativeDLLib.results.report import Report, ReportedSeries
from NativeDLLib.source import Series
from NativeDLLib.source.volume_file import open_volume, read_volume


@dataclass(frozen=True)
class SavedResult:
    """Result of a run or of an approval."""

    folder: Path
    report: Report
    is_approved: bool
    series: ReportedSeries
    algorithm: Algorithm  # algorithm of the run
    # By number, with the Segment Algorithm Type: all that a run looked for, or those approved.
    segments: dict[int, tuple[Segment, AlgorithmType]]

    @classmethod
    def read(cls, folder: Path, *, automatic: bool = False) -> "SavedResult":
        """Result in a folder, the approved one where it has both; with `automatic` only that of a run. InputError where
        there is none, it is of an older version, or it is not of a DICOM series.
        """
        is_approved = not automatic and (folder / APPROVED_REPORT).exists()
        path = folder / (APPROVED_REPORT if is_approved else REPORT)
        report = Report.read(path)
        series, algorithm = report.series, report.algorithm
        if series is None or algorithm is None or not report.segments:
            lacks = [name for name in ("series", "algorithm", "segments") if not getattr(report, name)]
            raise InputError(f"{path}: tells of no {', '.join(lacks)}, as reports of NativeDL do")
        if series.series_instance_uid is None:
            raise InputError(f"{path}: the result is of an image that does not come from DICOM; there is no SEG of it")
        try:
            rows = [row for row in report.segments if row["number"] is not None]
            segments = {row["number"]: (segment_of(row), row.get("algorithm_type", "AUTOMATIC")) for row in rows}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path}: a segment does not say what it is ({error!r})") from error
        return cls(folder, report, is_approved, series, algorithm, segments)

    @property
    def predecessor(self) -> Predecessor | None:
        """SEG of the result, where one was written."""
        # highdicom comes with it, without which a run begins.
        from NativeDLLib.dicom.seg import SOP_CLASSES

        seg = self.report.segmentation
        if seg is None:
            return None
        return Predecessor(SOP_CLASSES[seg.type], seg.series_instance_uid, seg.sop_instance_uid)

    def labels(self, series: Series) -> Array:
        """Label map (z, y, x), or for an approval masks (z, y, x, segment), which may overlap. InputError where it is
        missing, not on the slices of the series, or not of whole numbers.
        """
        if self.is_approved:
            return self._approved(series)
        path = self.folder / LABELS
        reader = open_volume(path)
        if not series.grid.matches(reader):
            raise InputError(f"{path}: is not on the slices of series {series.uid}")
        if not re.fullmatch(r"\d+-bit (un)?signed integer", sitk.GetPixelIDValueAsString(reader.GetPixelIDValue())):
            raise InputError(f"{path}: holds other values than one whole number a voxel")
        labels: Array = sitk.GetArrayFromImage(read_volume(path, reader))
        return labels

    def _approved(self, series: Series) -> Bools:
        import highdicom as hd

        path = self.folder / APPROVED
        try:
            seg = hd.seg.segread(path)
            if len(series.instances) == 1 and len(series.slices) > 1:
                frames = [plane.frame + 1 for plane in series.slices]
                uid = series.text("SOPInstanceUID")
                pixels = seg.get_pixels_by_source_frame(uid, frames, assert_missing_frames_are_empty=True)
            else:
                uids = [instance.text("SOPInstanceUID") for instance in series.instances]
                pixels = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
            masks: Bools = pixels.astype(bool)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or 'it breaks off'})") from error
        # highdicom and pydicom let pass whatever they stumble over in an object that is not what they expect.
        except Exception as error:
            raise InputError(f"{path}: is damaged, or no SEG on the slices of series {series.uid}") from error
        if masks.shape[-1] != len(self.segments):
            raise InputError(f"{path}: has {masks.shape[-1]} segments, its report {len(self.segments)}")
        return masks
