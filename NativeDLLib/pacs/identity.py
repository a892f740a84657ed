"""The part of an object's header that sending and receiving need."""

from dataclasses import dataclass
from pathlib import Path

from NativeDLLib.core.deflated import beginning
from NativeDLLib.core.errors import InputError


@dataclass(frozen=True)
class Identity:
    """The identity and encoding of one stored object."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    study_uid: str
    series_uid: str


def read_identity(file: Path) -> Identity:
    """Identity of a DICOM file; InputError where it is none, or its meta information names another object."""
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    try:
        with file.open("rb") as stream:
            plain, deflated = beginning(stream)
            tags = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"]
            dataset = dcmread(plain, stop_before_pixels=True, specific_tags=tags)
        meta = dataset.file_meta
        if deflated:
            meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
        own = (str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), str(meta.TransferSyntaxUID))
        header = Identity(*own, *(str(dataset.get(f"{level}InstanceUID", "")) for level in ("Study", "Series")))
        named = (str(meta.MediaStorageSOPClassUID), str(meta.MediaStorageSOPInstanceUID))
    except InvalidDicomError:
        raise InputError(f"{file}: is not a DICOM file") from None
    except AttributeError as error:
        raise InputError(f"{file}: cannot be sent: {error}") from error
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror or error}") from error
    except Exception as error:  # a damaged file can make the parser raise nearly anything
        raise InputError(f"{file}: is damaged: {error}") from error
    if named != (header.sop_class_uid, header.sop_instance_uid):
        raise InputError(f"{file}: its file header names the object {named[1]}, not {header.sop_instance_uid}")
    return header
