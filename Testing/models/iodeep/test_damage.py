"""Models as DICOM objects that are damaged, incomplete or made to do harm."""

import json

import factories
import numpy as np
import pydicom
import pytest
from model_objects import ELEMENTS, edit, flip, rewrite_entry, tag
from pydicom import dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian

from NativeDLLib.core.errors import ModelError
from NativeDLLib.models.iodeep import elements as e
from NativeDLLib.models.iodeep import object_reader as iodeep_reader
from NativeDLLib.models.iodeep.object_reader import read_model
from NativeDLLib.models.iodeep.object_writer import write_model
from NativeDLLib.registry.weights import verified_weights


def refusal(files, folder):
    with pytest.raises(ModelError) as caught:
        read_model(files, folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


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


@pytest.mark.slow
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

    assert "its registry entry: line 1 column" in refusal([one], tmp_path / "read")
