"""Files that people have: each is added and run, or called what it is with what can be done."""

import io
import os
import tempfile
import zipfile

import factories
import numpy as np
import onnx
import onnxruntime
import own_models
import pytest
import SimpleITK as sitk
from own_models import refusal
from tools import nativedl

from NativeDLLib.core.errors import ModelError, NativeDLError, UsageError
from NativeDLLib.models.add.install import install, user_registry
from NativeDLLib.models.add.model_files import read_source
from NativeDLLib.models.add.questions import questions
from NativeDLLib.registry.load import load_registry
from NativeDLLib.registry.weights import Weights
from NativeDLLib.source import Series

pytestmark = pytest.mark.slow

REFUSED = {
    "external.onnx.data": "holds weights of external.onnx; name that file",
    "intraoral_xray.dcm": "is a DICOM object; networks in such objects are pulled from the PACS",
    "iodeep_w2d.dcm": "is a DICOM object; networks in such objects are pulled from the PACS",
    "nn_cascade": "is the second stage of a cascade; use a configuration that stands alone",
    "nn_export.zip": "is a zip of an nnU-Net results folder; unpack it",
    "nn_unknown_normalization": "'RescaleTo01NormalizationX' is not one of CTNormalization, ZScoreNormalization",
    "train_thin_series.json": "is JSON text; name the file of a network",
}
# Files with what a person has to say of each.
ADDED = {
    "argmax_u8.onnx": {},
    "external.onnx": {"activation": "softmax"},
    "first_axis_xyz.pt2": {"activation": "softmax"},
    "g_auto.pt2": {"activation": "softmax"},
    "keras_2d.keras": {},
    "meta_location.onnx": {"activation": "softmax"},
    "onnx_2d.onnx": {"activation": "softmax"},
    "onnx_channels_last.onnx": {"activation": "softmax"},
    "onnx_one_sigmoid.onnx": {},
    "onnx_two_channels.onnx": {"activation": "softmax"},
    "rgb.onnx": {"activation": "softmax"},
    "sigmoid_multilabel.onnx": {"overlap": "largest"},
    "unet2d.keras": {},
    "unet2d_nhwc.onnx": {},
}
CONFIRMED = {"nn_trainer_relu"}
INTENSITIES = ({"normalization": "none"}, {"clip": [-160, 240], "normalization": {"mean": 40, "std": 50}})


def windows(name):
    """Return the channels of a network as its entry names them: each the same series in a window of its own."""
    count = {"onnx_two_channels.onnx": 2, "rgb.onnx": 3}.get(name, 1)
    return [{"name": f"W{n}", "series": "same", "intensity": INTENSITIES[n % 2]} for n in range(count)]


def own(cases, name, values):
    """Return the labels that a network gives to a patch (z, y, x), by its own program and what its windows mean."""
    if name.endswith(".keras"):
        os.environ["KERAS_BACKEND"] = "torch"
        keras = pytest.importorskip("keras")
        network = keras.saving.load_model(cases / name, compile=False)
        return keras.ops.convert_to_numpy(network(values[..., None].astype(np.float32))).argmax(-1)
    narrow = (values.clip(-160, 240) - 40) / 50
    batch = np.stack([narrow if n % 2 else values for n in range(len(windows(name)))])[None].astype(np.float32)
    session = onnxruntime.InferenceSession(cases / name)
    (given,) = session.run(None, {session.get_inputs()[0].name: batch})
    return given[0, 0] if given.shape[1] == 1 else given[0].argmax(0)


@pytest.fixture
def cases(real_data):
    folder = real_data / "field_cases" / "models"
    if not folder.is_dir():
        pytest.skip("the field's files are not here")
    return folder


def test_every_file_of_the_field_has_its_line(cases):
    assert {path.name for path in cases.iterdir()} - {"CASES.md"} == {*REFUSED, *ADDED, *CONFIRMED}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_run_is_called_what_it_is(cases, name):
    message = refusal((ModelError, UsageError), cases / name)

    assert message.startswith(f"{cases / name}: ") or name.startswith("nn_")
    assert REFUSED[name] in message


@pytest.mark.parametrize("name", [name for name in ADDED if not name.endswith(".keras")])
def test_a_file_that_can_be_run_is_added_by_segmenting_an_image_with_it(cases, name):
    draft = read_source(cases / name)
    draft.put(("input", "axes"), "xyz")
    patch = None if draft.shape else [32, 32, 32]
    patch = draft.offers.get(("input", "patch_size"), patch)

    model = own_models.add_model(cases / name, answered(draft, name, axes="xyz", patch_size=patch))

    assert Weights(model).digest == model.weights.sha256
    assert model.weights.place.startswith(f"weights/{model.id}/")


def answered(draft, name, **contract):
    rows = [own_models.OTHER | row | {"name": f"S{row['label']}"} for row in draft.entry["output"]["segments"]]
    result = own_models.answers(output=ADDED[name] | {"segments": rows})
    result["input"] |= {"patch_size": None} | contract | {"channels": windows(name)}
    return result


@pytest.mark.parametrize(
    "name", ["argmax_u8.onnx", "keras_2d.keras", "onnx_two_channels.onnx", "rgb.onnx", "unet2d.keras"]
)
def test_a_run_gives_the_own_labels_of_a_network_in_their_places(cases, name, tmp_path):
    draft = read_source(cases / name)
    z, y, x = (8 if draft.any_slices and n == 1 else n for n in draft.shape)
    rough = np.random.default_rng(3).integers(-300, 400, (x // 4, z // 4, y // 4), np.int16)
    voxels = rough.repeat(4, 0).repeat(4, 1).repeat(4, 2)
    series = factories.ct_series(tmp_path / "series", voxels, axes=((0, 1, 0), (0, 0, -1)), spacing=(1.0, 1.5, 3.0))
    image = Series.read(series).image()[0]
    turned = sitk.DICOMOrient(image, "LPS")
    patch = draft.offers.get(("input", "patch_size"), draft.shape)
    spacing = list(turned.GetSpacing()[::-1])
    draft.merge(answered(draft, name, spacing=spacing, patch_size=list(patch)), "answers")
    model = install(draft, user_registry())

    labels = own_models.labels_of_run(tmp_path / "series", model.id, tmp_path / "out")

    expected = sitk.GetImageFromArray(own(cases, name, sitk.GetArrayFromImage(turned)).astype(np.uint8))
    expected.CopyInformation(turned)
    orientation = sitk.DICOMOrientImageFilter.GetOrientationFromDirectionCosines(image.GetDirection())
    expected = sitk.GetArrayFromImage(sitk.DICOMOrient(expected, orientation))
    assert (labels == expected).mean() > 0.9999
    assert len(np.unique(expected)) == draft.outputs


def test_a_trainer_that_may_have_changed_the_network_is_asked_about(cases):
    asked = {question.place for question in questions(read_source(cases / "nn_trainer_relu"))}

    assert ("trainer",) in asked


def test_a_zip_that_nnunet_exported_is_unpacked_and_added(cases, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # others use the usual one at the same time
    read = read_source(unzipped(cases / "nn_export.zip", tmp_path / "here"))
    named = [own_models.OTHER | row | {"name": f"S{row['label']}"} for row in read.entry["output"]["segments"]]
    given = own_models.IDENTITY | {"input": own_models.STORED | {"modality": "CT"}, "output": {"segments": named}}
    answers = own_models.written(tmp_path / "answers.json", given)

    assert nativedl("models", "add", cases / "nn_export.zip", "--id", "out", "--answers", answers) == 0

    (model,) = load_registry(user_registry())
    assert {"plans.json", "dataset.json", "fold_0/checkpoint_final.pth"} == {*model.weights.files}
    assert Weights(model).digest
    assert not list(tmp_path.glob("nativedl-add-*"))


def test_what_is_wrong_in_a_zip_is_said_of_the_zip(tmp_path, capsys):
    (tmp_path / "a.zip").write_bytes(archive("D/T__P__3d_fullres/plans.json", "D/T__P__3d_fullres/dataset.json"))

    assert nativedl("models", "add", tmp_path / "a.zip") == 4

    message = capsys.readouterr().err
    assert f"{tmp_path / 'a.zip'}: " in message
    assert "nativedl-add-" not in message


def unzipped(path, folder):
    with zipfile.ZipFile(path) as file:
        file.extractall(folder)
    return next(folder.rglob("plans.json")).parent


def archive(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name in names:
            file.writestr(name, "content")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.h5", b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        ("a.tflite", b"\x1c\0\0\0TFL3", "a network of TensorFlow Lite"),
        ("a.ort", b"\x1c\0\0\0ORTM", "onnxruntime's own format"),
        ("a.npy", b"\x93NUMPY\x01", "a NumPy array"),
        ("a.pth", b"\x80\x02}q", "a pickle, and a pickled network is not loaded"),
        ("a.nii.gz", b"\x1f\x8b\x08", "compressed"),
        ("a.onnx", b"version https://git-lfs.github.com/spec/v1\noid sha256:", "a pointer of Git LFS"),
        ("a.pth", b"<!DOCTYPE html><html>", "a web page"),
        ("a.xml", b"<?xml version='1.0'?><net>", "XML text"),
        ("a.bin", b"anything", "no file of a network that is known"),
        ("a.pt", archive("a/data.pkl", "a/version"), "a file of torch.save"),
        ("a.zip", archive("m/saved_model.pb"), "a zip of a TensorFlow SavedModel"),
        ("a.zip", archive("spleen/configs/metadata.json"), "a zip of a MONAI bundle"),
        ("a.docx", archive("word/document.xml"), "a program or a document"),
        ("a.pt2", b"PK\x03\x04 cut off", "no .pt2 file that can be read"),
    ],
)
def test_a_file_of_another_kind_is_called_by_it(tmp_path, name, content, kind):
    (tmp_path / name).write_bytes(content)

    message = refusal(ModelError, tmp_path / name)

    assert message.startswith(f"{tmp_path / name}: is ")
    assert kind in message


@pytest.mark.parametrize(
    ("files", "told"),
    [
        (["saved_model.pb", "variables/variables.index"], "is a SavedModel of TensorFlow"),
        (["config.json", "onnx/model.onnx", "b.pt2"], "name the network in it: onnx/model.onnx, b.pt2"),
        (["configs/metadata.json", "models/model.ts"], "is a MONAI bundle"),
        (["notes.txt"], "has no plans.json"),
    ],
)
def test_a_folder_of_another_kind_is_called_by_it(tmp_path, files, told):
    for name in files:
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_bytes(b"content")

    assert told in refusal((ModelError, UsageError), tmp_path / "model")


def with_weights_beside(folder, **rows):
    """Write an ONNX file that keeps its weights in another one, as torch exports it by default."""
    path = folder / "net.onnx"
    values = onnx.helper.make_tensor("w", 1, [2, 1, 1, 1, 1], np.array([0, 1], np.float32).tobytes(), raw=True)
    described = [onnx.helper.make_tensor_value_info(n, 1, ["n", 1, "z", "y", "x"]) for n in ("image", "logits")]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Conv", ["image", "w"], ["logits"])], "g", *zip(described))
    graph.initializer.append(values)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path, save_as_external_data=True, size_threshold=0, location="net.onnx.data")
    model = onnx.load(path, load_external_data=False)
    for row in model.graph.initializer[0].external_data:
        row.value = rows.get(row.key, row.value)
    path.write_bytes(model.SerializeToString())
    return path


def test_weights_in_a_file_beside_are_taken_with_the_network(tmp_path):
    path = with_weights_beside(tmp_path)

    model = own_models.add_model(path, own_models.answers())
    for file in tmp_path.glob("net*"):
        file.unlink()

    kept = onnx.load_from_string(Weights(model).read())
    assert onnx.numpy_helper.to_array(kept.graph.initializer[0]).ravel().tolist() == [0, 1]


@pytest.mark.parametrize("location", ["../net.onnx.data", "/etc/passwd", "a/b", "..", "a\\b", ""])
def test_weights_that_are_said_to_lie_elsewhere_are_not_looked_for(tmp_path, location):
    path = with_weights_beside(tmp_path, location=location)

    assert "which is not a file beside it" in refusal(ModelError, path)


@pytest.mark.parametrize("rows", [{"length": "9999999"}, {"offset": "-4"}, {"offset": "x"}, {"length": "-1"}])
def test_weights_that_are_not_where_they_are_said_to_be_are_refused(tmp_path, rows):
    path = with_weights_beside(tmp_path, **rows)

    assert refusal(NativeDLError, path).startswith(f"{path}: ")


def test_weights_that_are_left_behind_are_named(tmp_path):
    path = with_weights_beside(tmp_path)
    (tmp_path / "net.onnx.data").unlink()

    assert "keeps weights in net.onnx.data, which is not beside it; put it there" in refusal(ModelError, path)
    assert not user_registry().parent.exists()
