"""Compressing test images: with pydicom where it can, else with GDCM."""

from __future__ import annotations

from pathlib import Path

import pydicom
from pydicom.uid import UID, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless


def compress(path: Path, syntax: UID) -> None:
    """Compress the pixel data of a DICOM file without loss."""
    if syntax in (RLELossless, JPEG2000Lossless):
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax, generate_instance_uid=False)
        dataset.save_as(path)
    else:
        _compress_with_gdcm(path, syntax)


def _compress_with_gdcm(path: Path, syntax: UID) -> None:
    import gdcm

    known = gdcm.TransferSyntax
    wanted = {JPEGLSLossless: known.JPEGLSLossless, JPEGLosslessSV1: known.JPEGLosslessProcess14_1}
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
