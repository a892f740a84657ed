"""A computer that runs ``nativedl serve`` as one more device: the series goes there, label map and report come back.

Only voxels and words of the answer are used. Every file of the result is made here from the series that was sent: no
server decides to which patient, study or place a segmentation belongs.
"""

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import SimpleITK as sitk
from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian

from NativeDLLib.core.errors import InputError, ModelError, UsageError
from NativeDLLib.core.files import scratch
from NativeDLLib.core.progress import Progress
from NativeDLLib.core.zip_check import check_zip
from NativeDLLib.inference.memory_estimate import check_reading
from NativeDLLib.quality.gates import measure
from NativeDLLib.results.names import LABELS, REPORT, SEG
from NativeDLLib.results.saved import SavedResult
from NativeDLLib.segment import remote_connection as server
from NativeDLLib.segment.result import SegmentationResult
from NativeDLLib.source import Series, Source
from NativeDLLib.source.header import text

if TYPE_CHECKING:
    from NativeDLLib.segment.run import Request

_FACTS, _RARE = ("weights_sha256", "parameters", "levels", "coarse"), ("levels", "coarse")
_IDENTITY = ("StudyInstanceUID", "FrameOfReferenceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex")
# A SEG leaves these empty where the series has none that is valid.
_MAY_BE_EMPTY = ("PatientBirthDate", "PatientSex")
_LONGEST = 64


class _ForeignError(Exception):
    """The answer is about something else than what was sent."""


def segment_remotely(
    request: "Request", source: Source, progress: Progress
) -> tuple[SegmentationResult, dict[str, Any]]:
    """Result of a server for a series, on its grid, and more rows of the report. These are the choice of the model and
    the server's stages. The request's device is the URL of the server. Its token is in the environment variable
    ``NATIVEDL_TOKEN`` or, by URL, in ``~/.nativedl/tokens.json``. Errors are those of a run here, and `ModelError`
    where the server cannot be used or answers with another result.
    """
    url = request.machine.device.rstrip("/")
    if not isinstance(source, Series):
        raise UsageError(f"{url}: a server takes DICOM series; use a device of this computer for an image file")
    check_reading(source, request.machine.max_memory)
    with progress.stage("read"):
        image, notes = source.image(progress)
    with scratch("nativedl-") as folder:
        answer = folder / "answer.zip"
        _ask(url, request, source, answer, progress)
        try:
            _unpack(answer, folder)
            _check_object(folder / SEG, source)
            found, labels = _read(folder, source)
            there, details = found.report, found.report.details
            facts = {name: details[name] for name in _FACTS if name in details or name not in _RARE}
            facts |= {"model": vars(there.model), "device": f"{url} ({there.device})"}
            more = {name: details[name] for name in ("chosen_because", "ranking")}
            more["remote"] = {"url": url, "stages": [vars(stage) for stage in there.stages], "seconds": there.seconds}
        except _ForeignError as error:
            raise ModelError(f"{url} sent a result of another {error}; nothing of it was kept") from error
        except Exception as error:  # what a server sends can make the parsers raise nearly anything
            raise ModelError(f"{url} sent what is no result for this series ({type(error).__name__})") from error
    for note in [*source.warnings, *notes, *there.warnings]:
        progress.warn(note)
    segments = tuple(segment for segment, _ in found.segments.values())
    measured = measure(source, image, labels, segments)
    made_by, quality = found.algorithm, there.quality
    result = SegmentationResult(source, image, labels, segments, measured, quality, made_by, facts, request.storage)
    return result, more


def _ask(url: str, request: "Request", series: Series, answer: Path, progress: Progress) -> None:
    """Send the files of a series, and write the answer to a file."""
    values = {name: value for _, layer in request.parameters for name, value in layer.items()}
    # The SEG is not used, but it says for which patient the server made it.
    assigned = [f"{name}={value}" for name, value in values.items()]
    wanted = {"model": request.model, "set": assigned, "volume": series.volume, "keep-empty": "true", "format": "zip"}
    headers = server.authorization(url)
    with server.connect(url) as connection:
        most = server.while_watching(progress, connection, lambda: server.largest_upload(connection, url))
    upload = server.Upload(list(dict.fromkeys(instance.path for instance in series.instances)), progress)
    if upload.length > most:
        raise InputError(f"the series has {upload.length >> 20} MiB, but {url} takes {most >> 20} MiB")
    headers |= {"Content-Type": upload.content_type, "Content-Length": str(upload.length)}
    target = "/predict?" + urlencode(wanted, doseq=True)
    with server.connect(url) as connection:
        with progress.stage("upload"):
            server.while_watching(progress, connection, lambda: server.send(connection, target, upload, headers))
        with progress.stage("remote"):
            server.while_watching(progress, connection, lambda: server.receive(connection, url, answer))


def _unpack(answer: Path, folder: Path) -> None:
    with answer.open("rb") as stream:
        check_zip(stream)
        archive = zipfile.ZipFile(stream)
        for member in (archive.getinfo(name) for name in (SEG, LABELS, REPORT)):
            # Stored, never packed: nothing in it can be larger than what came.
            if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 0x1:
                raise ValueError
            archive.extract(member, folder)


def _check_object(path: Path, series: Series) -> None:
    """Check that a SEG is one of the patient, study, frame of reference and instances that were sent."""
    # Deflated, it could grow without limit when it is read.
    if read_file_meta_info(path).TransferSyntaxUID != ExplicitVRLittleEndian:
        raise ValueError
    seg = dcmread(path, stop_before_pixels=True, specific_tags=[*_IDENTITY, "ReferencedSeriesSequence"])
    for keyword in _IDENTITY:
        there, here = (given.strip("^ ") for given in (text(seg, keyword), series.text(keyword)))
        # Letters that not every character set has may be written in another one.
        if there != here and (there + here).isascii() and (there or keyword not in _MAY_BE_EMPTY):
            raise _ForeignError("patient" if keyword.startswith("Patient") else "study or frame of reference")
    sent = {instance.text("SOPInstanceUID") for instance in series.instances}
    for row in seg.ReferencedSeriesSequence:
        named = {str(reference.ReferencedSOPInstanceUID) for reference in row.ReferencedInstanceSequence}
        if row.SeriesInstanceUID != series.uid or not named <= sent:
            raise _ForeignError("series")


def _read(folder: Path, series: Series) -> tuple[SavedResult, sitk.Image]:
    """Read report and label map, held against each other and against the series."""
    found = SavedResult.read(folder, automatic=True)
    if found.series.series_instance_uid != series.uid:
        raise _ForeignError("series")
    labels, algorithm = found.labels(series), found.algorithm
    names = [segment.name for segment, _ in found.segments.values()]
    texts = [algorithm.name, algorithm.version, algorithm.title, algorithm.source, algorithm.serial, *names]
    if not all(part.isprintable() and len(part) <= _LONGEST and "\\" not in part for part in texts):
        raise ValueError
    if list(found.segments) != list(range(1, len(names) + 1)) or not 0 <= labels.min() <= labels.max() <= len(names):
        raise ValueError
    return found, series.grid.image_of(labels)
