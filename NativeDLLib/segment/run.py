"""One segmentation, from a request to the files of its result."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import SimpleITK as sitk

from NativeDLLib.core.memory import memory_limit
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.device import check_device, is_server
from NativeDLLib.inference.engine import import_ahead
from NativeDLLib.registry import effective, find_model, load_models, rank, select
from NativeDLLib.registry.weights import check_there
from NativeDLLib.results.folder import ResultFolder
from NativeDLLib.results.names import LABELS, PREVIEW, RUN, SEG, SLICER, STRUCTURES
from NativeDLLib.results.report import Report, ReportedSeries
from NativeDLLib.segment.remote import segment_remotely
from NativeDLLib.segment.request import Request
from NativeDLLib.segment.result import SegmentationResult
from NativeDLLib.segment.tool import SegmentationTool
from NativeDLLib.source import Series
from NativeDLLib.volumes import write_image, write_seg_nrrd
from NativeDLLib.volumes.preview import write_preview


def run_request(request: Request, progress: Progress) -> Report:
    """Segment one series or image, write the result, send its DICOM objects.

    Returns
    -------
    Report
        The report, as it is written to ``report.json``.

    Raises
    ------
    NativeDLError
        With the exit code that says of what kind it is. Unless it is a `PacsError` after the segmentation, nothing
        has been written.
    """
    machine = request.machine
    check_device(machine.device)
    folder = ResultFolder(request.destination, RUN, progress)
    models = load_models()
    if request.model != "auto" and not is_server(machine.device):
        named = find_model(models, request.model)
        check_there(named)
        effective(named, *request.parameters)
        import_ahead(named, machine.device)
    opened = request.where.open(progress, models.get(request.model))
    with folder, memory_limit(machine.max_memory, progress), opened as source:
        if is_server(machine.device):
            result, choice = segment_remotely(request, source, progress)
        else:
            model, reasons, warnings = select(models, source, request.model)
            for warning in warnings:
                progress.warn(warning, hint="choose it with --model")
            tool = SegmentationTool(model, machine)
            result = tool.process(source, effective(model, *request.parameters), progress)
            ranking = [candidate.as_json() for candidate in rank(models.values(), source)]
            choice = {"chosen_because": reasons, "ranking": ranking}
        folder.report = _report(request, result, choice)
        _write(request, result, folder, progress)
    return folder.report


def _report(request: Request, result: SegmentationResult, choice: dict[str, Any]) -> Report:
    """Return the report as far as it is known before anything is written."""
    reason = result.no_seg_because(allow_empty=request.keep_empty) or None
    facts = {**result.metadata, **choice, "source": request.where.kinds[0], "no_seg_because": reason}
    report = Report.from_json(facts, check=False)
    report.series = ReportedSeries.of(result.source)
    return report


def _write(request: Request, result: SegmentationResult, folder: ResultFolder, progress: Progress) -> None:
    source, segments, report = result.source, result.segments, folder.report
    has_seg = report.details["no_seg_because"] is None
    if result.is_empty and not has_seg:
        told = f"{result.algorithm.name} found none of its segments: no SEG is written"
        progress.warn(told, hint="--keep-empty stores an empty one")
    with progress.stage("write"), ThreadPoolExecutor() as pool:
        # An image is shared by no two threads: a look at its voxels moves them while another holds it.
        own = [sitk.Image(result.labels) for _ in range(2)]
        others = [
            pool.submit(write_image, own[0], folder.path(LABELS)),
            pool.submit(write_seg_nrrd, folder.path(SLICER), own[1], segments, result.tool_name),
        ]
        is_ct = source.text("Modality") == "CT"
        write_preview(folder.path(PREVIEW), result.image, result.labels, segments, is_ct=is_ct)
        if has_seg:
            (dataset,) = result.to_dicom(kind=request.kind, allow_empty=request.keep_empty, buffered=True)
            report.segmentation = folder.save(SEG, dataset, request.kind)
        if request.structures and isinstance(source, Series) and not result.is_empty:
            from NativeDLLib.regions.structure import whole_structure_set

            values, made_by = sitk.GetArrayViewFromImage(result.labels), result.algorithm
            dataset = whole_structure_set(source, values, segments, made_by, progress, findings=result.quality)
            report.structure_set = folder.save(STRUCTURES, dataset)
        for other in others:
            other.result()
        progress.check()
