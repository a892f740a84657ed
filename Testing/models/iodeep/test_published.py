"""Objects as the code that was published with the paper lays them out: read, run, and never trusted."""

import base64
import io
import json
import pickle
import zipfile

import factories
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from model_objects import Hostile
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid
from tools import nativedl
from torch import nn

from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference.torch_runtime import load_network, read_weights
from NativeDLLib.models.add.questions import questions
from NativeDLLib.models.iodeep import published
from NativeDLLib.models.iodeep.published import read_published
from NativeDLLib.registry.load import load_registry, pulled_registry
from NativeDLLib.registry.weights import Weights

# One convolution of a grey image to two classes, in the authors' words for layers.
ARCHITECTURE = {
    "input_shape": {"input_shape0": 1, "input_shape1": 16, "input_shape2": 24},
    "data_format": {"data_format": "channels_first"},
    "architecture": {"1": "cnn2d", "2": "relu"},
    "convolutional": {"cn1": 2},
    "kernel": {"kernel1": 3},
    "padding_conv": {"padding_conv": 1},
}


def base64_of(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return base64.b64encode(buffer.getvalue()).decode()


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.ReLU()).eval()


@pytest.fixture
def store(tmp_path, network):
    """Write an object in the layout of the authors; elements are given as text."""

    def write(architecture=str(ARCHITECTURE), weights=None, *, prefix=False, **attributes):
        uid = generate_uid()
        values = {
            "SOPClassUID": uid,
            "SOPInstanceUID": uid,
            "Modality": "MR",
            "ReferringPhysicianName": "",
            "PatientName": "",
            "PatientID": "",
            "PatientBirthDate": "",
            "PatientSex": "",
            "BodyPartExamined": "HEAD",
            "StudyInstanceUID": uid,
            "SeriesInstanceUID": uid,
            "PatientOrientation": "A",
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "PlanarConfiguration": 0,
            "Rows": 16,
            "Columns": 24,
        }
        dataset = Dataset()
        for keyword, value in (values | attributes).items():
            setattr(dataset, keyword, value)
        dataset.add_new(0x00170016, "UT", architecture)
        dataset.add_new(0x00170018, "UT", base64_of(network.state_dict()) if weights is None else weights)
        dataset.add_new(0x00170020, "ST", "unet_mri")
        dataset.add_new(0x00170022, "UI", uid)
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.66"
        meta.MediaStorageSOPInstanceUID = uid
        meta.TransferSyntaxUID = ImplicitVRLittleEndian
        path = tmp_path / "network.dcm"
        # Their call of dcmwrite leaves out preamble and prefix; archives that rewrite files add them.
        preamble = b"\0" * 128 if prefix else None
        FileDataset(None, dataset, file_meta=meta, preamble=preamble).save_as(path, enforce_file_format=False)
        assert (path.read_bytes()[128:132] == b"DICM") is prefix
        return path

    return write


def read(path):
    """Draft of the entry; its files lie beside the object."""
    folder = path.parent / "read"
    folder.mkdir()
    return read_published(path, folder)


def refusal(path):
    with pytest.raises(ModelError) as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def answers(tmp_path):
    """A file with what the layout does not tell."""
    code = {"value": "10200004", "scheme": "SCT", "meaning": "Liver"}
    category = {"value": "123037004", "scheme": "SCT", "meaning": "Anatomical Structure"}
    path = tmp_path / "answers.json"
    given = {
        "title": "Network of a paper",
        "license": "none",
        "intended_use": "Tests.",
        "input": {"orientation": "LPS", "spacing": [2, 2, 2], "intensity": {"normalization": "none"}, "keywords": []},
        "output": {
            "activation": "softmax",
            "segments": [{"label": 1, "name": "Liver", "type": code, "category": category, "color": [1, 2, 3]}],
        },
    }
    path.write_text(json.dumps(given))
    return path


@pytest.mark.parametrize("form", ["python", "json", "torch"])
def test_it_loads_and_gives_what_the_network_gives(store, network, form):
    forms = {"python": str(ARCHITECTURE), "json": json.dumps(ARCHITECTURE), "torch": base64_of(ARCHITECTURE)}
    draft = read(store(forms[form]))
    images = torch.from_numpy(np.random.default_rng(3).normal(size=(3, 1, 16, 24)).astype(np.float32))

    state = read_weights(draft.files["weights.pth"].read_bytes())
    output = load_network(draft.entry["architecture"], state)(images)

    with torch.inference_mode():
        expected = network(images)
    assert expected.any()
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-6)
    assert (draft.entry["id"], draft.entry["runtime"]) == ("unet_mri", "torch")
    wants = draft.entry["input"]
    assert (wants["modality"], wants["body_parts"], wants["patch_size"]) == ("MR", ["HEAD"], [1, 16, 24])


def test_what_the_layout_does_not_tell_is_asked_and_never_guessed(store):
    asked = {".".join(map(str, question.place)) for question in questions(read(store()))}

    assert asked >= {"license", "input.spacing", "input.orientation", "input.intensity", "output.segments.0.type"}


def with_channels(number):
    changes = {"input_shape": {"input_shape0": number, "input_shape1": 16, "input_shape2": 24}}
    state = nn.Sequential(nn.Conv2d(number, 2, 3, padding=1)).state_dict()
    return str(ARCHITECTURE | changes), base64_of(state)


def test_windows_of_several_channels_are_asked_and_never_guessed(store):
    draft = read(store(*with_channels(3)))

    assert len(draft.entry["input"]["channels"]) == 3
    assert ("input", "channels") in {question.place[:2] for question in questions(draft)}


def test_more_channels_than_can_be_run_are_refused_in_one_line(store):
    assert "takes 300 channels; 1 to" in refusal(store(*with_channels(300)))


def test_a_network_for_photographs_is_refused_in_one_line(store):
    assert "is for XC images; a model can be for CT, MR, PT" in refusal(store(Modality="XC"))


def test_weights_that_do_not_fit_the_architecture_are_refused(store):
    other = base64_of(nn.Sequential(nn.Conv2d(1, 3, 3)).state_dict())

    assert "do not fit the architecture" in refusal(store(weights=other))


@pytest.mark.parametrize("place", ["weights", "architecture"])
@pytest.mark.parametrize("form", ["torch", "legacy", "pickle"])
def test_a_hostile_pickle_is_refused_and_does_not_run(store, tmp_path, place, form):
    trace, buffer = tmp_path / "trace", io.BytesIO()
    if form == "pickle":
        pickle.dump(Hostile(trace), buffer)
    else:
        torch.save({"weight": Hostile(trace)}, buffer, _use_new_zipfile_serialization=form == "torch")
    path = store(**{place: base64.b64encode(buffer.getvalue()).decode()})

    message = refusal(path)

    assert not trace.exists()
    assert "holds more than tensors" in message or "holds no torch file" in message
    # The payload is real: an unguarded load runs it.
    buffer.seek(0)
    (pickle.load if form == "pickle" else lambda stream: torch.load(stream, weights_only=False))(buffer)
    assert trace.exists()


@pytest.mark.parametrize("place", ["weights", "architecture"])
def test_a_torch_file_that_would_grow_is_not_opened(store, place):
    original, bomb = io.BytesIO(), io.BytesIO()
    torch.save({"weight": torch.zeros(10_000_000)}, original)
    with zipfile.ZipFile(original) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert len(bomb.getvalue()) < 100_000

    assert "is compressed, which torch never writes" in refusal(
        store(**{place: base64.b64encode(bomb.getvalue()).decode()})
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": "no base64!"}, "something else than base64"),
        ({"weights": base64.b64encode(b"no torch file").decode()}, "holds no torch file"),
        ({"weights": base64_of([1, 2])}, "no dictionary of tensors by name"),
        ({"weights": base64_of({"weight": 1})}, "no dictionary of tensors by name"),
        ({"architecture": "{'a': __import__('os').getcwd()}"}, "neither JSON nor a Python dictionary"),
        ({"architecture": "{" * 100_000}, "neither JSON nor a Python dictionary"),
        ({"architecture": base64_of([1])}, "its architecture is no dictionary"),
    ],
)
def test_what_is_no_network_is_refused_in_one_line(store, changes, message):
    assert message in refusal(store(**changes))


def test_an_unknown_layer_is_named(store):
    architecture = ARCHITECTURE | {"architecture": {"1": "lambda"}}

    assert "the layer 'lambda' is not known" in refusal(store(str(architecture)))


def test_an_object_too_large_for_memory_is_not_read(store, monkeypatch):
    path = store()
    monkeypatch.setattr(published, "LARGEST_INSTANCE", 100)

    assert "is larger than" in refusal(path)


def test_something_else_is_not_taken_for_a_network(store, tmp_path):
    (tmp_path / "text.dcm").write_text("no DICOM at all, but long enough to look at it" * 10)

    assert refusal(tmp_path / "text.dcm")


def test_it_becomes_a_model_with_consent_and_answers_and_segments_a_series(store, upload, pacs_file, capsys, tmp_path):
    # Whatever is brighter than 100 is of the class.
    bright = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU())
    bright.load_state_dict(
        {"0.weight": torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1), "0.bias": torch.tensor([100.0, 0])}
    )
    one = ARCHITECTURE | {"kernel": {"kernel1": 1}, "padding_conv": {"padding_conv": 0}}
    path = store(str(one), base64_of(bright.state_dict()), prefix=True)
    upload(path)
    uid = str(dcmread(path).SOPInstanceUID)
    pull = ["models", "pull", "--from", "WEB", "--pacs", pacs_file, "--published", uid]
    assert nativedl(*pull) == 4
    assert "has no signature in this layout" in capsys.readouterr().err
    assert nativedl(*pull, "--accept-unsigned") == 2
    assert "missing: title, license, intended_use, input.keywords, input.orientation" in capsys.readouterr().err
    assert not pulled_registry().exists()

    assert nativedl(*pull, "--accept-unsigned", "--answers", answers(tmp_path)) == 0

    (model,) = load_registry(pulled_registry())
    assert (model.id, model.runtime, model.input.patch_size) == ("unet_mri", "torch", (1, 16, 24))
    assert Weights(model).path.is_relative_to(pulled_registry().parent)
    voxels = np.random.default_rng(0).integers(0, 200, (3, 40, 50)).astype(np.int16)
    factories.ct_series(
        tmp_path / "series", voxels, spacing=(2.0, 2.0, 2.0), edit=lambda ds, _: setattr(ds, "Modality", "MR")
    )
    out = tmp_path / "out"
    run = ["run", "--input", tmp_path / "series", "--model", "unet_mri", "--device", "cpu", "--output", out]
    assert nativedl(*run) == 0
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "segmentation.nii.gz")))
    assert np.array_equal(labels, voxels > 100)


def test_a_model_that_is_pulled_under_its_id_takes_no_other_weights_away(store, upload, pacs_file, tmp_path):
    path = store(prefix=True)
    upload(path)
    uid = str(dcmread(path).SOPInstanceUID)
    options = ["--published", uid, "--accept-unsigned", "--answers", answers(tmp_path)]
    for name in ("first", "second"):
        assert nativedl("models", "pull", "--from", "WEB", "--pacs", pacs_file, *options, "--id", name) == 0
    factories.threshold_onnx(tmp_path / "w.onnx", 0.5)
    entry = factories.entry(id="first", weights={"file": "w.onnx", "sha256": factories.digest(tmp_path / "w.onnx")})
    registry = factories.registry(tmp_path, entry)
    assert nativedl("models", "push", "first", "--to", "WEB", "--pacs", pacs_file, registry=registry) == 0

    assert nativedl("models", "pull", "first", "--from", "WEB", "--pacs", pacs_file, "--accept-unsigned") == 0

    models = {model.id: model for model in load_registry(pulled_registry())}
    assert models["first"].runtime == "onnx"
    assert all(Weights(model).digest for model in models.values())
    copies = pulled_registry().parent / "weights"
    assert [path.name for path in copies.iterdir() if any(path.iterdir())] == ["second"]
    assert nativedl("models", "remove", "second") == 0
    assert not any(path.is_file() for path in copies.rglob("*"))


def test_an_object_that_holds_more_than_tensors_is_not_kept(store, upload, pacs_file, capsys, tmp_path):
    path = store(weights=base64_of({"weight": Hostile(tmp_path / "trace")}), prefix=True)
    upload(path)
    uid = str(dcmread(path, force=True).SOPInstanceUID)

    pull = ["models", "pull", "--from", "WEB", "--pacs", pacs_file, "--published", uid, "--accept-unsigned"]

    assert nativedl(*pull) == 4
    assert "holds more than tensors" in capsys.readouterr().err
    assert not (tmp_path / "trace").exists()
    assert not list(pulled_registry().parent.rglob("*.dcm"))


def test_a_peer_that_cannot_send_its_class_by_dimse_is_told_in_one_line(store, upload, pacs_file, capsys):
    path = store(prefix=True)
    upload(path)
    uid = str(dcmread(path).SOPInstanceUID)

    code = nativedl("models", "pull", "--from", "ORTHANC", "--pacs", pacs_file, "--published", uid, "--accept-unsigned")

    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (5, 1)
    assert "refused the C-GET request" in err
