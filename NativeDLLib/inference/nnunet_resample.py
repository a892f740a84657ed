"""nnU-Net's resampling, axis by axis.

Its cubic splines are products of one spline an axis, and along one axis a spline is a matrix. Made once with the very
function that nnU-Net calls, the matrices give its values in a fraction of its time, in single precision.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from NativeDLLib.core.arrays import Floats, in_threads
from NativeDLLib.inference.label_maker import Axis

Spacing = Sequence[float]
# Rows of a matrix that are multiplied at once, and what is too small to tell in single precision.
_ROWS, _NOTHING = 24, 1e-8
_FUNCTION = "resample_data_or_seg_to_shape"


def is_separable(configuration: Any) -> bool:
    """Tell whether a configuration resamples as nnU-Net does by default, with linear interpolation on the way back."""
    plans = configuration.configuration
    for name in ("resampling_fn_data", "resampling_fn_probabilities"):
        if plans.get(name) != _FUNCTION or plans.get(f"{name}_kwargs", {}).get("is_seg"):
            return False
    back = plans["resampling_fn_probabilities_kwargs"]
    return back.get("order", 3) == 1 and back.get("order_z", 0) in (0, 1)


def resample_by_splines(
    values: Floats, shape: Sequence[int], current: Spacing, new: Spacing, settings: dict[str, Any]
) -> Floats:
    """A volume (z, y, x), cropped and normalised by nnU-Net, resampled to a shape. The spacings (z, y, x) of both
    decide whether slices are resampled one by one; `settings` are keyword arguments of the plans.
    """
    if tuple(shape) == values.shape:
        return values
    apart = _separate_axis(current, new, settings)
    axes: tuple[int, ...] = tuple(axis for axis in range(3) if axis != apart)
    # Splines overshoot; scikit-image's resize leaves nothing beyond the range of what it was given.
    low, high = (f(values, axis=axes if apart is not None else None, keepdims=True) for f in (np.min, np.max))
    for axis in axes[::-1]:
        if shape[axis] != values.shape[axis]:
            values = _along(values, axis, _spline(values.shape[axis], shape[axis], settings.get("order", 3)))
    values = np.clip(values, low, high, out=values)
    if apart is not None and shape[apart] != values.shape[apart]:
        values = _along(values, apart, _map(values.shape[apart], shape[apart], settings.get("order_z", 0)))
    return np.ascontiguousarray(values)


def axes_back(sizes: Sequence[int], shape: Sequence[int], current: Spacing, new: Spacing, settings: Any) -> list[Axis]:
    """Return how each axis of a volume of `shape` is read from logits of `sizes`; see `resample_by_splines`."""
    apart = _separate_axis(current, new, settings)
    result = []
    for axis, (size, count) in enumerate(zip(sizes, shape, strict=True)):
        positions = (np.arange(count) + 0.5) * (size / count) - 0.5
        if axis == apart and settings.get("order_z", 0) == 0:
            positions = np.clip(np.floor(positions + 0.5), 0, size - 1)
        result.append(Axis.linear(positions, size))
    return result


def _spline(size: int, count: int, order: int) -> Floats:
    """Matrix by which scikit-image's ``resize`` with edge mode makes `count` voxels of `size`."""
    from scipy import ndimage

    zoom = 1 / (size / count)
    rows = ndimage.zoom(np.eye(size), (zoom, 1), order=order, mode="nearest", grid_mode=True)
    return np.asarray(rows, np.float32)


def _map(size: int, count: int, order: int) -> Floats:
    """As `_spline`, for the slices that nnU-Net resamples on their own."""
    from scipy import ndimage

    places = (np.arange(count) + 0.5) * (size / count) - 0.5
    columns = [ndimage.map_coordinates(unit, [places], order=order, mode="nearest") for unit in np.eye(size)]
    return np.stack(columns, axis=1).astype(np.float32)


def _along(values: Floats, axis: int, matrix: Floats) -> Floats:
    """Product with a matrix along an axis, some of its rows at a time with the voxels that they need. A spline's matrix
    is almost zero far from its diagonal, so this is a fraction of the whole product.
    """
    shape = list(values.shape)
    shape[axis] = len(matrix)
    result, pieces = np.empty(shape, np.float32), _pieces(matrix)

    # A product along the first axis is made for each position along the second one.
    given, made = (values, result) if axis else (values.swapaxes(0, 1), result.swapaxes(0, 1))

    def multiply(plane: int) -> None:
        for to, of, part in pieces:
            if axis == 2:
                np.matmul(given[plane][:, of], part.T, out=made[plane][:, to])
            else:
                np.matmul(part, given[plane][of], out=made[plane][to])

    in_threads(multiply, range(len(given)))
    return result


def _pieces(matrix: Floats) -> list[tuple[slice, slice, Floats]]:
    """Return rows of a matrix, a few at a time, and the columns that are not nothing in them, with that part of it."""
    pieces = []
    for start in range(0, len(matrix), _ROWS):
        rows = matrix[start : start + _ROWS]
        used = np.flatnonzero((np.abs(rows) > _NOTHING).any(axis=0))
        of = slice(int(used[0]), int(used[-1]) + 1)
        pieces.append((slice(start, start + len(rows)), of, np.ascontiguousarray(rows[:, of])))
    return pieces


def _separate_axis(current: Spacing, new: Spacing, settings: dict[str, Any]) -> int | None:
    from nnunetv2.preprocessing.resampling import default_resampling

    decide: Callable[..., tuple[bool, int | None]] = default_resampling.determine_do_sep_z_and_axis
    limit = settings.get("separate_z_anisotropy_threshold", default_resampling.ANISO_THRESHOLD)
    separate, axis = decide(settings.get("force_separate_z", False), current, new, limit)
    return int(axis) if separate and axis is not None else None
