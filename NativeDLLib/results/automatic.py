"""The automatic result that was reviewed: what its folder says, without any look at the registry."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.jsonfile import read_json
from NativeDLLib.core.uids import is_uid
from NativeDLLib.dicom.review import Predecessor
from NativeDLLib.dicom.seg import SOP_CLASSES, Algorithm
from NativeDLLib.quality.finding import Finding, finding_of
from NativeDLLib.registry import Segment
from NativeDLLib.registry.segment_json import segment_of
from NativeDLLib.source import Series
from NativeDLLib.source.volume_file import open_volume, read_volume

SLICER = "segmentation.seg.nrrd"


@dataclass(frozen=True)
class AutomaticResult:
    """What ``report.json`` of a run says.

    Attributes
    ----------
    folder
        Of the run.
    study_uid, series_uid
        Of the source.
    algorithm
        What made it.
    segments
        All that were looked for, by their numbers.
    predecessor
        The SEG, where one was written.
    quality
        What was to be checked about it.
    """

    folder: Path
    study_uid: str
    series_uid: str
    algorithm: Algorithm
    segments: dict[int, Segment]
    predecessor: Predecessor | None
    quality: tuple[Finding, ...]

    @classmethod
    def read(cls, folder: Path) -> AutomaticResult:
        """Read the report of a run.

        Raises
        ------
        InputError
            Where there is none, it is of an older version, or no SEG can be made of its result.
        """
        path = folder / "report.json"
        report = read_json(path, InputError)
        try:
            uid = report["series"]["series_instance_uid"]
            result = cls(
                folder,
                str(report["series"]["study_instance_uid"]),
                str(uid),
                algorithm_of(report["algorithm"]),
                _segments(report["segments"]),
                _stored(report),
                tuple(finding_of(row) for row in report.get("quality", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path}: is not the report of a run that can be approved ({error!r})") from error
        if uid is None:
            raise InputError(f"{path}: the result is of an image that does not come from DICOM; there is no SEG of it")
        return result

    def labels(self, series: Series) -> npt.NDArray[Any]:
        """Read the label map (z, y, x).

        Raises
        ------
        InputError
            Where it is not there, not on the grid of the series, or holds other values than whole numbers.
        """
        path = self.folder / "segmentation.nii.gz"
        reader = open_volume(path)
        if not series.grid.matches(reader):
            raise InputError(f"{path}: is not on the slices of series {series.uid}")
        if not re.fullmatch(r"\d+-bit (un)?signed integer", sitk.GetPixelIDValueAsString(reader.GetPixelIDValue())):
            raise InputError(f"{path}: holds other values than one whole number a voxel")
        labels: npt.NDArray[Any] = sitk.GetArrayFromImage(read_volume(path, reader))
        return labels


def algorithm_of(row: dict[str, Any]) -> Algorithm:
    """Return what made a result, as its report tells it; errors are those of `segment_of`."""
    texts = {key: str(row[key]) for key in ("name", "version", "title", "source", "serial")}
    return Algorithm(**texts, parameters={str(name): str(value) for name, value in row["parameters"].items()})


def _segments(rows: list[dict[str, Any]]) -> dict[int, Segment]:
    segments = [segment_of(row) for row in rows]
    return {segment.number: segment for segment in segments}


def _stored(report: dict[str, Any]) -> Predecessor | None:
    stored = report["segmentation"]
    if stored is None:
        return None
    uids = str(stored["series_instance_uid"]), str(stored["sop_instance_uid"])
    if not all(is_uid(uid) for uid in uids):
        raise ValueError("the UIDs of its SEG are none")
    return Predecessor(SOP_CLASSES[stored["type"]], *uids)
