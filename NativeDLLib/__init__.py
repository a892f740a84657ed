"""NativeDL: from a DICOM series to a DICOM SEG on the PACS by deep learning, inside 3D Slicer and without it."""

import os

__version__ = "0.2.0"

# ONNX Runtime reports its use to its makers, and reads this when it is imported. Nothing leaves a hospital by default.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
