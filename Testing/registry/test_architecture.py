import numpy as np
import pytest

from NativeDLLib.core.errors import ModelError
from NativeDLLib.inference.torch_runtime import load_network
from NativeDLLib.registry.architecture import make_plan

torch = pytest.importorskip("torch")
from architectures import LAYERS, PLANE, VOLUME, build_module, convolution, layer, network, shaken  # noqa: E402


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("shape", [PLANE, VOLUME], ids=["2d", "3d"])
def test_every_layer_is_the_torch_module_it_stands_for(name, shape):
    row, plane, volume = LAYERS[name]
    own = shaken((plane if shape is PLANE else volume)())
    weights = {f"layers.0.{key.rpartition('.')[2]}": value for key, value in own.state_dict().items()}
    description = network(shape, row)
    images = torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))

    with torch.no_grad():
        given, expected = load_network(description, weights)(images), own(images)

    torch.testing.assert_close(given, expected, rtol=0, atol=1e-6)
    assert make_plan(description).passed == [tuple(given.shape[1:])]
    given = {key: tuple(value.shape) for key, value in weights.items() if "tracked" not in key}
    assert given == make_plan(description).parameters


def test_in_training_dropout_drops():
    for options, values in (({}, 8 * 6), ({"whole_channels": True}, 1)):
        module = build_module(network(PLANE, layer("dropout", rate=0.5, **options))).train()
        torch.manual_seed(0)
        dropped = module(torch.ones(64, *PLANE)) == 0
        assert 0.4 < dropped.float().mean() < 0.6
        # Either each value by itself, or all of a channel.
        assert (dropped.flatten(2).float().std(dim=2) == 0).all() == (values == 1)


def test_a_classifier_ends_in_dense_layers():
    description = network(
        PLANE,
        convolution(filters=5),
        "global_average_pooling",
        "batch_normalisation",
        layer("prelu", per_channel=True),
        layer("dense", units=7),
        "layer_normalisation",
        layer("dropout", rate=0.1, whole_channels=True),
        layer("dense", units=3, bias=False),
        "flatten",
        "softmax",
    )
    module = shaken(build_module(description))
    images = torch.randn(2, *PLANE)

    x = module.layers[0](images).mean(dim=(2, 3))
    for index in (2, 3, 4, 5):
        x = module.layers[index](x)
    expected = (x @ module.layers[7].weight.T).softmax(dim=1)

    torch.testing.assert_close(module(images), expected)
    assert make_plan(description).passed[-1] == (3,)


def test_sizes_are_given_per_axis_in_the_order_z_y_x():
    description = network(VOLUME, convolution(kernel_size=[1, 3, 5], padding=[0, 1, 2], stride=[1, 2, 5]))

    assert make_plan(description).passed == [(4, 6, 4, 2)]
    assert make_plan(description).parameters["layers.0.weight"] == (4, 4, 1, 3, 5)
    assert build_module(description)(torch.zeros(1, *VOLUME)).shape == (1, 4, 6, 4, 2)


@pytest.mark.parametrize(("position", "order"), [("last", (1, 0)), ("first", (0, 1))])
def test_skip_connections_concatenate_channels_on_the_side_asked_for(position, order):
    skip = {"from": 0, "to": 1, "mode": "concatenate", "position": position}
    module = build_module(network(PLANE, convolution(filters=2), convolution(filters=3), skips=[skip]))
    images = torch.randn(1, *PLANE)
    early = module.layers[0](images)
    parts = early, module.layers[1](early)

    torch.testing.assert_close(module(images), torch.cat([parts[i] for i in order], dim=1))


def test_skip_connections_add_and_pass_on_what_was_joined():
    skips = [
        {"from": 0, "to": 2, "mode": "add"},
        {"from": 1, "to": 2, "mode": "add"},
        {"from": 2, "to": 3, "mode": "concatenate"},
        {"from": 0, "to": 3, "mode": "concatenate"},
    ]
    module = build_module(network(PLANE, *[convolution() for _ in range(4)], skips=skips))
    images = torch.randn(1, *PLANE)
    a = module.layers[0](images)
    b = module.layers[1](a)
    c = module.layers[2](b) + a + b

    torch.testing.assert_close(module(images), torch.cat([module.layers[3](c), c, a], dim=1))


def test_a_network_runs_on_images_larger_than_it_was_described_for():
    module = build_module(
        network(PLANE, convolution(), layer("max_pooling", kernel_size=2), layer("upsampling", scale=2))
    )

    assert module(torch.zeros(1, 4, 64, 32)).shape == (1, 4, 64, 32)


WEIGHTS = {"layers.0.weight": torch.zeros(2, 4, 1, 1), "layers.0.bias": torch.zeros(2)}
ONE = network(PLANE, layer("convolution", filters=2, kernel_size=1))


def test_weights_of_half_precision_are_taken_and_the_network_is_ready_to_predict():
    loaded = load_network(ONE, {name: value.half() for name, value in WEIGHTS.items()})

    assert all(value.dtype == torch.float32 for value in loaded.state_dict().values())
    assert not loaded.training
    assert not any(value.requires_grad for value in loaded.parameters())


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({}, "missing: layers.0.weight, layers.0.bias$"),
        ({**WEIGHTS, "layers.1.weight": torch.zeros(1)}, "not expected: layers.1.weight$"),
        ({**WEIGHTS, "layers.0.bias": torch.zeros(3)}, r"layers.0.bias has the shape \[3\] instead of \[2\]$"),
        ({**WEIGHTS, "layers.0.bias": torch.zeros(2, dtype=torch.int32)}, "layers.0.bias is not a dense tensor"),
        ({**WEIGHTS, "layers.0.bias": torch.zeros(2).to_sparse()}, "layers.0.bias is not a dense tensor"),
        ({**WEIGHTS, "layers.0.bias": None}, "layers.0.bias is not a dense tensor"),
        ({"layers.0.weight": WEIGHTS["layers.0.weight"], 7: None}, "missing: layers.0.bias; not expected: 7$"),
        ({str(i): None for i in range(9)}, "not expected: 0, 1, 2 and 6 more$"),
    ],
)
def test_weights_that_do_not_fit_are_named_in_one_line(weights, words):
    with pytest.raises(ModelError, match=f"^the weights do not fit the architecture: .*{words}"):
        load_network(ONE, weights)


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([layer("lambda")], r"architecture\[0\].type: 'lambda' is not one of"),
        ([layer("relu", slope=1)], r"architecture\[0\]: .*'slope' is not known here"),
        ([layer("convolution", filters=1)], r"architecture\[0\]: 'kernel_size' is missing"),
        ([convolution(name="stem", kernel_size=0)], r"architecture\[0\] \(stem\).kernel_size: 0 is less"),
        ([convolution(kernel_size=[3, 3, 3])], r"architecture\[0\].kernel_size: has 3 values for 2 axes"),
        (["relu", convolution(groups=3)], r"architecture\[1\].groups: 3 groups do not divide 4 input channels"),
        ([convolution(groups=4, filters=6)], "groups: 4 groups do not divide 6 filters"),
        ([layer("group_normalisation", groups=3)], "groups: 3 groups do not divide 4 input channels"),
        ([layer("max_pooling", kernel_size=2, padding=2)], "padding: 2 is more than half the kernel_size 2"),
        (
            [layer("max_pooling", kernel_size=9)],
            r"max_pooling would give the shape \[4, 0, 0\] for an input of \[4, 8, 6\]",
        ),
        (
            [layer("transposed_convolution", filters=1, kernel_size=3, stride=2, output_padding=1)],
            "output_padding: 1 must be below the stride 2 and not above the padding",
        ),
        ([layer("upsampling", scale=2, align_corners=True)], "align_corners: has no meaning for the mode nearest"),
        ([layer("dense", units=3)], r"dense takes a flat input, not one of shape \[4, 8, 6\]; put flatten before it"),
        (["flatten", convolution()], r"architecture\[1\]: convolution takes an image, but gets the flat shape \[192\]"),
        (
            [layer("max_pooling", kernel_size=[8, 6]), "instance_normalisation"],
            r"instance_normalisation cannot normalise \[4, 1, 1\]",
        ),
        (
            [convolution(filters=10**6)] * 2,
            r"architecture\[1\]: convolution brings the parameters to 90000380.*at most 268435456",
        ),
        (
            [layer("upsampling", scale=64)] * 3,
            r"architecture\[1\]: upsampling needs \d+ values at once; at most 536870912",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_layer_and_field(layers, words):
    with pytest.raises(ModelError, match=words) as caught:
        build_module(network(PLANE, *layers))
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("skip", "words"),
    [
        ({"from": 1, "to": 1, "mode": "add"}, r"skip_connection\[0\]: leads from layer 1 to layer 1"),
        ({"from": 0, "to": 3, "mode": "add"}, "it must lead to a later one of the 3 layers"),
        ({"from": 0, "to": 1, "mode": "multiply"}, r"skip_connection\[0\].mode: 'multiply' is not one of"),
        (
            {"from": 0, "to": 1, "mode": "add", "position": "first"},
            r"skip_connection\[0\].position: is not allowed here",
        ),
        (
            {"from": 0, "to": 2, "mode": "add"},
            r"architecture\[2\]: max_pooling .* \[2, 4, 3\], to which \[4, 8, 6\] of layer 0 cannot be added",
        ),
        ({"from": 0, "to": 2, "mode": "concatenate"}, "of layer 0 cannot be concatenated"),
    ],
)
def test_skip_connections_between_shapes_that_differ_are_refused(skip, words):
    layers = (convolution(), convolution(filters=2), layer("max_pooling", kernel_size=2))
    with pytest.raises(ModelError, match=words):
        build_module(network(PLANE, *layers, skips=[skip]))


def test_skip_connections_between_flat_and_image_are_refused():
    with pytest.raises(ModelError, match=r"flatten gives the shape \[192\], to which \[4, 8, 6\] of layer 0"):
        make_plan(network(PLANE, "relu", "flatten", skips=[{"from": 0, "to": 1, "mode": "concatenate"}]))


def test_many_waiting_skip_connections_count_as_memory():
    shape, number = (4, 256, 256, 256), 10
    layers = ["relu"] * (2 * number)
    skips = [{"from": i, "to": number + i, "mode": "add"} for i in range(number)]

    assert len(make_plan(network(shape, *layers)).passed) == 2 * number
    with pytest.raises(ModelError, match="values at once"):
        make_plan(network(shape, *layers, skips=skips))


def test_numbers_that_only_look_like_integers_are_taken_as_such():
    description = network(PLANE, convolution(filters=2.0, kernel_size=[3.0, 3.0], padding=1.0))

    assert build_module(description)(torch.zeros(1, *PLANE)).shape == (1, 2, 8, 6)


@pytest.mark.parametrize(
    "value", [np.zeros(3), {1, 2}, float("nan"), b"x", 10**5000], ids=["array", "set", "nan", "bytes", "huge"]
)
def test_what_json_does_not_have_is_refused(value):
    with pytest.raises(ModelError, match="network description: is not JSON"):
        make_plan({**network(PLANE, "relu"), "input_shape": value})


def test_checking_needs_no_torch():
    import subprocess
    import sys

    code = (
        "import sys, NativeDLLib.registry.architecture as a\n"
        f"a.make_plan({network(PLANE, convolution())!r})\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
