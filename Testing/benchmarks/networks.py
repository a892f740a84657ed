"""nnU-Net results folders whose labels follow the body although nobody trained them, with entries of a registry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import factories
import nnunet_folder
import numpy as np
import SimpleITK as sitk
import torch
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

from benchmarks.compare import Setting
from benchmarks.inputs import kept
from benchmarks.segments import rows
from NativeDLLib.phantom.torso import make_phantom

MODEL, AROUND_BODY = "bench", "bench-around-body"
_AIR_HU, _MEAN_HU, _STD_HU = -300, 40, 300
_LEAST_VARIANCE = 0.01
_PLACES_MM = ((0.0, 10.0, 160.0), (130.0, -60.0, 200.0), (-90.0, 60.0, 100.0), (-150.0, -100.0, 250.0))
_EVERY, _AIR_LOGIT = 7, 50


@dataclass(frozen=True)
class Size:
    """A PlainConvUNet: the channels of its stages, its patch and its spacing, the same along all axes."""

    features: tuple[int, ...]
    patch: int
    spacing_mm: float


SMALL = Size((8, 16, 32, 64, 64), 96, 1.5)
FULL = Size((32, 64, 128, 256, 320, 320), 128, 1.5)
TINY = Size((4, 8, 16), 32, 6.0)


@dataclass(frozen=True)
class Weights:
    """A results folder and the registry that names it."""

    folder: Path
    registry: Path


def weights(setting: Setting, size: Size, classes: int) -> Weights:
    """Return the results folder of a network with so many labels; the background is not one of them.

    Its registry has it twice: with nnU-Net's own places of the patches, and with these laid around the body.
    """

    def make(folder: Path) -> None:
        nnunet_folder.write(
            folder / "results",
            mirror_axes=None,
            change_plans=lambda plans: _change(plans["configurations"]["3d_fullres"], size),
            change_dataset=lambda dataset: dataset.update(
                labels={"background": 0} | {row["name"]: row["label"] for row in rows(classes)}
            ),
            classes=classes + 1,
        )
        path = folder / "results" / "fold_0" / "checkpoint_final.pth"
        checkpoint = torch.load(path, weights_only=False)
        torch.save(checkpoint | {"network_weights": network(size, classes).state_dict()}, path)

    name = f"unet-{len(size.features)}x{size.features[0]}-{size.patch}-{classes}"
    folder = kept(setting.folder / "models" / name, make)
    windows = {"step": 0.5, "mirror": False, "around_body": True}
    around = entry(classes, id=AROUND_BODY, sliding_window=windows)
    return Weights(folder / "results", factories.registry(folder, entry(classes), around))


def network(size: Size, classes: int) -> Any:
    """Return the network (n, 1, z, y, x) -> (n, classes + 1, z, y, x), ready to be run on the CPU."""
    torch.manual_seed(1)
    settings = _architecture(size)
    module = get_network_from_plans(
        settings["network_class_name"],
        settings["arch_kwargs"],
        settings["_kw_requires_import"],
        1,
        classes + 1,
        allow_init=True,
        deep_supervision=False,
    )
    with torch.inference_mode():
        _smooth(module)
        _divide(module, size)
    return module.eval()


def entry(classes: int, **changes: Any) -> dict[str, Any]:
    """Return a registry entry of such a folder, with every label as a segment."""
    settings = {
        "id": MODEL,
        "runtime": "nnunetv2",
        "weights": {"folder": "results", "folds": [0]},
        "input": {"modality": "CT", "channels": [{"name": "CT"}]},
        "output": {"segments": rows(classes)},
        "sliding_window": {"step": 0.5, "mirror": False},
        "postprocessing": [],
        "parameters": [],
    }
    return factories.entry(**settings | changes)


def _change(configuration: dict[str, Any], size: Size) -> None:
    configuration.update(
        patch_size=[size.patch] * 3, spacing=[size.spacing_mm] * 3, architecture=_architecture(size), batch_dice=False
    )


def _architecture(size: Size) -> dict[str, Any]:
    deeper = len(size.features) - 1
    return nnunet_folder.plain_unet(size.features, [[1, 1, 1], *[[2, 2, 2]] * deeper], [[3, 3, 3]] * (deeper + 1))


def _smooth(module: Any) -> None:
    """Let each convolution average its neighbourhood, so that labels come in regions and not in specks."""
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv3d) and layer.kernel_size == (3, 3, 3):
            layer.weight.copy_(layer.weight.mean((2, 3, 4), keepdim=True).expand_as(layer.weight) * 27**0.5)


def _divide(module: Any, size: Size) -> None:
    """Set the last layer so that air and half of the body are background, and the labels divide the rest.

    Each label is where the features are nearest to those of some voxel of the body, its own one.
    """
    layer = module.decoder.seg_layers[-1]
    seen: list[Any] = []
    hook = layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0][0].flatten(1).T[::_EVERY]))
    values_hu = []
    for centre in _PLACES_MM:
        image, _ = make_phantom(1, (size.patch,) * 3, (size.spacing_mm,) * 3, centre=centre)
        hu = torch.from_numpy(sitk.GetArrayFromImage(image).astype(np.float32))
        module(((hu - _MEAN_HU) / _STD_HU)[None, None])
        values_hu.append(hu.flatten()[::_EVERY])
    hook.remove()
    features, is_air = torch.cat(seen), torch.cat(values_hu) < _AIR_HU
    body = features[~is_air]
    mean, (values, vectors) = body.mean(0), torch.linalg.eigh(body.T.cov())
    told = values > _LEAST_VARIANCE * values.max()
    whiten = vectors[:, told] / values[told].sqrt()
    chosen = torch.linspace(0, len(body) - 1, layer.out_channels - 1).long()
    nearest = (body[chosen] - mean) @ whiten
    weight, bias = nearest @ whiten.T, -0.5 * (nearest**2).sum(1)
    bias -= weight @ mean
    likeliest = (body @ weight.T + bias).amax(1)
    with_one = torch.cat([features, torch.ones(len(features), 1)], 1)
    air = torch.linalg.lstsq(with_one, is_air.float()[:, None] * _AIR_LOGIT).solution[:, 0]
    lacking = (likeliest - with_one[~is_air] @ air).median()
    layer.weight.copy_(torch.cat([air[None, :-1], weight])[:, :, None, None, None])
    layer.bias.copy_(torch.cat([air[-1:] + lacking, bias]))
