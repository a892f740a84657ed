"""One segmentation job: where the images come from, which model, where the result goes."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import SimpleITK as sitk

from NativeDLLib import __version__
from NativeDLLib.core.errors import InputError, UsageError
from NativeDLLib.core.files import write_json
from NativeDLLib.core.memory import memory_limit
from NativeDLLib.core.progress import Progress
from NativeDLLib.core.versions import versions
from NativeDLLib.dicom.write import save
from NativeDLLib.inference.device import check_device, is_server
from NativeDLLib.inference.engine import import_ahead
from NativeDLLib.pacs.peers import find_peer, load_peers
from NativeDLLib.registry import effective, load_models, rank, select
from NativeDLLib.results.folder import check_output, costs, send_result, staged, uids_of
from NativeDLLib.segment.open_source import open_source
from NativeDLLib.segment.pipeline import SegmentationTool
from NativeDLLib.segment.remote import segment_remotely
from NativeDLLib.segment.result import SegmentationResult
from NativeDLLib.source import Series
from NativeDLLib.volumes import write_image, write_seg_nrrd
from NativeDLLib.volumes.preview import write_preview

if TYPE_CHECKING:
    from NativeDLLib.dicom.seg import Kind

SEG, STRUCTURES, LABELS = "segmentation.dcm", "segmentation_rtstruct.dcm", "segmentation.nii.gz"
SLICER, REPORT = "segmentation.seg.nrrd", "report.json"
_FILES = (LABELS, SLICER, "preview.png", SEG, STRUCTURES, REPORT)


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
    max_memory
        Bytes that this process may have; None for no limit.
    parameters
        Layers of parameters over the entry's defaults: where each comes from, and its values.
    kind
        BINARY or LABELMAP.
    keep_empty
        Whether to store a SEG in which nothing was found.
    structures
        Whether to write an RT Structure Set too, where something was found.
    target_peer
        Name of the peer to send to.
    pacs_file
        Peers, where not the user's own file.
    overwrite
        Whether results in `output` may be replaced.
    turns
        Files, one of which must be held while the network runs; see `take_turn`.
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
    max_memory: int | None = None
    parameters: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    kind: Kind = "BINARY"
    keep_empty: bool = False
    structures: bool = False
    target_peer: str | None = None
    pacs_file: Path | None = None
    overwrite: bool = False
    turns: tuple[Path, ...] = ()
    _started: float = field(default_factory=time.perf_counter)


def run_job(job: Job, progress: Progress) -> dict[str, Any]:
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
    if job.model in models and not is_server(job.device):
        import_ahead(models[job.model], job.device)
    with memory_limit(job.max_memory, progress), open_source(job, models, progress) as source:
        if is_server(job.device):
            result, choice = segment_remotely(job, source, progress)
        else:
            model, reasons, warnings = select(models, source, job.model)
            for warning in warnings:
                progress.warn(warning)
            tool = SegmentationTool(model, job.device, job.kind, job.keep_empty, job.turns, job.max_memory)
            result = tool.process(source, effective(model, *job.parameters), progress)
            choice = {
                "chosen_because": reasons,
                "ranking": [candidate.as_json() for candidate in rank(models.values(), source)],
            }
        if result.is_empty and result.no_seg_because:
            progress.warn(f"{result.algorithm.name} found none of its segments: no SEG is written")
        report = _write(job, result, choice, progress)
    if job.target_peer is not None and report["segmentation"] is not None:
        files = [job.output / name for name in (SEG, STRUCTURES) if name in report["files"]]
        send_result(files, job.output / REPORT, report, job.target_peer, job.pacs_file, job._started, progress)
    return report


def _write(job: Job, result: SegmentationResult, choice: dict[str, Any], progress: Progress) -> dict[str, Any]:
    source, segments = result.source, result.segments
    segmentation: dict[str, str] | None = None
    structures: dict[str, str] | None = None
    with staged(job.output, _FILES) as partial:
        with progress.stage("write"), ThreadPoolExecutor() as pool:
            # An image is shared by no two threads: a look at its voxels moves them while another holds it.
            own = [sitk.Image(result.labels) for _ in range(2)]
            others = [
                pool.submit(write_image, own[0], partial / LABELS),
                pool.submit(write_seg_nrrd, partial / SLICER, own[1], segments, result.tool_name),
            ]
            is_ct = source.text("Modality") == "CT"
            write_preview(partial / "preview.png", result.image, result.labels, segments, is_ct=is_ct)
            if not result.no_seg_because:
                dataset = result.to_dicom(buffered=True)[0]
                save(dataset, partial / SEG)
                segmentation = uids_of(dataset) | {"type": job.kind}
            if job.structures and isinstance(source, Series) and not result.is_empty:
                from NativeDLLib.regions.structure import whole_structure_set

                values = sitk.GetArrayViewFromImage(result.labels)
                dataset = whole_structure_set(
                    source, values, segments, result.algorithm, progress, findings=result.quality
                )
                save(dataset, partial / STRUCTURES)
                structures = uids_of(dataset)
            for other in others:
                other.result()
            progress.check()
        stored = {"segmentation": segmentation, "structure_set": structures}
        report = _report(job, result, choice, stored, progress)
        write_json(partial / REPORT, report)
    return report


def _report(
    job: Job,
    result: SegmentationResult,
    choice: dict[str, Any],
    stored: dict[str, Any],
    progress: Progress,
) -> dict[str, Any]:
    source = result.source
    absent = [name for name, kind in ((SEG, "segmentation"), (STRUCTURES, "structure_set")) if stored[kind] is None]
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
        **stored,
        "no_seg_because": result.no_seg_because or None,
        "files": {name: str(job.output / name) for name in _FILES if name not in absent},
        "warnings": list(progress.warnings),
        "sent": None,
        "versions": {"python": platform.python_version(), **versions()},
        **costs(job._started, progress),
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
    options = {"--to": job.target_peer is not None, "--keep-empty": job.keep_empty, "--format": job.structures}
    for unfit in (name for name, given in options.items() if given):
        raise UsageError(f"{unfit} needs a DICOM series: a SEG must refer to the instances it was made from")
