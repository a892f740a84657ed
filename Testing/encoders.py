"""Compressing test images: with pydicom where it can, else with GDCM."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import UID, HTJ2KLossless, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

# A ramp of 16 rows x 20 columns, as OpenJPH codes it in 16 bits without a sign: no encoder here makes this syntax.
RAMP = 900 + 3 * np.arange(16)[:, None] + 5 * np.arange(20)
HTJ2K_RAMP = (
    "/0//UQApQAAAAAAUAAAAEAAAAAAAAAAAAAAAFAAAABAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQkJCQkJCQ"
    "iIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAHUAAf+TwAAmh/gFB3QAwAASgKQBB3QAwAARwAATAABjALb9AAI0AMAAEcAAEwAB4wBa"
    "9Qp3VADAABUQAAVAlIj+0X7LdQBMkuJGSey2AMAAKuAAFYAAAADv4Kenp0J4AAQA4P6Avde/dey5AP/Z"
)


def compress(path: Path, syntax: UID) -> None:
    """Compress the pixel data of a DICOM file without loss."""
    if syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path)
    elif syntax == HTJ2KLossless:
        _put_ramp(path)
    else:
        _compress_with_gdcm(path, syntax)


def _put_ramp(path: Path) -> None:
    dataset = pydicom.dcmread(path)
    assert np.array_equal(dataset.pixel_array, RAMP)
    dataset.PixelData = encapsulate([base64.b64decode(HTJ2K_RAMP)])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = HTJ2KLossless
    dataset.save_as(path)


def _compress_with_gdcm(path: Path, syntax: UID) -> None:
    import gdcm

    known = gdcm.TransferSyntax
    wanted = {JPEGLosslessSV1: known.JPEGLosslessProcess14_1}
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(known(wanted[syntax]))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
