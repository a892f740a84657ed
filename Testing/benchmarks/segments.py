"""The same segments for every writer: as entries of a registry, for highdicom alone, and for dcmqi."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from NativeDLLib.registry.entry import Code, Segment

_CATEGORY = {"value": "123037004", "scheme": "SCT", "meaning": "Anatomical Structure"}


def rows(count: int) -> list[dict[str, Any]]:
    """Return segments as a registry entry lists them, labelled from 1."""
    return [
        {
            "label": label,
            "name": f"structure {label}",
            "color": [label * 37 % 256, label * 91 % 256, label * 151 % 256],
            "category": _CATEGORY,
            "type": {"value": f"S{label}", "scheme": "99NATIVEDL", "meaning": f"structure {label}"},
        }
        for label in range(1, count + 1)
    ]


def of_registry(count: int) -> Sequence[Segment]:
    """Return segments as our writer takes them."""
    return [
        Segment(
            number=row["label"],
            label=row["label"],
            name=row["name"],
            color=row["color"],
            category=Code(**row["category"]),
            type=Code(**row["type"]),
            type_modifier=None,
            region=None,
            region_modifier=None,
        )
        for row in rows(count)
    ]


def plain_highdicom(headers: Sequence[Dataset], labels: npt.NDArray[np.uint8]) -> Dataset:
    """Make a SEG as highdicom's own examples do."""
    algorithm = hd.AlgorithmIdentificationSequence("bench", codes.cid7162.ArtificialIntelligence, "1")
    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=row["label"],
            segment_label=row["name"],
            segmented_property_category=_code(row["category"]),
            segmented_property_type=_code(row["type"]),
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
        )
        for row in rows(int(labels.max()))
    ]
    return hd.seg.Segmentation(
        source_images=headers,
        pixel_array=labels,
        segmentation_type="BINARY",
        segment_descriptions=descriptions,
        series_instance_uid=generate_uid(),
        series_number=2,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="highdicom",
        manufacturer_model_name="bench",
        software_versions="1",
        device_serial_number="1",
    )


def for_dcmqi(count: int, path: Path) -> Path:
    """Write the description of the segments that dcmqi takes."""
    attributes = [
        {
            "labelID": row["label"],
            "SegmentDescription": row["name"],
            "SegmentAlgorithmType": "AUTOMATIC",
            "SegmentAlgorithmName": "bench",
            "SegmentedPropertyCategoryCodeSequence": _triplet(row["category"]),
            "SegmentedPropertyTypeCodeSequence": _triplet(row["type"]),
            "recommendedDisplayRGBValue": row["color"],
        }
        for row in rows(count)
    ]
    content = {
        "ContentCreatorName": "bench",
        "SeriesDescription": "Benchmark",
        "SeriesNumber": "2",
        "InstanceNumber": "1",
        "segmentAttributes": [attributes],
    }
    path.write_text(json.dumps(content))
    return path


def _code(code: dict[str, str]) -> hd.sr.CodedConcept:
    return hd.sr.CodedConcept(code["value"], code["scheme"], code["meaning"])


def _triplet(code: dict[str, str]) -> dict[str, str]:
    return {"CodeValue": code["value"], "CodingSchemeDesignator": code["scheme"], "CodeMeaning": code["meaning"]}
