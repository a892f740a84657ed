"""A computer that runs ``nativedl serve`` as one more device: the series goes there, the whole result comes back."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from NativeDLLib.core.errors import InputError, ModelError, UsageError
from NativeDLLib.core.files import write_json
from NativeDLLib.core.progress import Progress
from NativeDLLib.results.folder import costs, staged
from NativeDLLib.segment.remote_connection import (
    Upload,
    authorization,
    connect,
    largest_upload,
    receive,
    send,
    while_watching,
)
from NativeDLLib.source import Series
from NativeDLLib.source.source import Source

if TYPE_CHECKING:
    from NativeDLLib.segment.run import Job

_LARGEST_REPORT = 2**24
# What is made of a report here; the rest of it is passed on.
_KEYS = {"device", "model", "outcome", "segmentation", "segments", "stages", "seconds", "peak_mib", "warnings"}


def segment_remotely(job: Job, source: Source, kind: str, names: Sequence[str], progress: Progress) -> dict[str, Any]:
    """Have a server segment a series, and write the result as a run here does.

    Parameters
    ----------
    job
        Its device is the URL of the server, whose token is in the environment variable ``NATIVEDL_TOKEN`` or, by URL,
        in ``~/.nativedl/tokens.json``.
    source
        The series.
    kind
        Where that is from, for the report.
    names
        Files of a result, the report last; nothing else of the answer is written.

    Returns
    -------
    dict
        The report.

    Raises
    ------
    NativeDLError
        As a run here would, and `ModelError` where the server cannot be used.
    """
    if not isinstance(source, Series):
        raise UsageError(
            f"--device {job.device}: a server takes DICOM series; use a device of this computer for --image"
        )
    url, report_name = job.device.rstrip("/"), names[-1]
    files = list(dict.fromkeys(instance.path for instance in source.instances))
    values = {name: value for _, layer in job.parameters for name, value in layer.items()}
    wanted = {
        "model": job.model,
        "segmentation": job.kind,
        "rtstruct": str(job.structures).lower(),
        "keep-empty": str(job.keep_empty).lower(),
        "set": [f"{name}={value}" for name, value in values.items()],
        "format": "zip",
    }
    with staged(job.output, names) as partial:
        there = _segment(url, files, wanted, partial, names, progress)
        if (there.get("series") or {}).get("series_instance_uid") != source.uid:
            raise ModelError(f"{url} sent the result of another series; nothing of it was kept")
        for note in there["warnings"]:
            progress.warn(str(note))
        report = {
            **there,
            "device": f"{url} ({there['device']})",
            "remote": {"url": url, "stages": there["stages"], "seconds": there["seconds"]},
            "source": kind,
            "files": {
                name: str(job.output / name) for name in names if name == report_name or (partial / name).exists()
            },
            "warnings": list(progress.warnings),
            "sent": None,
            **costs(job._started, progress),
        }
        write_json(partial / report_name, report)
    return report


def _segment(
    url: str,
    files: Sequence[Path],
    wanted: Mapping[str, Any],
    folder: Path,
    names: Sequence[str],
    progress: Progress,
) -> dict[str, Any]:
    """Have the files segmented, put those of the result into a folder, and return the server's report."""
    headers = authorization(url)
    with connect(url) as connection:
        most = while_watching(progress, connection, lambda: largest_upload(connection, url))
    upload = Upload(files, progress)
    if upload.length > most:
        raise InputError(f"the series has {upload.length >> 20} MiB, but {url} takes {most >> 20} MiB")
    headers |= {"Content-Type": upload.content_type, "Content-Length": str(upload.length)}
    answer = folder / "answer.zip"
    target = "/predict?" + urlencode(wanted, doseq=True)
    with connect(url) as connection:
        with progress.stage("upload"):
            while_watching(progress, connection, lambda: send(connection, target, upload, headers))
        with progress.stage("remote"):
            while_watching(progress, connection, lambda: receive(connection, url, answer))
    try:
        return _unpack(answer, folder, names)
    except (zipfile.BadZipFile, KeyError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{url} sent an answer that is no result of nativedl serve ({type(error).__name__})"
        ) from error
    finally:
        answer.unlink(missing_ok=True)


def _unpack(answer: Path, folder: Path, names: Sequence[str]) -> dict[str, Any]:
    with zipfile.ZipFile(answer) as archive:
        for member in archive.infolist():
            # Stored, never packed: nothing in it can be larger than what came.
            if member.filename in names and member.compress_type == zipfile.ZIP_STORED:
                with archive.open(member) as source, (folder / member.filename).open("wb") as target:
                    shutil.copyfileobj(source, target)
        if archive.getinfo("report.json").file_size > _LARGEST_REPORT:
            raise ValueError
        report = json.loads(archive.read("report.json"))
    if not isinstance(report, dict) or not report.keys() >= _KEYS:
        raise ValueError
    return report
