"""Segmentation as a tool, and one run of a tool, from a request to the files of its result."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.device import check_device, is_server
from NativeDLLib.inference.engine import import_ahead
from NativeDLLib.quality.look import parts_seen
from NativeDLLib.registry import Model, effective, find_model, load_models, rank, select
from NativeDLLib.registry.parameters import Value
from NativeDLLib.registry.select import is_unknown
from NativeDLLib.registry.weights import check_there
from NativeDLLib.results.folder import Destination, ResultFolder
from NativeDLLib.results.names import RUN
from NativeDLLib.results.report import Report, ReportedSeries
from NativeDLLib.segment.pipeline import run_pipeline
from NativeDLLib.segment.remote import segment_remotely
from NativeDLLib.segment.result import SegmentationResult
from NativeDLLib.source import Source
from NativeDLLib.source.where import Where
from NativeDLLib.tools.tool import Machine, ProcessingResult, Storage, Verdict, tool_of


@dataclass(frozen=True)
class SegmentationTool:
    """A model of the registry as an `ImageProcessingTool`."""

    model: Model
    machine: Machine
    storage: Storage

    def can_process_image(self, source: Source) -> Verdict:
        """Tell whether the model fits a series, or an image file in place of one."""
        (candidate,) = rank([self.model], source)
        return Verdict(candidate.fits, "; ".join(candidate.reasons))

    def description(self) -> str:
        """Return the model's description."""
        return self.model.description

    def version_id(self) -> str:
        """Return id and version of the model."""
        return self.model.tool_name

    def process(self, source: Source, parameters: Mapping[str, Value], progress: Progress) -> SegmentationResult:
        """Segment a source; see `run_pipeline`."""
        result = run_pipeline(self.model, source, parameters, self.machine, progress)
        return replace(result, storage=self.storage)


@dataclass(frozen=True)
class Request:
    """Request for one segmentation."""

    where: Where
    destination: Destination  # folder of the result, and the peer to send to
    model: str = "auto"  # registry id or ``auto``
    machine: Machine = field(default_factory=Machine)
    # Layers over the entry's defaults: the origin of each, and its values.
    parameters: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    storage: Storage = field(default_factory=Storage)


def run_request(request: Request, progress: Progress) -> Report:
    """Process one series or image by the tool of a model, write the result, send its DICOM objects. Returns the report,
    as it is written to ``report.json``. Unless an error is a `PacsError` after the work, nothing has been written.
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
    with folder, progress.memory_limit(machine.max_memory), opened as source:
        if is_server(machine.device):
            result: ProcessingResult
            result, choice = segment_remotely(request, source, progress)
        else:
            is_open = request.model == "auto" and is_unknown(models.values(), source)
            model, reasons, warnings = select(models, source, request.model, parts_seen(source) if is_open else ())
            for warning in warnings:
                progress.warn(warning, hint="choose it with --model")
            tool = tool_of(model, machine, request.storage)
            result = tool.process(source, effective(model, *request.parameters), progress)
            ranking = [candidate.as_json() for candidate in rank(models.values(), source)]
            choice = {"chosen_because": reasons, "ranking": ranking}
        rows = {**result.metadata, **choice, "source": request.where.kinds[0]}
        folder.report = Report.from_json(rows, check=False)
        folder.report.series = ReportedSeries.of(source)
        with progress.stage("write"):
            result.save(folder, progress)
            progress.check()
    return folder.report
