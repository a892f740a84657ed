import pytest

from NativeDLLib.errors import ModelError
from NativeDLLib.inference.architecture import (
    build_module,
    canonical_state_dict,
    check_architecture,
    describe,
    load_network,
    parameter_shapes,
)
from NativeDLLib.inference.architecture.unets import _row

torch = pytest.importorskip("torch")
nn = torch.nn
from NativeDLLib.training.network import SmallUNet  # noqa: E402


def nnunet(conv, strides, *, kernels=3, deep=False, **kinds):
    unet = pytest.importorskip("dynamic_network_architectures.architectures.unet")
    kinds = {
        "norm_op": {nn.Conv2d: nn.InstanceNorm2d, nn.Conv3d: nn.InstanceNorm3d}[conv],
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "nonlin": nn.LeakyReLU,
        "nonlin_kwargs": {"inplace": True},
        **kinds,
    }
    stages = len(strides)
    widths = [4 * (i + 1) for i in range(stages)]
    kernels = [kernels] * stages if isinstance(kernels, int) else kernels
    return unet.PlainConvUNet(
        2, stages, widths, conv, kernels, strides, 2, 3, 2, conv_bias=True, deep_supervision=deep, **kinds
    )


UNETS = {
    "SmallUNet": (lambda: SmallUNet(3, (4, 6, 8)), (8, 12, 16)),
    "SmallUNet as it is trained": (SmallUNet, (32, 32, 32)),
    "nnU-Net 2d": (lambda: nnunet(nn.Conv2d, [1, 2, 2]), (16, 24)),
    "nnU-Net 3d of thick slices": (
        lambda: nnunet(
            nn.Conv3d, [[1, 1, 1], [1, 2, 2], [2, 2, 2]], kernels=[[1, 3, 3], [3, 3, 3], [3, 3, 3]], nonlin_first=True
        ),
        (8, 16, 12),
    ),
    "nnU-Net with other layers": (
        lambda: nnunet(
            nn.Conv3d,
            [1, 2],
            norm_op=nn.BatchNorm3d,
            dropout_op=nn.Dropout3d,
            dropout_op_kwargs={"p": 0.2},
            nonlin=nn.PReLU,
            nonlin_kwargs={},
        ),
        (6, 8, 8),
    ),
}


@pytest.mark.parametrize("name", UNETS)
def test_a_unet_and_what_is_built_from_its_description_give_the_same(name):
    make, size = UNETS[name]
    torch.manual_seed(0)
    module = make().eval()
    description = describe(module, size)
    rebuilt = load_network(description, canonical_state_dict(module))
    images = torch.randn(2, description["input_shape"][0], *size)

    with torch.no_grad():
        expected, given = module(images), rebuilt(images)

    torch.testing.assert_close(given, expected, rtol=0, atol=1e-6)
    assert description["input_shape"][1:] == list(size)
    assert check_architecture(description)[-1] == tuple(expected.shape[1:])
    assert list(canonical_state_dict(module)) == list(parameter_shapes(description))
    # Every weight is there, once; nnU-Net keeps those of the outputs at low resolution, which nothing uses.
    unused = list(module.decoder.seg_layers[:-1].parameters()) if "nnU-Net" in name else []
    assert count(rebuilt.parameters()) == count(module.parameters()) - count(unused)


def count(parameters):
    return sum(value.numel() for value in parameters)


def test_of_a_network_trained_with_deep_supervision_the_full_resolution_is_described():
    module = nnunet(nn.Conv2d, [1, 2, 2], deep=True).eval()
    images = torch.randn(1, 2, 8, 8)

    rebuilt = load_network(describe(module), canonical_state_dict(module))

    torch.testing.assert_close(rebuilt(images), module(images)[0], rtol=0, atol=1e-6)


def test_without_a_size_the_smallest_that_every_level_takes_is_described():
    assert describe(SmallUNet())["input_shape"] == [1, 32, 32, 32]
    assert describe(nnunet(nn.Conv3d, [[1, 1, 1], [1, 2, 2]]))["input_shape"] == [2, 2, 4, 4]


def test_a_size_that_the_levels_do_not_divide_is_refused():
    with pytest.raises(ModelError, match=r"transposed_convolution gives the shape .* cannot be concatenated"):
        describe(SmallUNet(), (33, 32, 32))


def test_a_built_network_tells_its_weights_by_the_same_names():
    module = build_module(describe(SmallUNet(2, (4, 8)), (8, 8, 8)))
    weights = canonical_state_dict(module)

    assert list(weights) == list(parameter_shapes(describe(SmallUNet(2, (4, 8)))))
    build_module(describe(SmallUNet(2, (4, 8)))).load_state_dict(weights)


def test_batch_normalisation_brings_its_running_statistics():
    module = nnunet(nn.Conv2d, [1, 2], norm_op=nn.BatchNorm2d)
    module(torch.randn(4, 2, 8, 8))
    weights = canonical_state_dict(module)

    assert any(name.endswith("running_var") for name in weights)
    assert not any("tracked" in name for name in weights)
    build_module(describe(module)).load_state_dict(weights)


@pytest.mark.parametrize("ask", [describe, canonical_state_dict])
def test_other_networks_are_refused_by_type(ask):
    with pytest.raises(ModelError, match="a network of type Sequential cannot be described"):
        ask(nn.Sequential(nn.Conv2d(1, 1, 1)))


LEAVES = {
    nn.Conv2d(4, 4, 3, padding=1, groups=2): {"groups": 2, "padding": 1},
    nn.ConvTranspose2d(4, 2, (2, 3), (2, 1), bias=False): {"kernel_size": [2, 3], "stride": [2, 1], "bias": False},
    nn.MaxPool3d(2): {"type": "max_pooling", "stride": 2},
    nn.AvgPool2d(3, 2, 1): {"type": "average_pooling", "padding": 1},
    nn.Dropout(0.3): {"rate": 0.3, "whole_channels": False},
    nn.ELU(0.5): {"alpha": 0.5},
    nn.GELU("tanh"): {"approximate": True},
    nn.PReLU(4): {"per_channel": True},
    nn.ReLU(inplace=True): {"type": "relu"},
    nn.SiLU(): {"type": "silu"},
}


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: type(leaf).__name__)
def test_a_layer_is_written_with_all_its_parameters(leaf):
    row = _row(leaf)

    assert LEAVES[leaf].items() <= row.items()
    shape = [4, 6, 6, 6] if "3d" in type(leaf).__name__ else [4, 6, 6]
    description = {"schema_version": "1.0", "input_shape": shape, "architecture": [row]}
    weights = {f"layers.0.{name}": value for name, value in leaf.state_dict().items()}
    images = torch.randn(2, *shape)
    torch.testing.assert_close(load_network(description, weights)(images), leaf.eval()(images))


@pytest.mark.parametrize(
    "leaf",
    [
        nn.Conv2d(1, 1, 3, padding="same"),
        nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect"),
        nn.ConvTranspose2d(2, 2, 2, groups=2),
        nn.ConvTranspose3d(2, 2, 2, dilation=2),
        nn.InstanceNorm2d(2, track_running_stats=True),
        nn.BatchNorm3d(2, track_running_stats=False),
        nn.MaxPool2d(2, dilation=2),
        nn.MaxPool2d(2, ceil_mode=True),
        nn.AvgPool2d(2, count_include_pad=False),
        nn.AvgPool3d(2, divisor_override=3),
        nn.Hardswish(),
    ],
    ids=repr,
)
def test_a_layer_that_the_description_cannot_tell_is_refused(leaf):
    with pytest.raises(ModelError, match="cannot be described"):
        _row(leaf)
