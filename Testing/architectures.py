"""Network descriptions, and beside each layer the torch module that it must be."""

import torch
from torch import nn

from NativeDLLib.inference.module import DescribedNetwork
from NativeDLLib.registry.architecture.check import make_plan

PLANE, VOLUME = (4, 8, 6), (4, 6, 8, 10)


def network(shape, *layers, skips=()):
    rows = [{"type": layer} if isinstance(layer, str) else layer for layer in layers]
    description = {"schema_version": "1.0", "input_shape": list(shape), "architecture": rows}
    return {**description, "skip_connection": list(skips)} if skips else description


def layer(kind, **options):
    return {"type": kind, **options}


def convolution(**options):
    return layer("convolution", **{"filters": 4, "kernel_size": 3, "padding": 1, **options})


def build_module(description):
    """Return the torch module of a description, with the weights that torch gives it."""
    return DescribedNetwork(make_plan(description))


def shaken(module, seed=0):
    """Give a module weights that differ from what initialisation gives."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in module.state_dict().items():
            if name.endswith("running_var"):
                value.uniform_(0.5, 2, generator=generator)
            elif value.is_floating_point():
                value.normal_(0, 0.5, generator=generator)
    return module.eval()


# What a layer is, beside the torch module it must be: in two dimensions and in three.
LAYERS = {
    "convolution": (
        layer("convolution", filters=6, kernel_size=3, stride=2, padding=1, groups=2),
        lambda: nn.Conv2d(4, 6, 3, 2, 1, groups=2),
        lambda: nn.Conv3d(4, 6, 3, 2, 1, groups=2),
    ),
    "dilated convolution": (
        layer("convolution", filters=3, kernel_size=2, dilation=3, bias=False),
        lambda: nn.Conv2d(4, 3, 2, dilation=3, bias=False),
        lambda: nn.Conv3d(4, 3, 2, dilation=3, bias=False),
    ),
    "transposed convolution": (
        layer("transposed_convolution", filters=3, kernel_size=3, stride=2, padding=1, output_padding=1),
        lambda: nn.ConvTranspose2d(4, 3, 3, 2, 1, 1),
        lambda: nn.ConvTranspose3d(4, 3, 3, 2, 1, 1),
    ),
    "max pooling": (
        layer("max_pooling", kernel_size=3, stride=2, padding=1),
        lambda: nn.MaxPool2d(3, 2, 1),
        lambda: nn.MaxPool3d(3, 2, 1),
    ),
    "average pooling": (
        layer("average_pooling", kernel_size=2, padding=1),
        lambda: nn.AvgPool2d(2, padding=1),
        lambda: nn.AvgPool3d(2, padding=1),
    ),
    "global max": (
        layer("global_max_pooling"),
        lambda: nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten()),
        lambda: nn.Sequential(nn.AdaptiveMaxPool3d(1), nn.Flatten()),
    ),
    "global average": (
        layer("global_average_pooling"),
        lambda: nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        lambda: nn.Sequential(nn.AdaptiveAvgPool3d(1), nn.Flatten()),
    ),
    "batch": (
        layer("batch_normalisation", epsilon=1e-3),
        lambda: nn.BatchNorm2d(4, eps=1e-3),
        lambda: nn.BatchNorm3d(4, eps=1e-3),
    ),
    "batch without weights": (
        layer("batch_normalisation", affine=False),
        lambda: nn.BatchNorm2d(4, affine=False),
        lambda: nn.BatchNorm3d(4, affine=False),
    ),
    "instance": (
        layer("instance_normalisation"),
        lambda: nn.InstanceNorm2d(4, affine=True),
        lambda: nn.InstanceNorm3d(4, affine=True),
    ),
    "group": (layer("group_normalisation", groups=2), lambda: nn.GroupNorm(2, 4), lambda: nn.GroupNorm(2, 4)),
    "layer": (layer("layer_normalisation"), lambda: nn.LayerNorm(PLANE), lambda: nn.LayerNorm(VOLUME)),
    "relu": (layer("relu"), nn.ReLU, nn.ReLU),
    "leaky relu": (layer("leaky_relu", slope=0.2), lambda: nn.LeakyReLU(0.2), lambda: nn.LeakyReLU(0.2)),
    "elu": (layer("elu", alpha=0.5), lambda: nn.ELU(0.5), lambda: nn.ELU(0.5)),
    "gelu": (layer("gelu"), nn.GELU, nn.GELU),
    "gelu by tanh": (
        layer("gelu", approximate=True),
        lambda: nn.GELU(approximate="tanh"),
        lambda: nn.GELU(approximate="tanh"),
    ),
    "silu": (layer("silu"), nn.SiLU, nn.SiLU),
    "prelu": (layer("prelu"), nn.PReLU, nn.PReLU),
    "prelu by channel": (layer("prelu", per_channel=True), lambda: nn.PReLU(4), lambda: nn.PReLU(4)),
    "sigmoid": (layer("sigmoid"), nn.Sigmoid, nn.Sigmoid),
    "softmax": (layer("softmax"), lambda: nn.Softmax(1), lambda: nn.Softmax(1)),
    "tanh": (layer("tanh"), nn.Tanh, nn.Tanh),
    "dropout": (layer("dropout", rate=0.5), lambda: nn.Dropout(0.5), lambda: nn.Dropout(0.5)),
    "dropout of channels": (
        layer("dropout", rate=0.5, whole_channels=True),
        lambda: nn.Dropout2d(0.5),
        lambda: nn.Dropout3d(0.5),
    ),
    "nearest": (layer("upsampling", scale=2), lambda: nn.Upsample(scale_factor=2), lambda: nn.Upsample(scale_factor=2)),
    "linear": (
        layer("upsampling", scale=3, mode="linear"),
        lambda: nn.Upsample(scale_factor=3, mode="bilinear"),
        lambda: nn.Upsample(scale_factor=3, mode="trilinear"),
    ),
    "linear with corners": (
        layer("upsampling", scale=2, mode="linear", align_corners=True),
        lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
        lambda: nn.Upsample(scale_factor=2, mode="trilinear", align_corners=True),
    ),
    "flatten": (layer("flatten"), nn.Flatten, nn.Flatten),
}
