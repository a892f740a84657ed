"""nnU-Net results folders (Isensee et al., Nature Methods 2021): its plans, its preprocessing, its export; our windows.

The trainer class that a checkpoint names is never imported: the plans describe the network well enough.
"""

import contextlib
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.arrays import Floats, Labels, box_of
from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference import nnunet_files as files
from NativeDLLib.inference.cpu_backend import fastest
from NativeDLLib.inference.device import torch_device
from NativeDLLib.inference.label_maker import Head, LabelMaker
from NativeDLLib.inference.network import ArrayOrTensor, Network, require, silent, to_numpy
from NativeDLLib.inference.nnunet_resample import axes_back, is_separable, resample_by_splines
from NativeDLLib.inference.preprocess import Body, Prepared, empty, turned_back
from NativeDLLib.inference.torch_runtime import TorchNetwork
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.weights import Weights, models_folder

_CERTAIN = 1e4  # a logit that no network gives
# Plans are free-form JSON: a missing or misplaced key surfaces as any of these inside nnU-Net.
_FAULTS = (LookupError, TypeError, ValueError, AttributeError, RuntimeError, AssertionError, ImportError)


@dataclass
class NnunetEngine:
    """A results folder behind the interface of `Engine`."""

    plans: Any
    configuration: Any  # of the checkpoints
    dataset: dict[str, Any]  # content of ``dataset.json``
    networks: Sequence[Network]
    head: Head | None
    patch_size: tuple[int, ...]
    mirror_axes: tuple[int, ...]
    orientation: str | None  # of the training images; None for images as they are stored
    is_ct: bool
    is_streamed: bool  # whether the engine's own preprocessing and way back give what nnU-Net's do
    warnings: Sequence[str]
    mirrors_by_default: bool = True
    half: bool = True

    def prepare(self, image: sitk.Image) -> Prepared:
        """Crop, normalise and resample as nnU-Net does; see `Engine`."""
        oriented = sitk.DICOMOrient(image, self.orientation) if self.orientation else image
        properties: dict[str, Any] = {"spacing": [float(s) for s in oriented.GetSpacing()[::-1]]}
        data = sitk.GetArrayViewFromImage(oriented).astype(np.float32)[None]
        box = box_of(data[0]) if self.is_streamed else None
        with _quiet():
            from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

            preprocessor, body = DefaultPreprocessor(verbose=False), None
            if box is not None:
                volume, body = self._preprocess(preprocessor, data, box, properties)
            else:
                made = self.plans, self.configuration, self.dataset
                volume, _, properties = preprocessor.run_case_npy(data, None, properties, *made)
        volume, grid = np.ascontiguousarray(volume, np.float32), image if oriented is image else empty(oriented)
        return Prepared(volume, grid, grid, image, np.zeros(1, np.float32), body=body, properties=properties)

    def _preprocess(
        self, preprocessor: Any, data: Floats, box: Sequence[slice], properties: dict[str, Any]
    ) -> tuple[Floats, Body | None]:
        """Do what the preprocessor does, and note what it notes, but for the mask of what is not zero."""
        plans, configuration = self.plans, self.configuration
        data = data.transpose([0, *[axis + 1 for axis in plans.transpose_forward]])
        spacing, target = self._spacings(properties)
        properties["shape_before_cropping"] = data.shape[1:]
        box = [box[axis] for axis in plans.transpose_forward]
        properties["bbox_used_for_cropping"] = [[held.start, held.stop] for held in box]
        data = np.ascontiguousarray(data[:, *box])
        properties["shape_after_cropping_and_before_resampling"] = data.shape[1:]
        shape = [round(old / new * count) for old, new, count in zip(spacing, target, data.shape[1:], strict=True)]
        body = Body.find(data[0], tuple(spacing), tuple(shape)) if self.is_ct else None
        intensities = plans.foreground_intensity_properties_per_channel
        data = preprocessor._normalize(data, np.zeros((1, 1, 1, 1), np.int8), configuration, intensities)
        settings = configuration.configuration["resampling_fn_data_kwargs"]
        return resample_by_splines(data[0], shape, spacing, target, settings)[None], body

    def _spacings(self, properties: Mapping[str, Any]) -> tuple[list[float], list[float]]:
        """Return the spacing of the image and of the network in nnU-Net's order; a flat one keeps the slices' own."""
        spacing = [properties["spacing"][axis] for axis in self.plans.transpose_forward]
        own = self.configuration.spacing
        return spacing, [*spacing[: 3 - len(own)], *own]

    def restore(self, planes: Iterable[ArrayOrTensor], prepared: Prepared) -> Labels:
        """Resample and uncrop as nnU-Net does; see `Engine`."""
        labels = self._labels(planes, prepared) if self.is_streamed else self._exported(planes, prepared)
        return turned_back(labels, prepared)

    def _labels(self, planes: Iterable[ArrayOrTensor], prepared: Prepared) -> Labels:
        plans, configuration, properties = self.plans, self.configuration, prepared.properties
        spacing, current = self._spacings(properties)
        shape = properties["shape_after_cropping_and_before_resampling"]
        settings = configuration.configuration["resampling_fn_probabilities_kwargs"]
        maker = LabelMaker(axes_back(prepared.volume.shape[1:], shape, current, spacing, settings), self.head)
        for logits in planes:
            maker.add(logits)
        labels = maker.labels
        if shape != properties["shape_before_cropping"]:
            labels = np.zeros(properties["shape_before_cropping"], np.uint16)
            labels[*(slice(*ends) for ends in properties["bbox_used_for_cropping"])] = maker.labels
        return labels.transpose(plans.transpose_backward)

    def _exported(self, planes: Iterable[ArrayOrTensor], prepared: Prepared) -> Labels:
        """Have nnU-Net itself do it: its regions overlap, and its plans may name other ways to resample."""
        import torch
        from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape

        with _quiet():
            values = convert_predicted_logits_to_segmentation_with_correct_shape(
                torch.from_numpy(np.concatenate([to_numpy(part) for part in planes], axis=1)),
                self.plans,
                self.configuration,
                self.plans.get_label_manager(self.dataset),
                prepared.properties,
                num_threads_torch=torch.get_num_threads(),
            )
        return np.asarray(values).astype(np.uint16)


def load_nnunet(model: Model, weights: Weights, device: str, *, measure: bool = True) -> NnunetEngine:
    """Load a results folder (``plans.json``, ``dataset.json``, ``fold_*``); see `load_engine`. ModelError where
    nnunetv2 is missing, the device is not there, or the folder is not one that can be run safely.
    """
    require("torch", "nnunet")
    with _quiet():
        require("nnunetv2", "nnunet")
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
    chosen, description, notes = torch_device(device)
    folder = weights.path
    plans_data, dataset = files.read_plans(folder, weights.read)
    paths = files.find_folds(folder, model.weights.folds, model.weights.checkpoint)
    checkpoints = [files.load_checkpoint(weights.read(f"{path.parent.name}/{path.name}"), path) for path in paths]
    for checkpoint in checkpoints:
        if not files.keeps_network(checkpoint.trainer) and model.data.get("trainer") != checkpoint.trainer:
            raise ModelError(
                f"{folder}: its trainer {checkpoint.trainer!r} is none of nnU-Net's own and may have changed the "
                "network; if it did not, name it as trainer in the model's registry entry"
            )
    try:
        plans = PlansManager(plans_data)
        configuration = plans.get_configuration(checkpoints[0].configuration)
        files.check_configuration(folder, configuration.configuration)
        flat = len(configuration.patch_size) == 2
        with _quiet():
            classes = plans.get_label_manager(dataset).num_segmentation_heads
            modules = []
            for checkpoint in checkpoints:
                module = files.make_unet(folder, configuration.configuration["architecture"], classes)
                module.load_state_dict(checkpoint.weights, assign=True)
                modules.append(module.float().eval().to(chosen))
        # Our preprocessing and way back give what nnU-Net's do where it resamples as usual, without regions.
        plain = not plans.get_label_manager(dataset).has_regions and not any(configuration.use_mask_for_norm)
        separable = plain and is_separable(configuration)
        head = _split_head(modules) if separable else None
        networks: list[Network]
        if measure and chosen.type == "cpu" and not flat:
            shape, memory = (1, 1, *configuration.patch_size), models_folder() / "_forward"
            networks = [fastest(module, shape, description, folder, memory) for module in modules]
        else:
            networks = [TorchNetwork(_on_volumes(m, chosen, flat), chosen, description, 2, folder) for m in modules]
        orientation = model.input.orientation or files.stored_orientation(plans_data)
        if orientation is None and "orientation" not in model.data["input"]:
            notes.append(
                f"the registry does not say how the training images of {model.id} were oriented: left and right may be "
                "exchanged in its result; its entry needs input.orientation, such as LAS for images of dcm2niix"
            )
        engine = NnunetEngine(
            plans,
            configuration,
            dataset,
            networks,
            head,
            # A two-dimensional network looks at one slice after the other.
            patch_size=((1,) if flat else ()) + tuple(int(n) for n in configuration.patch_size),
            mirror_axes=tuple(axis + 1 if flat else axis for axis in checkpoints[0].mirror_axes),
            orientation=orientation,
            is_ct=model.input.modality == "CT",
            is_streamed=separable,
            warnings=notes,
        )
    except _FAULTS as error:
        raise ModelError(f"{folder}: cannot be run: its plans, dataset and checkpoints do not fit together") from error
    _check_labels(model, folder, plans.get_label_manager(dataset), dataset.get("labels", {}))
    return engine


def _split_head(modules: Sequence[Any]) -> Head | None:
    """Last layers of networks with fewer features than classes, taken off them and joined into one; None for others.
    Features are kept in single precision where nnU-Net keeps logits in half: only fewer than half as many save memory.
    """
    import torch

    lasts = [module.decoder.seg_layers[-1] for module in modules]
    classes = lasts[0].out_channels
    if 2 * sum(last.in_channels for last in lasts) >= classes or any(max(last.kernel_size) > 1 for last in lasts):
        return None
    weights = [last.weight.detach().flatten(1).float().cpu().numpy() / len(lasts) for last in lasts]
    # Where every patch was skipped there are no features, and the background is.
    nowhere = np.zeros((classes, 1), np.float32)
    nowhere[0] = _CERTAIN
    biases = [last.bias.detach().float().cpu().numpy() for last in lasts]
    for module in modules:
        module.decoder.seg_layers[-1] = torch.nn.Identity()
    return Head(np.concatenate([*weights, nowhere], axis=1), np.mean(biases, axis=0).astype(np.float32))


def _check_labels(model: Model, folder: Path, manager: Any, labels: dict[str, Any]) -> None:
    missing = [s.name for s in model.network_segments if s.label not in manager.all_labels]
    if missing:
        raise ModelError(f"{folder}: has no label for {', '.join(missing)} of model {model.id}")
    for row in model.data["output"]["segments"]:
        name = row.get("label_name")
        if name is not None and labels.get(name) != row["label"]:
            raise ModelError(f"{folder}: its label {row['label']} is not '{name}', as model {model.id} has it")


@contextlib.contextmanager
def _quiet() -> Any:
    """Keep nnU-Net's prints and warnings away from stdout, which belongs to results and events."""
    with warnings.catch_warnings(), silent():
        warnings.simplefilter("ignore")
        yield


def _on_volumes(module: Any, device: Any, flat: bool) -> Any:
    """Let a network take volumes, of one slice if it is flat, and run in half precision on CUDA as nnU-Net does."""

    def run(data: Any) -> Any:
        import torch

        with torch.autocast("cuda") if device.type == "cuda" else contextlib.nullcontext():
            return module(data[:, :, 0])[:, :, None] if flat else module(data)

    return run
