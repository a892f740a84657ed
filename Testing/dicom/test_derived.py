"""What instances derived from a series carry over of it."""

import factories
import numpy as np
import pydicom
import pytest
from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map, get_sop_class_iod_map

from NativeDLLib.dicom.seg import Algorithm, make_segmentation
from NativeDLLib.dicom.valid import ATTRIBUTES
from NativeDLLib.registry.load import make_model
from NativeDLLib.source import Series
from NativeDLLib.source.header import IMAGE_CLASSES


@pytest.mark.parametrize("module", ATTRIBUTES)
def test_a_module_has_the_attributes_that_the_standard_lists(module):
    listed = [row["keyword"] for row in get_module_attribute_map()[module] if not row["path"]]

    assert ATTRIBUTES[module].split() == listed


@pytest.mark.parametrize("sop_class", sorted(IMAGE_CLASSES))
def test_every_kind_of_image_has_these_modules_of_patient_and_study(sop_class):
    modules = get_iod_module_map()[get_sop_class_iod_map()[sop_class]]

    assert [row["key"] for row in modules if row["ie"] in ("Patient", "Study")] == list(ATTRIBUTES)


def seg_of(folder, edit, serial="0123"):
    factories.ct_series(folder / "series", edit=edit)
    series = Series.read([folder / "series"])
    segments = make_model(factories.entry(), folder / "registry.json").segments
    labels = np.ones((6, 32, 40), np.uint8)
    algorithm = Algorithm("bright", "1.2.3", "Bright", "Registry", serial)
    make_segmentation(series, labels, segments, algorithm).save_as(folder / "seg.dcm", enforce_file_format=True)
    return pydicom.dcmread(folder / "seg.dcm")


def test_what_is_known_of_patient_and_trial_is_carried_over_and_nothing_of_the_scan(tmp_path):
    def edit(dataset, _):
        dataset.PatientWeight, dataset.ClinicalTrialSponsorName, dataset.ClinicalTrialProtocolID = "70.50", "S", "T1"
        dataset.ClinicalTrialSubjectID, dataset.KVP, dataset.InstitutionName = "7", "120", "Clinic"

    seg = seg_of(tmp_path, edit)

    assert (seg.PatientWeight, seg.ClinicalTrialProtocolID, seg.ClinicalTrialSubjectID) == (70.5, "T1", "7")
    assert "KVP" not in seg
    assert "InstitutionName" not in seg


def test_the_scanner_is_named_where_the_header_names_it(tmp_path):
    def edit(dataset, _):
        dataset.Manufacturer, dataset.StationName, dataset.AcquisitionDateTime = "Maker", "CT7", "20250102101112.5"

    scanner = seg_of(tmp_path, edit).ContributingEquipmentSequence[0]

    assert (scanner.Manufacturer, scanner.StationName) == ("Maker", "CT7")
    assert scanner.ContributionDateTime == "20250102101112.5"
    assert scanner.PurposeOfReferenceCodeSequence[0].CodeMeaning == "Acquisition Equipment"


def test_a_scanner_that_is_not_named_is_left_out(tmp_path):
    equipment = seg_of(tmp_path, lambda ds, _: setattr(ds, "Manufacturer", "")).ContributingEquipmentSequence

    assert [item.Manufacturer for item in equipment] == ["NativeDL", "Highdicom open-source contributors"]


def test_of_a_scanner_nothing_is_said_that_is_not_valid(tmp_path):
    def edit(dataset, _):
        dataset.Manufacturer, dataset.StationName = "Maker", "longer than a short string"

    scanner = seg_of(tmp_path, edit).ContributingEquipmentSequence[0]

    assert scanner.Manufacturer == "Maker"
    assert "StationName" not in scanner


def test_a_loss_of_the_source_is_a_loss_of_what_is_derived_from_it(tmp_path):
    def edit(dataset, _):
        dataset.LossyImageCompression, dataset.LossyImageCompressionRatio = "01", "7.5"
        dataset.LossyImageCompressionMethod = "ISO_15444_1"

    seg = seg_of(tmp_path, edit)

    assert (seg.LossyImageCompression, seg.LossyImageCompressionRatio) == ("01", 7.5)
    assert seg.LossyImageCompressionMethod == "ISO_15444_1"


@pytest.mark.parametrize("serial", ["x" * 65, "a\\b"])
def test_a_text_that_is_no_long_string_is_refused(tmp_path, serial):
    with pytest.raises(ValueError, match="is longer than 64 characters or has a backslash"):
        seg_of(tmp_path, None, serial)
