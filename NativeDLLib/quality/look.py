"""A coarse look at a CT: outline of the body, lungs, spine and the side of the liver, seen in the values alone.

No model and no header takes part. The signs are those of nearly every patient: the spine runs behind the middle of the
trunk, lungs lie at the upper end of the abdomen, and the largest soft organ lies right of the spine. Each is told only
where it is plain. The table tells nothing, because patients lie prone too.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Array, Bools, Floats, Points
from NativeDLLib.core.errors import InputError
from NativeDLLib.postprocess.cleaning import largest_part
from NativeDLLib.source import Grid, Series, Source

_SAMPLING_MM = 5.0
_MOST_SLICES = 64
# On a grid that is turned further, no plane is a section of the body.
_LEAST_COSINE = 0.8
# The body is denser than lung. Soft organs are meant with and without contrast; only bone and metal are as the skull.
_BODY_HU, _LUNG_HU, _SOFT_HU, _BONE_HU, _SKULL_HU = -300, (-950, -550), (0, 230), 180, 300
# A border that shows this part of the body's largest section cuts it: less in front and at the back, where a cut moves
# the middle, than at the sides.
CUT_AT_BACK, _CUT = 0.1, 0.3
_FEWEST_LEVELS = 4
# Radius of half a vertebra, and what lies further from it than any part of it.
_VERTEBRA_MM, _FAR_MM = 18.0, 60.0
# Lungs within the outermost levels, on either side, and the length of the abdomen beyond them.
_END_MM, _LUNG_PART, _LUNG_MM3, _ABDOMEN_MM = 12.0, 0.06, 15_000, 100.0
# What is left of a soft organ without its outermost layer, where the liver is and elsewhere.
_LAYER_MM, _LIVER_MM3, _TIMES = 20.0, 150_000, 3


@dataclass(frozen=True)
class Look:
    """A CT sampled coarsely along the patient's axes."""

    values: Floats  # HU, (z, y, x) from feet to head, front to back and right to left
    spacing: tuple[float, float, float]  # distance of the samples (z, y, x) in mm
    body: Bools  # largest part denser than lung, with all that it encloses in its sections

    @classmethod
    def at(cls, values: Array, grid: Grid) -> "Look | None":
        """Look at values in HU (z, y, x); None where they show no body, or the grid lies askew in the patient."""
        sampled, spacing = along_patient(values, grid)
        coarse = sampled.astype(np.float32)
        dense = coarse > _BODY_HU
        if not dense.any() or np.abs(np.reshape(grid.direction, (3, 3))).max(axis=0).min() < _LEAST_COSINE:
            return None
        return cls(coarse, spacing, _filled(largest_part(_image(dense))))

    @cached_property
    def lung_part(self) -> Points:
        """Part of the body's section that is lung, for each level."""
        return profile_along(self._lungs, 0) / np.maximum(profile_along(self.body, 0), 1)

    @cached_property
    def spine(self) -> tuple[int, int] | None:
        """Index (y, x) about which the body is densest over all levels; None where that is not plain."""
        across = np.flatnonzero(self.body.any(axis=(0, 1)))
        first, width = int(across[0]), int(np.ptp(across))
        middle = slice(first + int(0.35 * width), first + int(0.65 * width) + 1)
        # Marrow is hardly denser than a vessel with contrast, but the bone about it is.
        bone = sitk.BinaryDilate(_image((self.values > _BONE_HU) & self.body), [1, 1, 0])
        over_levels = sitk.GetArrayViewFromImage(bone).mean(axis=0, dtype=np.float32)
        dense = sitk.GetArrayFromImage(sitk.BoxMean(sitk.GetImageFromArray(over_levels), self._voxels(_VERTEBRA_MM)))
        y, x = np.unravel_index(dense[:, middle].argmax(), dense[:, middle].shape)
        x += middle.start
        # A vertebra is larger than the breastbone, a rib or a vessel. Hips are as large, but not in the middle.
        before = dense[np.abs(np.arange(len(dense)) - y) * self.spacing[1] > _FAR_MM, middle]
        beside = dense[:, np.abs(np.arange(dense.shape[1]) - x) * self.spacing[2] > _FAR_MM]
        is_plain = dense[y, x] > max(0.35, 2 * before.max(initial=0), 1.2 * beside.max(initial=0))
        return (int(y), int(x)) if is_plain else None

    @property
    def back(self) -> int:
        """1 where the spine lies behind the middle of the body, -1 where before it, 0 where that is not plain."""
        # In a slice or two, noise is as dense as bone.
        if self.spine is None or len(self.body) < _FEWEST_LEVELS or is_cut(profile_along(self.body, 1), CUT_AT_BACK):
            return 0
        y, x = self.spine
        column = self.body[:, :, max(0, x - 4) : x + 5].sum(axis=(0, 2))
        inside = np.flatnonzero(column > column.max() / 4)
        place = (y - inside[0]) / max(1, inside[-1] - inside[0])
        return 1 if place > 0.58 else -1 if place < 0.42 else 0

    @property
    def head(self) -> int:
        """1 where lungs lie at the head's end of an abdomen, -1 where at the feet's, 0 where that is not plain."""
        if self.spine is None:
            return 0
        end, length = (max(1, round(mm / self.spacing[0])) for mm in (_END_MM, _ABDOMEN_MM))
        for head in (1, -1):
            # Levels from the lungs on, if the head is there.
            part, lungs, body = self.lung_part[::-head], self._lungs[::-head], self.body[::-head]
            halves = [np.count_nonzero(half[:end]) for half in np.split(lungs, [self.spine[1]], axis=2)]
            if part[:end].mean() < _LUNG_PART or min(halves) * np.prod(self.spacing) < _LUNG_MM3:
                continue
            base = int(np.flatnonzero(part > 0.02)[-1]) + 1
            abdomen = body[base : base + length]
            # Neck and shoulders are not as long and as wide.
            areas, usual = profile_along(abdomen, 0), float(np.median(profile_along(body[:end], 0)))
            is_wide = len(abdomen) == length and areas.min() > 0.6 * usual
            if is_wide and not is_cut(profile_along(abdomen, 2)):
                return head
        return 0

    @cached_property
    def liver(self) -> int:
        """1 where the largest soft organ lies right of the spine, -1 where left of it, 0 where that is not plain."""
        if self.spine is None:
            return 0
        smooth = sitk.GetArrayViewFromImage(means := sitk.BoxMean(sitk.GetImageFromArray(self.values), [1, 1, 1]))
        soft = (smooth > _SOFT_HU[0]) & (smooth < _SOFT_HU[1]) & self.body
        del smooth, means
        # Between lungs it would be the heart, or a fluid.
        soft[self.lung_part > 0.1] = False
        inner = sitk.BinaryErode(_image(soft), [*self._voxels(_LAYER_MM), 0], sitk.sitkBall)
        halves = np.split(sitk.GetArrayFromImage(inner), [self.spine[1]], axis=2)
        # Where the two sides differ most: muscles and bowel of other levels tell nothing.
        count = min(len(soft), max(1, round(_ABDOMEN_MM / self.spacing[0])))
        right, left = (np.convolve(profile_along(half, 0), np.ones(count), "valid") for half in halves)
        at = int(np.abs(right - left).argmax())
        less, more = sorted((float(right[at]), float(left[at])))
        is_plain = more * np.prod(self.spacing) > _LIVER_MM3 and more > _TIMES * less
        if not is_plain or is_cut(profile_along(self.body[at : at + count], 2)):
            return 0
        return 1 if right[at] > left[at] else -1

    @property
    def parts(self) -> list[str]:
        """Parts of the body that it seems to show, in words of Body Part Examined (PS3.16 L); an estimate."""
        areas = profile_along(self.body, 0) * self.spacing[1] * self.spacing[2] / 100
        if self.spine is None:
            bone = np.count_nonzero((self.values > _SKULL_HU) & self.body) / np.count_nonzero(self.body)
            is_head = 50 < np.median(areas) < 350 and bone > 0.08 and not is_cut(profile_along(self.body, 2))
            return ["HEAD"] if is_head else []
        chest = self.lung_part > 0.2
        trunk = (self.lung_part < 0.2) & (areas > 300)
        found = {"CHEST": chest.mean() > 0.2, "ABDOMEN": self.liver != 0 or trunk.mean() > 0.4}
        return [part for part, is_there in found.items() if is_there]

    @cached_property
    def _lungs(self) -> Bools:
        return (self.values > _LUNG_HU[0]) & (self.values < _LUNG_HU[1]) & self.body

    def _voxels(self, mm: float) -> list[int]:
        """Return a length in samples along x and y."""
        return [max(1, round(mm / spacing)) for spacing in self.spacing[:0:-1]]


def parts_seen(source: Source) -> list[str]:
    """Parts of the body that the images of a CT seem to show (see `Look.parts`), by a few dozen of its slices; none of
    other images, and of those that cannot be read, which a run tells.
    """
    if not isinstance(source, Series) or source.text("Modality") != "CT":
        return []
    count, (width, height, _), (x, y, z) = len(source.slices), source.grid.size, source.grid.spacing
    step = max(1, round(_SAMPLING_MM / z), -(-count // _MOST_SLICES))
    few = source.slices[::step]
    grid = replace(source.grid, size=(width, height, len(few)), spacing=(x, y, z * step))
    try:
        image, _ = replace(source, slices=few, grid=grid).image()
    except InputError:
        return []
    look = Look.at(sitk.GetArrayViewFromImage(image), grid)
    return look.parts if look is not None else []


def along_patient(values: Array, grid: Grid) -> tuple[Array, tuple[float, float, float]]:
    """Coarse samples of an array (z, y, x) from feet to head, front to back, right to left, and their spacing in mm."""
    direction = np.reshape(grid.direction, (3, 3))
    # Image axes (0 for x) that follow the patient's x, y and z.
    axes = max(permutations(range(3)), key=lambda order: float(np.abs(direction[range(3), order]).sum()))
    turned = values.transpose([2 - axis for axis in axes[::-1]])
    steps = [max(1, round(_SAMPLING_MM / grid.spacing[axis])) for axis in axes]
    sampled = turned[tuple(slice(None, None, step) for step in steps[::-1])]
    flips = tuple(slice(None, None, 1 if direction[i, axes[i]] > 0 else -1) for i in (2, 1, 0))
    z, y, x = (steps[i] * grid.spacing[axes[i]] for i in (2, 1, 0))
    return sampled[flips], (z, y, x)


def _filled(mask: Bools) -> Bools:
    """Fill what lies between parts of a mask both along the rows and along the columns of a section."""
    filled = np.ones_like(mask)
    for axis in (1, 2):
        filled &= np.logical_or.accumulate(mask, axis)
        filled &= np.flip(np.logical_or.accumulate(np.flip(mask, axis), axis), axis)
    return filled


def profile_along(mask: Bools, axis: int) -> Array:
    """Return the samples of a mask in each section across an array axis."""
    return np.asarray(mask.sum(axis=tuple(other for other in range(3) if other != axis)))


def is_cut(profile: Array, most: float = _CUT) -> bool:
    """Tell whether a border of the images cuts the body, of which a profile is given (see `profile_along`)."""
    return bool(max(profile[0], profile[-1]) > most * profile.max())


def _image(mask: Array) -> sitk.Image:
    return sitk.GetImageFromArray(np.ascontiguousarray(mask, np.uint8))
