"""Whether DICOM has an attribute with such a value: what is not valid is not taken over from a source."""

import re
from typing import Any

from pydicom import config
from pydicom.datadict import dictionary_VM, keyword_for_tag
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.valuerep import validate_value

from NativeDLLib.core.uids import is_uid
from NativeDLLib.source.characters import TEXT_VRS

# Attributes of the modules that derived instances take from an image (PS3.3 C.7.1 and C.7.2). highdicom knows them too,
# but reads 22 MB of tables for them, which takes longer than all the rest of a SEG.
ATTRIBUTES = {
    "patient": """
        ReferencedPatientSequence PatientName PatientID IssuerOfPatientID TypeOfPatientID
        IssuerOfPatientIDQualifiersSequence SourcePatientGroupIdentificationSequence
        GroupOfPatientsIdentificationSequence PatientBirthDate PatientBirthTime PatientBirthDateInAlternativeCalendar
        PatientDeathDateInAlternativeCalendar PatientAlternativeCalendar PatientSex QualityControlSubject
        StrainDescription StrainNomenclature StrainStockSequence StrainAdditionalInformation StrainCodeSequence
        GeneticModificationsSequence OtherPatientNames OtherPatientIDsSequence ReferencedPatientPhotoSequence
        EthnicGroupCodeSequence PatientSpeciesDescription PatientSpeciesCodeSequence PatientBreedDescription
        PatientBreedCodeSequence BreedRegistrationSequence ResponsiblePerson ResponsiblePersonRole
        ResponsibleOrganization PatientComments PatientIdentityRemoved DeidentificationMethod
        DeidentificationMethodCodeSequence
    """,
    "clinical-trial-subject": """
        ClinicalTrialSponsorName ClinicalTrialProtocolID ClinicalTrialProtocolName IssuerOfClinicalTrialProtocolID
        OtherClinicalTrialProtocolIDsSequence ClinicalTrialSiteID ClinicalTrialSiteName IssuerOfClinicalTrialSiteID
        ClinicalTrialSubjectID IssuerOfClinicalTrialSubjectID ClinicalTrialSubjectReadingID
        IssuerOfClinicalTrialSubjectReadingID ClinicalTrialProtocolEthicsCommitteeName
        ClinicalTrialProtocolEthicsCommitteeApprovalNumber
    """,
    "general-study": """
        StudyDate StudyTime AccessionNumber IssuerOfAccessionNumberSequence ReferringPhysicianName
        ReferringPhysicianIdentificationSequence ConsultingPhysicianName ConsultingPhysicianIdentificationSequence
        StudyDescription ProcedureCodeSequence PhysiciansOfRecord PhysiciansOfRecordIdentificationSequence
        NameOfPhysiciansReadingStudy PhysiciansReadingStudyIdentificationSequence ReferencedStudySequence
        StudyInstanceUID StudyID RequestingService RequestingServiceCodeSequence
        ReasonForPerformedProcedureCodeSequence
    """,
    "patient-study": """
        AdmittingDiagnosesDescription AdmittingDiagnosesCodeSequence PatientAge PatientSize PatientSizeCodeSequence
        PatientBodyMassIndex MeasuredAPDimension MeasuredLateralDimension PatientWeight MedicalAlerts Allergies
        Occupation SmokingStatus AdditionalPatientHistory PregnancyStatus LastMenstrualDate PatientSexNeutered
        ReasonForVisit ReasonForVisitCodeSequence AdmissionID IssuerOfAdmissionIDSequence ServiceEpisodeID
        ServiceEpisodeDescription IssuerOfServiceEpisodeIDSequence PatientState
    """,
    "clinical-trial-study": """
        ClinicalTrialTimePointID ClinicalTrialTimePointDescription LongitudinalTemporalOffsetFromEvent
        LongitudinalTemporalEventType ClinicalTrialTimePointTypeCodeSequence IssuerOfClinicalTrialTimePointID
        ConsentForClinicalTrialUseSequence
    """,
}
# Enumerated Values (PS3.3 C.7.1.1, C.7.2.2, C.7.6.1.1.5).
_ENUMERATED: dict[str, set[Any]] = {
    "PatientSex": {"M", "F", "O"},
    "PatientSexNeutered": {"ALTERED", "UNALTERED"},
    "PregnancyStatus": {1, 2, 3, 4},
    "SmokingStatus": {"YES", "NO", "UNKNOWN"},
    "QualityControlSubject": {"YES", "NO"},
    "PatientIdentityRemoved": {"YES", "NO"},
    "LossyImageCompression": {"00", "01"},
}
# Attributes that tell whose an object is, and stay as they are: cut, or left out, it would be somebody else's.
IDENTITY = ("PatientName", "PatientID", "AccessionNumber", "StudyID", "StudyDescription", "ReferringPhysicianName")
_DATE_TIME = re.compile(r"[0-9]+(\.[0-9]+)?([+-][0-9]{4})?")
_LAYOUT = {vr: "\r\n\f\t" for vr in ("LT", "ST", "UT")}
_REFERENCE = ("ReferencedSOPClassUID", "ReferencedSOPInstanceUID")
# Attributes of type 1 in the items of sequences (PS3.3 C.7.1 and C.7.2).
_OF_ITEMS = {
    "BreedRegistrationSequence": ("BreedRegistrationNumber", "BreedRegistryCodeSequence"),
    "ConsentForClinicalTrialUseSequence": ("ConsentForDistributionFlag",),
    "GeneticModificationsSequence": ("GeneticModificationsDescription", "GeneticModificationsNomenclature"),
    "GroupOfPatientsIdentificationSequence": ("PatientID",),
    "OtherClinicalTrialProtocolIDsSequence": ("ClinicalTrialProtocolID", "IssuerOfClinicalTrialProtocolID"),
    "OtherPatientIDsSequence": ("PatientID", "TypeOfPatientID"),
    "ReferencedPatientPhotoSequence": ("ReferencedSOPSequence", "TypeOfInstances"),
    "ReferencedPatientSequence": _REFERENCE,
    "ReferencedStudySequence": _REFERENCE,
    "SourcePatientGroupIdentificationSequence": ("PatientID",),
    "StrainStockSequence": ("StrainStockNumber", "StrainSourceRegistryCodeSequence", "StrainSource"),
}
_TRIAL = ("ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialSubjectID")
_PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_SPECIES = "PatientSpeciesDescription"
_BREED = ("PatientBreedDescription", "PatientBreedCodeSequence", "BreedRegistrationSequence")
_STRAIN = (
    "StrainDescription StrainNomenclature StrainStockSequence StrainAdditionalInformation StrainCodeSequence "
    "GeneticModificationsSequence"
)
# Attributes that DICOM has only beside another.
_ONLY_WITH = {
    "PatientBirthDateInAlternativeCalendar": "PatientAlternativeCalendar",
    "PatientDeathDateInAlternativeCalendar": "PatientAlternativeCalendar",
    "ResponsiblePerson": "ResponsiblePersonRole",
    "ResponsiblePersonRole": "ResponsiblePerson",
    **dict.fromkeys((*_BREED, *_STRAIN.split()), _SPECIES),
    "LongitudinalTemporalEventType": "LongitudinalTemporalOffsetFromEvent",
    "LongitudinalTemporalOffsetFromEvent": "LongitudinalTemporalEventType",
    "ClinicalTrialProtocolEthicsCommitteeApprovalNumber": "ClinicalTrialProtocolEthicsCommitteeName",
    **dict.fromkeys(ATTRIBUTES["clinical-trial-subject"].split(), _TRIAL[0]),
}
_ONLY_WITH_EITHER = {
    "PatientIdentityRemoved": ("DeidentificationMethod", "DeidentificationMethodCodeSequence"),
    "PatientAlternativeCalendar": ("PatientBirthDateInAlternativeCalendar", "PatientDeathDateInAlternativeCalendar"),
}
# Attributes of type 2, which must be there and may be empty, beside any of others.
_STUDY = ("StudyDate", "StudyTime", "AccessionNumber", "StudyID", "ReferringPhysicianName")
_ANIMAL = (*_BREED, "ResponsiblePerson", "ResponsibleOrganization", "PatientSexNeutered")
_EVEN_IF_EMPTY = (
    (("StudyInstanceUID",), (*_PATIENT, *_STUDY)),
    (_TRIAL, ("ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName")),
    (ATTRIBUTES["clinical-trial-study"].split(), ("ClinicalTrialTimePointID",)),
    ((_SPECIES, "PatientSpeciesCodeSequence"), _ANIMAL),
)


def settle(dataset: Dataset) -> None:
    """Remove what modules of patient and study have only beside something else, and add what they must have, empty."""
    if not all(needed in dataset for needed in _TRIAL):
        dataset.pop(_TRIAL[0], None)
    while alone := [keyword for keyword, needed in _ONLY_WITH.items() if keyword in dataset and needed not in dataset]:
        for keyword in alone:
            dataset.pop(keyword)
    for keyword, either in _ONLY_WITH_EITHER.items():
        if not any(needed in dataset for needed in either):
            dataset.pop(keyword, None)
    for present, needed in _EVEN_IF_EMPTY:
        if any(keyword in dataset for keyword in present):
            for keyword in needed:
                if keyword not in dataset:
                    setattr(dataset, keyword, None)


def is_valid(element: DataElement) -> bool:
    """Tell whether an element has a value, and one that its attribute may have."""
    if element.is_empty:
        return False
    keyword, values = keyword_for_tag(element.tag), element.value if element.VM > 1 else [element.value]
    if keyword in _ENUMERATED:
        return len(values) == 1 and values[0] in _ENUMERATED[keyword]
    if element.VM > 1 and dictionary_VM(element.tag) == "1":
        return False
    return all(_is_value(element.VR, value) for value in values)


def _is_value(vr: str, value: Any) -> bool:
    if vr == "UI":
        return is_uid(str(value)) and str(value)[0] in "012"
    # A range of dates or times is a key of a query, and no value.
    if (vr in ("DA", "TM") and "-" in str(value)) or (vr == "DT" and not _DATE_TIME.fullmatch(str(value))):
        return False
    if vr in TEXT_VRS and not all(letter.isprintable() or letter in _LAYOUT.get(vr, "") for letter in str(value)):
        return False
    try:
        # Numbers in text remember how they were written.
        written = str(value) if vr == "PN" else getattr(value, "original_string", value)
        validate_value(vr, written, config.RAISE)
    except ValueError:
        return False
    return True


def has_controls(vr: str, content: bytes) -> bool:
    """Tell whether text of any character set has characters that control something, other than a change of the set."""
    allowed = _LAYOUT.get(vr, "") + "\x1b"
    return any(byte < 0x20 and chr(byte) not in allowed for byte in content)


def is_complete(tag: BaseTag, item: Dataset) -> bool:
    """Tell whether an item of a sequence has what it must have."""
    keyword = keyword_for_tag(tag)
    if keyword.endswith("CodeSequence"):
        coded = "CodeValue" in item and "CodingSchemeDesignator" in item
        return "CodeMeaning" in item and (coded or "LongCodeValue" in item or "URNCodeValue" in item)
    if keyword.startswith("IssuerOf"):
        return "LocalNamespaceEntityID" in item or ("UniversalEntityID" in item and "UniversalEntityIDType" in item)
    if keyword.endswith("IdentificationSequence") and "Physician" in keyword:
        at = "InstitutionName" in item or "InstitutionCodeSequence" in item
        return at and "PersonIdentificationCodeSequence" in item
    return bool(item) and all(needed in item for needed in _OF_ITEMS.get(keyword, ()))
