"""Labels as files hold them, and the classes that a network is to learn from them."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Array, Bools, Points
from NativeDLLib.core.errors import InputError, UsageError
from NativeDLLib.postprocess.cleaning import largest_part
from NativeDLLib.source import Series
from NativeDLLib.source.header import DamageError
from NativeDLLib.source.volume_file import checked_grid, open_volume, read_volume
from NativeDLLib.training.config import Config

SPACING_MM = 3.0
VERTEBRA, CORE = 1, 2
_CANAL_VOXELS = 4  # fewer in a slice are the edge of something else
_SMOOTH_SLICES = 5
_TREND_SLICES = 12


def _mark_cores(classes: Array, values: Array, canal: Collection[int]) -> None:
    """Make a class of the part of each vertebra in front of the canal, eroded so that two voxels part neighbours."""
    vertebrae = classes == VERTEBRA
    front = _canal_front(np.isin(values, list(canal)), vertebrae)
    before = np.arange(values.shape[1])[None, :, None] < front[:, None, None]
    for label in np.unique(values[vertebrae]):
        body = (values == label) & before
        filled = sitk.BinaryFillhole(sitk.GetImageFromArray(body.astype(np.uint8)))
        # The border of the image erodes nothing.
        eroded = sitk.BinaryErode(filled, [1, 1, 1], sitk.sitkBox, 0, 1, True)
        classes[largest_part(eroded) & body] = CORE


def _canal_front(canal: Bools, vertebrae: Bools) -> Points:
    """Find the front edge (index y) of the canal in each slice; where none is seen, the line of those near goes on."""
    front = np.full(len(canal), np.nan)
    for z in np.flatnonzero(vertebrae.any(axis=(1, 2)) | canal.any(axis=(1, 2))):
        inside = canal[z]
        if np.count_nonzero(inside) < _CANAL_VOXELS:
            # An unlabelled canal is the hole in the ring of a vertebra.
            ring = sitk.GetImageFromArray(vertebrae[z].astype(np.uint8))
            inside = largest_part(sitk.BinaryFillhole(ring) - ring)
        rows = np.flatnonzero(inside.any(axis=1))
        if np.count_nonzero(inside) >= _CANAL_VOXELS:
            front[z] = rows[0]
    known = np.flatnonzero(~np.isnan(front))
    if not len(known):
        return np.full(len(canal), float(canal.shape[1]))
    reach = _SMOOTH_SLICES // 2
    smooth = [np.nanmedian(front[max(0, z - reach) : z + reach + 1]) for z in known]
    slices = np.arange(len(front))
    result: Points = np.interp(slices, known, smooth)
    for ends, beyond in (
        (slice(None, _TREND_SLICES), slices < known[0]),
        (slice(-_TREND_SLICES, None), slices > known[-1]),
    ):
        if beyond.any() and len(known[ends]) > 2:
            result[beyond] = np.polyval(np.polyfit(known[ends], smooth[ends], 1), slices[beyond])
    return result


def _at_spacing(labels: sitk.Image) -> sitk.Image:
    size = [max(1, round(n * s / SPACING_MM)) for n, s in zip(labels.GetSize(), labels.GetSpacing(), strict=True)]
    first = [(SPACING_MM / s - 1) / 2 for s in labels.GetSpacing()]
    place = labels.TransformContinuousIndexToPhysicalPoint(first), (SPACING_MM,) * 3, labels.GetDirection()
    return sitk.Resample(labels, size, sitk.Transform(), sitk.sitkNearestNeighbor, *place, 0)


_LARGEST_LABEL = 65535


def read_labels(path: Path) -> sitk.Image:
    """Label map in an NRRD, NIfTI or MetaImage file of whole numbers; InputError for anything else."""
    reader = open_volume(path)
    if reader.GetNumberOfComponents() != 1:
        raise InputError(f"{path}: has more than one value in a voxel (layers or colours); labels are one")
    checked_grid(path, reader)
    image = read_volume(path, reader)
    values = sitk.GetArrayViewFromImage(image)
    whole = values.dtype.kind in "iu" or bool(np.all(values == np.round(values)))
    if not whole or values.min() < 0 or values.max() > _LARGEST_LABEL:
        raise InputError(f"{path}: holds values that are no labels (whole numbers from 0 to {_LARGEST_LABEL})")
    return sitk.Cast(image, sitk.sitkUInt16)


def read_segmentation(path: Path, series: Series) -> tuple[sitk.Image, dict[str, int]]:
    """Segment Numbers of a DICOM SEG of a series, and the numbers by Segment Label. Any program may have written it, on
    any grid; the later segment wins where they overlap. InputError where it is no such object or not in the series'
    frame of reference.
    """
    try:
        seg = hd.seg.segread(path)
        if seg.segmentation_type.value == "FRACTIONAL":
            raise DamageError("it is FRACTIONAL; a BINARY or LABELMAP one is needed")
        if seg.FrameOfReferenceUID != series.text("FrameOfReferenceUID"):
            raise DamageError("it has another frame of reference")
        # Empty frames may be left out.
        volume = seg.get_volume(combine_segments=False, allow_missing_positions=True)
        numbers = [int(number) for number in seg.segment_numbers]
        names = {seg.get_segment_description(number).segment_label: number for number in numbers}
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or 'it breaks off'})") from error
    # highdicom and pydicom let pass whatever they stumble over in an object that is not what they expect.
    except Exception as error:
        reason = str(error) if isinstance(error, DamageError) else "it is damaged, or another object"
        raise InputError(f"{path}: is not a SEG of series {series.uid} ({reason})") from error
    values = np.zeros(volume.array.shape[:3], np.uint16)
    for index, number in enumerate(numbers):
        values[volume.array[..., index] > 0] = number
    labels = sitk.GetImageFromArray(values)
    # Its axes are those of the array, (z, y, x); an image's are (x, y, z).
    labels.SetSpacing(volume.spacing[::-1])
    labels.SetDirection(volume.direction[:, ::-1].ravel().tolist())
    labels.SetOrigin(volume.position)
    return labels, names | {str(number): number for number in numbers}


def named_labels(config: Config, row: Mapping[str, Any], names: Mapping[str, int]) -> dict[int, int]:
    """Class of each label value. The row's map is by value, or by one of `names`; without a map, names and classes are
    the same. UsageError names what does not match.
    """
    classes = {name: number for number, name in config.classes.items()}
    mapping = row.get("map") or {name: classes[name] for name in names if name in classes}
    result = {}
    where, there = f"{config.path}: {row['name']}", ", ".join(f"'{known}'" for known in names if not known.isdecimal())
    for name, number in mapping.items():
        # A file has no names: there a label is its value.
        label = int(name) if not names and name.isdecimal() and len(name) < 6 else names.get(name, -1)
        if not 0 <= label <= _LARGEST_LABEL:
            others = f"; there are {there}" * bool(there)
            raise UsageError(f"{where}: there is no segment '{name[:64]}'{others}")
        result[label] = int(number)
    if not result:
        raise UsageError(f"{where}: none of its segments ({there}) is named as a class: give a map")
    return result


def to_classes(labels: sitk.Image, mapping: Mapping[int, int], row: Mapping[str, Any]) -> sitk.Image:
    """Classes of a network, uint8, from label values. `mapping` gives the class of a value, others are background; a
    row with the target of vertebrae gives class 1 for a vertebra outside its core and 2 for the core, at 3 mm in LPS;
    there each vertebra has a value of its own, and each core is one connected component.
    """
    has_cores = row.get("target") == "vertebrae"
    grid = _at_spacing(sitk.DICOMOrient(labels, "LPS")) if has_cores else labels
    values, table = sitk.GetArrayViewFromImage(grid), np.zeros(_LARGEST_LABEL + 1, np.uint8)
    table[list(mapping)] = list(mapping.values())
    classes = table[values]
    if has_cores:
        _mark_cores(classes, values, row["canal"])
    result = sitk.GetImageFromArray(classes)
    result.CopyInformation(grid)
    return result
