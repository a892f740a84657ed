"""A result as regions are drawn around it: what a run found, or what a physician approved of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.jsonfile import read_json
from NativeDLLib.dicom.review import AlgorithmType
from NativeDLLib.dicom.seg import Algorithm
from NativeDLLib.registry.entry import Segment
from NativeDLLib.registry.segment_json import segment_of
from NativeDLLib.results.automatic import AutomaticResult, algorithm_of
from NativeDLLib.source import Series

APPROVED, APPROVED_REPORT = "approved.dcm", "approved.json"
_TYPES: tuple[AlgorithmType, ...] = ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL")


@dataclass(frozen=True)
class Result:
    """What the folder of a result says.

    Attributes
    ----------
    folder
        Of a run, or of an approval.
    study_uid, series_uid
        Of the source.
    algorithm
        What made it.
    segments
        By number, with how each came about.
    automatic
        The result of the run; None for an approved one.
    """

    folder: Path
    study_uid: str
    series_uid: str
    algorithm: Algorithm
    segments: tuple[tuple[Segment, AlgorithmType], ...]
    automatic: AutomaticResult | None

    @classmethod
    def read(cls, folder: Path) -> Result:
        """Read the report in a folder; where it has both, that of the approval.

        Raises
        ------
        InputError
            Where there is none, or it cannot be read.
        """
        if not (folder / APPROVED_REPORT).exists():
            found = AutomaticResult.read(folder)
            rows = [(segment, _TYPES[0]) for segment in found.segments.values()]
            return cls(folder, found.study_uid, found.series_uid, found.algorithm, tuple(rows), found)
        path = folder / APPROVED_REPORT
        report = read_json(path, InputError)
        try:
            stored = [row for row in report["segments"] if row["number"] is not None]
            segments = tuple((segment_of(row), _type(row["algorithm_type"])) for row in stored)
            study, series = (str(report["series"][f"{kind}_instance_uid"]) for kind in ("study", "series"))
            return cls(folder, study, series, algorithm_of(report["algorithm"]), segments, None)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{path}: is not the report of an approval ({error!r})") from error

    def labels(self, series: Series) -> npt.NDArray[Any]:
        """Read the label map (z, y, x), or where segments may overlap masks (z, y, x, segment).

        Raises
        ------
        InputError
            Where it is not there, or not on the slices of the series.
        """
        if self.automatic is not None:
            return self.automatic.labels(series)
        path = self.folder / APPROVED
        try:
            seg = hd.seg.segread(path)
            masks = _masks(seg, series)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error
        # highdicom and pydicom let pass whatever they stumble over in an object that is not what they expect.
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{path}: is not a SEG on the slices of series {series.uid} ({reason})") from error
        if masks.shape[-1] != len(self.segments):
            raise InputError(f"{path}: has {masks.shape[-1]} segments, its report {len(self.segments)}")
        return masks


def _masks(seg: hd.seg.Segmentation, series: Series) -> npt.NDArray[np.bool_]:
    if len(series.instances) == 1 and len(series.slices) > 1:
        frames = [plane.frame + 1 for plane in series.slices]
        uid = series.text("SOPInstanceUID")
        pixels = seg.get_pixels_by_source_frame(uid, frames, assert_missing_frames_are_empty=True)
    else:
        uids = [instance.text("SOPInstanceUID") for instance in series.instances]
        pixels = seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True)
    masks: npt.NDArray[np.bool_] = pixels.astype(bool)
    return masks


def _type(text: Any) -> AlgorithmType:
    return _TYPES[_TYPES.index(text)]
