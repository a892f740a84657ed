"""Segmentation by a model of the registry, as a tool like any other."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from NativeDLLib.core.progress import Progress
from NativeDLLib.registry import Model, rank
from NativeDLLib.registry.parameters import Value
from NativeDLLib.segment.pipeline import run_pipeline
from NativeDLLib.segment.result import SegmentationResult
from NativeDLLib.source import Source
from NativeDLLib.tools.tool import Machine, Storage, Verdict


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
