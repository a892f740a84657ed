import copy
import itertools

import pytest

from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference.torch_runtime import load_network
from NativeDLLib.models.iodeep.published_layout import from_iodeep

torch = pytest.importorskip("torch")
nn = torch.nn


def published(widths=(4, 8, 16), channels=3, size=16):
    """Return a description as the authors publish it, for a U-Net of these filters."""
    levels = len(widths) - 1
    codes = ["doubleConv", "Maxpool2d"] * levels + ["ElbowUNet"]
    codes += ["Upsample", "UpDoubleConv"] * (levels - 1) + ["Upsample", "UpDoubleConv_out", "cnn2d"]
    filters = [*widths, *widths[-2::-1], 1]
    kernels = [3] * (len(filters) - 1) + [1]
    skips = {str(2 * i + 1): str(4 * levels - 2 * i) for i in range(levels)}
    return {
        "input_shape": {"input_shape0": size, "input_shape1": size, "input_shape2": channels, "label_shape": 1},
        "architecture": {str(i + 1): code for i, code in enumerate(codes)},
        "convolutional": {f"cn{i + 1}": n for i, n in enumerate(filters)},
        "kernel": {f"kernel{i + 1}": n for i, n in enumerate(kernels)},
        "pooling": {f"pool{i + 1}": 2 for i in range(levels)},
        "stride": {"stride": 1},
        "padding": {"padding": 1},
        "padding_conv": {"padding_conv": 0},
        "skip_connection": skips,
        "data_format": {"data_format": "channels_last"},
        "backend": {"backend": "pytorch"},
    }


def double(inputs, middle, outputs, bias):
    return nn.Sequential(
        nn.Conv2d(inputs, middle, 3, padding=1, bias=bias),
        nn.BatchNorm2d(middle),
        nn.ReLU(),
        nn.Conv2d(middle, outputs, 3, padding=1, bias=bias),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class Unet(nn.Module):
    """The U-Net that the codes stand for, with interpolation or transposed convolutions."""

    def __init__(self, widths, channels, interpolates, bias):
        super().__init__()
        half = 2 if interpolates else 1
        shares = [channels, *widths[:-1], widths[-1] // half]
        self.down = nn.ModuleList(double(a, b, b, bias) for a, b in itertools.pairwise(shares))
        self.rise, self.up = nn.ModuleList(), nn.ModuleList()
        for i, width in enumerate(widths[-2::-1]):
            last = i == len(widths) - 2
            if interpolates:
                self.rise.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True))
                self.up.append(double(2 * width, width, width if last else width // 2, bias))
            else:
                # One after the other, as the authors' numbering has it.
                self.rise.append(nn.ConvTranspose2d(2 * width, width, 2, 2))
                self.up.append(double(2 * width, width, width, bias))
        self.head = nn.Conv2d(widths[0], 1, 1)

    def forward(self, x):
        skips = []
        for block in self.down[:-1]:
            skips.append(block(x))
            x = nn.functional.max_pool2d(skips[-1], 2)
        x = self.down[-1](x)
        for rise, block, skip in zip(self.rise, self.up, reversed(skips), strict=True):
            x = block(torch.cat([skip, rise(x)], dim=1))
        return self.head(x)

    def weights(self):
        """Return the state dict in the order of the layers."""
        parts = [*self.down, *[m for pair in zip(self.rise, self.up, strict=True) for m in pair], self.head]
        return {f"{i}.{name}": value for i, part in enumerate(parts) for name, value in part.state_dict().items()}


@pytest.mark.parametrize("interpolates", [True, False], ids=["interpolated", "transposed"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_the_published_layout_is_read_with_what_only_the_weights_tell(interpolates, bias):
    torch.manual_seed(0)
    module = Unet((4, 8, 16), 3, interpolates, bias)
    module(torch.randn(4, 3, 16, 16))
    module.eval()

    description, weights = from_iodeep(published(), module.weights())
    images = torch.randn(2, 3, 16, 16)

    assert description["input_shape"] == [3, 16, 16]
    with torch.no_grad():
        torch.testing.assert_close(load_network(description, weights)(images), module(images), rtol=0, atol=1e-6)


def test_the_published_unet_of_five_levels_is_read():
    widths = (64, 128, 256, 512, 1024)
    with torch.device("meta"):
        weights = Unet(widths, 3, True, True).weights()

    description, _ = from_iodeep(published(widths, size=224), weights)

    assert [(row["from"], row["to"]) for row in description["skip_connection"]] == [
        (26, 34),
        (19, 41),
        (12, 48),
        (5, 55),
    ]


def test_channels_may_come_first_and_single_layers_are_read():
    data = {
        "input_shape": {"input_shape0": 1, "input_shape1": 8, "input_shape2": 6},
        "architecture": {
            "1": "cnn2d",
            "2": "batchNorm2d",
            "3": "prelu",
            "4": "Avgpool2d",
            "5": "Flatten",
            "6": "softmax",
        },
        "convolutional": {"cn1": 2},
        "kernel": {"kernel1": 3},
        "pooling": {"pool1": 2},
        "data_format": {"data_format": "channels_first"},
    }
    module = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.PReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Softmax(1)
    ).eval()
    images = torch.randn(3, 1, 8, 6)

    network = load_network(*from_iodeep(data, module.state_dict()))

    torch.testing.assert_close(network(images), module(images))


def edited(**groups):
    data = copy.deepcopy(published())
    for name, changes in groups.items():
        if isinstance(changes, dict):
            data[name].update(changes)
        else:
            data[name] = changes
    return data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (edited(architecture={"3": "lstm"}), "IODeep architecture.3: the layer 'lstm' is not known"),
        (edited(architecture=7), "IODeep architecture: is not an object"),
        (edited(architecture={str(i): "relu" for i in range(300)}), "has 3.. layers; at most 200"),
        (edited(convolutional={}, kernel={"kernel2": "3"}), "IODeep kernel.kernel2: 3 is not a number from 0"),
        (edited(convolutional={"cn3": -1}), "IODeep convolutional.cn3: -1 is not a number"),
        (edited(pooling={"pool2": True}), "IODeep pooling.pool2: True is not a number"),
        (edited(input_shape={"input_shape0": None}), "IODeep input_shape.input_shape0: None is not a number"),
        (edited(skip_connection={"9": "6"}), "layer 6 is joined to '9', not before it"),
        (edited(skip_connection={"1": "77"}), "there is no layer '77'"),
        (edited(stride={"stride": 0}), r"architecture\[\d+\] \(layer 1?0?\).stride: 0 is less than the minimum"),
        ({}, "IODeep input_shape.input_shape0: None"),
    ],
)
def test_a_description_that_cannot_be_read_is_refused_by_its_place(data, words):
    with pytest.raises(ModelError, match=words):
        from_iodeep(data, {})


def test_weights_that_fit_no_reading_are_refused():
    weights = Unet((4, 8, 16), 3, True, False).weights()

    with pytest.raises(ModelError, match=r"layers.0.weight should have the shape \[4, 3, 3, 3\], not \[4, 1, 3, 3\]"):
        from_iodeep(published(), Unet((4, 8, 16), 1, True, False).weights())
    with pytest.raises(ModelError, match=r"should have the shape .*, not \[\]"):
        from_iodeep(published(), dict(list(weights.items())[:-1]))
    with pytest.raises(ModelError, match="are too many"):
        from_iodeep(published(), {**weights, "more": torch.zeros(1)})
