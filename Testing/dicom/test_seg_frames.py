"""A Segmentation is what highdicom makes of the same, frame by frame, and stays so in every encoding."""

import copy
import io

import factories
import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from NativeDLLib.dicom.derived import save
from NativeDLLib.dicom.seg import Algorithm, make_segmentation
from NativeDLLib.dicom.seg_assembly import _element
from NativeDLLib.dicom.seg_frames import Frame, _PixelStream, binary_pixels, frames_of, label_pixels
from NativeDLLib.registry.load import make_model
from NativeDLLib.source import Series

ALGORITHM = Algorithm("bright", "1.2.3", "Bright block", "NativeDL registry (onnx)", "0123456789abcdef")
ALWAYS_NEW = {
    "DimensionOrganizationUID",
    "InstanceCreationDate",
    "InstanceCreationTime",
    "ContentDate",
    "ContentTime",
    "ContributionDateTime",
}
SHAPES = {"whole bytes": (6, 32, 40), "bits left over": (6, 33, 41)}


def segments(tmp_path, count):
    entry = factories.entry()
    (first,) = entry["output"]["segments"]
    entry["output"] = {"segments": [first | {"label": n, "name": f"S{n}"} for n in range(1, count + 1)]}
    return make_model(entry, tmp_path / "registry.json").segments


def labels(shape, count):
    rng = np.random.default_rng(5)
    values = rng.integers(0, count + 1, shape).astype(np.uint8)
    values[0] = values[3] = 0
    return values


def by_highdicom(series, pixels, kind, made):
    headers = [copy.deepcopy(instance.dataset) for instance in series.instances]
    frames = [plane.frame for plane in series.slices]
    headers[0].SpacingBetweenSlices = series.grid.spacing[2]
    return hd.seg.Segmentation(
        headers,
        pixels if len(headers) > 1 else pixels[np.argsort(frames)],
        kind,
        [hd.seg.SegmentDescription.from_dataset(item) for item in made.SegmentSequence if item.SegmentNumber > 0],
        made.SeriesInstanceUID,
        made.SeriesNumber,
        made.SOPInstanceUID,
        1,
        made.Manufacturer,
        made.ManufacturerModelName,
        list(made.SoftwareVersions),
        made.DeviceSerialNumber,
        content_label=made.ContentLabel,
        content_description=made.ContentDescription,
        content_creator_name=made.ContentCreatorName,
        series_description=made.SeriesDescription,
        contributing_equipment=[item for item in made.ContributingEquipmentSequence if item.Manufacturer == "NativeDL"],
    )


def assert_same(ours, theirs):
    assert {element.tag for element in ours} == {element.tag for element in theirs}
    for mine in ours:
        other = theirs[mine.tag]
        if mine.keyword in ALWAYS_NEW:
            continue
        if mine.VR == "SQ":
            assert len(mine.value) == len(other.value)
            for left, right in zip(mine.value, other.value, strict=True):
                assert_same(left, right)
        else:
            assert (mine.VR, mine.value) == (other.VR, other.value), mine


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("source", ["classic", "backwards", "enhanced"])
def test_it_is_what_highdicom_makes_of_it(tmp_path, kind, count, shape, source):
    if source == "enhanced":
        order = [3, 1, 0, 2, 5, 4]
        (tmp_path / "s").mkdir()
        path = tmp_path / "s" / "e"
        factories.enhanced_ct(path, factories.block(shape), spacing=(0.7, 1.3, 2.5), origin=(1, 2, 3), order=order)
    else:
        factories.ct_series(tmp_path / "s", np.zeros(shape, np.int16), backwards=source == "backwards")
    series, pixels = Series.read([tmp_path / "s"]), labels(shape, count)
    ours = make_segmentation(series, pixels, segments(tmp_path, count), ALGORITHM, kind=kind)

    ours.save_as(tmp_path / "ours.dcm", enforce_file_format=True)
    theirs = by_highdicom(series, pixels, kind, ours)
    theirs.save_as(tmp_path / "theirs.dcm", enforce_file_format=True)
    ours, theirs = pydicom.dcmread(tmp_path / "ours.dcm"), pydicom.dcmread(tmp_path / "theirs.dcm")

    assert np.array_equal(ours.pixel_array, theirs.pixel_array)
    # highdicom pads an odd number of bytes with a digit instead of a zero.
    theirs.PixelData = theirs.PixelData[:-1] + ours.PixelData[-1:]
    # It says of a single segment for all frames what its own readers, and others, look for in each.
    shared = theirs.SharedFunctionalGroupsSequence[0]
    if "SegmentIdentificationSequence" in shared:
        for frame in theirs.PerFrameFunctionalGroupsSequence:
            frame.SegmentIdentificationSequence = shared.SegmentIdentificationSequence
        del shared.SegmentIdentificationSequence
    assert_same(ours, theirs)


def test_a_report_can_refer_to_the_only_segment(tmp_path):
    series = Series.read(factories.ct_series(tmp_path / "s"))
    pixels = (factories.block() > 100).astype(np.uint8)
    make_segmentation(series, pixels, segments(tmp_path, 1), ALGORITHM).save_as(
        tmp_path / "seg.dcm", enforce_file_format=True
    )

    seg = hd.seg.segread(tmp_path / "seg.dcm")
    whole = hd.sr.ReferencedSegment.from_segmentation(seg, segment_number=1)
    frame = hd.sr.ReferencedSegmentationFrame.from_segmentation(seg, frame_number=1, segment_number=1)

    referred = series.instances[0].text("SOPClassUID")
    assert whole.source_images_for_segmentation[0].referenced_sop_class_uid == referred
    assert frame.source_image_for_segmentation.referenced_sop_class_uid == referred


@pytest.mark.parametrize("charset", ["ISO_IR 100", "ISO_IR 192"])
def test_it_can_be_stored_in_another_encoding_and_changed(tmp_path, charset):
    factories.ct_series(tmp_path / "s", edit=lambda ds, _: setattr(ds, "SpecificCharacterSet", charset))
    series = Series.read([tmp_path / "s"])
    seg = make_segmentation(series, labels((6, 32, 40), 3), segments(tmp_path, 3), ALGORITHM)
    seg.save_as(tmp_path / "explicit.dcm", enforce_file_format=True)

    factories.save(seg, tmp_path / "implicit.dcm", ImplicitVRLittleEndian)
    implicit, explicit = pydicom.dcmread(tmp_path / "implicit.dcm"), pydicom.dcmread(tmp_path / "explicit.dcm")
    assert explicit.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert implicit.file_meta.TransferSyntaxUID == ImplicitVRLittleEndian
    assert implicit.PixelData == explicit.PixelData
    # Implicit VR knows no bytes, only words.
    del implicit.PixelData, explicit.PixelData
    assert_same(implicit, explicit)

    assert seg.SourceImageSequence[0].ReferencedSOPInstanceUID == series.instances[0].text("SOPInstanceUID")
    seg.PerFrameFunctionalGroupsSequence[0].SegmentIdentificationSequence[0].ReferencedSegmentNumber = 3
    seg.save_as(tmp_path / "changed.dcm", enforce_file_format=True)
    frame = pydicom.dcmread(tmp_path / "changed.dcm").PerFrameFunctionalGroupsSequence[0]
    assert frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == 3


def test_only_frames_with_a_segment_are_listed_segment_by_segment_from_the_last_plane():
    pixels = np.zeros((4, 2, 8), np.uint8)
    pixels[1, 0, 0], pixels[1, 1, 1], pixels[3, 1, 7] = 1, 3, 1
    assert frames_of(pixels, 3, labelmap=False) == [Frame(1, 3), Frame(1, 1), Frame(3, 1)]
    assert frames_of(pixels, 3, labelmap=True) == [Frame(0, 3), Frame(0, 1)]
    masks = np.stack([pixels == n for n in (1, 2, 3)], axis=-1)
    assert frames_of(masks, 3, labelmap=False) == frames_of(pixels, 3, labelmap=False)


def test_bits_run_on_from_frame_to_frame_and_an_odd_length_is_padded():
    pixels = np.ones((3, 1, 3), np.uint8)
    assert binary_pixels(pixels, [Frame(1, plane) for plane in (2, 1, 0)]).read() == b"\xff\x01"
    assert binary_pixels(pixels[:1], [Frame(1, 0)]).read() == b"\x07\0"
    assert label_pixels(pixels[:1], [Frame(0, 0)], "<u1").read() == b"\1\1\1\0"
    assert label_pixels(pixels[:1], [Frame(0, 0)], "<u2").read() == b"\1\0\1\0\1\0"


def test_pixels_are_the_same_however_they_are_read():
    pixels = labels((1400, 5, 7), 3)
    frames = frames_of(pixels, 3, labelmap=False)
    stream, planes = binary_pixels(pixels, frames), [pixels[f.plane] == f.segment for f in frames]
    bits = np.packbits(np.stack(planes).ravel(), bitorder="little").tobytes()
    expected = bits + bytes(len(bits) % 2)

    assert stream.seek(0, io.SEEK_END) == len(expected)
    assert stream.read() == b""
    assert stream.seek(0) == 0
    assert b"".join(iter(lambda: stream.read(1000), b"")) == expected
    assert stream.tell() == len(expected)
    assert stream.seek(-9, io.SEEK_CUR) == len(expected) - 9
    assert stream.read() == expected[-9:]
    stream.seek(101)
    assert stream.read(3) == expected[101:104]
    assert stream.read(None) == expected[104:]


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
def test_a_buffered_segmentation_is_the_same_file(tmp_path, kind):
    factories.ct_series(tmp_path / "s", np.zeros((6, 33, 41), np.int16))
    series, pixels = Series.read([tmp_path / "s"]), labels((6, 33, 41), 3)
    for name, buffered in (("bytes.dcm", False), ("stream.dcm", True)):
        seg = make_segmentation(series, pixels, segments(tmp_path, 3), ALGORITHM, kind=kind, buffered=buffered)
        assert isinstance(seg.PixelData, _PixelStream if buffered else bytes)
        for _ in range(2):
            save(seg, tmp_path / name)
    plain, streamed = pydicom.dcmread(tmp_path / "bytes.dcm"), pydicom.dcmread(tmp_path / "stream.dcm")
    assert plain.PixelData == streamed.PixelData
    assert np.array_equal(plain.pixel_array, streamed.pixel_array)


def test_what_does_not_fit_a_length_of_two_bytes_is_refused():
    with pytest.raises(ValueError, match="a LO of 65536 bytes does not fit"):
        _element("PatientID", "LO", bytes(65536))
