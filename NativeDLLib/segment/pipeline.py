"""Source in, result out: the one place where the sequence of stages is written down."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import SimpleITK as sitk

from NativeDLLib.core.locking import take_turn
from NativeDLLib.core.progress import Progress, Stopwatch
from NativeDLLib.dicom.derived import Algorithm
from NativeDLLib.inference.device import give_back_memory
from NativeDLLib.inference.engine import import_ahead, load_engine
from NativeDLLib.inference.memory_estimate import check_memory, check_reading
from NativeDLLib.inference.sliding_window import sliding_window
from NativeDLLib.postprocess.state import State, postprocess
from NativeDLLib.quality.gates import examine
from NativeDLLib.registry import Model, rank
from NativeDLLib.registry.parameters import Value, resolve
from NativeDLLib.registry.weights import Weights
from NativeDLLib.segment.coarse import find_box
from NativeDLLib.segment.measure import measure
from NativeDLLib.segment.result import SegmentationResult
from NativeDLLib.segment.tool import Verdict
from NativeDLLib.source.source import Source

if TYPE_CHECKING:
    from NativeDLLib.dicom.seg import Kind


@dataclass(frozen=True)
class SegmentationTool:
    """A model of the registry as an `ImageProcessingTool`.

    Attributes
    ----------
    turns
        Files, one of which is held while the network runs; see `take_turn`.
    max_memory
        Bytes of main memory that this process may have; None for no limit.
    """

    model: Model
    device: str = "auto"
    kind: Kind = "BINARY"
    allow_empty: bool = False
    turns: tuple[Path, ...] = ()
    max_memory: int | None = None

    def can_process_image(self, series: Source) -> Verdict:
        """Tell whether the model fits a series, or an image file in place of one."""
        (candidate,) = rank([self.model], series)
        return Verdict(candidate.fits, "; ".join(candidate.reasons))

    def description(self) -> str:
        """Return the model's description."""
        return self.model.description

    def version_id(self) -> str:
        """Return id and version of the model."""
        return self.model.tool_name

    def process(self, series: Source, parameters: Mapping[str, Value], progress: Progress) -> SegmentationResult:
        """Segment a series.

        Parameters
        ----------
        series
            The source, which may also be an image file.
        parameters
            Effective parameters, as `registry.effective` returns them.
        progress
            Told of the stages, and looked at between slices and patches.

        Raises
        ------
        InputError
            Where pixel data cannot be read, or the run needs more memory than it may have.
        ModelError
            Where the weights, the runtime or the device cannot be used.
        CancelledError
            Where the work was cancelled.
        """
        model = self.model
        import_ahead(model, self.device)
        check_reading(series, self.max_memory)
        with progress.stage("read"):
            image, notes = series.image(progress)
        for note in [*series.warnings, *notes]:
            progress.warn(note)
        box = find_box(self, series, image, parameters, progress)
        with ExitStack() as turn:
            if self.turns:
                with progress.stage("wait"):
                    turn.enter_context(take_turn(self.turns, progress))
            classes, device, digest = self._infer(box.cut(image), parameters, progress)
        state = State(image, box.put_back(classes), model.segments)
        del classes
        progress.check()
        with progress.stage("postprocess"):
            postprocess(state, model.postprocessing, parameters)
            for remark in [*state.remarks, *box.remarks_on(state.levels)]:
                progress.warn(remark)
            model, labels = replace(model, segments=state.segments), series.image_of(state.labels)
            measured = measure(image, labels, model.segments, "hu" if series.text("Modality") == "CT" else "value")
            volumes_ml = [row["volume_ml"] for row in measured]
            quality = examine(series, image, labels, model.segments, volumes_ml)
            quality += box.cut_segments(labels, model.segments)
        for finding in quality:
            progress.warn(finding.message)
        facts: dict[str, Any] = {
            "model": {"id": model.id, "version": model.version, "runtime": model.runtime},
            "weights_sha256": digest,
            "device": device,
            "parameters": dict(parameters),
        }
        facts |= {"levels": state.levels} if state.levels else {}
        facts |= {"coarse": box.coarse} if box.coarse else {}
        texts = {name: str(value) for name, value in parameters.items()} | {"device": device, **box.parameters}
        made_by = f"NativeDL registry ({model.runtime})"
        return SegmentationResult(
            source=series,
            image=image,
            labels=labels,
            segments=model.segments,
            measured=measured,
            quality=quality,
            algorithm=Algorithm(model.id, model.version, model.title, made_by, digest[:16], texts),
            facts=facts,
            kind=self.kind,
            allow_empty=self.allow_empty,
        )

    def _infer(
        self, image: sitk.Image, parameters: Mapping[str, Value], progress: Progress
    ) -> tuple[npt.NDArray[np.uint16], str, str]:
        """Return the network's labels (z, y, x) on the grid of the image, the device in words, the weights' digest.

        The network and its memory on the device are free for the next job when this returns.
        """
        model = self.model
        with progress.stage("load"):
            weights = Weights(model)
            engine, digest = load_engine(model, weights, self.device), weights.digest
        for note in engine.warnings:
            progress.warn(note)
        check_memory(image, model, engine, parameters, self.max_memory, progress)
        progress.check()
        with progress.stage("preprocess"):
            prepared = engine.prepare(image)
        progress.check()
        with progress.stage("infer"):
            settings = model.sliding_window
            mirror = resolve(settings.get("mirror", engine.mirrors_by_default), parameters)
            skips = prepared.body is not None and resolve(settings.get("skip_air", True), parameters)
            around = prepared.body is not None and resolve(settings.get("around_body", False), parameters)
            planes = sliding_window(
                prepared.volume,
                engine.networks,
                engine.patch_size,
                step=float(resolve(settings.get("step", 0.5), parameters)),
                mirror_axes=engine.mirror_axes if mirror else (),
                fill=prepared.fill,
                reflect=prepared.reflect,
                half=engine.half,
                features=engine.head is not None,
                skip=prepared.body.is_air if prepared.body and skips else None,
                within=prepared.body.extent() if prepared.body and around else None,
                progress=progress,
            )
            infer = Stopwatch(planes)
            classes = engine.restore(infer, prepared)
        progress.split_stage("restore", progress.stages[-1].seconds - infer.seconds)
        device = engine.networks[0].device
        del planes, infer, engine
        give_back_memory()
        return classes, device, digest
