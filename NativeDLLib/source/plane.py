"""The plane of one slice: between its pixels and places in the patient (PS3.3 C.7.6.2.1.1)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from NativeDLLib.core.arrays import Points
from NativeDLLib.source.series import Series


@dataclass(frozen=True)
class Plane:
    """One slice of a series in the patient."""

    index: int  # of the slice in its series, from 0 along the normal
    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None  # Frame Number, from 1, in a multi-frame instance; else None
    origin: Points  # centre of the first pixel (x, y, z) in mm
    axes: Points  # steps to the next pixel along a row, and down a column: two rows of (x, y, z) in mm

    @classmethod
    def of(cls, series: Series, index: int) -> "Plane":
        """Return the plane of a slice."""
        piece = series.slices[index]
        instance = series.instances[piece.instance]
        between_rows, between_columns = piece.pixel_spacing
        return cls(
            index,
            instance.sop_class,
            instance.text("SOPInstanceUID"),
            piece.frame + 1 if instance.is_multiframe else None,
            np.array(piece.position, float),
            np.reshape(np.array(piece.orientation, float), (2, 3)) * [[between_columns], [between_rows]],
        )

    @cached_property
    def normal(self) -> Points:
        """Unit vector, row direction x column direction."""
        normal = np.cross(*self.axes)
        return np.asarray(normal / np.linalg.norm(normal), float)

    def to_patient(self, pixels: Points) -> Points:
        """Return where pixels (n, 2), column then row, are in the patient: (n, 3), mm."""
        return self.origin + pixels @ self.axes

    def to_pixels(self, points: Points) -> Points:
        """Return the pixels (n, 2), column then row, over which points (n, 3) lie."""
        return np.asarray((points - self.origin) @ np.linalg.pinv(self.axes), float)

    def heights(self, points: Points) -> Points:
        """Return how far points (n, 3) lie off the plane, along its normal, in mm."""
        return np.asarray((points - self.origin) @ self.normal, float)
