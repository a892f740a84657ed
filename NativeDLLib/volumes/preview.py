"""A picture of a segmentation: its contours on the slices that hold most of each segment."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageDraw

from NativeDLLib.core.arrays import Array, Bools, Points, in_threads
from NativeDLLib.registry.entry import Segment

_TILE = 384
_MOST_TILES = 9
_ABDOMEN_HU = (-160.0, 240.0)


def write_preview(
    path: Path, image: sitk.Image, labels: sitk.Image, segments: Sequence[Segment], *, is_ct: bool
) -> None:
    """Write a PNG with up to nine slices. `segments` are drawn in their colours, those with most voxels first; without
    any voxel the middle slice is shown. `is_ct` asks for the soft-tissue window in place of 98 % of the values.
    """
    image, labels = _as_read(image), _as_read(labels)
    values = sitk.GetArrayViewFromImage(image)
    numbers = sitk.GetArrayViewFromImage(labels)
    low, high = _ABDOMEN_HU if is_ct else tuple(np.percentile(values[::4, ::4, ::4], (1, 99)))
    most = max(s.number for s in segments)
    by_slice = np.stack(in_threads(lambda plane: np.bincount(plane.ravel(), minlength=most + 1), numbers))
    counts = {s.number: by_slice[:, s.number] for s in segments}
    shown = sorted((s for s in segments if counts[s.number].any()), key=lambda s: -int(counts[s.number].sum()))
    captions = {int(counts[s.number].argmax()): s.name for s in reversed(shown[:_MOST_TILES])}
    if not captions:
        captions = {len(values) // 2: "nothing found"}

    def tile_of(item: tuple[int, str]) -> Image.Image:
        index, caption = item
        grey = np.clip((values[index] - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8)
        there = [segment for segment in shown if counts[segment.number][index]]
        return _tile(grey, numbers[index], there, image, f"{caption} (slice {index + 1} of {len(values)})")

    tiles = in_threads(tile_of, captions.items())
    across = min(3, len(tiles))
    down = -(-len(tiles) // across)
    height = max(tile.height for tile in tiles)
    sheet = Image.new("RGB", (across * _TILE, down * height))
    for position, tile in enumerate(tiles):
        sheet.paste(tile, (position % across * _TILE, position // across * height))
    sheet.save(path, format="PNG")


def _tile(grey: Array, numbers: Array, segments: Sequence[Segment], image: sitk.Image, caption: str) -> Image.Image:
    across, down = (n * s for n, s in zip(image.GetSize()[:2], image.GetSpacing()[:2], strict=True))
    shrink = _TILE / max(across, down)
    size = max(1, round(across * shrink)), max(1, round(down * shrink))
    picture = Image.fromarray(grey).convert("RGB").resize(size, Image.Resampling.BILINEAR)
    for segment in segments:
        mask = numbers == segment.number
        (left, right), (top, bottom) = (_around(mask.any(axis), n) for axis, n in zip((0, 1), size, strict=True))
        scale = mask.shape[1] / size[0], mask.shape[0] / size[1]
        box = (left * scale[0], top * scale[1], right * scale[0], bottom * scale[1])
        part = Image.fromarray(mask.astype(np.uint8) * 255)
        inside = np.asarray(part.resize((right - left, bottom - top), Image.Resampling.BILINEAR, box)) >= 128
        whole = sitk.GetImageFromArray(inside.astype(np.uint8))
        edge = whole - sitk.BinaryErode(whole, [1, 1], sitk.sitkCross, 0, 1, False)
        picture.paste(segment.color, (left, top), Image.fromarray(sitk.GetArrayViewFromImage(edge) * 255))
    tile = Image.new("RGB", (_TILE, _TILE))
    left, top = (_TILE - size[0]) // 2, (_TILE - size[1]) // 2
    tile.paste(picture, (left, top))
    draw = ImageDraw.Draw(tile)
    # The default font knows Latin letters only.
    draw.text((6, 4), caption.encode("latin-1", "replace").decode("latin-1"), fill=(255, 255, 255))
    direction = np.array(image.GetDirection()).reshape(3, 3)
    draw.text((4, _TILE // 2), _letter(-direction[:, 0]), fill=(255, 255, 0))
    draw.text((_TILE - 12, _TILE // 2), _letter(direction[:, 0]), fill=(255, 255, 0))
    draw.text((_TILE // 2, _TILE - 14), _letter(direction[:, 1]), fill=(255, 255, 0))
    return tile


def _as_read(image: sitk.Image) -> sitk.Image:
    """Image with slices as radiologists look at them: left or posterior at the right, posterior or inferior down."""
    letters = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    within = {"S": "LP", "I": "LP", "A": "LI", "P": "LI", "L": "PI", "R": "PI"}[letters[2]]
    return image if letters.startswith(within) else sitk.DICOMOrient(image, within + letters[2])


def _around(filled: Bools, size: int) -> tuple[int, int]:
    """Part of an axis of `size` pixels around the filled part of another grid, with a margin."""
    at, scale = np.flatnonzero(filled), size / len(filled)
    return max(0, int((at[0] - 2) * scale) - 2), min(size, int((at[-1] + 3) * scale) + 3)


def _letter(direction: Points) -> str:
    axis = int(np.abs(direction).argmax())
    return ("LPS" if direction[axis] > 0 else "RAI")[axis]
