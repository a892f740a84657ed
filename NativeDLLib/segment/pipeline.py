"""The sequence of stages from a source to its segmentation; nothing else stands here."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import SimpleITK as sitk

from NativeDLLib.core.arrays import Labels
from NativeDLLib.core.locking import take_turn
from NativeDLLib.core.progress import Busy, Progress, StageCost
from NativeDLLib.dicom.provenance import Algorithm
from NativeDLLib.inference.device import give_back_memory
from NativeDLLib.inference.engine import import_ahead, load_engine, window_settings
from NativeDLLib.inference.memory_estimate import check_memory, check_reading
from NativeDLLib.inference.sliding_window import sliding_window
from NativeDLLib.postprocess.state import State, postprocess
from NativeDLLib.quality.gates import examine, measure
from NativeDLLib.quality.levels import certain_levels
from NativeDLLib.registry import Model, effective
from NativeDLLib.registry.parameters import Value
from NativeDLLib.registry.weights import Weights
from NativeDLLib.segment.coarse import find_box
from NativeDLLib.segment.result import SegmentationResult
from NativeDLLib.source import Source
from NativeDLLib.tools.tool import Machine


def run_pipeline(
    model: Model, source: Source, parameters: Mapping[str, Value], machine: Machine, progress: Progress
) -> SegmentationResult:
    """Segment a series, or an image file in place of one, with the effective parameters of a model. InputError where
    pixel data cannot be read, or the run needs more memory than it may have. ModelError where the weights, the runtime
    or the device cannot be used.
    """
    import_ahead(model, machine.device)
    check_reading(source, machine.max_memory)
    with progress.stage("read"):
        image, notes = source.image(progress)
    for note in [*source.warnings, *notes]:
        progress.warn(note)
    # A coarse model looks at the whole image, this one only at the box around what that one found.
    box = find_box(model, source.grid, image, parameters, partial(_look, image, machine), progress)
    classes, device, digest = _infer(model, box.cut(image), parameters, machine, progress)
    # Steps may need what surrounds the box.
    state = State(image, box.put_back(classes), model.segments)
    del classes
    progress.check()
    with progress.stage("postprocess"):
        postprocess(state, model.postprocessing, parameters)
        for remark in [*state.remarks, *box.remarks_on(state.levels)]:
            progress.warn(remark)
        # Of segments that are not there a step may have left none.
        labels = source.grid.image_of(state.labels)
        segments, quality = certain_levels(labels, state.segments, state.merged)
        measured = measure(source, image, labels, segments)
        quality += examine(source, image, labels, segments, [row["volume_ml"] for row in measured])
        quality += box.cut_segments(labels, segments)
    for finding in quality:
        progress.warn(finding.message)
    facts: dict[str, Any] = {
        "model": model.origin,
        "weights_sha256": digest,
        "device": device,
        "parameters": dict(parameters),
        **({"levels": state.levels} if state.levels else {}),
        **({"coarse": box.coarse} if box.coarse else {}),
    }
    # A trainer that somebody has confirmed to leave the plans' network as it is.
    trainer = {"trainer": model.data["trainer"]} if "trainer" in model.data else {}
    texts = {name: str(value) for name, value in parameters.items()} | {"device": device, **box.parameters, **trainer}
    made_by = f"NativeDL registry ({model.runtime})"
    algorithm = Algorithm(model.id, model.version, model.title, made_by, digest[:16], texts)
    return SegmentationResult(source, image, labels, segments, measured, quality, algorithm, facts)


def _look(image: sitk.Image, machine: Machine, model: Model, progress: Progress) -> tuple[State, str, str]:
    """Segments that a coarse model finds in a whole image, the device in words, and the digest of its weights."""
    import_ahead(model, machine.device)
    parameters = effective(model)
    classes, device, digest = _infer(model, image, parameters, machine, progress)
    state = State(image, classes, model.segments)
    del classes
    postprocess(state, model.postprocessing, parameters)
    for remark in state.remarks:
        progress.warn(remark)
    return state, device, digest


def _infer(
    model: Model, image: sitk.Image, parameters: Mapping[str, Value], machine: Machine, progress: Progress
) -> tuple[Labels, str, str]:
    """Classes of the network (z, y, x) on the grid of the image, the device in words, the weights' digest."""
    with take_turn(machine.turns, progress):
        with progress.stage("load"):
            weights = Weights(model)
            engine, digest = load_engine(model, weights, machine.device), weights.digest
        told = [*engine.warnings]
        for note in told:
            progress.warn(note)
        settings = window_settings(model, engine, parameters)
        check_memory(image, model, engine, settings, machine.max_memory, progress)
        progress.check()
        with progress.stage("preprocess"):
            prepared = engine.prepare(image)
        progress.check()
        # Logits are restored to the grid of the image as they come: all at once would take too much memory.
        with progress.stage("infer"):
            window = Busy()
            planes = window.timed(sliding_window(prepared, engine.networks, settings, progress))
            classes = engine.restore(planes, prepared)
        both = progress.stages[-1]
        progress.stages.append(StageCost("restore", both.seconds - window.seconds, both.peak_mib))
        both.seconds = window.seconds
        for note in engine.warnings[len(told) :]:
            progress.warn(note)
        device = engine.networks[0].device
        del planes, engine
        give_back_memory()
    return classes, device, digest
