"""Values read from their bytes are what pydicom makes of them, and what is not plain is left to pydicom."""

from pathlib import Path

import pytest
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag

from NativeDLLib.source.fast_values import groups_alike, plain_numbers, plain_text, plain_whole
from NativeDLLib.source.header import numbers, text


def raw(keyword, vr, value, little=True):
    dataset = Dataset()
    dataset[Tag(keyword)] = RawDataElement(Tag(keyword), vr, len(value), value, 0, vr is None, little)
    return dataset


@pytest.mark.parametrize(
    ("keyword", "vr", "value", "plain"),
    [
        ("SOPInstanceUID", "UI", b"1.2.3\0", "1.2.3"),
        ("SOPInstanceUID", None, b"1.2.34", "1.2.34"),
        ("SOPInstanceUID", "UI", b" 1.2.3", None),
        ("SOPInstanceUID", "UI", b"1.2\\1.3", None),
        ("SOPInstanceUID", "UI", b"", None),
        ("SOPInstanceUID", "LO", b"1.2.34", None),
        ("Modality", "CS", b"CT", "CT"),
        ("Modality", None, b"CT ", "CT"),
        ("Modality", "CS", b"ct", None),
        ("Modality", "CS", b"C\xe4", None),
        ("ImageType", "CS", b"ORIGINAL\\PRIMARY\\AXIAL ", "ORIGINAL\\PRIMARY\\AXIAL"),
        ("ImageType", "CS", b"ORIGINAL\\\\", "ORIGINAL\\\\"),
        ("ImageType", "CS", b"ORIGINAL \\ AXIAL", None),
        ("PatientName", "PN", b"A^B", None),
    ],
)
def test_plain_text_is_what_pydicom_makes_of_it(keyword, vr, value, plain):
    dataset = raw(keyword, vr, value)
    assert plain_text(dataset, keyword) == plain
    told = text(dataset, keyword)
    dataset[keyword]  # converts it
    assert plain_text(dataset, keyword) is None
    assert text(dataset, keyword) == told


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (b"1", (1.0,)),
        (b"-1.5e1 ", (-15.0,)),
        (b"0.70\\ 0.8 ", (0.7, 0.8)),
        (b"0.1\\+.2\\3.", (0.1, 0.2, 3.0)),
        (b"1\\", None),
        (b"1 2", None),
        (b"1_0", None),
        (b"nan", None),
        (b"\\", None),
        (b"", None),
    ],
)
def test_plain_numbers_are_what_pydicom_makes_of_them(value, plain):
    dataset = raw("PixelSpacing", "DS", value)
    assert plain_numbers(dataset, "PixelSpacing") == plain
    if plain:
        assert numbers(dataset, "PixelSpacing", len(plain), Path()) == plain
        converted = dataset.PixelSpacing
        assert ([converted] if len(plain) == 1 else list(converted)) == list(plain)


def test_whole_numbers_are_read_in_their_byte_order():
    assert plain_whole(raw("Rows", "US", b"\1\0"), "Rows") == 1
    assert plain_whole(raw("Rows", "US", b"\1\0", little=False), "Rows") == 256
    assert plain_whole(raw("Rows", None, b"\1\0"), "Rows") == 1
    assert plain_numbers(raw("Rows", "US", b"\1\0"), "Rows") == (1.0,)
    assert plain_numbers(Dataset(), "Rows") == ()
    for vr, value in (("SS", b"\1\0"), ("US", b"\1\0\1\0"), ("US", b"")):
        assert plain_whole(raw("Rows", vr, value), "Rows") is None
        assert plain_numbers(raw("Rows", vr, value), "Rows") is None


def test_data_sets_are_grouped_by_their_bytes_and_converted_ones_apart():
    def groups(*datasets):
        return groups_alike(datasets, ["Rows", "Modality"])

    same = [raw("Rows", "US", b"\1\0"), raw("Rows", "US", b"\1\0")]
    assert groups(*same) == [[0, 1]]
    assert groups(Dataset(), Dataset()) == [[0, 1]]
    assert groups(*same, raw("Rows", "US", b"\1\0", little=False)) == [[0, 1], [2]]
    assert groups(same[0], raw("Rows", "SS", b"\1\0"), same[1]) == [[0, 2], [1]]
    assert groups(Dataset(), *same) == [[0], [1, 2]]
    assert groups(raw("Modality", "CS", b"CT"), raw("Modality", "CS", b"MR")) == [[0], [1]]
    converted = [raw("Rows", "US", b"\1\0"), raw("Rows", "US", b"\1\0")]
    for dataset in converted:
        dataset["Rows"]
    assert groups(*same, *converted) == [[0, 1], [2, 3]]
