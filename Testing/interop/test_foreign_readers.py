"""Every kind of object written here, read by each foreign program that reads its kind: the same voxels there."""

import base64
import hashlib
import json
import subprocess

import factories
import gdcm
import highdicom as hd
import numpy as np
import pydicom
import pytest
import reviewed
import SimpleITK as sitk
from drawing import OBLIQUE, by_plastimatch, dice
from servers import require
from tools import dciodvfy_errors, dcmqi, nativedl

from NativeDLLib.models.iodeep import elements
from NativeDLLib.models.iodeep.object_writer import write_model
from NativeDLLib.phantom.ct_series import write_ct_series
from NativeDLLib.phantom.torso import make_phantom
from NativeDLLib.registry import load_registry

SEGS = {
    "SEG of one segment": "one/segmentation.dcm",
    "SEG of several": "several/segmentation.dcm",
    "approved SEG": "approved/approved.dcm",
    "label map": "labelmap/segmentation.dcm",
}
STRUCTURES = {
    "structure set of a run": "several/segmentation_rtstruct.dcm",
    "approved structure set": "approved/approved_rtstruct.dcm",
    "structure set of regions": "regions/rtstruct.dcm",
}
# Older than Supplement 243 of 2024, or without that part of it: the reason why BINARY is the default.
NO_LABEL_MAPS = {"dciodvfy", "GDCM", "highdicom's references"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Results on an oblique series: a run of several segments, of one, as a label map; an approval; regions."""
    folder = tmp_path_factory.mktemp("objects")
    voxels = factories.block((9, 32, 40))
    voxels[2:7, 20:28, 24:34] = 500
    factories.ct_series(folder / "series", voxels, axes=OBLIQUE, spacing=(1.0, 1.25, 2.0))
    entry = factories.entry()
    (liver,) = entry["output"]["segments"]
    kidney = {"value": "64033007", "scheme": "SCT", "meaning": "Kidney"}
    segments = [liver, liver | {"label": 2, "name": "Kidney", "type": kidney}, liver | {"label": 3, "name": "Nothing"}]
    three = factories.entry(output={"channels": 4, "segments": segments, "activation": "softmax"})
    (folder / "registry").mkdir()
    weights = reviewed.three_class_network(folder / "registry" / "three.onnx")
    three["weights"] = {"file": weights.name, "sha256": factories.digest(weights)}
    several, one = factories.registry(folder / "registry", three), factories.registry(folder / "registry of one")
    series, result = ["--input", folder / "series"], ["--result", folder / "several"]
    person = ["--reviewer", "Doe^Jane"]

    def do(*words, registry=None):
        assert nativedl(*words, registry=registry) == 0

    do("run", *series, "--output", folder / "several", "--format", "seg,rtstruct", registry=several)
    do("run", *series, "--output", folder / "labelmap", "--segmentation", "LABELMAP", registry=several)
    do("run", *series, "--output", folder / "one", registry=one)
    decisions = ["--accept", "Liver", "--accept", "Kidney", "--format", "seg,rtstruct"]
    do("approve", *result, *series, *person, *decisions, "--output", folder / "approved")
    do("regions", *result, *series, "--output", folder / "regions.json")
    rows = json.loads((folder / "regions.json").read_text())["regions"]
    validated = [word for row in rows for word in ("--validate", row["id"])]
    do("rtstruct", "--regions", folder / "regions.json", *series, *person, *validated, "--output", folder / "regions")
    return folder


def places(mask, matrix, origin):
    """Return where the voxels of a mask (z, y, x) are, in tenths of a mm."""
    z, y, x = np.nonzero(mask)
    points = np.stack([x, y, z], axis=-1) @ np.asarray(matrix).T + np.asarray(origin)
    return {tuple(point) for point in np.round(points, 1) + 0.0}


def of_labels(path):
    """Return the places of each label of a label map, by its number."""
    image = sitk.ReadImage(str(path))
    labels = sitk.GetArrayViewFromImage(image)
    matrix = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    return {int(n): places(labels == n, matrix, image.GetOrigin()) for n in np.unique(labels) if n}


def of_frames(frames, numbers, positions, orientation, pixels):
    """Return the places of the pixels of frames by Segment Number."""
    between_rows, between_columns = pixels
    axes = np.stack([orientation[:3], orientation[3:], np.zeros(3)], axis=1) * (between_columns, between_rows, 0)
    found = {}
    for frame, number, position in zip(frames, numbers, positions, strict=True):
        for value in np.unique(frame[frame > 0]):
            found.setdefault(number or int(value), set()).update(places(frame[None] == value, axes, position))
    return found


def by_dcmqi(path, folder):
    command = [dcmqi("segimage2itkimage"), "--inputDICOM", path, "--outputDirectory", folder]
    subprocess.run(command, check=True, capture_output=True)
    found = {}
    for file in folder.glob("*.nrrd"):
        found |= of_labels(file)
    return found


def by_highdicom(path, _folder):
    volume = hd.seg.segread(path).get_volume(combine_segments=True)
    # highdicom counts from the slices inwards.
    matrix, origin = volume.affine[:3, [2, 1, 0]], volume.affine[:3, 3]
    return {int(n): places(volume.array == n, matrix, origin) for n in np.unique(volume.array) if n}


def values(item, tag):
    return item[tag].get("Value", [])


def dumped(path):
    """Return an object as DCMTK understands it, without a warning."""
    done = subprocess.run([require("/usr/bin/dcm2json", "dcmtk"), path], check=True, capture_output=True)
    assert done.stderr == b""
    return json.loads(done.stdout)


def by_dcmtk(path, _folder):
    data = dumped(path)
    rows, columns, count = (values(data, tag)[0] for tag in ("00280010", "00280011", "00280008"))
    content = np.frombuffer(base64.b64decode(data["7FE00010"]["InlineBinary"]), np.uint8)
    if values(data, "00280100") == [1]:
        content = np.unpackbits(content, bitorder="little")
    (shared,), groups = values(data, "52009229"), values(data, "52009230")
    named = [values(values(group, "0062000A")[0], "0062000B")[0] if "0062000A" in group else 0 for group in groups]
    positions = [values(values(group, "00209113")[0], "00200032") for group in groups]
    orientation = values(values(shared, "00209116")[0], "00200037")
    frames = content[: count * rows * columns].reshape(count, rows, columns)
    return of_frames(frames, named, positions, orientation, values(values(shared, "00289110")[0], "00280030"))


def bytes_of(buffer):
    """Return what GDCM's wrapper gives as text."""
    return buffer if isinstance(buffer, bytes) else buffer.encode("utf-8", "surrogateescape")


class Gdcm:
    """A data set as GDCM reads it. Its objects do not keep alive what they are parts of: `parts` does."""

    def __init__(self, path=None, dataset=None, parts=()):
        self._parts = parts
        if path is not None:
            reader = gdcm.Reader()
            reader.SetFileName(str(path))
            assert reader.Read()
            self._parts, dataset = (reader, reader.GetFile()), reader.GetFile().GetDataSet()
        self._dataset = dataset
        self._text = gdcm.StringFilter()
        self._text.SetFile(self._parts[1])

    def _element(self, tag):
        return self._dataset.GetDataElement(gdcm.Tag(int(tag[:4], 16), int(tag[4:], 16)))

    def items(self, tag):
        element = self._element(tag)
        sequence = element.GetValueAsSQ()
        items = [sequence.GetItem(index + 1) for index in range(sequence.GetNumberOfItems())]
        return [Gdcm(dataset=i.GetNestedDataSet(), parts=(*self._parts, element, sequence, i)) for i in items]

    def content(self, tag):
        return bytes_of(self._element(tag).GetByteValue().GetBuffer())

    def text(self, tag):
        return self._text.ToString(self._element(tag)).strip("\0 ")

    def numbers(self, tag):
        return [float(part) for part in self.text(tag).split("\\")]


def by_gdcm(path, _folder):
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    image, data = reader.GetImage(), Gdcm(path)
    columns, rows, count = image.GetDimensions()
    content = np.frombuffer(bytes_of(image.GetBuffer()), np.uint8)
    (shared,), groups = data.items("52009229"), data.items("52009230")
    named = [int(group.items("0062000A")[0].numbers("0062000B")[0]) for group in groups]
    positions = [group.items("00209113")[0].numbers("00200032") for group in groups]
    orientation = shared.items("00209116")[0].numbers("00200037")
    frames = np.unpackbits(content, bitorder="little")[: count * rows * columns].reshape(count, rows, columns)
    return of_frames(frames, named, positions, orientation, shared.items("00289110")[0].numbers("00280030"))


SEG_READERS = {"dcmqi": by_dcmqi, "highdicom": by_highdicom, "DCMTK": by_dcmtk, "GDCM": by_gdcm}


@pytest.mark.parametrize(
    ("kind", "reader"),
    [(kind, reader) for kind in SEGS for reader in SEG_READERS if kind != "label map" or reader not in NO_LABEL_MAPS],
)
def test_a_seg_has_its_voxels_in_their_places(folder, tmp_path, kind, reader):
    truth = of_labels(folder / SEGS[kind].split("/")[0].replace("approved", "several") / "segmentation.nii.gz")

    assert SEG_READERS[reader](folder / SEGS[kind], tmp_path) == truth
    assert len(truth) == (1 if "one" in kind else 2)


@pytest.mark.parametrize("kind", [kind for kind in SEGS if kind != "label map"])
def test_a_measurement_can_refer_to_each_segment_and_frame_of_a_seg(folder, kind):
    seg = hd.seg.segread(folder / SEGS[kind])
    sources = {str(pydicom.dcmread(file).SOPInstanceUID) for file in (folder / "series").iterdir()}
    numbers = [frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber for frame in groups_of(seg)]
    for number in set(numbers):
        whole = hd.sr.ReferencedSegment.from_segmentation(seg, number)
        assert whole.referenced_segment_numbers == [number]
        referred = {str(item.referenced_sop_instance_uid) for item in whole.source_images_for_segmentation}
        assert len(referred) == numbers.count(number)
        assert referred <= sources
    for frame, number in enumerate(numbers, 1):
        one = hd.sr.ReferencedSegmentationFrame.from_segmentation(seg, frame_number=frame, segment_number=number)
        derived = groups_of(seg)[frame - 1].DerivationImageSequence[0].SourceImageSequence[0]
        source = one.source_image_for_segmentation.referenced_sop_instance_uid
        assert source == derived.ReferencedSOPInstanceUID


def groups_of(seg):
    return seg.PerFrameFunctionalGroupsSequence


@pytest.fixture(scope="module")
def contours(folder):
    """Contours of each structure set as they are stored: name of the region and coordinates in mm."""

    def read(kind):
        data = pydicom.dcmread(folder / STRUCTURES[kind])
        names = {roi.ROINumber: str(roi.ROIName) for roi in data.StructureSetROISequence}
        rows = [(r.ReferencedROINumber, c.ContourData) for r in data.ROIContourSequence for c in r.ContourSequence]
        return [(names[number], [float(v) for v in points]) for number, points in rows]

    return read


def contours_of_dcmtk(path):
    data = dumped(path)
    names = {values(roi, "30060022")[0]: values(roi, "30060026")[0] for roi in values(data, "30060020")}
    return [
        (names[values(roi, "30060084")[0]], [float(value) for value in values(contour, "30060050")])
        for roi in values(data, "30060039")
        for contour in values(roi, "30060040")
    ]


def contours_of_gdcm(path):
    data = Gdcm(path)
    names = {roi.numbers("30060022")[0]: roi.text("30060026") for roi in data.items("30060020")}
    return [
        (names[roi.numbers("30060084")[0]], contour.numbers("30060050"))
        for roi in data.items("30060039")
        for contour in roi.items("30060040")
    ]


@pytest.mark.parametrize("read", [contours_of_dcmtk, contours_of_gdcm], ids=["DCMTK", "GDCM"])
@pytest.mark.parametrize("kind", STRUCTURES)
def test_a_structure_set_has_its_contours_in_their_places(folder, contours, kind, read):
    assert read(folder / STRUCTURES[kind]) == contours(kind)
    assert {name for name, _ in contours(kind)} >= {"Liver", "Kidney"}


@pytest.mark.parametrize("kind", STRUCTURES)
def test_plastimatch_fills_a_structure_set_to_the_masks_that_it_is_of(folder, tmp_path, kind):
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "several" / "segmentation.nii.gz")))

    masks = by_plastimatch(folder / STRUCTURES[kind], folder / "series", tmp_path / "masks")

    assert dice(masks["Liver"], labels == 1) >= 0.999
    assert dice(masks["Kidney"], labels == 2) >= 0.999


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """The phantom's CT series, and its image."""
    image, _ = make_phantom(3, (48, 40, 6), (6.0, 7.0, 20.0))
    who = {"patient_name": "Phantom", "patient_id": "1", "study_description": "s", "series_description": "s"}
    return write_ct_series(image, tmp_path_factory.mktemp("phantom"), **who), image


def test_a_ct_of_the_phantom_has_its_voxels_in_their_places(phantom, tmp_path):
    files, image = phantom
    voxels = np.round(sitk.GetArrayFromImage(image))
    names = [str(file) for file in files]
    plastimatch = [require("/usr/bin/plastimatch", "plastimatch"), "convert", "--input", files[0].parent]
    subprocess.run([*plastimatch, "--output-img", tmp_path / "ct.nrrd"], check=True, capture_output=True)
    read = {"GDCM": sitk.ReadImage(names), "plastimatch": sitk.ReadImage(str(tmp_path / "ct.nrrd"))}
    for reader, found in read.items():
        for ours, theirs in zip(geometry(image), geometry(found), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-3, err_msg=reader)
        np.testing.assert_array_equal(np.round(sitk.GetArrayFromImage(found)), voxels, err_msg=reader)
    for file, plane in zip(files, voxels, strict=True):
        data = dumped(file)
        stored = np.frombuffer(base64.b64decode(data["7FE00010"]["InlineBinary"]), "<i2").reshape(plane.shape)
        assert np.array_equal(stored * values(data, "00281053")[0] + values(data, "00281052")[0], plane)
        assert dciodvfy_errors(file) == []


def geometry(image):
    return image.GetSize(), image.GetSpacing(), image.GetOrigin(), image.GetDirection()


def test_a_model_in_a_pacs_has_its_weights_to_the_byte(folder, tmp_path):
    (model,) = load_registry(folder / "registry of one" / "registry.json")
    weights = (folder / "registry of one" / model.weights.place).read_bytes()

    (path,) = write_model(model, tmp_path)

    # The paper that the layout is of gives study, series and instance one UID.
    assert [error for error in dciodvfy_errors(path) if "has same value as" not in error] == []
    tag = f"{elements.GROUP:04X}10{elements.WEIGHTS:02X}"
    assert base64.b64decode(dumped(path)[tag]["InlineBinary"]).rstrip(b"\0") == weights.rstrip(b"\0")
    assert Gdcm(path).content(tag).rstrip(b"\0") == weights.rstrip(b"\0")
    assert hashlib.sha256(weights).hexdigest() == model.weights.sha256


@pytest.mark.parametrize("kind", [kind for kind in (*SEGS, *STRUCTURES) if kind != "label map"])
def test_the_validator_of_dicom3tools_finds_no_error(folder, kind):
    assert dciodvfy_errors(folder / (SEGS | STRUCTURES)[kind]) == []
