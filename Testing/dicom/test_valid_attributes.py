"""Attributes of a source with values that DICOM does not have make no object of ours invalid; dciodvfy is the judge."""

import factories
import numpy as np
import pydicom
import pytest
from drawing import ALGORITHM, LIVER
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from tools import dciodvfy_errors

from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.seg import make_segmentation
from NativeDLLib.dicom.valid import ATTRIBUTES, IDENTITY
from NativeDLLib.regions.structure import whole_structure_set
from NativeDLLib.source import Series

OTHERS = """
    LossyImageCompression LossyImageCompressionRatio LossyImageCompressionMethod PositionReferenceIndicator Manufacturer
    ManufacturerModelName InstitutionName InstitutionAddress StationName DeviceSerialNumber SoftwareVersions
    AcquisitionDateTime InstitutionalDepartmentName SliceThickness
"""
KEYWORDS = [
    keyword
    for keyword in " ".join([*ATTRIBUTES.values(), OTHERS]).split()
    # What tells whose it is stays as it is, and without the others there is no series.
    if keyword not in (*IDENTITY, "StudyInstanceUID")
]
PLAIN = [keyword for keyword in KEYWORDS if dictionary_VR(Tag(keyword)) != "SQ"]
SEQUENCES = [keyword for keyword in KEYWORDS if dictionary_VR(Tag(keyword)) == "SQ"]
JUNK = [
    b"", b" ", b"far too long for anything " + b"#" * 200, b"1\\2\\3", b"\x01\x02", b"70,5", b"70 kg",
    b"unknown", b"YES", b"line\nbreak ", b"-5", b"99999999", b"12:30:00", b"25:61:00", b"1.2.x", b"01", b"Doe^Jane",
    b"20200101", b"20260102-20260103", b"12", b"M ", b"1970.01.01",
]  # fmt: skip
# Newer than the judge.
UNKNOWN = ("not a recognized standard attribute - (0x0012,", "Coding Scheme")


def put(dataset, keyword, value):
    tag = Tag(keyword)
    vr = dictionary_VR(tag).split(" or ")[0]
    dataset[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


@pytest.fixture
def series(tmp_path):
    return Series.read(factories.ct_series(tmp_path / "series"))


def errors(series, folder):
    """Errors of dciodvfy in a SEG and in a structure set of the series."""
    labels = (factories.block() > 100).astype(np.uint8)
    made = {
        "SEG": make_segmentation(series, labels, [LIVER], ALGORITHM),
        "RTSTRUCT": whole_structure_set(series, labels, [LIVER], ALGORITHM, Progress()),
    }
    found = []
    for name, dataset in made.items():
        dataset.save_as(folder / name, enforce_file_format=True)
        found += [e for e in dciodvfy_errors(folder / name) if not any(known in e for known in UNKNOWN)]
    return found


@pytest.mark.parametrize("junk", JUNK, ids=repr)
def test_values_that_dicom_does_not_have_are_not_taken_over(series, tmp_path, junk):
    for keyword in PLAIN:
        put(series.instances[0].dataset, keyword, junk)

    assert errors(series, tmp_path) == []


@pytest.mark.campaign
@pytest.mark.parametrize("keyword", PLAIN)
def test_an_attribute_alone_with_any_value_makes_nothing_invalid(series, tmp_path, keyword):
    for junk in JUNK:
        put(series.instances[0].dataset, keyword, junk)

        assert errors(series, tmp_path) == [], junk


@pytest.mark.parametrize("junk", [None, *JUNK[2:12]], ids=repr)
def test_items_of_sequences_that_lack_what_they_need_are_not_taken_over(series, tmp_path, junk):
    for keyword in SEQUENCES:
        item, inner = Dataset(), Dataset()
        if junk is not None:
            for needed in ("CodeMeaning", "CodeValue", "PatientID", "ReferencedSOPClassUID", "UniversalEntityIDType"):
                put(item, needed, junk)
            put(inner, "CodeMeaning", junk)
            item.PersonIdentificationCodeSequence = [inner]
        setattr(series.instances[0].dataset, keyword, [item])

    assert errors(series, tmp_path) == []


def test_items_that_have_what_they_need_are_taken_over(series, tmp_path):
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "X1", "99L", "Liver protocol"
    series.instances[0].dataset.ProcedureCodeSequence = [Dataset(), code]

    assert errors(series, tmp_path) == []
    (taken,) = pydicom.dcmread(tmp_path / "SEG").ProcedureCodeSequence
    assert taken == code


@pytest.mark.parametrize(
    ("case", "left_out"),
    [
        ("weightcomma", "PatientWeight"),
        ("weightkg", "PatientWeight"),
        ("birthtime", "PatientBirthTime"),
        ("lastmens", "LastMenstrualDate"),
        ("pregnancy", "PregnancyStatus"),
        ("lossyempty", None),
        ("thickneg", None),
    ],
)
def test_cases_from_the_field(real_data, tmp_path, case, left_out):
    assert errors(Series.read([real_data / "field_cases" / "dicom" / case]), tmp_path) == []
    seg = pydicom.dcmread(tmp_path / "SEG")
    assert left_out is None or left_out not in seg
    assert seg.LossyImageCompression == "00"
    assert seg.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness == 2
