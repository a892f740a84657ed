"""An object drawn in the patient's space comes back in the SEG in the same place, however its slices lie."""

import json
import shutil
import subprocess
from pathlib import Path

import factories
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
import tools

from NativeDLLib.core.progress import Progress
from NativeDLLib.registry import effective, load_registry
from NativeDLLib.segment.pipeline import run_pipeline
from NativeDLLib.source import Series
from NativeDLLib.tools.tool import Machine

CENTRE = np.array([10.0, -20.0, 30.0])
# Three spheres (offset and radius in mm) that no flip or turn maps onto themselves.
SPHERES = [((-6.0, -4.0, -5.0), 8.0), ((9.0, 2.0, 3.0), 5.0), ((-2.0, 11.0, 9.0), 4.0)]
SIZE = np.array([40, 44, 26])

_TILT, _TURN = np.deg2rad(25), np.deg2rad(-15)
OBLIQUE = (
    (np.cos(_TURN), np.sin(_TURN), 0.0),
    (-np.sin(_TURN) * np.cos(_TILT), np.cos(_TURN) * np.cos(_TILT), np.sin(_TILT)),
)
PLANES = {"axial": factories.AXIAL, "coronal": factories.CORONAL, "sagittal": factories.SAGITTAL, "oblique": OBLIQUE}


def signed_distance(points):
    """Distance in mm from the surface of the object, negative inside; points (..., 3) in the patient."""
    return np.min([np.linalg.norm(points - CENTRE - offset, axis=-1) - radius for offset, radius in SPHERES], axis=0)


def write_series(folder, plane, backwards, variant):
    spacing = np.array([1.6, 0.9, 2.0] if variant == "unequal spacing" else [1.0, 1.0, 2.0])
    row, column = (np.array(axis, float) for axis in PLANES[plane])
    row = -row if variant == "flipped rows" else row
    column = -column if variant == "flipped columns" else column
    normal = np.cross(row, column)
    steps = np.stack([row * spacing[0], column * spacing[1], normal * spacing[2]], axis=1)
    origin = CENTRE - steps @ ((SIZE - 1) / 2)
    z, y, x = np.indices(SIZE[::-1])
    points = np.stack([x, y, z], axis=-1) @ steps.T + origin
    # Values that fall off across the surface, as partial volume makes them.
    voxels = np.clip(150 - 150 * signed_distance(points), 0, 300).astype(np.int16)
    return factories.ct_series(
        folder, voxels, spacing=tuple(spacing), origin=tuple(origin), axes=(row, column), backwards=backwards
    ), spacing


def points_of_seg(path):
    """Places (n, 3) of all mask pixels, from nothing but the SEG's own attributes."""
    dataset = pydicom.dcmread(path)
    shared = dataset.SharedFunctionalGroupsSequence[0]
    between_rows, between_columns = shared.PixelMeasuresSequence[0].PixelSpacing
    axes = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    points = []
    for groups, frame in zip(dataset.PerFrameFunctionalGroupsSequence, frames, strict=True):
        position = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        rows, columns = np.nonzero(frame)
        points.append(
            position + np.outer(columns * between_columns, axes[:3]) + np.outer(rows * between_rows, axes[3:])
        )
    return np.concatenate(points)


def points_of_dcmqi(path, folder):
    """Places (n, 3) of all mask voxels as dcmqi reads them."""
    folder.mkdir()
    command = [tools.dcmqi("segimage2itkimage"), "--inputDICOM", str(path), "--outputDirectory", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    (file,) = folder.glob("*.nrrd")
    image = sitk.ReadImage(str(file))
    z, y, x = np.nonzero(sitk.GetArrayViewFromImage(image))
    matrix = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    return np.stack([x, y, z], axis=-1) @ matrix.T + np.array(image.GetOrigin())


@pytest.mark.parametrize("variant", ["identity", "flipped rows", "flipped columns", "unequal spacing"])
@pytest.mark.parametrize("backwards", [False, True], ids=["forward", "reversed"])
@pytest.mark.parametrize("plane", PLANES)
def test_the_object_comes_back_in_its_place(tmp_path, plane, backwards, variant):
    files, spacing = write_series(tmp_path / "series", plane, backwards, variant)
    (model,) = load_registry(factories.registry(tmp_path / "registry"))
    series = Series.read(files)

    result = run_pipeline(model, series, effective(model), Machine("cpu"), Progress())
    (dataset,) = result.to_dicom()
    dataset.save_as(tmp_path / "seg.dcm", enforce_file_format=True)

    half_a_voxel = spacing.max() / 2
    found = points_of_seg(tmp_path / "seg.dcm")
    assert signed_distance(found).max() < half_a_voxel
    steps = np.array(series.grid.direction).reshape(3, 3) * np.array(series.grid.spacing)
    z, y, x = np.indices(series.grid.size[::-1])
    everywhere = np.stack([x, y, z], axis=-1) @ steps.T + np.array(series.grid.origin)
    deep = everywhere[signed_distance(everywhere) < -half_a_voxel]
    there = {tuple(point) for point in np.round(found, 2)}
    assert len(deep) > 500
    assert all(tuple(point) in there for point in np.round(deep, 2))
    assert np.abs(found.mean(axis=0) - everywhere[signed_distance(everywhere) < 0].mean(axis=0)).max() < 0.3

    by_dcmqi = points_of_dcmqi(tmp_path / "seg.dcm", tmp_path / "dcmqi")
    assert {tuple(point) for point in np.round(by_dcmqi, 1)} == {tuple(point) for point in np.round(found, 1)}


def test_the_label_map_beside_the_seg_is_the_same_and_on_the_source_grid(tmp_path):
    files, _ = write_series(tmp_path / "series", "oblique", True, "unequal spacing")
    registry = factories.registry(tmp_path / "registry")
    out = tmp_path / "out"

    code = tools.nativedl(
        "run", "--input", tmp_path / "series", "--output", out, "--model", "bright", registry=registry
    )

    assert code == 0
    labels = sitk.ReadImage(str(out / "segmentation.nii.gz"))
    assert Series.read(files).grid.matches(labels)
    z, y, x = np.nonzero(sitk.GetArrayViewFromImage(labels))
    matrix = np.array(labels.GetDirection()).reshape(3, 3) * np.array(labels.GetSpacing())
    points = np.stack([x, y, z], axis=-1) @ matrix.T + np.array(labels.GetOrigin())
    found = points_of_seg(out / "segmentation.dcm")
    assert {tuple(p) for p in np.round(points, 1)} == {tuple(p) for p in np.round(found, 1)}
    assert json.loads((out / "report.json").read_text())["outcome"] == "segmented"
    assert sorted(f.name for f in Path(out).iterdir()) == sorted(
        ["segmentation.dcm", "segmentation.nii.gz", "segmentation.seg.nrrd", "preview.png", "report.json"]
    )
    shutil.rmtree(out)
