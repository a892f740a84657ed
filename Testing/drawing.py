"""Shapes that are hard to draw around, on series that lie every way in the patient, and a foreign reader."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import factories
import numpy as np
import SimpleITK as sitk
from servers import require

from NativeDLLib.dicom.seg import Algorithm
from NativeDLLib.registry import Segment
from NativeDLLib.registry.entry import Code
from NativeDLLib.source import Series

OBLIQUE = ((0.8660254, 0.5, 0.0), (-0.4698463, 0.8137977, 0.3420201))
WAYS = {"axial": factories.AXIAL, "coronal": factories.CORONAL, "sagittal": factories.SAGITTAL, "oblique": OBLIQUE}
ANATOMY = Code("123037004", "SCT", "Anatomical Structure")
LIVER = Segment(1, 1, "Liver", (40, 140, 40), ANATOMY, Code("10200004", "SCT", "Liver"), None, None, None)
KIDNEY = Segment(
    2, 2, "Right kidney", (185, 102, 83), ANATOMY, Code("64033007", "SCT", "Kidney"), Code("24028007", "SCT", "Right"),
    None, None,
)  # fmt: skip
ALGORITHM = Algorithm("bright", "1.2.3", "Bright block", "NativeDL registry (onnx)", "0123456789abcdef")


@dataclass
class Drawn:
    """A series, the folder of its files, and labels on its slices: 1 with holes and islands, 2 in several parts."""

    folder: Path
    series: Series
    labels: Any

    def mask(self, segment: Segment) -> Any:
        return self.labels == segment.number


def shapes() -> Any:
    """Return labels (z, y, x): holes side by side, an island in a hole, parts that touch at a corner, single pixels."""
    labels = np.zeros((6, 48, 60), np.uint8)
    labels[1:5, 4:40, 5:40] = 1
    for hole in ((8, 14, 8, 14), (8, 14, 18, 24), (20, 34, 10, 30), (9, 10, 15, 16)):
        labels[2:4, hole[0] : hole[1], hole[2] : hole[3]] = 0
    labels[2, 24:30, 14:22] = 1
    labels[1:4, 10:20, 44:52], labels[1:4, 20:30, 52:58], labels[3, 44, 50] = 2, 2, 2
    # At the very edge of the slices.
    labels[4, 40:, 50:] = 2
    y, x = np.mgrid[:48, :60]
    labels[5][np.hypot(y - 24, x - 22) < 17.3] = 1
    return labels


def by_plastimatch(rtstruct: Path, series: Path, folder: Path) -> dict[str, Any]:
    """Return the masks (z, y, x) that plastimatch makes of a structure set on the slices of a series, by name."""
    command = [require("/usr/bin/plastimatch", "plastimatch"), "convert", "--input", rtstruct]
    command += ["--referenced-ct", series, "--output-prefix", folder, "--prefix-format", "nrrd"]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    grid = Series.read([series]).grid
    images = {path.stem: sitk.ReadImage(str(path)) for path in folder.glob("*.nrrd")}
    for image in images.values():
        assert image.GetSize() == grid.size
        np.testing.assert_allclose(image.GetOrigin(), grid.origin, atol=1e-3)
        np.testing.assert_allclose(image.GetDirection(), grid.direction, atol=1e-3)
    return {name: sitk.GetArrayFromImage(image) > 0 for name, image in images.items()}


def dice(one: Any, other: Any) -> float:
    return float(2 * np.count_nonzero(one & other) / (np.count_nonzero(one) + np.count_nonzero(other)))
