"""The network of the demonstration models: a small 3-D U-Net (Ronneberger et al. 2015, Çiçek et al. 2016)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn


class SmallUNet(nn.Module):  # type: ignore[misc]  # torch is not followed by mypy here
    """A U-Net that is narrow at full resolution, where the time goes, and wider below.

    Parameters
    ----------
    classes
        Number of output channels, the background among them.
    widths
        Channels at each resolution, from the input's down; each step halves the resolution, so a patch's sides must
        be multiples of ``2 ** (len(widths) - 1)``.
    """

    def __init__(self, classes: int = 2, widths: tuple[int, ...] = (12, 24, 48, 64, 60)) -> None:
        super().__init__()
        self.entry = _block(1, widths[0])
        self.down = nn.ModuleList(nn.Sequential(_block(a, b, stride=2), _block(b, b)) for a, b in pairwise(widths))
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(b, a, 2, stride=2) for a, b in zip(widths[-2::-1], widths[:0:-1], strict=True)
        )
        self.merge = nn.ModuleList(_block(2 * a, a) for a in widths[-2::-1])
        self.head = nn.Conv3d(widths[0], classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Map normalised patches (N, 1, z, y, x) to logits (N, classes, z, y, x)."""
        x = self.entry(image)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(x)
        for up, merge, skip in zip(self.up, self.merge, reversed(skips), strict=True):
            x = merge(torch.cat([up(x), skip], dim=1))
        logits: Tensor = self.head(x)
        return logits


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv3d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
        nn.InstanceNorm3d(outputs, affine=True),
        nn.LeakyReLU(0.01, inplace=True),
    )
