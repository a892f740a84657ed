"""SEG, structure set, NIfTI and .seg.nrrd of a series lie in one place, whatever else its headers say of places."""

import factories
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from drawing import ALGORITHM, LIVER
from pydicom.dataset import Dataset
from skimage.measure import points_in_poly

from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.seg import make_segmentation
from NativeDLLib.regions.structure import whole_structure_set
from NativeDLLib.source import Plane, Series
from NativeDLLib.volumes.seg_nrrd import write_image, write_seg_nrrd

SIZE = (5, 9, 12)
# Attributes that say another place, and other values, at a level where images of the class do not have them.
STRAYS = {
    "PixelSpacing": [9, 9],
    "SliceThickness": 9,
    "SpacingBetweenSlices": 9,
    "ImageOrientationPatient": [0, 1, 0, 0, 0, -1],
    "ImagePositionPatient": [500, 500, 500],
    "RescaleSlope": 7,
    "RescaleIntercept": 7,
    "RescaleType": "OD",
}


def strays():
    dataset = Dataset()
    for keyword, value in STRAYS.items():
        setattr(dataset, keyword, value)
    return dataset


def classic_with_stray_groups(dataset, _):
    groups = Dataset()
    groups.PixelMeasuresSequence = groups.PlanePositionSequence = groups.PlaneOrientationSequence = [strays()]
    groups.PixelValueTransformationSequence = [strays()]
    dataset.SharedFunctionalGroupsSequence = dataset.PerFrameFunctionalGroupsSequence = [groups]


class Geometry:
    """A random grid, and a shape on it that no flip or turn maps onto itself."""

    def __init__(self, seed):
        random = np.random.default_rng(seed)
        turn = np.linalg.qr(random.normal(size=(3, 3)))[0]
        if random.random() < 0.4:
            turn = np.eye(3)[random.permutation(3)] * random.choice([-1, 1], 3)
        self.row, self.column = turn[0], turn[1]
        self.spacing = tuple(float(v) for v in random.uniform(0.4, 4, 3).round(4))
        self.origin = tuple(float(v) for v in random.uniform(-400, 400, 3).round(3))
        self.backwards, self.order = bool(random.random() < 0.5), random.permutation(SIZE[0])
        normal = np.cross(self.row, self.column)
        self.steps = np.stack([self.row, self.column, normal], axis=1) * self.spacing
        self.labels = np.zeros(SIZE, np.uint8)
        self.labels[1:4, 2:7, 3:6] = self.labels[1:3, 2:4, 6:10] = self.labels[3, 6, 2] = 1

    def files(self, folder, kind):
        voxels = np.where(self.labels, 300, 0) + 10 * np.indices(SIZE)[0]
        grid = {"spacing": self.spacing, "origin": self.origin, "axes": (self.row, self.column)}
        if kind == "classic":
            edit = classic_with_stray_groups
            return factories.ct_series(folder, voxels, backwards=self.backwards, edit=edit, **grid)
        edit = lambda dataset: dataset.update(strays())  # noqa: E731
        return [factories.enhanced_ct(folder / "E", voxels, order=self.order, edit=edit, **grid)]

    def indices(self, points):
        """Voxels (x, y, z) that points (n, 3) in mm are, as a set; they must be centres of voxels."""
        places = (np.asarray(points) - self.origin) @ np.linalg.inv(self.steps).T
        assert np.abs(places - places.round()).max() < 0.02
        return {tuple(int(v) for v in place) for place in places.round()}

    @property
    def expected(self):
        z, y, x = np.nonzero(self.labels)
        return set(zip(x.tolist(), y.tolist(), z.tolist(), strict=True))


def points_of_image(path):
    image = sitk.ReadImage(str(path))
    z, y, x = np.nonzero(sitk.GetArrayViewFromImage(image))
    matrix = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    return np.stack([x, y, z], axis=-1) @ matrix.T + np.array(image.GetOrigin())


def points_of_seg(path):
    dataset = pydicom.dcmread(path)
    (shared,) = dataset.SharedFunctionalGroupsSequence
    between_rows, between_columns = shared.PixelMeasuresSequence[0].PixelSpacing
    row, column = np.reshape(shared.PlaneOrientationSequence[0].ImageOrientationPatient, (2, 3)).astype(float)
    points = []
    for groups, frame in zip(dataset.PerFrameFunctionalGroupsSequence, dataset.pixel_array, strict=True):
        y, x = np.nonzero(frame)
        position = np.array(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        points.append(position + np.outer(x * between_columns, row) + np.outer(y * between_rows, column))
    return np.concatenate(points)


def voxels_of_structure_set(path, geometry):
    """Voxels (x, y, z) inside the contours, by another program's rule; every contour must lie in a plane of voxels."""
    inside = np.zeros(SIZE, bool)
    y, x = np.indices(SIZE[1:])
    centres = np.stack([x.ravel(), y.ravel()], axis=-1)
    for contour in pydicom.dcmread(path).ROIContourSequence[0].ContourSequence:
        points = np.reshape(np.array(contour.ContourData, float), (-1, 3)) - geometry.origin
        places = points @ np.linalg.inv(geometry.steps).T
        assert np.ptp(places[:, 2]) < 0.02
        hit = points_in_poly(centres, places[:, :2]).reshape(SIZE[1:])
        inside[int(places[0, 2].round())] ^= hit
    z, y, x = np.nonzero(inside)
    return set(zip(x.tolist(), y.tolist(), z.tolist(), strict=True))


def assert_one_place(seed, kind, folder):
    geometry = Geometry(seed)
    folder.mkdir()
    series = Series.read(geometry.files(folder / "in" if kind == "classic" else folder, kind))
    image, notes = series.image()
    values = sitk.GetArrayFromImage(image)
    labels = (values >= 300).astype(np.uint8)
    on_grid = series.grid.image_of(labels)
    make_segmentation(series, labels, [LIVER], ALGORITHM).save_as(folder / "seg.dcm", enforce_file_format=True)
    whole_structure_set(series, labels, [LIVER], ALGORITHM, Progress()).save_as(folder / "rt.dcm")
    write_image(on_grid, folder / "labels.nii.gz")
    write_seg_nrrd(folder / "labels.seg.nrrd", on_grid, [LIVER], "bright 1")

    assert notes == []
    assert series.text("RescaleType") == "HU"
    assert geometry.indices(points_of_seg(folder / "seg.dcm")) == geometry.expected
    assert geometry.indices(points_of_image(folder / "labels.nii.gz")) == geometry.expected
    assert geometry.indices(points_of_image(folder / "labels.seg.nrrd")) == geometry.expected
    assert voxels_of_structure_set(folder / "rt.dcm", geometry) == geometry.expected
    planes = [Plane.of(series, index).origin for index in range(SIZE[0])]
    assert geometry.indices(planes) == {(0, 0, z) for z in range(SIZE[0])}


@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_everything_written_of_a_series_lies_in_one_place(tmp_path, kind):
    for seed in range(25):
        assert_one_place(seed, kind, tmp_path / f"{seed}")


@pytest.mark.campaign
@pytest.mark.parametrize("kind", ["classic", "enhanced"])
def test_everything_written_of_300_series_lies_in_one_place(tmp_path, kind):
    for seed in range(25, 175):
        assert_one_place(seed, kind, tmp_path / f"{seed}")
