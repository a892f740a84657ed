"""A model as DICOM instances: what is written, and who else reads it."""

import subprocess

import factories
import pytest
from model_objects import edit, tag
from pydicom import config, dcmread
from pydicom.uid import ImplicitVRLittleEndian
from servers import require
from tools import dciodvfy_errors

from NativeDLLib.core.errors import ModelError
from NativeDLLib.models.iodeep import elements as e
from NativeDLLib.models.iodeep.object_reader import read_model
from NativeDLLib.models.iodeep.object_writer import write_model
from NativeDLLib.registry import load_models, load_registry
from NativeDLLib.registry.weights import verified_weights


@pytest.mark.parametrize("model_id", ["liver-ct-demo", "vertebra-ct-demo"])
def test_a_bundled_model_in_several_instances_is_read_back_byte_by_byte(tmp_path, model_id):
    model = load_models()[model_id]
    files = write_model(model, tmp_path / "objects", chunk_size=2**20)

    received = read_model(files[::-1], tmp_path / "read")

    assert len(files) == -(-verified_weights(model)[0].stat().st_size // 2**20)
    path, digest = verified_weights(received.model)
    assert path.read_bytes() == verified_weights(model)[0].read_bytes()
    assert digest == model.weights.sha256
    assert {k: v for k, v in received.model.data.items() if k != "weights"} == {
        k: v for k, v in model.data.items() if k not in ("weights", "card")
    }


def test_it_says_which_images_it_is_for_and_no_patient(tmp_path):
    (file,) = write_model(load_models()["liver-ct-demo"], tmp_path)
    dataset = dcmread(file)

    assert dataset.SOPClassUID == "1.2.840.10008.5.1.4.1.1.66"
    assert (dataset.Modality, dataset.BodyPartExamined, dataset.PatientOrientation) == ("CT", "ABDOMEN", ["L", "P"])
    assert (dataset.SamplesPerPixel, dataset.PhotometricInterpretation) == (1, "MONOCHROME2")
    assert (dataset.Rows, dataset.Columns) == (96, 96)
    assert [dataset.PatientName, dataset.PatientID, dataset.PatientBirthDate, dataset.PatientSex] == [""] * 4
    assert dataset.StudyInstanceUID == dataset.SeriesInstanceUID == dataset.SOPInstanceUID
    assert dataset.private_block(0x0017, "NATIVEDL IODEEP 1.0")[0x02].value == "liver-ct-demo"


def test_dciodvfy_objects_only_to_the_one_uid_that_the_paper_gives_all_levels(files):
    errors = dciodvfy_errors(files[0])
    assert len(errors) == 3
    assert all("has same value as" in error for error in errors)
    assert [error for error in dciodvfy_errors(files[1]) if "SOPInstanceUID" in error] == []


def test_pydicom_reads_it_strictly_and_dcmtk_without_a_warning(files, monkeypatch):
    monkeypatch.setattr(config.settings, "reading_validation_mode", config.RAISE)
    for file in files:
        assert len(list(dcmread(file).iterall())) > 30
        command = [require("/usr/bin/dcmdump", "dcmtk"), str(file)]
        dumped = subprocess.run(command, capture_output=True, text=True, check=True)
        assert "(0017,0010) LO [NATIVEDL IODEEP 1.0]" in dumped.stdout
        assert dumped.stderr == ""


def test_each_copy_has_new_uids_but_tells_the_same_content(model, tmp_path):
    first, second = (dcmread(write_model(model, tmp_path / name)[0]) for name in "ab")

    assert first.SOPInstanceUID != second.SOPInstanceUID
    assert first.StudyID == second.StudyID
    assert first[tag(e.MODEL_UID)].value == second[tag(e.MODEL_UID)].value


def test_a_peer_that_knows_no_private_elements_may_make_them_implicit(files, tmp_path):
    for file in files:
        edit(file, syntax=ImplicitVRLittleEndian)

    assert read_model(files, tmp_path / "read").model.id == "bright"


def test_weights_at_a_url_are_referred_to_by_their_digest(tmp_path):
    weights = {"file": "a.onnx", "sha256": "1" * 64, "url": "https://example.org/a.onnx"}
    (model,) = load_registry(factories.registry(tmp_path / "r", factories.entry(weights=weights)))
    (file,) = write_model(model, tmp_path / "objects")

    received = read_model([file], tmp_path / "read")

    assert received.model.data["weights"] == weights
    assert dcmread(file)[tag(e.URI)].value == weights["url"]
    assert tag(e.WEIGHTS) not in dcmread(file)


def test_weights_at_a_url_without_a_digest_stay_where_they_are(tmp_path):
    weights = {"folder": "results", "url": "https://example.org/a.zip"}
    entry = factories.entry(runtime="nnunetv2", weights=weights)
    (model,) = load_registry(factories.registry(tmp_path / "r", entry))

    with pytest.raises(ModelError, match="without a SHA-256"):
        write_model(model, tmp_path / "objects")
