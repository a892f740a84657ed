"""What the benchmarks run on, made once and kept: phantoms as DICOM and NIfTI, and label maps."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from benchmarks.compare import MissingError, Setting
from NativeDLLib.phantom.ct_series import write_ct_series
from NativeDLLib.phantom.torso import make_phantom

ROOT = Path(__file__).resolve().parents[2]
_SIDE, _SPACING = (512, 64), ((0.8, 0.8, 1.5), (6.0, 6.0, 9.0))


@dataclass(frozen=True)
class Case:
    """An image as a DICOM series in `dicom`, and as the only file of `nifti`, named as nnU-Net wants it."""

    dicom: Path
    nifti: Path

    @property
    def image(self) -> Path:
        """The NIfTI file."""
        return next(self.nifti.iterdir())


def phantom(setting: Setting, slices: int) -> Case:
    """Return a phantom's CT with so many slices of 512 x 512 (quick: of 64 x 64)."""
    side, spacing = _SIDE[setting.quick], _SPACING[setting.quick]

    def make(folder: Path) -> None:
        image, _ = make_phantom(1, (side, side, slices), spacing)
        write_ct_series(
            image,
            folder / "dicom",
            patient_name="Phantom^Bench",
            patient_id="BENCH",
            study_description="Benchmark",
            series_description="Phantom",
            seed=1,
        )
        (folder / "nifti").mkdir()
        sitk.WriteImage(image, str(folder / "nifti" / "case_0000.nii.gz"))

    folder = kept(setting.folder / "inputs" / f"phantom-{side}x{slices}", make)
    return Case(folder / "dicom", folder / "nifti")


def torso(setting: Setting) -> Path:
    """Return the folder with the real torso CT alone, named as nnU-Net wants it.

    Raises
    ------
    MissingError
        Where the real data is not there.
    """
    data = Path(os.environ.get("NATIVEDL_TEST_DATA") or ROOT / ".." / "shared" / "data").resolve()
    file = data / "torso_ct_3mm" / "ct.nii.gz"
    if not file.is_file():
        raise MissingError(f"{file} is not there (NATIVEDL_TEST_DATA)")
    return kept(setting.folder / "inputs" / "torso", lambda folder: shutil.copy(file, folder / "case_0000.nii.gz"))


def label_map(shape: tuple[int, ...], count: int) -> npt.NDArray[np.uint8]:
    """Return a label map (z, y, x) of so many ellipsoids side by side, labelled from 1."""
    labels = np.zeros(shape, np.uint8)
    cells = int(np.ceil(count ** (1 / 3)))
    edges = [np.linspace(0, n, cells + 1).astype(int) for n in shape]
    for index in range(count):
        place = np.unravel_index(index, (cells,) * 3)
        ranges = [slice(e[i], e[i + 1]) for e, i in zip(edges, place, strict=True)]
        axes = [np.linspace(-1.1, 1.1, r.stop - r.start, dtype=np.float32) ** 2 for r in ranges]
        inside = axes[0][:, None, None] + axes[1][:, None] + axes[2] < 1
        labels[tuple(ranges)][inside] = index + 1
    return labels


def kept(folder: Path, make: Callable[[Path], object]) -> Path:
    """Return a folder that `make` fills if it is not there yet; it is there whole or not at all."""
    if not folder.exists():
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        make(partial)
        partial.rename(folder)
    return folder
