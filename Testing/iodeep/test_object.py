"""A model as DICOM instances: what is written, who else reads it, and what is refused when it is read."""

import json
import subprocess

import factories
import numpy as np
import pydicom
import pytest
from pydicom import config, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian
from servers import require
from tools import dciodvfy_errors

from NativeDLLib.dicom import iodeep_elements as e
from NativeDLLib.dicom import iodeep_reader
from NativeDLLib.dicom.iodeep import read_model, write_model
from NativeDLLib.errors import ModelError
from NativeDLLib.registry import load_models, load_registry
from NativeDLLib.registry.weights import verified_weights

ELEMENTS = [e.ENTRY, e.ID, e.VERSION, e.MODEL_UID, e.RUNTIME, e.FORM, e.WEIGHTS, e.SHA256, e.SIZE, e.FRAGMENT]
ELEMENTS += [e.FRAGMENTS, e.DIGEST]


def tag(element):
    return 0x00171000 + element


def flip(path, where):
    """Change one bit of the first byte of an element's value, where it lies in the file."""
    place = dcmread(path).get_item(where).value_tell
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def edit(path, **changes):
    """Change elements and write the object again, in another transfer syntax where that is asked for."""
    dataset = dcmread(path)
    syntax = changes.pop("syntax", dataset.file_meta.TransferSyntaxUID)
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    for element in dataset:  # parsed with their VR before the encoding changes
        assert element is not None
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path, implicit_vr=syntax == ImplicitVRLittleEndian, little_endian=True)


def rewrite_entry(path, text):
    """Give an object another entry with a digest that is right for it."""
    import hashlib

    dataset = dcmread(path)
    block = dataset.private_block(e.GROUP, e.CREATOR)
    digest = block[e.SHA256].value
    content = e.statement(text, block[e.FORM].value, digest, block[e.SIZE].value)
    block[e.ENTRY].value = text
    block[e.DIGEST].value = hashlib.sha256(content).hexdigest()
    block[e.MODEL_UID].value = e.model_uid(block[e.DIGEST].value)
    dataset.save_as(path)


def refusal(files, folder):
    with pytest.raises(ModelError) as caught:
        read_model(files, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def files(model, tmp_path):
    return write_model(model, tmp_path / "objects", chunk_size=40)


@pytest.fixture
def one(model, tmp_path):
    (file,) = write_model(model, tmp_path / "one")
    return file


@pytest.mark.parametrize("model_id", ["liver-ct-demo", "vertebra-ct-demo"])
def test_a_bundled_model_in_several_instances_is_read_back_byte_by_byte(tmp_path, model_id):
    model = load_models()[model_id]
    files = write_model(model, tmp_path / "objects", chunk_size=2**20)

    received = read_model(files[::-1], tmp_path / "read")

    assert len(files) == 4
    path, digest = verified_weights(received.model)
    assert path.read_bytes() == verified_weights(model)[0].read_bytes()
    assert digest == model.weights["sha256"]
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


@pytest.mark.parametrize("element", ELEMENTS, ids=lambda element: f"0017,10{element:02X}")
def test_a_flipped_byte_in_any_private_element_is_detected(one, tmp_path, element):
    flip(one, tag(element))

    assert refusal([one], tmp_path / "read")


@pytest.mark.parametrize("keyword", ["Modality", "BodyPartExamined", "SamplesPerPixel", "PhotometricInterpretation"])
def test_a_flipped_byte_in_what_it_is_offered_for_is_detected(one, tmp_path, keyword):
    flip(one, pydicom.datadict.tag_for_keyword(keyword))

    assert f"its {keyword} is not that of its registry entry" in refusal([one], tmp_path / "read")


def test_a_flipped_byte_in_any_fragment_is_detected(files, tmp_path):
    assert len(files) > 2
    for index, file in enumerate(files):
        before = file.read_bytes()
        flip(file, tag(e.WEIGHTS))
        assert "its weights are not those" in refusal(files, tmp_path / f"read{index}")
        file.write_bytes(before)


def test_a_missing_fragment_is_missed(files, tmp_path):
    assert f"{len(files) - 1} of its {len(files)} fragments" in refusal(files[1:], tmp_path / "read")


def test_a_fragment_that_is_there_twice_is_refused(files, tmp_path):
    assert "fragment 1 is there twice" in refusal([*files, files[0]], tmp_path / "read")


def test_a_fragment_of_another_copy_is_refused(files, model, tmp_path):
    other = write_model(model, tmp_path / "other", chunk_size=40)

    assert "of different models" in refusal([*files[:-1], other[-1]], tmp_path / "read")


def test_an_object_too_large_for_memory_is_not_read(one, tmp_path, monkeypatch):
    monkeypatch.setattr(iodeep_reader, "LARGEST_INSTANCE", 2**20 - 1)
    with one.open("ab") as stream:
        stream.truncate(2**20)

    assert "is larger than 0 MiB" in refusal([one], tmp_path / "read")


def test_a_deflated_object_is_not_inflated(one, tmp_path):
    edit(one, syntax=DeflatedExplicitVRLittleEndian)

    assert "a model is never compressed" in refusal([one], tmp_path / "read")


def test_something_else_is_not_taken_for_a_model(tmp_path):
    image = factories.ct_series(tmp_path / "series")[0]
    text = tmp_path / "text.dcm"
    text.write_text("no DICOM")

    assert "holds no model" in refusal([image], tmp_path / "a")
    assert "no DICOM object" in refusal([text], tmp_path / "b")


def test_a_flipped_bit_anywhere_is_detected_or_changes_nothing_that_counts(one, model, tmp_path):
    content, undetected = one.read_bytes(), set()
    counting = set()
    for element in ELEMENTS:
        raw = dcmread(one).get_item(tag(element))
        counting |= set(range(raw.value_tell, raw.value_tell + raw.length))
    expected = verified_weights(model)[0].read_bytes()
    for place in range(132, len(content), 7):
        one.write_bytes(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
        folder = tmp_path / str(place)
        try:
            received = read_model([one], folder)
        except ModelError:
            continue
        else:
            undetected.add(place)
            assert verified_weights(received.model)[0].read_bytes() == expected
            assert received.model.input == model.input
            assert received.model.segments == model.segments
    assert undetected
    # What pads a text to an even length is no part of it.
    assert {place for place in undetected & counting if content[place] not in b" \0"} == set()


@pytest.mark.parametrize("damage", range(12))
def test_a_damaged_file_is_refused_in_one_line(one, tmp_path, damage):
    random = np.random.default_rng(damage)
    content = bytearray(one.read_bytes())[: random.integers(200, 6000)]
    for place in random.integers(132, len(content), 8):
        content[place] = random.integers(256)
    one.write_bytes(content)

    assert refusal([one], tmp_path / "read")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": "../../evil"}, "its registry entry: models[0]"),
        ({"weights": {"file": "../evil.onnx", "sha256": "0" * 64}}, "its registry entry: models[0]"),
        ({"weights": {"file": "/etc/evil.onnx", "sha256": "0" * 64}}, "its registry entry: models[0]"),
        ({"card": "evil.md"}, "card"),
        ({"id": "another"}, "contradict its registry entry"),
        ({"weights": {"file": "bright.onnx", "sha256": "0" * 64}}, "means other weights than it holds"),
    ],
)
def test_an_entry_that_the_registry_would_refuse_is_refused(one, model, tmp_path, change, message):
    rewrite_entry(one, json.dumps(dict(model.data) | change))

    assert message in refusal([one], tmp_path / "read")
    assert not (tmp_path / "evil.onnx").exists()


def test_an_entry_that_smuggles_in_another_is_refused(one, model, tmp_path):
    text = json.dumps(dict(model.data))
    rewrite_entry(one, f"{text},{text.replace('bright', 'second')}")

    assert "holds 2 registry entries instead of one" in refusal([one], tmp_path / "read")


def test_weights_at_a_url_are_referred_to_by_their_digest(tmp_path):
    weights = {"file": "a.onnx", "sha256": "1" * 64, "url": "https://example.org/a.onnx"}
    (model,) = load_registry(factories.registry(tmp_path / "r", factories.entry(weights=weights)))
    (file,) = write_model(model, tmp_path / "objects")

    received = read_model([file], tmp_path / "read")

    assert received.model.weights == weights
    assert dcmread(file)[tag(e.URI)].value == weights["url"]
    assert tag(e.WEIGHTS) not in dcmread(file)


def test_weights_at_a_url_without_a_digest_stay_where_they_are(tmp_path):
    weights = {"folder": "results", "url": "https://example.org/a.zip"}
    entry = factories.entry(runtime="nnunetv2", weights=weights)
    (model,) = load_registry(factories.registry(tmp_path / "r", entry))

    with pytest.raises(ModelError, match="without a SHA-256"):
        write_model(model, tmp_path / "objects")
