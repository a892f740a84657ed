"""Attributes of the modules that derived instances take from an image (PS3.3 C.7.1 and C.7.2).

highdicom knows them too, but reads 22 MB of tables for them, which takes longer than all the rest of a SEG.
"""

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
PATIENT_AND_STUDY = ("patient", "clinical-trial-subject", "general-study", "patient-study", "clinical-trial-study")
