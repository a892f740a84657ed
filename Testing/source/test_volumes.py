"""Several volumes in one series: told with what differs and how many they are, and each taken when it is asked for."""

import factories
import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset

from NativeDLLib.core.errors import InputError, UsageError
from NativeDLLib.source import Series
from NativeDLLib.source.volumes import SeveralVolumesError

FIRST, SECOND = {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2}
PLACE = {"spacing": (1.0, 1.0, 2.0), "origin": (-20.0, -16.0, 100.0)}
CLASSIC = {
    "AcquisitionNumber": (1, 2),
    "TemporalPositionIdentifier": (1, 2, 3),
    "StackID": ("a", "b"),
    "EchoTime": ("2.46", "4.92"),
    "EchoNumbers": (1, 2),
    "InversionTime": ("100", "900"),
    "FlipAngle": ("5", "26"),
    "DiffusionBValue": (0.0, 1000.0),
    "TriggerTime": ("0", "52.5", "105"),
    "NominalPercentageOfCardiacPhase": (30.0, 75.0),
    "ImageType": (["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]),
    "ConvolutionKernel": ("B30f", "B70f"),
    "KVP": ("80", "140"),
    "AcquisitionTime": ("101500", "101530"),
}
FRAMES = {
    "AcquisitionNumber": ("FrameContentSequence", "FrameAcquisitionNumber", (1, 2)),
    "TemporalPositionIdentifier": ("FrameContentSequence", "TemporalPositionIndex", (1, 2, 3)),
    "StackID": ("FrameContentSequence", "StackID", ("1", "2")),
    "EchoTime": ("MREchoSequence", "EffectiveEchoTime", (2.46, 4.92)),
    "FlipAngle": ("MRTimingAndRelatedParametersSequence", "FlipAngle", (5.0, 26.0)),
    "DiffusionBValue": ("MRDiffusionSequence", "DiffusionBValue", (0.0, 1000.0)),
    "TriggerTime": ("CardiacSynchronizationSequence", "NominalCardiacTriggerDelayTime", (0.0, 52.5)),
    "ImageType": ("MRImageFrameTypeSequence", "FrameType", (["ORIGINAL", "M"], ["ORIGINAL", "P"])),
    "KVP": ("CTXRayDetailsSequence", "KVP", ("80", "140")),
}


def enhanced(path, group, keyword, values):
    """Write one object with the frames of a volume for each value, stored in turns."""
    planes = np.repeat(factories.block(), len(values), axis=0)
    planes[:] += np.tile(100 * np.arange(len(values)), 6)[:, None, None].astype(np.int16)

    def edit(dataset):
        for index, item in enumerate(dataset.PerFrameFunctionalGroupsSequence):
            content = Dataset()
            setattr(content, keyword, values[index % len(values)])
            setattr(item, group, [content])
            z = 100 + 2.0 * (index // len(values))
            item.PlanePositionSequence[0].ImagePositionPatient = [-20, -16, z]

    return factories.enhanced_ct(path, planes, order=range(len(planes)), edit=edit, **PLACE)


def shown(value):
    return "\\".join(value) if isinstance(value, list) else str(value)


def refused(folder):
    with pytest.raises(SeveralVolumesError) as caught:
        Series.read([folder])
    return caught.value


def taken(folder, *volume):
    series = Series.read([folder], volume=volume)
    return series, sitk.GetArrayFromImage(series.image()[0])


@pytest.mark.parametrize("key", CLASSIC)
def test_volumes_that_differ_in_an_attribute_are_told_and_taken(tmp_path, key):
    values = CLASSIC[key]
    folder = factories.several_volumes(tmp_path, *({key: value} for value in values))

    error = refused(folder)

    assert f"holds {len(values)} volumes that differ in {key} (" in str(error)
    assert "--" not in str(error)
    assert sorted(error.volumes) == sorted(((f"{key}={shown(value)}",), 6) for value in values)
    for number, value in enumerate(values):
        series, voxels = taken(folder, f"{key}={shown(value)}")
        assert np.array_equal(voxels, factories.block() + 100 * number)
        assert {instance.path.parent.name for instance in series.instances} == {str(number)}
        assert series.volume == (f"{key}={shown(value)}",)


@pytest.mark.parametrize("key", FRAMES)
def test_volumes_in_the_frames_of_one_object_are_told_and_taken(tmp_path, key):
    group, keyword, values = FRAMES[key]
    path = enhanced(tmp_path / "e.dcm", group, keyword, values)

    error = refused(path)

    assert f"holds {len(values)} volumes that differ in {key} (" in str(error)
    for number, value in enumerate(values):
        for name in (key, keyword):
            series, voxels = taken(path, f"{name}={shown(value)}")
            assert np.array_equal(voxels, factories.block() + 100 * number)
            assert [plane.frame for plane in series.slices] == list(range(number, 6 * len(values), len(values)))


def test_two_attributes_that_only_together_tell_the_volumes_are_both_named(tmp_path):
    rows = [{"AcquisitionNumber": a, "EchoTime": e} for a in (1, 2) for e in ("5", "10")]
    folder = factories.several_volumes(tmp_path, *rows)

    error = refused(folder)

    assert "holds 4 volumes that differ in AcquisitionNumber and EchoTime (1/5, 1/10, 2/5, 2/10)" in str(error)
    assert np.array_equal(taken(folder, "AcquisitionNumber=2", "EchoTime=5.0")[1], factories.block() + 200)
    with pytest.raises(SeveralVolumesError, match=r"holds 2 volumes that differ in EchoTime \(5, 10\)"):
        Series.read([folder], volume=["AcquisitionNumber=2"])


def test_volumes_of_different_extent_and_matrix_are_taken_too(tmp_path):
    folder = factories.several_volumes(tmp_path, FIRST, SECOND, shift=4.0)
    assert "holds 2 volumes that differ in AcquisitionNumber (1, 2)" in str(refused(folder))

    other = factories.several_volumes(tmp_path / "other", FIRST, SECOND | {"PatientID": "X"})
    with pytest.raises(InputError, match="PatientID is not the same"):
        Series.read([other])
    assert len(taken(other, "AcquisitionNumber=2")[0].slices) == 6


def test_an_attribute_that_differs_from_slice_to_slice_or_from_part_to_part_makes_no_volumes(tmp_path):
    each = factories.several_volumes(tmp_path / "each", {}, {})
    with pytest.raises(InputError, match="duplicate slice position") as caught:
        Series.read([each])
    assert not isinstance(caught.value, SeveralVolumesError)

    parts = factories.several_volumes(tmp_path / "parts", FIRST, SECOND, shift=20.0)
    with pytest.raises(InputError, match="missing: spacing is") as caught:
        Series.read([parts])
    assert not isinstance(caught.value, SeveralVolumesError)
    assert len(taken(parts, "AcquisitionNumber=2")[0].slices) == 6


def test_what_no_image_has_is_told_with_what_there_is(tmp_path):
    folder = factories.several_volumes(tmp_path, FIRST, SECOND, {"AcquisitionNumber": None})

    with pytest.raises(InputError, match="no image has AcquisitionNumber=7; AcquisitionNumber is 1, 2, none"):
        Series.read([folder], volume=["AcquisitionNumber=7"])
    assert np.array_equal(taken(folder, "acquisitionnumber=none")[1], factories.block() + 200)


@pytest.mark.parametrize("wrong", ["AcquisitionNumber", "Volume=1", "=1", ""])
def test_a_volume_is_an_attribute_with_a_value(tmp_path, wrong):
    with pytest.raises(UsageError, match="is not an attribute with its value"):
        Series.read([factories.several_volumes(tmp_path, {})], volume=[wrong])


@pytest.mark.parametrize(
    ("case", "told", "volume"),
    [
        ("cl_phases", "holds 2 volumes that differ in AcquisitionNumber (1, 2)", "AcquisitionNumber=2"),
        ("enh_canon", "holds 3 volumes that differ in TemporalPositionIdentifier (1, 2, 3)", "InstanceNumber=3"),
        ("enh_phases", "holds 2 volumes that differ in TemporalPositionIdentifier (1, 2)", "TemporalPositionIndex=1"),
    ],
)
def test_volumes_of_other_writers_are_told_and_taken(real_data, case, told, volume):
    folder = real_data / "field_cases" / "dicom" / case

    assert told in str(refused(folder))
    assert len(taken(folder, volume)[0].slices) == 6
