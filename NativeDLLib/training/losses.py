"""Dice and cross-entropy at every resolution (Isensee et al. 2021)."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional


def deep_supervision(outputs: Sequence[Tensor], target: Tensor) -> Tensor:
    """Weighted loss of the outputs of all resolutions.

    Outputs are logits (N, classes, z, y, x), the finest first; each counts half as much as the one before it, the
    coarsest of several not at all. `target` is int64 (N, z, y, x); coarser outputs learn from every n-th voxel of it.
    """
    weights = [0.5**index for index in range(max(1, len(outputs) - 1))]
    losses = []
    for output, weight in zip(outputs, weights, strict=False):
        step = [n // m for n, m in zip(target.shape[1:], output.shape[2:], strict=True)]
        part = target[:, :: step[0], :: step[1], :: step[2]]
        losses.append(weight * dice_and_cross_entropy(output.float(), part))
    return torch.stack(losses).sum() / sum(weights)


def dice_and_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Voxel-wise cross-entropy plus soft Dice loss over a batch, the mean of all classes but the background.

    `logits` is (N, classes, z, y, x), `target` int64 (N, z, y, x).
    """
    # Written out and not torch's own: on CUDA that one adds in an order of its own.
    truth = functional.one_hot(target, logits.shape[1]).movedim(-1, 1).to(logits.dtype)
    logarithm = functional.log_softmax(logits, dim=1)
    entropy = -(truth * logarithm).sum(dim=1).mean()
    probability, truth = logarithm.exp()[:, 1:], truth[:, 1:]
    axes = (0, 2, 3, 4)  # over the batch, so that a patch without the structure does not dominate
    overlap, size = (probability * truth).sum(axes), probability.sum(axes) + truth.sum(axes)
    return entropy + 1 - ((2 * overlap + 1) / (size + 1)).mean()
