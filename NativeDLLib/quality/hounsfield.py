"""Values of a CT that are no Hounsfield units, seen in the values and not in the header.

Air is -1000 HU, water 0, soft tissue and fat lie between -150 and 150 with or without contrast; bone and metal are a
small part. A narrow field of view may show no air, an air or water phantom nothing else, and padding may have any
value. Each fault therefore has a rule of its own that none of these meets.
"""

import numpy as np

from NativeDLLib.core.arrays import Array

_SAMPLE = 1_000_000
_FEWEST_SLICES = 16
# Of the round field of view: scanners leave the corners beyond it empty.
_INSIDE = 0.95
# Values of these Rescale Types are of another physical quantity or unspecified, of which the latter mostly is HU.
_NAMED_HU = ("", "HU", "US")


def not_hounsfield(values: Array, rescale_type: str = "") -> str:
    """Reason why the values (z, y, x) of a CT are no Hounsfield units; empty where there is none. `rescale_type` is
    Rescale Type (PS3.3 C.11.1.1.2) where the source has it.
    """
    if rescale_type not in _NAMED_HU:
        return f"RescaleType is {rescale_type[:16]!a}"
    step = max(1, round((values.size / _SAMPLE) ** (1 / 3)))
    sample = values[:: min(step, max(1, len(values) // _FEWEST_SLICES)), ::step, ::step]
    low, high = float(sample.min()), float(sample.max())
    if 0 < high - low < 20:
        return f"they only run from {low:g} to {high:g}"
    if low == 0 and high <= 255 and np.mean(sample == 0) > 0.01:
        return f"they run from 0 to {high:g}, as in a picture of 8 bits"
    edges = [sample[:, [0, -1]].ravel(), sample[:, :, [0, -1]].ravel()]
    edge = float(np.median(np.concatenate(edges)))
    if edge > 800:
        fault = "they may be inverted, or RescaleIntercept missing"
        return f"the edge of the images has {edge:.0f}, which is bone: {fault}"
    return _by_distribution(_without_padding(sample, low))


def _by_distribution(values: Array) -> str:
    if not values.size:
        return ""
    dense = values[values > 300]
    near_1024 = np.mean((dense > 850) & (dense < 1200)) if dense.size else 0
    if np.mean(values < -500) < 0.001 and dense.size > 0.01 * values.size and near_1024 > 0.6:
        return f"there is no air and tissue is at {np.median(dense):.0f}: RescaleIntercept may be missing"
    far_below = float(np.mean(values < -1200))
    if far_below > 0.05:
        return f"{100 * far_below:.0f} % of them are below -1200, which nothing is"
    spread = float(np.subtract(*np.percentile(values, (99, 1))))
    highest = float(np.percentile(values, 99))
    if highest < -200 and spread > 200:
        return f"there is no tissue: 99 % of them are below {highest:.0f}"
    return ""


def _without_padding(values: Array, low: float) -> Array:
    """Values without the corners, where lossy compression varies the padding, and without areas far below air."""
    y, x = (np.linspace(-1, 1, size) for size in values.shape[1:])
    values = values[:, np.hypot(y[:, None], x) < _INSIDE]
    found, how_many = np.unique(values[(values < -1100) | (values == low)], return_counts=True)
    padding = found[how_many > 0.03 * values.size]
    return values[~np.isin(values, padding)] if padding.size else values
