"""A CT image as the DICOM series that a scanner would have written: one CT Image Storage instance a slice."""

import datetime
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import DSfloat

from NativeDLLib.core.arrays import Labels
from NativeDLLib.core.errors import InputError

_INTERCEPT = -1024


def write_ct_series(
    image: sitk.Image,
    folder: Path,
    *,
    patient_name: str,
    patient_id: str,
    study_description: str,
    series_description: str,
    body_part: str = "ABDOMEN",
    seed: int | None = None,
) -> list[Path]:
    """Write a CT image in HU as a DICOM series (PS3.3 A.3), explicit VR little endian, one file a slice, in their
    order. The image is three-dimensional, LPS in mm, of any orthonormal direction. The slices of a left-handed one are
    written in falling order, because a series has no other way to say it. Files of the same names are replaced. Without
    `seed` each call gives new UIDs. InputError where the image is not three-dimensional or its values do not fit 16
    bits.
    """
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError("a CT series is made from a three-dimensional image with one value a voxel")
    stored = sitk.GetArrayViewFromImage(image)
    if stored.min() < _INTERCEPT or stored.max() > 65535 + _INTERCEPT:
        raise InputError(f"values from {stored.min()} to {stored.max()} HU do not fit a CT series: clip them first")
    pixels = (np.rint(stored).astype(np.int32) - _INTERCEPT).astype("<u2")
    folder.mkdir(parents=True, exist_ok=True)
    common = _series(image, pixels, seed)
    common.PatientName, common.PatientID = patient_name, patient_id
    common.StudyDescription, common.SeriesDescription = study_description, series_description
    common.BodyPartExamined = body_part
    return [_write_slice(image, pixels[k], k, common, folder, seed) for k in range(len(pixels))]


def _uid(seed: int | None, name: str) -> UID:
    # In pydicom entropy makes a UID repeatable; without any it is drawn from the machine and the moment.
    return generate_uid(entropy_srcs=None if seed is None else ["NativeDL", str(seed), name])


def _series(image: sitk.Image, pixels: Labels, seed: int | None) -> Dataset:
    """Make the attributes that all instances share."""
    now = datetime.datetime(2025, 1, 1, 12) if seed is not None else datetime.datetime.now()
    columns, rows, _ = image.GetSize()
    dx, dy, dz = image.GetSpacing()
    direction = np.array(image.GetDirection()).reshape(3, 3)
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = CTImageStorage
    ds.StudyInstanceUID, ds.SeriesInstanceUID = _uid(seed, "study"), _uid(seed, "series")
    ds.FrameOfReferenceUID = _uid(seed, "frame of reference")
    ds.PositionReferenceIndicator = ""
    for moment in ("Study", "Series", "Acquisition", "Content"):
        setattr(ds, f"{moment}Date", now.strftime("%Y%m%d"))
        setattr(ds, f"{moment}Time", now.strftime("%H%M%S"))
    ds.AccessionNumber = ds.StudyID = "1"
    ds.ReferringPhysicianName = ds.PatientBirthDate = ""
    ds.PatientSex, ds.PatientPosition = "O", "HFS"
    ds.Modality, ds.Manufacturer = "CT", "NativeDL"
    ds.ManufacturerModelName, ds.SoftwareVersions, ds.DeviceSerialNumber = "Phantom", "1", "1"
    ds.SeriesNumber, ds.AcquisitionNumber = 1, 1
    ds.KVP, ds.XRayTubeCurrent, ds.ExposureTime = "120", "200", "500"
    ds.ConvolutionKernel = "STANDARD"
    ds.PixelSpacing = [_ds(dy), _ds(dx)]
    ds.SliceThickness = ds.SpacingBetweenSlices = _ds(dz)
    ds.ImageOrientationPatient = [_ds(v) for v in (*direction[:, 0], *direction[:, 1])]
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    ds.Rows, ds.Columns = rows, columns
    bits = 12 if pixels.max() < 4096 else 16
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, bits, bits - 1
    ds.RescaleSlope, ds.RescaleIntercept, ds.RescaleType = "1", str(_INTERCEPT), "HU"
    ds.WindowCenter, ds.WindowWidth = "50", "400"
    axial = bool(np.abs(direction[2, 2]) > 0.99)
    ds.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"] if axial else ["DERIVED", "SECONDARY", "MPR"]
    return ds


def _write_slice(image: sitk.Image, pixels: Labels, k: int, common: Dataset, folder: Path, seed: int | None) -> Path:
    path = folder / f"CT{k + 1:04d}.dcm"
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = _uid(seed, f"instance {k}")
    ds = FileDataset(str(path), dict(common.items()), file_meta=meta, preamble=b"\0" * 128)
    ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    ds.InstanceNumber = k + 1
    ds.ImagePositionPatient = [_ds(v) for v in image.TransformIndexToPhysicalPoint((0, 0, k))]
    ds.PixelData = pixels.tobytes()
    ds.save_as(path, enforce_file_format=True)
    return path


def _ds(value: float) -> DSfloat:
    return DSfloat(float(value), auto_format=True)  # at most the 16 characters of a decimal string
