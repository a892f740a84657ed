"""What a series must say about itself before a result can refer to it, and what no message says about the patient."""

import dataclasses

import factories
import pydicom
import pytest
from pydicom.uid import MRImageStorage, PositronEmissionTomographyImageStorage, generate_uid

from NativeDLLib.core.errors import InputError
from NativeDLLib.source import Series

NAME, IDENTIFIER = "Mustermann^Erika", "MRN-QX47"


def one(keyword, value, which=2):
    """Return an edit that changes one slice, or with `which` None all, of a patient with a name."""

    def edit(dataset, index):
        dataset.PatientName, dataset.PatientID = NAME, IDENTIFIER
        if which in (None, index):
            setattr(dataset, keyword, value)

    return edit


def refusal(folder, edit):
    files = factories.ct_series(folder, edit=edit)
    with pytest.raises(InputError) as caught:
        Series.read([folder])
    message = str(caught.value)
    assert "Mustermann" not in message
    assert "QX4" not in message
    return message, files


def test_the_real_series_without_identifiers_is_refused_with_what_is_missing(real_data):
    folder = real_data / "stripped_ct_dicom"

    with pytest.raises(InputError) as caught:
        Series.read([folder])

    message = str(caught.value)
    assert (
        "has no SOPClassUID, SOPInstanceUID, StudyInstanceUID, SeriesInstanceUID (PatientID and PatientName empty too)"
        in message
    )
    assert f"series without UID ({folder})" in message
    assert "restore them from the archive or the de-identification key" in message


@pytest.mark.parametrize(
    "keyword", ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"]
)
@pytest.mark.parametrize("value", [None, ""])
def test_a_series_without_an_identifier_is_refused(tmp_path, keyword, value):
    message, files = refusal(tmp_path, one(keyword, value, which=None))

    assert f"{files[0].name} has no {keyword}; a DICOM SEG must refer to them" in message


@pytest.mark.parametrize("uid", ["1.2.x", "1..2", "9" * 70, "not a uid"])
@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"])
def test_an_identifier_that_is_none_is_refused(tmp_path, keyword, uid):
    message, files = refusal(tmp_path, one(keyword, uid, which=None))

    assert message == f"{files[0]}: {keyword} '{uid}' is not a valid UID"


def test_an_invalid_instance_uid_is_refused_with_its_file(tmp_path):
    message, files = refusal(tmp_path, one("SOPInstanceUID", "1.2.x"))

    assert message == f"{files[2]}: SOPInstanceUID '1.2.x' is not a valid UID"


@pytest.mark.parametrize(("keyword", "value"), [("PatientID", "MRN-QX48"), ("PatientName", "Mustermann^Otto")])
def test_mixed_patients_are_refused_without_saying_who_they_are(tmp_path, keyword, value):
    message, _ = refusal(tmp_path, one(keyword, value))

    assert f"{keyword} is not the same in all 6 instances: 2 different values" in message


@pytest.mark.parametrize("name", [f"{NAME}^^^", f"{NAME}^", f"{NAME} ", f"{NAME}=", f"{NAME}^=^"])
def test_a_name_with_empty_components_at_its_end_is_the_same_patient(tmp_path, name):
    factories.ct_series(tmp_path, edit=one("PatientName", name))

    assert len(Series.read([tmp_path]).instances) == 6


@pytest.mark.parametrize("name", ["Mustermann^Erika^^Dr", "Mustermann", "Mustermann^=Erika", "^Mustermann^Erika"])
def test_a_name_with_other_components_is_another_patient(tmp_path, name):
    message, _ = refusal(tmp_path, one("PatientName", name))

    assert "PatientName is not the same in all 6 instances" in message


def test_a_patient_from_the_field_is_one(real_data):
    assert len(Series.read([real_data / "field_cases" / "dicom" / "pntrail"]).instances) == 6


@pytest.mark.parametrize("keyword", ["StudyInstanceUID", "FrameOfReferenceUID"])
def test_mixed_studies_and_frames_of_reference_are_refused(tmp_path, keyword):
    other = generate_uid()

    message, _ = refusal(tmp_path, one(keyword, other))

    assert f"{keyword} is not the same in all 6 instances: " in message
    assert f"'{other}' in 1" in message


def test_mixed_classes_are_refused(tmp_path):
    message, _ = refusal(tmp_path, one("SOPClassUID", PositronEmissionTomographyImageStorage))

    assert "SOPClassUID is not the same in all 6 instances: '1.2.840.10008.5.1.4.1.1.2' in 5" in message


def test_mixed_modalities_are_refused(tmp_path):
    message, _ = refusal(tmp_path, one("Modality", "MR"))

    assert "Modality is not the same in all 6 instances: 'CT' in 5, 'MR' in 1" in message


@pytest.mark.parametrize(
    ("keyword", "value", "wrong"),
    [
        ("Modality", "", "has no Modality"),
        ("Rows", None, "Rows is missing or 0"),
        ("Columns", 0, "Columns is missing or 0"),
        ("PhotometricInterpretation", None, "is not a grey-scale image, but of unknown colours"),
        ("PhotometricInterpretation", "PALETTE COLOR", "is not a grey-scale image, but PALETTE COLOR"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, keyword, value, wrong):
    message, files = refusal(tmp_path, one(keyword, value, which=None))

    assert message == f"{files[0]}: {wrong}"


@pytest.mark.parametrize("value", [None, ""])
def test_a_patient_without_id_can_be_segmented(tmp_path, value):
    factories.ct_series(tmp_path, edit=one("PatientID", value, which=None))

    assert len(Series.read([tmp_path]).instances) == 6


def test_files_whose_class_only_their_header_tells_are_refused_by_name(tmp_path):
    files = factories.ct_series(tmp_path, edit=lambda ds, i: delattr(ds, "ImagePositionPatient"))
    for file in files:
        dataset = pydicom.dcmread(file)
        del dataset.SOPClassUID
        dataset.save_as(file, enforce_file_format=False)

    with pytest.raises(InputError, match=f"{files[0].name} has no SOPClassUID"):
        Series.read([tmp_path])


def test_instances_of_a_class_that_is_no_image_are_refused(tmp_path):
    factories.ct_series(tmp_path, edit=one("SOPClassUID", MRImageStorage, which=None))
    instances = Series.read([tmp_path]).instances
    for instance in instances:
        instance.dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.11"

    with pytest.raises(InputError, match="is not a CT, MR or PET image"):
        Series.of([dataclasses.replace(instance) for instance in instances])


def test_a_uid_with_leading_zeros_is_taken_as_scanners_write_it(tmp_path):
    def edit(dataset, index):
        dataset.SOPInstanceUID = f"1.2.840.113704.1.111.{index:03d}.7"

    series = Series.read(factories.ct_series(tmp_path, edit=edit))

    assert series.instances[0].text("SOPInstanceUID").endswith(".000.7")
