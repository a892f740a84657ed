from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk

from NativeDLLib.core.errors import InputError
from NativeDLLib.phantom.ct_series import write_ct_series
from NativeDLLib.phantom.torso import make_phantom


def write(image: sitk.Image, folder: Path, seed: int | None = None) -> list[Path]:
    return write_ct_series(
        image,
        folder,
        patient_name="Phantom^Abdomen",
        patient_id="PHANTOM",
        study_description="Abdomen",
        series_description="Axial",
        seed=seed,
    )


def ramp(direction: np.ndarray | None = None) -> sitk.Image:
    array = np.random.default_rng(0).integers(-1024, 2000, (4, 6, 8), dtype=np.int16)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing((0.7, 1.1, 2.5))
    image.SetOrigin((-12.5, 30.25, 101.0))
    if direction is not None:
        image.SetDirection(direction.ravel().tolist())
    return image


def oblique() -> np.ndarray:
    turn = sitk.Euler3DTransform((0, 0, 0), 0.3, -0.4, 0.9)
    return np.array(turn.GetMatrix()).reshape(3, 3)


CORONAL = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)


@pytest.mark.parametrize("direction", [np.eye(3), CORONAL, oblique()], ids=["axial", "coronal", "oblique"])
def test_a_series_reads_back_in_place(tmp_path: Path, direction: np.ndarray) -> None:
    image = ramp(direction)
    again = sitk.ReadImage([str(path) for path in write(image, tmp_path)])
    assert np.array_equal(sitk.GetArrayFromImage(again), sitk.GetArrayFromImage(image))
    for index in ((0, 0, 0), (7, 5, 3), (0, 5, 1)):
        ours, theirs = image.TransformIndexToPhysicalPoint(index), again.TransformIndexToPhysicalPoint(index)
        assert theirs == pytest.approx(ours, abs=1e-4)


def test_slices_of_a_left_handed_image_keep_their_places(tmp_path: Path) -> None:
    image = ramp(np.diag([1.0, 1.0, -1.0]))
    heights = [float(pydicom.dcmread(path).ImagePositionPatient[2]) for path in write(image, tmp_path)]
    assert heights == pytest.approx([101.0, 98.5, 96.0, 93.5])


@pytest.mark.parametrize("direction", [np.eye(3), oblique()], ids=["axial", "oblique"])
def test_dciodvfy_finds_no_error(tmp_path: Path, direction: np.ndarray) -> None:
    if shutil.which("dciodvfy") is None:
        pytest.skip("dciodvfy is not installed (Debian: dicom3tools)")
    for path in write(ramp(direction), tmp_path)[:2]:
        report = subprocess.run(["dciodvfy", str(path)], capture_output=True, text=True, check=False)
        assert "Error" not in report.stdout + report.stderr


def test_a_seed_repeats_the_uids_and_without_one_they_are_new(tmp_path: Path) -> None:
    def uids(seed: int | None) -> list[str]:
        datasets = [pydicom.dcmread(path) for path in write(ramp(), tmp_path, seed)]
        return [ds.StudyInstanceUID for ds in datasets] + [ds.SOPInstanceUID for ds in datasets]

    assert uids(3) == uids(3)
    assert not set(uids(3)) & set(uids(4))
    assert not set(uids(None)) & set(uids(None))


def test_instances_share_their_series_and_have_uids_of_their_own(tmp_path: Path) -> None:
    datasets = [pydicom.dcmread(path) for path in write(ramp(), tmp_path)]
    assert len({ds.SOPInstanceUID for ds in datasets}) == 4
    assert (
        len({ds.file_meta.MediaStorageSOPInstanceUID for ds in datasets} | {ds.SOPInstanceUID for ds in datasets}) == 4
    )
    assert len({(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID) for ds in datasets}) == 1
    assert [ds.InstanceNumber for ds in datasets] == [1, 2, 3, 4]


@pytest.mark.parametrize(("highest", "bits"), [(3071, 12), (3072, 16)])
def test_twelve_bits_are_stored_where_they_suffice(tmp_path: Path, highest: int, bits: int) -> None:
    image = ramp()
    image[0, 0, 0] = highest
    ds = pydicom.dcmread(write(image, tmp_path)[0])
    assert (ds.BitsStored, ds.HighBit) == (bits, bits - 1)
    assert int(ds.pixel_array[0, 0]) + int(ds.RescaleIntercept) == highest


def test_values_that_do_not_fit_are_refused_with_their_range(tmp_path: Path) -> None:
    image = sitk.Cast(ramp(), sitk.sitkInt32)
    image[1, 1, 1] = -2000
    with pytest.raises(InputError, match="-2000"):
        write(image, tmp_path)


def test_an_image_that_is_not_a_volume_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="three-dimensional"):
        write(sitk.Image(8, 8, sitk.sitkInt16), tmp_path)


def test_a_phantom_becomes_a_series(tmp_path: Path) -> None:
    ct, _ = make_phantom(1, (64, 56, 6), (6, 6, 20))
    paths = write(ct, tmp_path)
    assert len(paths) == 6
    assert np.array_equal(
        sitk.GetArrayFromImage(sitk.ReadImage([str(path) for path in paths])), sitk.GetArrayFromImage(ct)
    )
