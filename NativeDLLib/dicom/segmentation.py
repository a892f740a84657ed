"""Segments as a DICOM Segmentation object (PS3.3 A.51) in the study of the series it was made from."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code as DicomCode
from pydicom.uid import generate_uid

from NativeDLLib import __version__
from NativeDLLib.dicom.review import Review, refer_to_predecessor
from NativeDLLib.dicom.seg_assembly import with_all_frames
from NativeDLLib.dicom.series import Series
from NativeDLLib.dicom.source import derived_series_number, pixel_measures, source_header
from NativeDLLib.errors import InputError, NativeDLError
from NativeDLLib.quality.finding import Finding, sentences, titled
from NativeDLLib.registry.entry import Code, Segment

Kind = Literal["BINARY", "LABELMAP"]
MANUFACTURER = "NativeDL"
SOP_CLASSES: dict[str, str] = {"BINARY": "1.2.840.10008.5.1.4.1.1.66.4", "LABELMAP": "1.2.840.10008.5.1.4.1.1.66.7"}


class EmptySegmentationError(NativeDLError):
    """No voxel belongs to any segment; the caller decides whether that is to be stored."""


@dataclass(frozen=True)
class Algorithm:
    """What made the segmentation.

    Attributes
    ----------
    name, version
        As in the registry.
    title
        For people: it becomes the series description.
    source
        Who is behind it, at most 64 characters.
    serial
        What tells this build of it from others: the start of its weights' digest.
    parameters
        The effective parameters, in words.
    """

    name: str
    version: str
    title: str
    source: str
    serial: str
    parameters: Mapping[str, str] = field(default_factory=dict)


def make_segmentation(
    series: Series,
    labels: npt.NDArray[Any],
    segments: Sequence[Segment],
    algorithm: Algorithm,
    *,
    kind: Kind = "BINARY",
    allow_empty: bool = False,
    review: Review | None = None,
    findings: Sequence[Finding] = (),
) -> Dataset:
    """Make a SEG from a label map, or from masks that overlap, on the grid of its series.

    Parameters
    ----------
    series
        The source. Every instance of it is referred to; patient, study and frame of reference are carried over.
    labels
        Array (z, y, x) of Segment Numbers, 0 for none, one plane for each slice of the series in its order; or array
        (z, y, x, segment) of booleans, which a LABELMAP cannot hold.
    segments
        All segments that were looked for, in the order of their numbers; those not found stay described.
    algorithm
        What made the label map.
    kind
        BINARY, which every viewer reads, or LABELMAP (Supplement 243).
    allow_empty
        Whether a label map without any segment is to be stored, with every frame empty.
    review
        What a physician made of it; None for an automatic result.
    findings
        What is to be checked about it: in brief in its descriptions, in full with the segment or the algorithm.

    Returns
    -------
    Dataset
        A new instance of a new series, ready to be written.

    Raises
    ------
    EmptySegmentationError
        Where nothing was found and `allow_empty` is false.
    InputError
        Where the source's patient or study attributes cannot be carried over.
    ValueError
        Where the label map is not on the series' grid or has other values.
    """
    _check(series, labels, len(segments), kind)
    if not allow_empty and not labels.any():
        raise EmptySegmentationError(
            f"series {series.uid}: {algorithm.name} found none of its {len(segments)} segments"
        )
    own_text = [algorithm.title, algorithm.source, *(s.name for s in segments), *algorithm.parameters.values()]
    own_text += [finding.message for finding in findings] + ([] if review is None else [review.reviewer])
    header, charset = source_header(series, own_text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            specimen = _build(series, header, charset, segments, algorithm, kind, review, findings)
            dataset = with_all_frames(specimen, series, labels, len(segments))
            if review is not None and review.predecessor is not None:
                refer_to_predecessor(dataset, review.predecessor)
            return dataset
    # What is carried over is parsed only now, and pydicom lets pass whatever its parser stumbles over.
    except Exception as error:
        raise InputError(f"series {series.uid}: its header cannot be carried over to a SEG ({error})") from error


def _build(
    series: Series,
    header: Dataset,
    charset: str,
    segments: Sequence[Segment],
    algorithm: Algorithm,
    kind: Kind,
    review: Review | None,
    findings: Sequence[Finding],
) -> Dataset:
    """Make the SEG with a single frame, of the first slice that is stored, in which one pixel is set."""
    columns, rows, _ = series.grid.size
    pixels = np.zeros((1, rows, columns), np.uint8)
    pixels[0, 0, 0] = 1
    title = titled(algorithm.title, findings, "" if review is None else review.status)
    types = ["AUTOMATIC"] * len(segments) if review is None else review.algorithm_types
    made_by = f"Automatic segmentation by {algorithm.title}"
    identification = hd.AlgorithmIdentificationSequence(
        name=algorithm.name,
        family=codes.cid7162.ArtificialIntelligence,
        version=algorithm.version,
        source=algorithm.source,
        parameters={name: value.replace("\\", "/") for name, value in algorithm.parameters.items()},
    )
    equipment = hd.ContributingEquipment(
        manufacturer=MANUFACTURER,
        purpose_of_reference=codes.DCM.ProcessingEquipment,
        manufacturer_model_name=algorithm.name,
        software_versions=[algorithm.version, f"NativeDL {__version__}"],
        device_serial_number=algorithm.serial,
        contribution_description=". ".join(filter(None, (made_by, sentences(findings, None))))[:1024],
    )
    dataset: Dataset = hd.seg.Segmentation(
        source_images=[header],
        pixel_array=pixels,
        plane_positions=_position_of_first_frame(series),
        segmentation_type=kind,
        segment_descriptions=[
            _describe(segment, kind_of_work, identification)
            for segment, kind_of_work in zip(segments, types, strict=True)
        ],
        series_instance_uid=generate_uid(),
        series_number=derived_series_number(series),
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=algorithm.name,
        software_versions=[algorithm.version, f"NativeDL {__version__}"],
        device_serial_number=algorithm.serial,
        content_label="SEGMENTATION",
        content_description=title,
        content_creator_name="NativeDL^Automatic" if review is None else review.reviewer,
        series_description=title,
        pixel_measures=pixel_measures(series),
        contributing_equipment=[equipment],
        specific_character_set=charset,
    )
    for described in dataset.SegmentSequence:
        if to_check := sentences(findings, str(described.SegmentLabel)):
            described.SegmentDescription = to_check
    return dataset


def _check(series: Series, labels: npt.NDArray[Any], count: int, kind: Kind) -> None:
    columns, rows, planes = series.grid.size
    overlapping = labels.ndim == 4 and labels.dtype == bool and kind == "BINARY"
    expected = (planes, rows, columns, count) if overlapping else (planes, rows, columns)
    if labels.shape != expected:
        raise ValueError(f"label map is {labels.shape}, the series is {expected}")
    if labels.dtype.kind not in "iub":
        raise ValueError(f"label map holds {labels.dtype}, not whole numbers")
    if int(labels.max()) > count or int(labels.min()) < 0:
        raise ValueError(f"label map holds values outside 0 to {count}")


def _describe(
    segment: Segment, algorithm_type: str, identification: hd.AlgorithmIdentificationSequence
) -> hd.seg.SegmentDescription:
    description = hd.seg.SegmentDescription(
        segment_number=segment.number,
        segment_label=segment.name,
        segmented_property_category=_code(segment.category),
        segmented_property_type=_code(segment.type),
        algorithm_type=algorithm_type,
        algorithm_identification=None if algorithm_type == "MANUAL" else identification,
        anatomic_regions=[_code(segment.region)] if segment.region else None,
        display_color=hd.color.CIELabColor.from_rgb(*segment.color),
    )
    if segment.type_modifier:
        modifier = hd.sr.CodedConcept.from_code(_code(segment.type_modifier))
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [modifier]
    if segment.region_modifier:
        modifier = hd.sr.CodedConcept.from_code(_code(segment.region_modifier))
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = [modifier]
    return description


def _code(code: Code) -> DicomCode:
    return DicomCode(code.value, code.scheme, code.meaning)


def _position_of_first_frame(series: Series) -> list[hd.PlanePositionSequence] | None:
    """Return where the first stored frame of a multi-frame image lies; in a classic one its header says so."""
    if "PerFrameFunctionalGroupsSequence" not in series.header:
        return None
    first = next(plane for plane in series.slices if plane.frame == 0)
    return [hd.PlanePositionSequence("PATIENT", first.position)]
