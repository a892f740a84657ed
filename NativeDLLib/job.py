"""One segmentation job: where the series comes from, which model, where the result goes."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from NativeDLLib import __version__
from NativeDLLib.dicom import Series
from NativeDLLib.dicom.database import series_files
from NativeDLLib.dicom.segmentation import Kind
from NativeDLLib.errors import InputError, NativeDLError, PacsError, UsageError
from NativeDLLib.events import Cancel, Reporter
from NativeDLLib.files import sync, write_json
from NativeDLLib.inference.device import check_device
from NativeDLLib.pacs.delivery import deliver, fetch_series
from NativeDLLib.pacs.peers import find_peer, load_peers
from NativeDLLib.pipeline import SegmentationResult, SegmentationTool
from NativeDLLib.preview import write_preview
from NativeDLLib.registry import effective, load_models, rank, select

_SEG, _NIFTI, _PREVIEW, _REPORT = "segmentation.dcm", "segmentation.nii.gz", "preview.png", "report.json"
_PACKAGES = ("numpy", "pydicom", "highdicom", "SimpleITK", "torch", "onnxruntime", "nnunetv2")


@dataclass(frozen=True)
class Job:
    """What to do.

    Attributes
    ----------
    output
        Folder of the result; made when there is one.
    inputs
        Files and folders to look for the series in; or
    database
        Slicer's ``ctkDICOM.sql``, with `series`; or
    source_peer
        Name of a peer, with `study` and `series`.
    model, device
        Registry id or ``auto``; device as in `check_device`.
    parameters
        Layers of parameters over the entry's defaults: where each comes from, and its values.
    kind
        BINARY or LABELMAP.
    keep_empty
        Whether to store a SEG in which nothing was found.
    target_peer
        Name of the peer to send to.
    pacs_file
        Peers, where not the user's own file.
    overwrite
        Whether results in `output` may be replaced.
    """

    output: Path
    inputs: tuple[Path, ...] = ()
    database: Path | None = None
    source_peer: str | None = None
    study: str | None = None
    series: str | None = None
    model: str = "auto"
    device: str = "auto"
    parameters: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    kind: Kind = "BINARY"
    keep_empty: bool = False
    target_peer: str | None = None
    pacs_file: Path | None = None
    overwrite: bool = False
    _started: float = field(default_factory=time.perf_counter)


def run_job(job: Job, reporter: Reporter, cancel: Cancel) -> dict[str, Any]:
    """Segment one series, write the results, send the SEG.

    Returns
    -------
    dict
        The report, as it is written to ``report.json``.

    Raises
    ------
    NativeDLError
        With the exit code that says of what kind it is. Unless it is a `PacsError` after the segmentation, nothing
        has been written.
    """
    check_device(job.device)
    _check_output(job)
    if job.target_peer is not None:
        find_peer(load_peers(job.pacs_file), job.target_peer)
    models = load_models()
    with _series(job, reporter, cancel) as series:
        model, reasons, warnings = select(models, series, job.model)
        for warning in warnings:
            reporter.warning(warning)
        tool = SegmentationTool(model, job.device, job.kind, job.keep_empty)
        result = tool.process(series, effective(model, *job.parameters), reporter, cancel)
        if result.is_empty:
            reporter.warning(
                f"{model.id} found none of its segments" + ("" if job.keep_empty else ": no SEG is written")
            )
        choice = {
            "chosen_because": reasons,
            "ranking": [candidate.as_json() for candidate in rank(models.values(), series)],
        }
        report = _write(job, result, choice, reporter, cancel)
    if job.target_peer is not None and report["segmentation"] is not None:
        _send(job, job.target_peer, report, reporter, cancel)
    return report


@contextmanager
def _series(job: Job, reporter: Reporter, cancel: Cancel) -> Iterator[Series]:
    """Find the series; what comes from a PACS lives only as long as the block."""
    if job.source_peer is not None:
        if not job.study or not job.series:
            raise UsageError("--from needs --study and --series (nativedl find lists them)")
        with tempfile.TemporaryDirectory(prefix="nativedl-") as folder:
            with reporter.stage("retrieve"):
                files = fetch_series(
                    job.source_peer, job.pacs_file, job.study, job.series, Path(folder), reporter, cancel
                )
            yield _scan(tuple(files), job.series, reporter)
    elif job.database is not None:
        if not job.series:
            raise UsageError("--database needs --series")
        yield _scan(tuple(series_files(job.database, job.series)), job.series, reporter)
    else:
        yield _scan(job.inputs, job.series, reporter)


def _scan(paths: tuple[Path, ...], uid: str | None, reporter: Reporter) -> Series:
    with reporter.stage("scan"):
        return Series.read(paths, uid)


def _check_output(job: Job) -> None:
    if job.output.exists() and not job.output.is_dir():
        raise UsageError(f"{job.output}: is a file; --output names a folder")
    there = [name for name in (_SEG, _NIFTI, _PREVIEW, _REPORT) if (job.output / name).exists()]
    if there and not job.overwrite:
        raise UsageError(f"{job.output}: already holds {', '.join(there)}; choose another folder or give --overwrite")


def _write(
    job: Job, result: SegmentationResult, choice: dict[str, Any], reporter: Reporter, cancel: Cancel
) -> dict[str, Any]:
    """Write everything to a folder beside the output and move it in when it is complete."""
    series, names = result.series, [_NIFTI, _PREVIEW]
    segmentation = None
    job.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".nativedl-", dir=job.output.parent) as folder:
        partial = Path(folder)
        with reporter.stage("write"):
            if not result.is_empty or result.allow_empty:
                dataset = result.to_dicom()[0]
                dataset.save_as(partial / _SEG, enforce_file_format=True)
                names.append(_SEG)
                segmentation = {
                    "sop_instance_uid": str(dataset.SOPInstanceUID),
                    "series_instance_uid": str(dataset.SeriesInstanceUID),
                    "type": job.kind,
                }
            _write_nifti(result.labels, partial / _NIFTI)
            is_ct = series.text("Modality") == "CT"
            write_preview(partial / _PREVIEW, result.image, result.labels, result.model.segments, is_ct=is_ct)
            cancel.check()
        report = _report(job, result, choice, segmentation, reporter)
        write_json(partial / _REPORT, report)
        names.append(_REPORT)
        for name in names:
            sync(partial / name)
        job.output.mkdir(exist_ok=True)
        for name in names:
            os.replace(partial / name, job.output / name)
        if segmentation is None:
            (job.output / _SEG).unlink(missing_ok=True)
    return report


def _write_nifti(labels: sitk.Image, path: Path) -> None:
    try:
        sitk.WriteImage(labels, str(path), useCompression=True)
    # SimpleITK knows no other exception, and puts the source line of its own code first.
    except RuntimeError as error:
        raise NativeDLError(f"{path}: cannot be written ({str(error).strip().splitlines()[-1]})") from error


def _send(job: Job, peer: str, report: dict[str, Any], reporter: Reporter, cancel: Cancel) -> None:
    report["sent"] = {"peer": peer, "delivered": False}
    try:
        with reporter.stage("send"):
            deliver([job.output / _SEG], peer, job.pacs_file, reporter, cancel)
        report["sent"]["delivered"] = True
    except PacsError as error:
        report["sent"]["reason"] = str(error)
        raise PacsError(f"{error} The result is in {job.output}.") from error
    finally:
        report |= _costs(job, reporter)
        write_json(job.output / _REPORT, report)


def _report(
    job: Job,
    result: SegmentationResult,
    choice: dict[str, Any],
    segmentation: dict[str, Any] | None,
    reporter: Reporter,
) -> dict[str, Any]:
    series = result.series
    files = [_NIFTI, _PREVIEW, _REPORT] if segmentation is None else [_SEG, _NIFTI, _PREVIEW, _REPORT]
    return {
        "nativedl": __version__,
        **result.metadata,
        **choice,
        "series": {
            "study_instance_uid": series.text("StudyInstanceUID"),
            "series_instance_uid": series.uid,
            "modality": series.text("Modality"),
            "size": series.grid.size,
            "spacing_mm": series.grid.spacing,
        },
        "segmentation": segmentation,
        "files": {name: str(job.output / name) for name in files},
        "warnings": list(reporter.warnings),
        "sent": None,
        "versions": {"python": platform.python_version(), **_versions()},
        **_costs(job, reporter),
    }


def _costs(job: Job, reporter: Reporter) -> dict[str, Any]:
    stages = [
        {"name": s.name, "seconds": round(s.seconds, 3), "peak_mib": round(s.peak_mib, 1)} for s in reporter.stages
    ]
    peak = max((s.peak_mib for s in reporter.stages), default=0.0)
    seconds = round(time.perf_counter() - job._started, 3)
    return {"stages": stages, "seconds": seconds, "peak_mib": round(peak, 1)}


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def check_inputs(job: Job) -> None:
    """Check that exactly one source is named.

    Raises
    ------
    UsageError
        Where none or several are.
    InputError
        Where an input does not exist.
    """
    sources = [bool(job.inputs), job.database is not None, job.source_peer is not None]
    if sum(sources) != 1:
        raise UsageError("name one source: --input PATH..., --database FILE --series UID, or --from PEER")
    for path in job.inputs:
        if not path.exists():
            raise InputError(f"{path}: does not exist")
