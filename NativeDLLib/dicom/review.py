"""Review of a SEG: by whom, how each segment came about, and of which result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydicom.dataset import Dataset

AlgorithmType = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]


@dataclass(frozen=True)
class Predecessor:
    """The instance that holds the automatic result."""

    sop_class_uid: str
    series_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class Review:
    """What a physician made of an automatic result.

    Attributes
    ----------
    reviewer
        Person Name (PS3.5 6.2.1): it becomes the Content Creator's Name.
    status
        What the descriptions say, such as ``reviewed``.
    algorithm_types
        Segment Algorithm Type of each segment.
    predecessor
        The automatic result, where it was stored.
    """

    reviewer: str
    status: str
    algorithm_types: tuple[AlgorithmType, ...]
    predecessor: Predecessor | None = None


def refer_to_predecessor(dataset: Dataset, predecessor: Predecessor) -> None:
    """Let an instance say which one of the same study it was derived from (PS3.3 C.12.4 and C.12.2)."""
    instance = Dataset()
    instance.ReferencedSOPClassUID = predecessor.sop_class_uid
    instance.ReferencedSOPInstanceUID = predecessor.sop_instance_uid
    dataset.SourceInstanceSequence = [instance]
    series = Dataset()
    series.SeriesInstanceUID = predecessor.series_uid
    series.ReferencedInstanceSequence = [instance]
    # After the images: readers look for those first.
    dataset.ReferencedSeriesSequence.append(series)
