import os
import subprocess
import sys

import numpy as np
import pytest

from NativeDLLib.errors import ModelError
from NativeDLLib.inference.architecture import build_keras, build_module, canonical_state_dict, describe, load_keras

torch = pytest.importorskip("torch")
from architectures import LAYERS, PLANE, VOLUME, convolution, layer, network, shaken  # noqa: E402

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")


def both(description, number=2):
    """Return the output of the torch module and, with the same weights, that of the Keras model, channels first."""
    module = shaken(build_module(description))
    model = load_keras(description, canonical_state_dict(module))
    images = torch.randn(number, *description["input_shape"], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = module(images).numpy()
        given = model(np.moveaxis(images.numpy(), 1, -1)).cpu().numpy()
    return expected, np.moveaxis(given, -1, 1)


MORE = {
    "kernel below stride": layer("transposed_convolution", filters=3, kernel_size=1, stride=2),
    "transposed by axis": layer("transposed_convolution", filters=3, kernel_size=5, stride=3, padding=2, bias=False),
    "deconvolution of a u-net": layer("transposed_convolution", filters=3, kernel_size=2, stride=2),
    "plain convolution": layer("convolution", filters=3, kernel_size=3),
    "one by one": layer("group_normalisation", groups=4, affine=False),
}


@pytest.mark.parametrize("name", [*LAYERS, *MORE])
@pytest.mark.parametrize("shape", [PLANE, VOLUME], ids=["2d", "3d"])
def test_every_layer_gives_the_same_in_keras(name, shape):
    expected, given = both(network(shape, MORE.get(name) or LAYERS[name][0]))

    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", [PLANE, VOLUME], ids=["2d", "3d"])
def test_a_classifier_gives_the_same_in_keras_with_channels_last(shape):
    layers = (
        convolution(filters=6),
        "instance_normalisation",
        layer("max_pooling", kernel_size=2),
        "flatten",
        layer("dense", units=7),
        "batch_normalisation",
        layer("prelu", per_channel=True),
        "layer_normalisation",
        layer("dropout", rate=0.5, whole_channels=True),
        layer("dense", units=3, bias=False),
        "flatten",
        "softmax",
    )
    expected, given = both(network(shape, *layers))

    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-4)


def test_our_unet_gives_the_same_in_keras():
    from NativeDLLib.training.network import SmallUNet

    torch.manual_seed(0)
    module = SmallUNet(3, (4, 6, 8)).eval()
    model = load_keras(describe(module, (8, 12, 16)), canonical_state_dict(module))
    images = torch.randn(2, 1, 8, 12, 16)

    with torch.no_grad():
        expected, given = module(images).numpy(), model(np.moveaxis(images.numpy(), 1, -1)).cpu().numpy()

    np.testing.assert_allclose(np.moveaxis(given, -1, 1), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("position", ["first", "last"])
def test_skip_connections_give_the_same_in_keras(position):
    skips = [{"from": 0, "to": 1, "mode": "add"}, {"from": 0, "to": 2, "mode": "concatenate", "position": position}]
    expected, given = both(network(PLANE, *[convolution() for _ in range(4)], skips=skips))

    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-4)


def test_a_keras_that_is_set_to_channels_first_changes_nothing():
    keras.config.set_image_data_format("channels_first")
    try:
        expected, given = both(network(PLANE, convolution(), layer("upsampling", scale=2), "flatten"))
    finally:
        keras.config.set_image_data_format("channels_last")

    np.testing.assert_allclose(given, expected, rtol=0, atol=1e-4)


def test_weights_may_be_arrays():
    description = network(PLANE, layer("convolution", filters=1, kernel_size=1))
    weights = {"layers.0.weight": np.ones((1, 4, 1, 1), np.float32), "layers.0.bias": np.full(1, 0.5, np.float64)}

    given = load_keras(description, weights)(np.ones((1, 8, 6, 4), np.float32))

    assert float(given.mean()) == 4.5


def test_weights_that_do_not_fit_are_refused():
    with pytest.raises(ModelError, match=r"missing: layers\.0\.weight"):
        load_keras(network(PLANE, convolution()), {})


def test_what_keras_lacks_is_named_with_its_layer():
    with pytest.raises(ModelError, match=r"layer 1 \(convolution\) cannot be built with Keras: .*dilation"):
        build_keras(network(PLANE, "relu", convolution(stride=2, dilation=2)))


def test_without_its_back_end_keras_is_asked_for_in_one_line():
    code = (
        "from NativeDLLib.errors import ModelError\n"
        "from NativeDLLib.inference.architecture import build_keras\n"
        "try:\n"
        f"    build_keras({network(PLANE, 'relu')!r})\n"
        "except ModelError as error:\n"
        "    print(error)\n"
    )
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    try:
        import jax  # noqa: F401
    except ImportError:
        assert "this model needs keras, which cannot be imported (No module named 'jax')" in run.stdout
    else:
        assert run.stdout == ""
