"""What the header of a source may look like, and what of it a SEG carries; dciodvfy judges that it is valid."""

import factories
import numpy as np
import pydicom
import pytest
from pydicom.data import get_charset_files
from tools import dciodvfy_errors

from NativeDLLib.dicom.seg import Algorithm, make_segmentation
from NativeDLLib.registry.load import make_model
from NativeDLLib.source import Series

TYPE_2 = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber")


def setting(**attributes):
    def edit(dataset, _):
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)

    return edit


def seg_of(folder, *, edit=None, title="Bright block", name="Liver", kind="BINARY"):
    """Make a series, segment it, write the SEG and read it back."""
    factories.ct_series(folder / "series", edit=edit)
    series = Series.read([folder / "series"])
    entry = factories.entry()
    entry["output"]["segments"][0]["name"] = name
    segments = make_model(entry, folder / "registry.json").segments
    labels = np.zeros((6, 32, 40), np.uint8)
    labels[2:4, 10:20, 10:20] = 1
    algorithm = Algorithm("bright", "1.2.3", title, "Registry", "0123", {"step": "0.5"})
    make_segmentation(series, labels, segments, algorithm, kind=kind).save_as(
        folder / "seg.dcm", enforce_file_format=True
    )
    return pydicom.dcmread(folder / "seg.dcm")


def test_an_ordinary_seg_is_valid(tmp_path):
    seg_of(tmp_path)

    assert dciodvfy_errors(tmp_path / "seg.dcm") == []


def test_a_seg_of_a_real_series_is_valid(real_data, tmp_path):
    series = Series.read([real_data / "upper_abdomen_ct_dicom"])
    labels = np.zeros(series.grid.size[::-1], np.uint8)
    labels[5:9, 200:220, 200:230] = 1
    segments = make_model(factories.entry(), tmp_path / "registry.json").segments

    seg = make_segmentation(series, labels, segments, Algorithm("bright", "1.2.3", "Bright", "Registry", "0123"))
    seg.save_as(tmp_path / "seg.dcm", enforce_file_format=True)

    assert dciodvfy_errors(tmp_path / "seg.dcm") == []


@pytest.mark.parametrize("keyword", [*TYPE_2, "StudyID", "ReferringPhysicianName"])
@pytest.mark.parametrize("state", ["absent", "empty"])
def test_what_must_be_there_and_may_be_empty_is_there(tmp_path, keyword, state):
    def edit(dataset, _):
        setattr(dataset, keyword, None)
        if state == "absent":
            delattr(dataset, keyword)

    seg = seg_of(tmp_path, edit=edit)

    assert seg[keyword].is_empty
    assert dciodvfy_errors(tmp_path / "seg.dcm") == []


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("PatientSex", "W"),
        ("PatientSex", "male"),
        ("PatientSex", ["M", "F"]),
        ("PatientBirthDate", "01.02.1970"),
        ("PatientBirthDate", "19701332"),
        ("PatientBirthDate", "unknown"),
        ("StudyDate", "20260102-20260103"),
        ("StudyTime", "25:99"),
        ("StudyTime", "noon"),
    ],
)
def test_a_sex_date_or_time_that_dicom_does_not_have_is_left_empty(tmp_path, keyword, value):
    def edit(dataset, _):
        # Straight into the element, past pydicom's own checks, as other writers do.
        setattr(dataset, keyword, "")
        dataset[keyword]._value = value

    seg = seg_of(tmp_path, edit=edit)

    assert seg[keyword].is_empty
    assert dciodvfy_errors(tmp_path / "seg.dcm") == []


def test_a_value_of_a_kind_that_dicom_does_not_have_is_left_empty(tmp_path):
    files = factories.ct_series(tmp_path, edit=setting(ReferringPhysicianName="House^Gregory"))
    for file in files:
        content = file.read_bytes()
        file.write_bytes(content.replace(b"\x08\x00\x90\x00PN", b"\x08\x00\x90\x00Pq"))
    series = Series.read([tmp_path])
    labels = (factories.block() > 100).astype(np.uint8)
    segments = make_model(factories.entry(), tmp_path / "registry.json").segments

    seg = make_segmentation(series, labels, segments, Algorithm("bright", "1.2.3", "Bright", "Registry", "0123"))

    assert seg["ReferringPhysicianName"].is_empty


@pytest.mark.parametrize("kind", ["BINARY", "LABELMAP"])
@pytest.mark.parametrize("file", get_charset_files("chr[AFGHIJKRX]*.dcm"), ids=lambda f: f.rsplit("/", 1)[-1])
def test_names_in_every_character_set_survive(tmp_path, file, kind):
    source = pydicom.dcmread(file)
    charset, name = source.SpecificCharacterSet, source.PatientName
    assert not str(name).isascii()

    seg = seg_of(tmp_path, edit=setting(SpecificCharacterSet=charset, PatientName=str(name)), kind=kind)

    assert str(seg.PatientName) == str(name)


def test_text_of_the_registry_that_the_source_could_not_write_makes_it_utf_8(tmp_path):
    seg = seg_of(tmp_path, edit=setting(PatientName="Äneas^Rüdiger"), title="肝臓とŽlutá játra", name="肝臓")

    assert seg.SpecificCharacterSet == "ISO_IR 192"
    assert str(seg.PatientName) == "Äneas^Rüdiger"
    assert seg.SeriesDescription == seg.ContentDescription == "肝臓とŽlutá játra"
    assert seg.SegmentSequence[0].SegmentLabel == "肝臓"


def test_the_character_set_of_the_source_is_kept_where_it_holds_everything(tmp_path):
    seg = seg_of(tmp_path, edit=setting(PatientName="Äneas^Rüdiger"))

    assert seg.SpecificCharacterSet == "ISO_IR 100"
    assert str(seg.PatientName) == "Äneas^Rüdiger"


@pytest.mark.parametrize("charset", ["ISO_IR 999", "latin", ["", "KANJI"], None, ""])
def test_an_unknown_character_set_stands_in_nobodys_way(tmp_path, charset):
    seg = seg_of(tmp_path, edit=setting(SpecificCharacterSet=charset, PatientName="Test^Patient"))

    assert str(seg.PatientName) == "Test^Patient"
    assert dciodvfy_errors(tmp_path / "seg.dcm") == []


@pytest.mark.parametrize("charset", ["ISO_IR 999", None])
def test_letters_of_an_unknown_character_set_stand_in_nobodys_way(tmp_path, charset):
    seg = seg_of(tmp_path, edit=setting(SpecificCharacterSet=charset, PatientName=b"\xc4neas^R\xfc"))

    assert "neas^R" in str(seg.PatientName)


@pytest.mark.parametrize("title", ["x" * 64, "肝" * 64], ids=["ASCII", "UTF-8"])
def test_the_longest_title_fits(tmp_path, title):
    seg = seg_of(tmp_path, title=title, name=title)

    assert seg.SeriesDescription == seg.ContentDescription == seg.SegmentSequence[0].SegmentLabel == title
    # dciodvfy counts bytes where the standard counts characters.
    assert dciodvfy_errors(tmp_path / "seg.dcm") == [] or not title.isascii()


def test_a_title_that_is_too_long_is_cut(tmp_path):
    seg = seg_of(tmp_path, title="y" * 500)

    assert seg.SeriesDescription == seg.ContentDescription == "y" * 64
    assert dciodvfy_errors(tmp_path / "seg.dcm") == []


def test_very_long_text_of_the_source_is_carried_as_it_is(tmp_path):
    seg = seg_of(tmp_path, edit=setting(StudyDescription="z" * 300, AccessionNumber="1" * 40))

    assert seg.StudyDescription == "z" * 300
    assert seg.AccessionNumber == "1" * 40
