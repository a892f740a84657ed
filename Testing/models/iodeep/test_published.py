"""Objects as the code that was published with the paper lays them out: read, run, and never trusted."""

import base64
import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from model_objects import Hostile
from pydicom import dcmread
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import ImplicitVRLittleEndian, generate_uid
from tools import nativedl
from torch import nn

from NativeDLLib.core.errors import ModelError
from NativeDLLib.models.iodeep import published
from NativeDLLib.models.iodeep.published import read_published
from NativeDLLib.registry.load import pulled_registry

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


def refusal(path):
    with pytest.raises(ModelError) as caught:
        read_published(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("form", ["python", "json", "torch"])
def test_it_loads_and_gives_what_the_network_gives(store, network, form):
    forms = {"python": str(ARCHITECTURE), "json": json.dumps(ARCHITECTURE), "torch": base64_of(ARCHITECTURE)}
    found = read_published(store(forms[form]))
    image = np.random.default_rng(3).normal(size=(16, 24)).astype(np.float32)

    output = found.predict(image)

    with torch.inference_mode():
        expected = network(torch.from_numpy(image)[None, None])[0].numpy()
    assert expected.any()
    np.testing.assert_allclose(output, expected, atol=1e-6)
    assert (found.offer.id, found.offer.modality, found.offer.body_parts) == ("unet_mri", "MR", ("HEAD",))


def test_an_image_of_another_size_comes_back_in_its_own(store):
    assert read_published(store()).predict(np.ones((50, 60))).shape == (2, 50, 60)


def test_a_colour_image_is_refused_by_a_network_for_grey(store):
    with pytest.raises(ModelError, match=r"takes 1 sample\(s\) a pixel, not 3"):
        read_published(store()).predict(np.ones((16, 24, 3)))


def test_weights_that_do_not_fit_the_architecture_are_refused(store):
    other = base64_of(nn.Sequential(nn.Conv2d(1, 3, 3)).state_dict())

    with pytest.raises(ModelError, match="do not fit the architecture"):
        read_published(store(weights=other)).module()


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

    with pytest.raises(ModelError, match="the layer 'lambda' is not known"):
        read_published(store(str(architecture))).module()


def test_an_object_too_large_for_memory_is_not_read(store, monkeypatch):
    path = store()
    monkeypatch.setattr(published, "LARGEST_INSTANCE", 100)

    assert "is larger than" in refusal(path)


def test_something_else_is_not_taken_for_a_network(store, tmp_path):
    (tmp_path / "text.dcm").write_text("no DICOM at all, but long enough to look at it" * 10)

    assert refusal(tmp_path / "text.dcm")


def test_it_is_fetched_from_the_pacs_by_its_uid_once_and_with_consent(store, upload, pacs_file, capsys, network):
    path = store(prefix=True)
    upload(path)
    uid = read_published(path).uid
    pull = ["models", "pull", "--from", "WEB", "--pacs", pacs_file, "--published", uid]
    assert nativedl(*pull) == 4
    assert "has no signature in this layout" in capsys.readouterr().err

    assert nativedl(*pull, "--accept-unsigned", "--events") == 0

    kept = Path(json.loads(capsys.readouterr().out.splitlines()[-1])["path"])
    assert kept.is_relative_to(pulled_registry().parent)
    assert read_published(kept).predict(np.ones((16, 24))).shape == (2, 16, 24)
    assert nativedl(*pull[:-4], "--pacs", pacs_file, "--published", uid) == 0
    assert "'unet_mri' for MR HEAD" in capsys.readouterr().out


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
    uid = read_published(path).uid

    code = nativedl("models", "pull", "--from", "ORTHANC", "--pacs", pacs_file, "--published", uid, "--accept-unsigned")

    err = capsys.readouterr().err
    assert (code, err.count("\n")) == (5, 1)
    assert "refused the C-GET request" in err
