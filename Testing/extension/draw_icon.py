"""Draw the extension's icon, a liver and a vertebra as on an axial slice: ``python Testing/extension/draw_icon.py``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

ICON = Path(__file__).resolve().parents[2] / "Resources" / "Icons" / "NativeDL.png"
SIZE = 128
_SCALE = 8  # drawn larger, so that edges are smooth

_NAVY, _LIVER, _BONE = (19, 44, 86), (255, 158, 84), (140, 220, 255)
# Control points in icon units (0 to 128), going round.
_LIVER_OUTLINE = [
    (18, 62), (22, 40), (38, 24), (60, 19), (84, 22), (104, 31), (111, 41), (101, 48), (84, 51), (70, 58), (60, 72),
    (48, 87), (32, 92), (21, 80),
]  # fmt: skip
_VERTEBRAL_BODY = [(66, 84), (72, 76), (84, 74), (96, 76), (102, 84), (99, 93), (84, 95), (69, 93)]
_VERTEBRAL_ARCH = [
    (70, 93), (58, 101), (61, 106), (73, 102), (79, 107), (82, 117), (86, 117), (89, 107), (95, 102), (107, 106),
    (110, 101), (98, 93),
]  # fmt: skip


def draw() -> Image.Image:
    """Return the icon, 128 by 128 pixels with transparent corners."""
    image = Image.new("RGBA", (SIZE * _SCALE, SIZE * _SCALE))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle([4 * _SCALE, 4 * _SCALE, 124 * _SCALE, 124 * _SCALE], 26 * _SCALE, fill=_NAVY)
    _shape(pen, _LIVER_OUTLINE, _LIVER)
    _shape(pen, _VERTEBRAL_ARCH, _BONE)
    _shape(pen, _VERTEBRAL_BODY, _BONE)
    return image.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def _shape(pen: ImageDraw.ImageDraw, points: list[tuple[int, int]], color: tuple[int, int, int]) -> None:
    outline = [tuple(point * _SCALE) for point in _smooth(np.array(points, float))]
    dark = tuple((navy + part) // 2 for navy, part in zip(_NAVY, color, strict=True))
    pen.polygon(outline, fill=dark)
    # A row of dots: Pillow's wide lines gape where they bend.
    radius = 3 * _SCALE
    for x, y in outline:
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color)


def _smooth(points: np.ndarray, steps: int = 64) -> np.ndarray:
    """Return a closed Catmull-Rom spline through the points."""
    before, after, beyond = (np.roll(points, shift, axis=0) for shift in (1, -1, -2))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    p0, p1, p2, p3 = (corner[:, None, :] for corner in (before, points, after, beyond))
    curve = (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3) / 2
    return curve.reshape(-1, 2)


if __name__ == "__main__":
    draw().save(ICON, optimize=True)
