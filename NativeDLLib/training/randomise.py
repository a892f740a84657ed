"""Other Hounsfield units for the structures of a case: contrast media, other bodies, or drawn anew.

Drawing every structure's intensity at random is the idea of Billot et al., SynthSeg, Medical Image Analysis 2023, here
within what computed tomography can show: air stays air, fat stays dark, bone stays the brightest tissue.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional

from NativeDLLib.training.cases import Case
from NativeDLLib.training.chance import chance, normal, smooth, uniform, whole

_CLASSES = 256
_SOFT, _BONE = (-60.0, 110.0), 110.0


def recolour(image: Tensor, classes: Tensor, case: Case, rng: Generator) -> Tensor:
    """Image (z, y, x) with the Hounsfield units of each structure shifted and its texture kept."""
    offset = normal(rng, _CLASSES) * 8
    kind = float(torch.rand((), generator=rng))
    soft = (case.means > _SOFT[0]) & (case.means < _SOFT[1])
    bony = case.means >= _BONE
    if kind < 0.45:
        offset += case.uptake * uniform(rng, 0, 180)
    elif kind < 0.8:
        drawn = uniform(rng, -10, 190) + normal(rng, _CLASSES) * 35
        offset = torch.where(soft, drawn - case.means, offset)
        offset = torch.where(bony, uniform(rng, -60, 150) + normal(rng, _CLASSES) * 25, offset)
    if chance(rng, 0.15):  # contrast medium in the bowel, or full vessels: a few structures far brighter than the rest
        bright = soft & ~_targets(case) & (torch.rand(_CLASSES, generator=rng) < 0.15)
        offset = torch.where(bright, offset + uniform(rng, 80, 400), offset)
    image = image + _partial_volume(offset[classes])
    density = float(uniform(rng, 0.55, 1.5))
    image = torch.where(image > 120, 120 + (image - 120) * density, image)
    return _calcify(image, rng) if chance(rng, 0.25) else image


def synthesise(classes: Tensor, case: Case, rng: Generator) -> Tensor:
    """Draw an image from the structures alone; arguments as in `recolour`."""
    mean, deviation = case.means.clone(), uniform(rng, 4, 22, _CLASSES)
    mean[0] = -1000.0  # nothing: beyond the case
    soft = (mean > _SOFT[0]) & (mean < _SOFT[1])
    bony = mean >= _BONE
    drawn = (uniform(rng, -10, 160) + normal(rng, _CLASSES) * 45).clip(-60, 240)
    mean = torch.where(soft, drawn, mean + normal(rng, _CLASSES) * 20)
    mean = torch.where(bony, uniform(rng, 120, 600) + normal(rng, _CLASSES) * 40, mean)
    deviation = torch.where(bony, uniform(rng, 20, 140, _CLASSES), deviation)
    deviation = torch.where(mean < -500, uniform(rng, 5, 60, _CLASSES), deviation)
    texture = smooth(rng, classes.shape, 4) * float(uniform(rng, 0.3, 1)) + 0.5 * normal(rng, *classes.shape)
    return _partial_volume(mean[classes] + deviation[classes] * texture)


def _targets(case: Case) -> Tensor:
    """Tell which of the classes are mostly what is to be segmented."""
    inside = torch.bincount(case.classes.flatten().long(), (case.target > 0).flatten().float(), minlength=_CLASSES)
    return inside > 0.5 * torch.bincount(case.classes.flatten().long(), minlength=_CLASSES)


def _partial_volume(values: Tensor) -> Tensor:
    mean = functional.avg_pool3d(values[None, None], 3, stride=1, padding=1, count_include_pad=False)
    return mean[0, 0]


def _calcify(image: Tensor, rng: Generator) -> Tensor:
    """Put a few calcifications of some millimetres into soft tissue, as in vessel walls."""
    soft = torch.nonzero((image > 0) & (image < 250))
    if not len(soft):
        return image
    image = image.clone()
    for _ in range(1 + whole(rng, 12)):
        z, y, x = (int(v) for v in soft[whole(rng, len(soft))])
        part = image[z : z + 1 + whole(rng, 3), y : y + 1 + whole(rng, 2), x : x + 1 + whole(rng, 2)]
        part += uniform(rng, 150, 900)
    return image
