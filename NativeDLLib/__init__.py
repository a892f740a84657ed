"""NativeDL: from a DICOM series to a DICOM SEG on the PACS by deep learning, inside 3D Slicer and without it."""

__version__ = "0.2.0"
