"""Another shape for the structure that is learnt: where it ends must be seen, and not be known from where it lies."""

import torch
from torch import Generator, Tensor
from torch.nn import functional

from NativeDLLib.training.cases import FAT, SOFT, UNLABELLED_AIR
from NativeDLLib.training.chance import chance, normal, smooth, uniform

# How far, in voxels, a surface moves at most, and how coarse its bulges are.
_REACH, _BULGE = 12, 11
_BONE_HU, _FAT_HU = 150.0, -50.0


def vary_shape(image: Tensor, classes: Tensor, target: Tensor, rng: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Image, classes and target in which the one target structure bulges smoothly outwards and inwards.

    It becomes like the rest of itself where it grows, and fat or soft tissue where it shrinks. It grows over no bone
    and not out of the body. All are (z, y, x).
    """
    mask = target > 0
    if not mask.any():
        return image, classes, target
    level = _share_near(mask.float()) * (1 + 0.5 * smooth(rng, image.shape, _BULGE)) - uniform(rng, 0.1, 0.6)
    body = (classes != 0) & (classes != UNLABELLED_AIR) & (image < _BONE_HU)
    grown, left = (level > 0) & ~mask & body, (level <= 0) & mask
    # The median, and no deviation of what is no tissue: at the border of the case there is air.
    own = float(image[mask].median())
    empty = float(uniform(rng, -120, -80)) if chance(rng, 0.6) else own - float(uniform(rng, 30, 60))
    texture = float(uniform(rng, 8, 20)) * _texture(image.shape, rng)
    image = torch.where(left, empty + texture, torch.where(grown, own + texture, image))
    classes = torch.where(grown, classes[mask].mode().values, classes)
    classes = torch.where(left, torch.tensor(FAT if empty < _FAT_HU else SOFT, dtype=classes.dtype), classes)
    return image, classes, torch.where(grown, target.max(), target) * ~left


def _texture(shape: torch.Size, rng: Generator) -> Tensor:
    """Return noise of unit variance, partly that of neighbours."""
    fine = normal(rng, *shape)
    coarse = functional.avg_pool3d(fine[None, None], 3, stride=1, padding=1)[0, 0]
    return 0.7 * fine + 0.5 * 27**0.5 * coarse


def _share_near(mask: Tensor) -> Tensor:
    """Return how much of the neighbourhood is in a mask, 0 to 1: half on a flat surface."""
    coarse = functional.avg_pool3d(mask[None, None], 4, stride=4, ceil_mode=True, count_include_pad=False)
    width = 2 * (_REACH // 8) + 3
    coarse = functional.avg_pool3d(coarse, width, stride=1, padding=width // 2, count_include_pad=False)
    return functional.interpolate(coarse, size=tuple(mask.shape), mode="trilinear", align_corners=False)[0, 0]
