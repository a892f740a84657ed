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
from NativeDLLib.core.files import write_json
from NativeDLLib.core.memory import memory_limit
from NativeDLLib.core.progress import Progress
from NativeDLLib.core.versions import versions
from NativeDLLib.dicom.write import save
from NativeDLLib.inference.device import check_device, is_server
from NativeDLLib.inference.engine import import_ahead
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.registry import effective, find_model, load_models, rank, select
from NativeDLLib.registry.weights import check_there
from NativeDLLib.results.automatic import SLICER
from NativeDLLib.results.folder import check_output, costs, send_result, staged, uids_of
from NativeDLLib.segment.machine import Machine
from NativeDLLib.segment.remote import segment_remotely
from NativeDLLib.segment.result import SegmentationResult
from NativeDLLib.segment.tool import SegmentationTool
from NativeDLLib.source import Series
from NativeDLLib.source.where import Where
from NativeDLLib.volumes import write_image, write_seg_nrrd
from NativeDLLib.volumes.preview import write_preview

if TYPE_CHECKING:
    from NativeDLLib.dicom.seg import Kind

SEG, STRUCTURES, LABELS = "segmentation.dcm", "segmentation_rtstruct.dcm", "segmentation.nii.gz"
REPORT = "report.json"
_FILES = (LABELS, SLICER, "preview.png", SEG, STRUCTURES, REPORT)


@dataclass(frozen=True)
class Job:
    """What to do.

    Attributes
    ----------
    where
        Series or image to segment.
    output
        Folder of the result; made when there is one.
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
    target
        Peer to send to.
    overwrite
        Whether results in `output` may be replaced.
    turns
        Files, one of which must be held while the network runs; see `take_turn`.
    """

    where: Where
    output: Path
    model: str = "auto"
    device: str = "auto"
    max_memory: int | None = None
    parameters: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    kind: Kind = "BINARY"
    keep_empty: bool = False
    structures: bool = False
    target: Peer | None = None
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
    models = load_models()
    if job.model != "auto" and not is_server(job.device):
        named = find_model(models, job.model)
        check_there(named)
        effective(named, *job.parameters)
        import_ahead(named, job.device)
    with memory_limit(job.max_memory, progress), job.where.open(progress, models.get(job.model)) as source:
        if is_server(job.device):
            result, choice = segment_remotely(job, source, progress)
        else:
            model, reasons, warnings = select(models, source, job.model)
            for warning in warnings:
                progress.warn(warning, hint="choose it with --model")
            machine = Machine(job.device, job.max_memory, job.turns)
            tool = SegmentationTool(model, machine, job.kind, job.keep_empty)
            result = tool.process(source, effective(model, *job.parameters), progress)
            choice = {
                "chosen_because": reasons,
                "ranking": [candidate.as_json() for candidate in rank(models.values(), source)],
            }
        if result.is_empty and result.no_seg_because:
            told = f"{result.algorithm.name} found none of its segments: no SEG is written"
            progress.warn(told, hint="--keep-empty stores an empty one")
        report = _write(job, result, choice, progress)
    if job.target is not None and report["segmentation"] is not None:
        files = [job.output / name for name in (SEG, STRUCTURES) if name in report["files"]]
        send_result(files, job.output / REPORT, report, job.target, job._started, progress)
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
        "source": job.where.kinds[0],
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
