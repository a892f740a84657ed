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
from trials import trials

# In these some of each kind are tried every day.
DAILY = ("explicit", "JPEG")

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


@pytest.fixture(scope="module")
def server():
    with trials() as server:
        yield server


@pytest.fixture
def outcome(server, series, registry, tmp_path):
    """Run the command on the damaged series and judge how it ends; return its exit code."""

    def run():
        output, read = tmp_path / "output", contents(series)
        arguments = ("--model", "bright", "--device", "cpu", "--keep-empty", "--output", output)
        trial = server.run(tmp_path, output, ["run", "--input", series, *arguments], registry)
        assert contents(series) == read
        assert "Traceback" not in trial.told
        if trial.code == 0:
            assert trial.reader.error is None
            assert_right(read_of(series, trial.reader.warnings), output)
        else:
            line = trial.reader.error
            # A decoder can end the process; whoever follows it knows the file.
            assert trial.reader.code == 3, line
            assert "\n" not in line
            assert "this is a defect" not in line
            assert str(series) in line or "series 1.2.826" in line
            assert not output.exists()
        if trial.code >= 0:
            assert trial.strays == []
        return trial.reader.code or trial.code

    return run


def read_of(series, warnings):
    """Return the files of a series but those that a warning names as passed over or left out."""
    told = " ".join(text for text in warnings if "passed over" in text or "left out" in text)
    return [file for file in sorted(series.iterdir()) if file.name not in told]


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def assert_right(files, output):
    """Compare the result with what the damaged files say, as read one by one."""
    image = mutations.truth(files)
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
    assert_on_sources(hd.seg.segread(output / "segmentation.dcm"), files, sitk.GetArrayFromImage(labels))


def assert_on_sources(seg, files, labels):
    """Check that the SEG's frames refer to the slices that they lie on."""
    planes = seg.get_volume(combine_segments=True)
    assert np.array_equal(np.unique(planes.array), np.unique(labels))
    heights = {}
    for file in files:
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


ALL = pytest.mark.parametrize("series", mutations.these(SYNTAXES, DAILY), indirect=True)
COMPRESSED = [name for name, syntax in SYNTAXES.items() if syntax and syntax.is_encapsulated]


@ALL
def test_what_nobody_damaged_is_segmented(series, outcome):
    assert outcome() == 0


@ALL
@mutations.seeds(14)
def test_flipped_bytes_of_the_header(series, outcome, seed):
    file = some_file(series, seed)
    end = mutations.pixel_start(file.read_bytes())
    damage(file, lambda content, chance: mutations.flip_bytes(content, chance, end=end if end > 132 else None), seed)

    outcome()


@ALL
@mutations.seeds(8)
def test_flipped_bytes_of_the_pixel_data(series, outcome, seed):
    file = some_file(series, seed)
    start = max(132, mutations.pixel_start(file.read_bytes()))
    damage(file, lambda content, chance: mutations.flip_bytes(content, chance, start=start), seed)

    outcome()


@pytest.mark.parametrize("series", mutations.these(COMPRESSED, ["JPEG-LS"]), indirect=True)
@mutations.seeds(40)
def test_a_compressed_image_of_the_right_size_with_other_bytes_in_it(series, outcome, seed):
    """All but the size is damaged: the decoder itself has to find out, gives other values, or ends the process."""
    chance = random.Random(seed)
    file = some_file(series, seed)
    content = bytearray(file.read_bytes())
    start = content.rfind(b"\xfe\xff\x00\xe0", 0, len(content) - 16) + 8
    for _ in range(chance.choice((1, 2, 4, 16, 64))):
        content[chance.randrange(start, len(content) - 8)] = chance.randrange(256)
    file.write_bytes(content)

    outcome()


@ALL
@mutations.seeds(5)
def test_a_truncated_file(series, outcome, seed):
    damage(some_file(series, seed), mutations.truncate, seed)

    outcome()


@ALL
@mutations.seeds(3)
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
@pytest.mark.parametrize("which", mutations.these(["IM0003", "IM0006", ""], ["IM0006"]))
@pytest.mark.parametrize("name", mutations.these(mutations.REFUSED, ["rows halved", "position nan"]))
def test_an_image_that_cannot_be_right_is_refused(series, outcome, name, which):
    edit(series, mutations.REFUSED[name], which)

    # One localizer at the end of a regular grid is left out.
    assert outcome() == (0 if (name, which) == ("localizer", "IM0006") else 3)


@pytest.mark.parametrize("series", ["implicit"], indirect=True)
@pytest.mark.parametrize("name", mutations.these(mutations.HARMLESS, ["nested 150 deep", "groups as text"]))
def test_what_touches_neither_pixels_nor_places_is_segmented(series, outcome, name):
    edit(series, mutations.HARMLESS[name], "")

    assert outcome() == 0


@mutations.CAMPAIGN
@pytest.mark.parametrize("series", ["explicit", "JPEG 2000"], indirect=True)
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, JPEGLSLossless, "1.2.3", "text", ""])
def test_a_file_under_a_wrong_transfer_syntax(series, outcome, syntax):
    for file in series.iterdir():
        content = file.read_bytes()
        at = content.index(b"\x02\x00\x10\x00UI")
        length = content[at + 6]
        file.write_bytes(content[: at + 8] + str(syntax).encode().ljust(length, b"\0") + content[at + 8 + length :])

    outcome()
