"""Damaged DICOM files through the whole command: each ends in one clear line, or in a mask of what they still say."""

import itertools
import random
import shutil
from unittest import mock

import factories
import highdicom as hd
import mutations
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)
from tools import nativedl

pytestmark = pytest.mark.campaign

SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "RLE": RLELossless,
    "JPEG 2000": JPEG2000Lossless,
    "JPEG-LS": JPEGLSLossless,
    "JPEG": JPEGLosslessSV1,
    "enhanced": None,
}
THRESHOLD_HU = 150


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """A series in each transfer syntax, byte for byte the same in every run."""
    root = tmp_path_factory.mktemp("originals")
    noise = np.random.default_rng(1).integers(0, 30, (6, 32, 40))
    voxels = factories.block() + noise
    for name, syntax in SYNTAXES.items():
        numbers = itertools.count(10**9)
        with mock.patch.object(factories, "generate_uid", lambda numbers=numbers: f"1.2.826.0.1.{next(numbers)}"):
            if syntax is None:
                (root / name).mkdir()
                geometry = {"spacing": (1.0, 1.0, 2.0), "origin": (-20.0, -16.0, 100.0)}
                factories.enhanced_ct(root / name / "E", voxels, order=(3, 0, 5, 1, 4, 2), **geometry)
            else:
                factories.ct_series(root / name, voxels, syntax=syntax)
    return root


@pytest.fixture(scope="module")
def registry(tmp_path_factory):
    """The threshold network on the series' own grid, and nothing after it: its mask is known to the voxel."""
    folder = tmp_path_factory.mktemp("registry")
    weights = factories.threshold_onnx(folder / "bright.onnx", THRESHOLD_HU / 100)
    contract = factories.entry()["input"] | {"spacing": [2.0, 1.0, 1.0]}
    entry = factories.entry(input=contract, postprocessing=[], parameters=[], sliding_window={})
    return factories.registry(folder, entry | {"weights": {"file": "bright.onnx", "sha256": factories.digest(weights)}})


@pytest.fixture
def series(tmp_path, originals, request):
    """A copy of a series, to be damaged."""
    return shutil.copytree(originals / request.param, tmp_path / "series", copy_function=shutil.copyfile)


@pytest.fixture
def outcome(series, registry, capfd, tmp_path):
    """Run the command on the damaged series and judge how it ends; return its exit code."""

    def run():
        output = tmp_path / "output"
        arguments = ("--model", "bright", "--device", "cpu", "--keep-empty", "--output", output)
        code = nativedl("run", "--input", series, *arguments, registry=registry)
        errors = [line for line in capfd.readouterr().err.splitlines() if not line.startswith("nativedl: warning: ")]
        if code == 0:
            assert errors == []
            assert_right(series, output)
        else:
            assert code == 3, errors
            assert len(errors) == 1, errors
            line = errors[0]
            assert line.startswith("nativedl: error: ")
            assert "Traceback" not in line
            assert "this is a defect" not in line
            assert str(series) in line or "series 1.2.826" in line
            assert not output.exists()
        return code

    return run


def assert_right(series, output):
    """Compare the result with what the damaged files say, as read one by one."""
    image = mutations.truth(series)
    labels = sitk.ReadImage(str(output / "segmentation.nii.gz"))
    assert labels.GetSize() == image.GetSize()
    for ours, theirs in zip(
        (labels.GetSpacing(), labels.GetOrigin(), labels.GetDirection()),
        (image.GetSpacing(), image.GetOrigin(), image.GetDirection()),
        strict=True,
    ):
        assert np.allclose(ours, theirs, atol=0.1, rtol=1e-3)
    found, expected = sitk.GetArrayFromImage(labels), sitk.GetArrayFromImage(image > THRESHOLD_HU)
    if not np.allclose(labels.GetSpacing(), (1, 1, 2), atol=1e-4):
        # Resampling moves the edge, but not beyond the voxels at it.
        edge = sitk.GetArrayFromImage(sitk.BinaryDilate(image > THRESHOLD_HU) - sitk.BinaryErode(image > THRESHOLD_HU))
        found, expected = found[edge == 0], expected[edge == 0]
    assert np.array_equal(found, expected)
    assert_on_sources(hd.seg.segread(output / "segmentation.dcm"), series, sitk.GetArrayFromImage(labels))


def assert_on_sources(seg, series, labels):
    """Check that the SEG's frames refer to the slices that they lie on."""
    planes = seg.get_volume(combine_segments=True)
    assert np.array_equal(np.unique(planes.array), np.unique(labels))
    heights = {}
    for file in series.iterdir():
        dataset = pydicom.dcmread(file, stop_before_pixels=True)
        heights[str(dataset.SOPInstanceUID)] = dataset.get("ImagePositionPatient")
    for frame in seg.PerFrameFunctionalGroupsSequence:
        source = frame.DerivationImageSequence[0].SourceImageSequence[0]
        place = heights[source.ReferencedSOPInstanceUID]
        if place is not None:
            assert np.allclose(frame.PlanePositionSequence[0].ImagePositionPatient, place, atol=0.2)


def damage(file, change, seed):
    file.write_bytes(change(file.read_bytes(), random.Random(seed)))


def some_file(series, seed):
    files = sorted(series.iterdir())
    return files[seed % len(files)]


ALL = pytest.mark.parametrize("series", SYNTAXES, indirect=True)


@ALL
def test_what_nobody_damaged_is_segmented(series, outcome):
    assert outcome() == 0


@ALL
@pytest.mark.parametrize("seed", range(14))
def test_flipped_bytes_of_the_header(series, outcome, seed):
    file = some_file(series, seed)
    end = mutations.pixel_start(file.read_bytes())
    damage(file, lambda content, chance: mutations.flip_bytes(content, chance, end=end if end > 132 else None), seed)

    outcome()


@ALL
@pytest.mark.parametrize("seed", range(8))
def test_flipped_bytes_of_the_pixel_data(series, outcome, seed):
    file = some_file(series, seed)
    start = max(132, mutations.pixel_start(file.read_bytes()))
    damage(file, lambda content, chance: mutations.flip_bytes(content, chance, start=start), seed)

    outcome()


@ALL
@pytest.mark.parametrize("seed", range(5))
def test_a_truncated_file(series, outcome, seed):
    damage(some_file(series, seed), mutations.truncate, seed)

    assert outcome() == 3


@ALL
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("change", [mutations.drop_bytes, mutations.repeat_bytes], ids=["lost", "repeated"])
def test_lost_and_repeated_bytes(series, outcome, change, seed):
    damage(some_file(series, seed), change, seed + 100)

    outcome()


def edit(series, change, which):
    for file in [series / which] if which else sorted(series.iterdir()):
        dataset = pydicom.dcmread(file)
        change(dataset)
        dataset.save_as(file, enforce_file_format=True)


@pytest.mark.parametrize("series", ["explicit"], indirect=True)
@pytest.mark.parametrize("which", ["IM0003", "IM0006", ""], ids=["inner", "last", "all"])
@pytest.mark.parametrize("change", mutations.REFUSED.values(), ids=mutations.REFUSED)
def test_an_image_that_cannot_be_right_is_refused(series, outcome, change, which):
    edit(series, change, which)

    assert outcome() == 3


@pytest.mark.parametrize("series", ["implicit"], indirect=True)
@pytest.mark.parametrize("change", mutations.HARMLESS.values(), ids=mutations.HARMLESS)
def test_what_touches_neither_pixels_nor_places_is_segmented(series, outcome, change):
    edit(series, change, "")

    assert outcome() == 0


@pytest.mark.parametrize("series", ["explicit", "JPEG 2000"], indirect=True)
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, JPEGLSLossless, "1.2.3", "text", ""])
def test_a_file_under_a_wrong_transfer_syntax(series, outcome, syntax):
    for file in series.iterdir():
        content = file.read_bytes()
        at = content.index(b"\x02\x00\x10\x00UI")
        length = content[at + 6]
        file.write_bytes(content[: at + 8] + str(syntax).encode().ljust(length, b"\0") + content[at + 8 + length :])

    outcome()
