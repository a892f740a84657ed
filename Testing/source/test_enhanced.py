"""Enhanced multi-frame images: each frame has its place, whatever the order in which they are stored."""

import factories
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset
from pydicom.uid import EnhancedCTImageStorage, generate_uid

from NativeDLLib.core.errors import InputError
from NativeDLLib.dicom.seg import Algorithm, make_segmentation
from NativeDLLib.registry.load import make_model
from NativeDLLib.source import Series

GEOMETRY = {"spacing": (0.7, 1.3, 2.5), "origin": (-20.0, -16.0, 100.0)}
SCRAMBLED = (3, 0, 5, 1, 4, 2)


def enhanced(path, edit=None, order=SCRAMBLED):
    factories.enhanced_ct(path, factories.block(), order=order, **GEOMETRY)
    if edit is not None:
        dataset = pydicom.dcmread(path)
        edit(dataset)
        dataset.save_as(path)
    return path


def test_scrambled_frames_land_in_their_places(tmp_path):
    series = Series.read([enhanced(tmp_path / "enhanced")])
    image, notes = series.image()

    assert np.array_equal(sitk.GetArrayFromImage(image), factories.block())
    assert np.allclose(image.GetSpacing(), GEOMETRY["spacing"])
    assert np.allclose(image.GetOrigin(), GEOMETRY["origin"])
    assert [plane.frame for plane in series.slices] == [1, 3, 5, 0, 4, 2]
    assert (series.warnings, notes) == ((), [])


def test_each_frame_has_its_own_rescaling(tmp_path):
    def edit(dataset):
        del dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence
        for index, item in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            transformation = Dataset()
            transformation.RescaleSlope, transformation.RescaleIntercept = 1, -1024 + 10 * index
            item.PixelValueTransformationSequence = [transformation]

    image, _ = Series.read([enhanced(tmp_path / "enhanced", edit, order=range(6))]).image()

    expected = factories.block() + 10 * np.arange(6)[:, None, None]
    assert np.array_equal(sitk.GetArrayFromImage(image), expected)


def no_frames(dataset):
    dataset.PerFrameFunctionalGroupsSequence = []


def fewer_frames(dataset):
    del dataset.PerFrameFunctionalGroupsSequence[5]


def no_number(dataset):
    del dataset.NumberOfFrames


def no_groups(dataset):
    del dataset.PerFrameFunctionalGroupsSequence


def no_place(dataset):
    del dataset.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence


def empty_place(dataset):
    dataset.PerFrameFunctionalGroupsSequence[2].PlanePositionSequence = []


def no_shared(dataset):
    del dataset.SharedFunctionalGroupsSequence


def no_transformation(dataset):
    del dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence


def no_intercept(dataset):
    del dataset.SharedFunctionalGroupsSequence[0].PixelValueTransformationSequence[0].RescaleIntercept


def text_for_groups(dataset):
    dataset.add_new("SharedFunctionalGroupsSequence", "LO", "text")


def same_place(dataset):
    first, second, *_ = dataset.PerFrameFunctionalGroupsSequence
    second.PlanePositionSequence = first.PlanePositionSequence


@pytest.mark.parametrize(
    ("damage", "wrong"),
    [
        (no_frames, "has an empty Per-frame Functional Groups Sequence"),
        (fewer_frames, "declares 6 frames but describes 5"),
        (no_number, "declares 0 frames but describes 6"),
        (no_groups, "is a multi-frame image without Per-frame Functional Groups Sequence"),
        (no_place, "has no ImagePositionPatient, so its place in the patient is unknown"),
        (empty_place, "has no ImagePositionPatient, so its place in the patient is unknown"),
        (no_shared, "has no ImageOrientationPatient, so its place in the patient is unknown"),
        (no_transformation, "has no RescaleSlope in its functional groups"),
        (no_intercept, "has no RescaleIntercept in its functional groups"),
        (text_for_groups, "has damaged functional groups; repair or remove it$"),
        (same_place, "1 duplicate slice position"),
    ],
)
def test_damaged_functional_groups_are_refused(tmp_path, damage, wrong):
    path = enhanced(tmp_path / "enhanced", damage)

    with pytest.raises(InputError, match=wrong) as caught:
        Series.read([path])

    assert str(caught.value).startswith((str(path), "series "))


def test_truncated_pixel_data_are_refused_with_the_file(tmp_path):
    path = enhanced(tmp_path / "enhanced")
    path.write_bytes(path.read_bytes()[:-3000])

    with pytest.raises(InputError, match=f"^{path}: is a damaged DICOM file .its pixel data break off"):
        Series.read([path]).image()


def test_a_series_over_several_multi_frame_instances_is_refused(tmp_path):
    first = pydicom.dcmread(enhanced(tmp_path / "first"))
    first.SOPInstanceUID = generate_uid()
    factories.save(first, tmp_path / "second")

    with pytest.raises(InputError, match="is spread over 2 multi-frame instances; one can be segmented"):
        Series.read([tmp_path])


def test_a_series_of_enhanced_instances_with_one_frame_each_is_refused(tmp_path):
    for index in range(2):
        enhanced(tmp_path / f"{index}", order=[index])
    uids = {}
    for file in sorted(tmp_path.iterdir()):
        dataset = pydicom.dcmread(file)
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
            setattr(dataset, keyword, uids.setdefault(keyword, dataset[keyword].value))
        dataset.save_as(file)

    with pytest.raises(InputError, match="is spread over 2 multi-frame instances; one can be segmented"):
        Series.read([tmp_path])


def test_a_classic_image_of_many_frames_is_refused(tmp_path):
    files = factories.ct_series(tmp_path, edit=lambda ds, i: setattr(ds, "NumberOfFrames", 2))

    with pytest.raises(InputError, match=f"^{files[0]}: is a multi-frame image without Per-frame"):
        Series.read([tmp_path])


def test_frames_that_differ_in_spacing_are_refused(tmp_path):
    def edit(dataset):
        measures = Dataset()
        measures.PixelSpacing = [2, 2]
        dataset.PerFrameFunctionalGroupsSequence[0].PixelMeasuresSequence = [measures]

    path = enhanced(tmp_path / "enhanced", edit)
    assert pydicom.dcmread(path).SOPClassUID == EnhancedCTImageStorage

    with pytest.raises(InputError, match=r"mixed pixel spacings 1\.3x0\.7 mm, 2x2 mm"):
        Series.read([path])


def test_an_image_whose_frames_each_have_their_own_measures_can_be_segmented(tmp_path):
    def edit(dataset):
        shared = dataset.SharedFunctionalGroupsSequence[0]
        for item in dataset.PerFrameFunctionalGroupsSequence:
            for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
                setattr(item, keyword, shared[keyword].value)
        for keyword in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
            delattr(shared, keyword)

    series = Series.read([enhanced(tmp_path / "enhanced", edit)])
    segments = make_model(factories.entry(), tmp_path / "registry.json").segments
    labels = (factories.block() > 100).astype(np.uint8)

    seg = make_segmentation(series, labels, segments, Algorithm("bright", "1", "Bright", "Registry", "0123"))

    (measures,) = seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence
    assert [float(v) for v in measures.PixelSpacing] == [1.3, 0.7]
    assert measures.SpacingBetweenSlices == 2.5


def concatenation(folder):
    """Write one image of six frames as two instances of three."""
    files = [enhanced(folder / f"{part}", order=range(3 * part, 3 * part + 3)) for part in range(2)]
    uids = {keyword: generate_uid() for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")}
    for part, file in enumerate(files):
        dataset = pydicom.dcmread(file)
        for keyword, uid in {**uids, "ConcatenationUID": uids["StudyInstanceUID"]}.items():
            setattr(dataset, keyword, uid)
        dataset.InConcatenationNumber, dataset.InConcatenationTotalNumber = part + 1, 2
        dataset.save_as(file)
    return files


def test_the_parts_of_a_concatenation_are_put_together(tmp_path):
    concatenation(tmp_path)

    series = Series.read([tmp_path])

    assert np.array_equal(sitk.GetArrayFromImage(series.image()[0]), factories.block())
    assert len({plane.instance for plane in series.slices}) == 2


def test_a_part_of_a_concatenation_is_refused(tmp_path):
    part, _ = concatenation(tmp_path)

    with pytest.raises(InputError, match="has 1 of the 2 parts of a concatenation"):
        Series.read([part])


def test_a_concatenation_from_the_field_is_put_together(real_data):
    assert len(Series.read([real_data / "field_cases" / "dicom" / "enh_concat"]).slices) == 6
