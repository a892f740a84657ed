"""The state that postprocessing steps change, and the sequence of the steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Array, box_of, in_threads
from NativeDLLib.postprocess.steps import STEPS, function_of
from NativeDLLib.registry.entry import PostprocessingStep, Segment
from NativeDLLib.registry.parameters import Value, resolve


@dataclass
class State:
    """A segmentation on its way from the network's classes to the segments of the result."""

    image: sitk.Image  # voxels that were segmented, in place in the patient; HU for CT
    labels: Array  # (z, y, x) on the grid of `image`: classes of the network, uint16, later Segment Numbers
    segments: tuple[Segment, ...]  # segments of the registry entry, by their numbers
    only_found: bool = False  # whether the result has no segments but those that were found
    levels: str = ""  # origin of the levels of vertebrae: ``sacrum``, ``ribs``, ``numbered``; empty for other models
    merged: list[int] = field(default_factory=list)  # labels of segments that may hold several structures
    remarks: list[str] = field(default_factory=list)  # warnings for the user

    @cached_property
    def inside(self) -> Array:
        """The part of `labels` that holds all segments, as a view; no step on Segment Numbers goes beyond it."""
        box = box_of(self.labels > 0)
        return self.labels if box is None else self.labels[box]

    def label_map(self) -> sitk.Image:
        """Return the labels as an image in place in the patient."""
        result = sitk.GetImageFromArray(self.labels)
        result.CopyInformation(self.image)
        return result


def postprocess(state: State, steps: Sequence[PostprocessingStep], parameters: Mapping[str, Value]) -> None:
    """Change a state with the network's classes by the steps of a registry entry, to one with Segment Numbers. The
    steps are in an order that `check_steps` has found right; their settings may refer to parameters.
    """
    first = [step for step in steps if STEPS[step.step].on_classes]
    for step in first:
        _run(step, state, parameters)
    largest = max(int(state.labels.max()), *(segment.label for segment in state.segments))
    _renumber(state, {segment.label: segment.number for segment in state.segments}, largest)
    for step in steps[len(first) :]:
        _run(step, state, parameters)
    if state.only_found:
        _leave_out_absent(state)


def _run(step: PostprocessingStep, state: State, parameters: Mapping[str, Value]) -> None:
    if resolve(step.enabled, parameters):
        settings = {name: resolve(setting, parameters) for name, setting in step.settings.items()}
        function_of(step.step)(state, **settings)


def _leave_out_absent(state: State) -> None:
    """Leave only the segments that were found, numbered from 1; all of them where none was."""
    size = len(state.segments) + 1
    counts = in_threads(lambda plane: np.bincount(plane.ravel(), minlength=size), state.labels)
    voxels = np.sum(counts, axis=0)
    found = [segment for segment in state.segments if voxels[segment.number]]
    if not found:
        return
    _renumber(state, {segment.number: number for number, segment in enumerate(found, 1)}, size)
    state.segments = tuple(replace(segment, number=number) for number, segment in enumerate(found, 1))


def _renumber(state: State, numbers: Mapping[int, int], largest: int) -> None:
    """Give labels, of which none is above `largest`, other numbers; those without one become 0."""
    table = np.zeros(largest + 1, np.uint8 if len(state.segments) <= 255 else np.uint16)
    table[list(numbers)] = list(numbers.values())
    before, state.labels = state.labels, np.empty(state.labels.shape, table.dtype)
    in_threads(lambda z: np.take(table, before[z], out=state.labels[z], mode="clip"), range(len(before)))
