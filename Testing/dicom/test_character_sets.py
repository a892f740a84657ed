"""Text of a source at every level: in the object's character set, or byte for byte as the source has it."""

import factories
import numpy as np
import pydicom
import pytest
from drawing import ALGORITHM, LIVER
from pydicom.charset import encode_string, python_encoding
from pydicom.data import get_charset_files
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from tools import dciodvfy_errors

from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.provenance import Review
from NativeDLLib.dicom.seg import make_segmentation
from NativeDLLib.regions.structure import whole_structure_set
from NativeDLLib.source import Series
from NativeDLLib.source.characters import TEXT_VRS

# Texts that their character sets can write; GBK has letters with a backslash, a caret and an equals sign within.
TEXTS = {
    "ISO_IR 100": "Müller^Jürgen",
    "ISO_IR 101": "Dvořák^Žofie",
    "ISO_IR 144": "Люксембург",
    "ISO_IR 126": "Διονυσιος",
    "ISO_IR 192": "王^小东 Ž",
    "GB18030": "王^小东",
    "GBK": "王^小东",
    "\\ISO 2022 IR 87": "Yamada^Tarou=山田^太郎",
    "\\ISO 2022 IR 149": "Hong^Gildong=洪^吉洞=홍^길동",
    "ISO 2022 IR 6\\ISO 2022 IR 100": "Müller^Jürgen",
    "ISO 2022 IR 100\\ISO 2022 IR 144": "Müller^Jürgen=Люксембург",
}


def raw(keyword, vr, value):
    tag = Tag(keyword)
    return RawDataElement(tag, vr, len(value), value, 0, False, True)


def padded(value):
    return value + b" " * (len(value) % 2)


def source(folder, term, content):
    """Write a series with bytes as its patient's name, in a sequence, and in a sequence of a sequence."""
    files = factories.ct_series(folder)
    for file in files:
        dataset = pydicom.dcmread(file)
        if term is None:
            del dataset.SpecificCharacterSet
        else:
            dataset.add(raw("SpecificCharacterSet", "CS", padded(term.encode())))
        dataset.add(raw("PatientName", "PN", padded(content)))
        dataset.add(raw("InstitutionName", "LO", padded(content)))
        inner, person, code = Dataset(), Dataset(), Dataset()
        for item in (code, inner):
            item.CodeValue, item.CodingSchemeDesignator = "X1", "99L"
            item.add(raw("CodeMeaning", "LO", padded(content)))
        person.PersonIdentificationCodeSequence = [inner]
        person.add(raw("InstitutionName", "LO", padded(content)))
        dataset.ProcedureCodeSequence, dataset.ReferringPhysicianIdentificationSequence = [code], [person]
        for item in (dataset, code, inner, person):
            # So that what is raw is written as it is.
            item.set_original_encoding(False, True, item._character_set)
        dataset.save_as(file)
    assert files[0].read_bytes().count(padded(content)) == 5
    return Series.read([folder])


def objects(series, folder, reviewer="Doe^Jane"):
    labels = (factories.block() > 100).astype(np.uint8)
    review = Review(reviewer, "reviewed", ("AUTOMATIC",))
    made = {
        "seg.dcm": make_segmentation(series, labels, [LIVER], ALGORITHM, review=review),
        "rt.dcm": whole_structure_set(series, labels, [LIVER], ALGORITHM, Progress()),
    }
    for name, dataset in made.items():
        dataset.save_as(folder / name, enforce_file_format=True)
        yield folder / name, pydicom.dcmread(folder / name)


def texts(dataset):
    """Texts that the source has five times: four in a structure set, which has no scanner."""
    person = dataset.ReferringPhysicianIdentificationSequence[0]
    found = [dataset.PatientName, dataset.ProcedureCodeSequence[0].CodeMeaning, person.InstitutionName]
    found.append(person.PersonIdentificationCodeSequence[0].CodeMeaning)
    if "ContributingEquipmentSequence" in dataset:
        found.append(dataset.ContributingEquipmentSequence[0].InstitutionName)
    return [str(text) for text in found]


def raw_texts(dataset):
    """Bytes of all text of a data set, at every level."""
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        if element.VR == "SQ" or (element.VR is None and dictionary_VR(tag) == "SQ"):
            for item in dataset[tag].value:
                yield from raw_texts(item)
        elif (element.VR or dictionary_VR(tag)) in TEXT_VRS:
            yield element.value or b""


@pytest.mark.parametrize("reviewer", ["Doe^Jane", "Žižka^山"])
@pytest.mark.parametrize("term", TEXTS)
def test_text_at_every_level_is_in_the_character_set_of_the_object(tmp_path, term, reviewer):
    text = TEXTS[term]
    encodings = [python_encoding[part] for part in term.split("\\")]
    content = b"=".join(encode_string(part, encodings) for part in text.split("="))
    series = source(tmp_path / "in", term, content)

    for path, dataset in objects(series, tmp_path, reviewer):
        assert set(texts(dataset)) == {text}
        assert [error for error in dciodvfy_errors(path) if "Coding Scheme" not in error] == []
    assert series.warnings == ()


UNREADABLE = {
    "GBK, undeclared": (None, "王^小东".encode("gbk")),
    "GBK with backslash, caret and equals sign, undeclared": (None, b"\xd5\x5c^\xd5\x5e\xd5\x3d\x81\x40"),
    "UTF-8, undeclared": (None, "Müller^Jürgen".encode()),
    "UTF-8, said to be ASCII": ("ISO_IR 6", "Müller^Jürgen".encode()),
    "Latin-1, undeclared": (None, "Müller^Jürgen".encode("latin-1")),
    "Latin-1, by a name that is none": ("ISO-8859-1", "Müller^Jürgen".encode("latin-1")),
    "Latin-1, by a misspelt name": ("ISO IR 100", "Müller^Jürgen".encode("latin-1")),
    "Latin-1, said to be UTF-8": ("ISO_IR 192", "Müller^Jürgen".encode("latin-1")),
    "bytes that GBK does not have": ("GBK", b"M\xff\xfcller"),
    "escapes, undeclared": (None, b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B"),
    "a switch to Japanese that is never taken back": ("\\ISO 2022 IR 87", b'\x1b$BJ"It CT'),
    "Latin-2 in a set that never switches": ("ISO 2022 IR 6\\ISO 2022 IR 101", "Dvořák".encode("iso8859-2")),
}


@pytest.mark.parametrize("reviewer", ["Doe^Jane", "Müßig^Žofie"])
@pytest.mark.parametrize("case", UNREADABLE)
def test_text_that_cannot_be_understood_stays_byte_for_byte_and_is_told(tmp_path, case, reviewer):
    term, content = UNREADABLE[case]
    series = source(tmp_path / "in", term, content)

    for path, dataset in objects(series, tmp_path, reviewer):
        written = path.read_bytes()
        assert written.count(padded(content)) == (5 if path.name == "seg.dcm" else 4)
        assert dataset.get_item("SpecificCharacterSet") is None or term is not None
        assert term is None or padded(term.encode()) in written
        own = {text for text in raw_texts(pydicom.dcmread(path)) if text != padded(content)}
        assert b"".join(own).isascii()
        assert any(b"Liver" in text for text in own)
    (warning,) = series.warnings
    assert f"({term or 'none'}): they may look wrong, and are taken over byte for byte" in warning


@pytest.mark.slow
def test_random_bytes_as_names_stay_what_they_are(tmp_path):
    random = np.random.default_rng(5)
    for number in range(20):
        letters = random.choice(np.delete(np.arange(1, 256), [9, 11, 12, 31, 91]), 40).astype(np.uint8).tobytes()
        series = source(tmp_path / f"{number}", None, b"\xe4" + letters + b"x")

        for path, _ in objects(series, tmp_path):
            assert padded(b"\xe4" + letters + b"x") in path.read_bytes()


@pytest.mark.parametrize("file", get_charset_files("chr[AFGHIJKRX]*.dcm"), ids=lambda f: f.rsplit("/", 1)[-1])
def test_names_that_other_programs_wrote_are_understood(tmp_path, file):
    other = pydicom.dcmread(file)
    name, content = str(other.PatientName), pydicom.dcmread(file).get_item("PatientName").value
    term = "\\".join(other["SpecificCharacterSet"].value) if other["SpecificCharacterSet"].VM > 1 else None
    series = source(tmp_path / "in", term or str(other.SpecificCharacterSet), content.rstrip())

    for _, dataset in objects(series, tmp_path):
        assert {text.rstrip("=") for text in texts(dataset)} == {name}


@pytest.mark.parametrize(("case", "name"), [("cs_ir100", "Müller^Jürgen"), ("cs_iso2022_100", "Müller^Jürgen")])
def test_declared_sets_from_the_field(real_data, tmp_path, case, name):
    series = Series.read([real_data / "field_cases" / "dicom" / case])
    meaning = str(pydicom.dcmread(series.instances[0].path).ProcedureCodeSequence[0].CodeMeaning)

    for path, dataset in objects(series, tmp_path, "Müller^Eva"):
        assert str(dataset.PatientName) == name
        assert dataset.ProcedureCodeSequence[0].CodeMeaning == meaning
        assert dciodvfy_errors(path) == []
    assert series.warnings == ()


@pytest.mark.parametrize("case", ["cs_none_gbk", "cs_none_utf8", "cs_none_latin1", "cs_wrongterm", "cs_jis87"])
def test_undeclared_unknown_and_violated_sets_from_the_field(real_data, tmp_path, case):
    series = Series.read([real_data / "field_cases" / "dicom" / case])
    there = pydicom.dcmread(series.instances[0].path)
    name, term = there.get_item("PatientName").value, there.get_item("SpecificCharacterSet")

    for path, _ in objects(series, tmp_path, "Müller^Eva"):
        here = pydicom.dcmread(path)
        assert here.get_item("PatientName").value == name
        own = here.get_item("SpecificCharacterSet")
        assert (own and own.value) == (term and term.value)
    assert "byte for byte" in series.warnings[0]
