"""File names of a result; the report is written last."""

# A run.
LABELS, SLICER, PREVIEW = "segmentation.nii.gz", "segmentation.seg.nrrd", "preview.png"
SEG, STRUCTURES, REPORT = "segmentation.dcm", "segmentation_rtstruct.dcm", "report.json"
# The one DICOM object of a tool that makes no segmentation.
OBJECT = "result.dcm"
RUN = (LABELS, SLICER, PREVIEW, SEG, STRUCTURES, OBJECT, REPORT)
# An approval of a run.
APPROVED, APPROVED_STRUCTURES, APPROVED_REPORT = "approved.dcm", "approved_rtstruct.dcm", "approved.json"
APPROVAL = (APPROVED, APPROVED_STRUCTURES, APPROVED_REPORT)
# Validated regions.
RTSTRUCT, RTSTRUCT_REPORT = "rtstruct.dcm", "rtstruct.json"
EXPORT = (RTSTRUCT, RTSTRUCT_REPORT)
