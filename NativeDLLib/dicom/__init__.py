"""The DICOM objects that results are stored as."""
