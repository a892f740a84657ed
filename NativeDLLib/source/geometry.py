"""The grid that the slices of a series form, and everything that can be wrong with it.

Coordinates are the patient's (LPS, mm; PS3.3 C.7.6.2). A grid is regular and orthogonal. Any other is refused with its
numbers, because a mask computed on it lies in the wrong place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import numpy as np

from NativeDLLib.core.arrays import Array, Points

if TYPE_CHECKING:
    import SimpleITK as sitk


# Direction cosines are written with few decimals: one thousandth is 0.06 degrees.
_COSINE_TOLERANCE = 1e-3
# A slice may be off its regular place by a twentieth of the spacing, or by what decimals rounded to 0.1 mm leave.
_PLACE_TOLERANCE = 0.05
_ROUNDING_MM = 0.065
# In voxels: a volume further off than that is not the slices.
_SAME_PLACE = 0.1
# What no scanner writes: places further off, larger fields, finer pixels come from damaged headers.
FARTHEST_MM, LARGEST_MM, FINEST_MM = 1e5, 5e3, 1e-3


@dataclass(frozen=True)
class Slice:
    """One image plane."""

    instance: int  # index of the instance in its series
    frame: int  # index of the frame in the instance
    position: tuple[float, ...]  # centre of the first transmitted pixel (x, y, z) in mm
    orientation: tuple[float, ...]  # direction cosines of the rows, then of the columns
    pixel_spacing: tuple[float, ...]  # distance between rows, then between columns, in mm
    slope: float  # rescale slope (PS3.3 C.11.1)
    intercept: float
    thickness: float | None  # Slice Thickness in mm, where given
    distance: float | None  # Spacing Between Slices in mm, where given


@dataclass(frozen=True)
class Grid:
    """A regular grid: size (x, y, z) in voxels, spacing (x, y, z) in mm, origin in mm, direction as in SimpleITK."""

    size: tuple[int, int, int]
    spacing: tuple[float, float, float]
    origin: tuple[float, float, float]
    direction: tuple[float, ...]

    def apply(self, image: "sitk.Image") -> "sitk.Image":
        """Give an image of this size the grid's place in the patient, and return it."""
        image.SetSpacing(self.spacing)
        image.SetOrigin(self.origin)
        image.SetDirection(self.direction)
        return image

    def image_of(self, voxels: Array) -> "sitk.Image":
        """Return an array (z, y, x) as an image in the grid's place."""
        import SimpleITK as sitk

        return self.apply(sitk.GetImageFromArray(voxels))

    def matches(self, image: "sitk.Image | sitk.ImageFileReader") -> bool:
        """Tell whether the voxels of an image, or of a file whose header was read, are this grid's."""
        return bool(
            tuple(image.GetSize()) == self.size
            and np.allclose(image.GetSpacing(), self.spacing, atol=1e-4)
            and np.allclose(image.GetOrigin(), self.origin, atol=1e-3)
            and np.allclose(image.GetDirection(), self.direction, atol=1e-4)
        )

    def has_voxels_of(self, size: Sequence[int], ijk_to_ras: Sequence[float]) -> bool:
        """Whether a volume's voxels lie where this grid's do, in whatever order it counts them. `size` is (i, j, k),
        `ijk_to_ras` the matrix to RAS mm, 16 numbers row by row, as Slicer gives it.
        """
        to_lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.reshape(np.asarray(ijk_to_ras, float), (4, 4))
        ours = np.eye(4)
        ours[:3, :3] = np.reshape(self.direction, (3, 3)) * self.spacing
        ours[:3, 3] = self.origin
        to_grid = np.linalg.inv(ours) @ to_lps
        # In voxels of this grid: where the volume's corners lie, and how far it is from the first voxel of each axis
        # to the last. Voxels that are the same have the same corners, as many steps apart.
        corners, steps = _corners(size) @ to_grid[:3, :3].T + to_grid[:3, 3], np.array(size) - 1
        travel = np.linalg.norm(to_grid[:3, :3] * steps, axis=0)
        nearest = corners.round()
        return bool(
            np.abs(corners - nearest).max() < _SAME_PLACE
            and np.abs(travel - steps).max() < 2 * _SAME_PLACE
            and {tuple(corner) for corner in nearest} == {tuple(corner) for corner in _corners(self.size)}
        )


def _corners(size: Sequence[int]) -> Points:
    return np.array(list(product(*((0, n - 1) for n in size))), float)


def arrange(slices: Sequence[Slice], columns: int, rows: int) -> tuple[list[int], Grid | None, list[str]]:
    """Sort slices along their normal (row direction x column direction): their indices in that order, their grid, None
    where there is a problem, and the problems, one phrase each.
    """
    orientation = np.array([s.orientation for s in slices])
    problems = _orientation_problems(orientation)
    spacings = sorted({tuple(round(v, 4) for v in s.pixel_spacing) for s in slices})
    if min(map(min, spacings)) <= 0:
        problems.append("PixelSpacing is not positive")
    elif (extent := _impossible_extent(slices, columns, rows)) is not None:
        problems.append(extent)
    elif np.ptp(np.array(spacings), axis=0).max() > 1e-3:
        problems.append("mixed pixel spacings " + ", ".join(f"{a:g}x{b:g} mm" for a, b in spacings[:4]))
    if problems:
        return list(range(len(slices))), None, problems

    row, column, normal = _axes(orientation.mean(axis=0))
    positions = np.array([s.position for s in slices])
    heights = positions @ normal
    order = [int(i) for i in np.argsort(heights, kind="stable")]
    heights, positions = heights[order], positions[order]
    distance, problems = _distance(slices, heights, positions, normal)
    if distance is not None and distance * len(slices) > LARGEST_MM:
        problems.append(f"{len(slices)} slices {distance:g} mm apart: no patient is that long")
    if problems or distance is None:
        return order, None, problems

    # The fitted line spreads rounding over all slices; the mean of what is left in the plane is zero without a tilt.
    first = positions.mean(axis=0) - normal * distance * (len(slices) - 1) / 2
    places = first + np.outer(np.arange(len(slices)) * distance, normal)
    drift = positions - places
    in_plane = float(np.hypot(drift @ row, drift @ column).max())
    if in_plane > max(_ROUNDING_MM, 0.25 * min(slices[0].pixel_spacing)):
        shift = float(np.hypot(np.ptp(drift @ row), np.ptp(drift @ column)))
        return order, None, [f"slices are shifted within their plane by up to {shift:.2f} mm"]
    between_rows, between_columns = slices[0].pixel_spacing
    grid = Grid(
        (columns, rows, len(slices)),
        (between_columns, between_rows, distance),
        (float(first[0]), float(first[1]), float(first[2])),
        tuple(float(v) for v in np.column_stack([row, column, normal]).ravel()),
    )
    return order, grid, []


def _impossible_extent(slices: Sequence[Slice], columns: int, rows: int) -> str | None:
    for plane in slices:
        between_rows, between_columns = plane.pixel_spacing
        if max(rows * between_rows, columns * between_columns) > LARGEST_MM:
            return f"{rows} x {columns} pixels of {between_rows:g} x {between_columns:g} mm: no patient is that large"
        if min(plane.pixel_spacing) < FINEST_MM:
            return f"PixelSpacing is {between_rows:g} x {between_columns:g} mm: no patient is scanned that finely"
        if max(map(abs, plane.position)) > FARTHEST_MM:
            shown = ", ".join(f"{v:g}" for v in plane.position)
            return f"ImagePositionPatient is {shown} mm: no patient lies that far off"
    return None


def _orientation_problems(orientation: Points) -> list[str]:
    rows, columns = orientation[:, :3], orientation[:, 3:]
    lengths = np.concatenate([np.linalg.norm(rows, axis=1), np.linalg.norm(columns, axis=1)])
    skew = np.abs((rows * columns).sum(axis=1))
    if np.abs(lengths - 1).max() > _COSINE_TOLERANCE or skew.max() > _COSINE_TOLERANCE:
        return ["ImageOrientationPatient is not two perpendicular unit vectors"]
    normals = np.cross(rows, columns)
    angles = np.degrees(np.arccos(np.clip(normals @ np.median(normals, axis=0), -1, 1)))
    turned = np.abs(orientation - np.median(orientation, axis=0)).max(axis=1) > _COSINE_TOLERANCE
    if turned.any():
        return [
            f"{int(turned.sum())} of {len(turned)} slices are oriented differently from the others "
            f"(by up to {angles.max():.1f} degrees), as in a localizer or a radial series"
        ]
    return []


def _axes(orientation: Points) -> tuple[Points, Points, Points]:
    row = orientation[:3] / np.linalg.norm(orientation[:3])
    normal = np.cross(row, orientation[3:])
    normal /= np.linalg.norm(normal)
    return row, np.cross(normal, row), normal


def _distance(
    slices: Sequence[Slice], heights: Points, positions: Points, normal: Points
) -> tuple[float | None, list[str]]:
    """Return the distance between slices in mm, or what keeps them from having one."""
    if len(heights) == 1:
        distance = next((v for v in (slices[0].distance, slices[0].thickness) if v and v > 0), None)
        if distance is None:
            return None, ["a single slice without SliceThickness or SpacingBetweenSlices has no extent"]
        return float(distance), []
    problems = []
    travel = positions[-1] - positions[0]
    length = float(np.linalg.norm(travel))
    across = float(np.linalg.norm(travel - normal * (travel @ normal)))
    pixel = min(slices[0].pixel_spacing)
    if across > max(2 * _ROUNDING_MM, 0.5 * pixel):
        angle = math.degrees(math.asin(min(1.0, across / length)))
        problems.append(f"gantry tilt: the slices are stacked {angle:.1f} degrees off their normal")
    gaps = np.diff(heights)
    same = np.flatnonzero(gaps < 0.01)
    if len(same):
        shown = ", ".join(f"{heights[i]:.2f}" for i in same[:5]) + (" ..." if len(same) > 5 else "")
        return None, [*problems, f"{len(same)} duplicate slice position(s), at {shown} mm along the normal"]
    typical = float(np.median(gaps))
    # A fitted line rather than the two ends, whose own rounding would tilt it.
    steps = np.arange(len(heights)) - (len(heights) - 1) / 2
    regular = float(steps @ heights / (steps @ steps))
    off = float(np.abs(heights - heights.mean() - steps * regular).max())
    # Each of the three coordinates is rounded, and each contributes to the height.
    if off > max(_PLACE_TOLERANCE * regular, _ROUNDING_MM * float(np.abs(normal).sum())):
        problems.append(_uneven(heights, gaps, typical))
    return round(regular, 6), problems


def _uneven(heights: Points, gaps: Points, typical: float) -> str:
    steps = gaps / typical
    wide = np.flatnonzero(steps > 1.5)
    if len(wide) and np.abs(steps - np.round(steps)).max() < 0.1:
        missing = int((np.round(steps[wide]) - 1).sum())
        shown = ", ".join(f"{heights[i]:.2f} and {heights[i + 1]:.2f}" for i in wide[:4])
        more = " ..." if len(wide) > 4 else ""
        return f"{missing} slice(s) missing: spacing is {typical:.2f} mm but nothing lies between {shown}{more} mm"
    worst = int(np.abs(gaps - typical).argmax())
    return (
        f"uneven slice spacing: distances along the normal vary from {gaps.min():.2f} to {gaps.max():.2f} mm "
        f"(most are {typical:.2f}; the worst is between {heights[worst]:.2f} and {heights[worst + 1]:.2f} mm)"
    )
