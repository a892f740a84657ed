"""One segmentation job: where the images come from, which model, where the result goes."""

from __future__ import annotations

import platform
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from NativeDLLib import __version__
from NativeDLLib.dicom import Series
from NativeDLLib.dicom.locate import local_files
from NativeDLLib.dicom.segmentation import Kind
from NativeDLLib.errors import InputError, UsageError
from NativeDLLib.events import Cancel, Reporter
from NativeDLLib.files import write_json
from NativeDLLib.inference.device import check_device, is_server
from NativeDLLib.pacs.delivery import fetch_series
from NativeDLLib.pacs.peers import find_peer, load_peers
from NativeDLLib.pipeline import SegmentationResult, SegmentationTool
from NativeDLLib.preview import write_preview
from NativeDLLib.registry import Model, effective, find_model, load_models, rank, select
from NativeDLLib.remote import segment_remotely
from NativeDLLib.results import check_output, costs, send_result, staged, versions
from NativeDLLib.source import Source
from NativeDLLib.volumes import ImageFile, write_image, write_seg_nrrd

SEG, LABELS, SLICER, REPORT = "segmentation.dcm", "segmentation.nii.gz", "segmentation.seg.nrrd", "report.json"
_FILES = (LABELS, SLICER, "preview.png", SEG, REPORT)


@dataclass(frozen=True)
class Job:
    """What to do.

    Attributes
    ----------
    output
        Folder of the result; made when there is one.
    inputs
        Files and folders to look for the series in; or
    file_list
        A text file that names them, one a line; or
    image
        A volume without DICOM origin, with `modality` where it is not what the model is for; or
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
    file_list: Path | None = None
    image: Path | None = None
    modality: str | None = None
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
    """Segment one series or image, write the results, send the SEG.

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
    check_output(job.output, _FILES, job.overwrite)
    if job.target_peer is not None:
        find_peer(load_peers(job.pacs_file), job.target_peer)
    models = load_models()
    with _source(job, models, reporter, cancel) as source:
        if is_server(job.device):
            kind = next(kind for kind, given in _sources(job).items() if given)
            report = segment_remotely(job, source, kind, _FILES, reporter, cancel)
        else:
            model, reasons, warnings = select(models, source, job.model)
            for warning in warnings:
                reporter.warning(warning)
            tool = SegmentationTool(model, job.device, job.kind, job.keep_empty)
            result = tool.process(source, effective(model, *job.parameters), reporter, cancel)
            if result.is_empty:
                no_seg = ": no SEG is written" if result.no_seg_because else ""
                reporter.warning(f"{model.id} found none of its segments{no_seg}")
            choice = {
                "chosen_because": reasons,
                "ranking": [candidate.as_json() for candidate in rank(models.values(), source)],
            }
            report = _write(job, result, choice, reporter, cancel)
    if job.target_peer is not None and report["segmentation"] is not None:
        files = job.output / SEG, job.output / REPORT
        send_result(*files, report, job.target_peer, job.pacs_file, job._started, reporter, cancel)
    return report


@contextmanager
def _source(job: Job, models: Mapping[str, Model], reporter: Reporter, cancel: Cancel) -> Iterator[Source]:
    """Find what is to be segmented; what comes from a PACS lives only as long as the block."""
    if job.image is not None:
        with reporter.stage("scan"):
            source = _image(job.image, job.modality, find_model(models, job.model))
        yield source
    elif job.source_peer is not None:
        if not job.study or not job.series:
            raise UsageError("--from needs --study and --series (nativedl find lists them)")
        with tempfile.TemporaryDirectory(prefix="nativedl-") as folder:
            with reporter.stage("retrieve"):
                files = fetch_series(
                    job.source_peer, job.pacs_file, job.study, job.series, Path(folder), reporter, cancel
                )
            with reporter.stage("scan"):
                series = Series.read(files, job.series)
            yield series
    else:
        with reporter.stage("scan"):
            paths = local_files(job.inputs, job.file_list, job.database, job.series)
            series = Series.read(paths, job.series)
        yield series


def _image(path: Path, modality: str | None, model: Model) -> ImageFile:
    if modality is not None:
        return ImageFile.read(path, modality)
    taken = f"{path}: does not say its modality; it is taken to be {model.input.modality}, as {model.id} is for that"
    return ImageFile.read(path, model.input.modality, (f"{taken} (--modality)",))


def _write(
    job: Job, result: SegmentationResult, choice: dict[str, Any], reporter: Reporter, cancel: Cancel
) -> dict[str, Any]:
    source, segments, segmentation = result.source, result.model.segments, None
    with staged(job.output, _FILES) as partial:
        with reporter.stage("write"):
            if not result.no_seg_because:
                dataset = result.to_dicom()[0]
                dataset.save_as(partial / SEG, enforce_file_format=True)
                segmentation = {
                    "sop_instance_uid": str(dataset.SOPInstanceUID),
                    "series_instance_uid": str(dataset.SeriesInstanceUID),
                    "type": job.kind,
                }
            write_image(result.labels, partial / LABELS)
            write_seg_nrrd(partial / SLICER, result.labels, segments, result.tool_name)
            is_ct = source.text("Modality") == "CT"
            write_preview(partial / "preview.png", result.image, result.labels, segments, is_ct=is_ct)
            cancel.check()
        report = _report(job, result, choice, segmentation, reporter)
        write_json(partial / REPORT, report)
    return report


def _report(
    job: Job,
    result: SegmentationResult,
    choice: dict[str, Any],
    segmentation: dict[str, Any] | None,
    reporter: Reporter,
) -> dict[str, Any]:
    source = result.source
    return {
        "nativedl": __version__,
        **result.metadata,
        **choice,
        "source": next(kind for kind, given in _sources(job).items() if given),
        "series": {
            "study_instance_uid": source.text("StudyInstanceUID") or None,
            "series_instance_uid": source.text("SeriesInstanceUID") or None,
            "modality": source.text("Modality"),
            "size": source.grid.size,
            "spacing_mm": source.grid.spacing,
        },
        "segmentation": segmentation,
        "no_seg_because": result.no_seg_because or None,
        "files": {name: str(job.output / name) for name in _FILES if name != SEG or segmentation is not None},
        "warnings": list(reporter.warnings),
        "sent": None,
        "versions": {"python": platform.python_version(), **versions()},
        **costs(job._started, reporter),
    }


def _sources(job: Job) -> dict[str, bool]:
    return {
        "input": bool(job.inputs),
        "files": job.file_list is not None,
        "image": job.image is not None,
        "database": job.database is not None,
        "peer": job.source_peer is not None,
    }


def check_inputs(job: Job) -> None:
    """Check that exactly one source is named, and that the rest of the job goes with it.

    Raises
    ------
    UsageError
        Where none or several are, or something was asked for that an image without DICOM origin cannot give.
    InputError
        Where an input does not exist.
    """
    if sum(_sources(job).values()) != 1:
        raise UsageError(
            "name one source: --input PATH..., --files LIST, --image FILE, --database FILE --series UID, or --from PEER"
        )
    for path in job.inputs:
        if not path.exists():
            raise InputError(f"{path}: does not exist")
    if job.image is None:
        if job.modality is not None:
            raise UsageError("--modality is for --image; a DICOM series says its own")
        return
    if job.model == "auto":
        raise UsageError("--image needs --model: without DICOM there is no body part to choose a model by")
    if job.target_peer is not None or job.keep_empty:
        unfit = "--to" if job.target_peer is not None else "--keep-empty"
        raise UsageError(f"{unfit} needs a DICOM series: a SEG must refer to the instances it was made from")
