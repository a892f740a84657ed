"""What each demonstration model is to learn, and the contract between its training and its use."""

from __future__ import annotations

from dataclasses import dataclass

from NativeDLLib.registry.entry import InputContract

SPACING_MM = 3.0
"""Spacing of the models' input along every axis; its axes are (z, y, x) of an image in LPS orientation."""


@dataclass(frozen=True)
class Task:
    """One structure to segment.

    Attributes
    ----------
    name
        The structure.
    file_name
        The exported model.
    torso_labels, phantom_labels
        The labels of the structure in the torso CT and in `NativeDLLib.demo.phantom`.
    slices_mask
        The file with the structure's true mask in ``liver_spine_ct_dicom``.
    clip, mean, std
        Input contract: ``(clip(HU) - mean) / std``.
    patch
        Patch size (z, y, x) in voxels; smaller volumes are padded with the normalised lower clip.
    mirror
        Whether left and right may be swapped in training: true for symmetric structures only.
    """

    name: str
    file_name: str
    torso_labels: tuple[int, ...]
    phantom_labels: tuple[int, ...]
    slices_mask: str
    clip: tuple[float, float]
    mean: float
    std: float
    patch: tuple[int, int, int] = (48, 96, 96)
    mirror: bool = False

    @property
    def contract(self) -> InputContract:
        """The input contract as the registry states it."""
        return InputContract(
            modality="CT",
            body_parts=(),
            keywords=(),
            channels=("CT",),
            orientation="LPS",
            spacing=(SPACING_MM, SPACING_MM, SPACING_MM),
            clip=self.clip,
            normalization={"mean": self.mean, "std": self.std},
            patch_size=self.patch,
        )


LIVER = Task(
    name="liver",
    file_name="liver-ct-demo.onnx",
    torso_labels=(5,),
    phantom_labels=(1,),
    slices_mask="liver_seg.nrrd",
    clip=(-200, 300),
    mean=50,
    std=100,
)
VERTEBRAE = Task(
    name="vertebra",
    file_name="vertebra-ct-demo.pt2",
    torso_labels=tuple(range(27, 34)),  # L5 to L1, T12, T11; S1 belongs to the sacrum
    phantom_labels=(2,),
    slices_mask="spine_seg.nrrd",
    clip=(-200, 1000),
    mean=150,
    std=250,
    mirror=True,
)
TASKS = {task.name: task for task in (LIVER, VERTEBRAE)}
