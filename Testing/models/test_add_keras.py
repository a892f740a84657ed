"""Networks of Keras 3: what they compute, and files that ask for more than layers."""

import copy
import io
import json
import os
import zipfile

import numpy as np
import onnxruntime
import pytest
from own_models import refusal

from NativeDLLib.core.errors import ModelError
from NativeDLLib.models.add import keras_file
from NativeDLLib.models.add.model_files import read_source

pytestmark = pytest.mark.slow


def layer(kind, **config):
    return {"module": "keras.layers", "class_name": kind, "config": {"name": kind, **config}, "registered_name": None}


CONV = layer("Conv2D", filters=2, kernel_size=[3, 3], padding="same", activation="softmax")
CONFIG = {
    "module": "keras",
    "class_name": "Sequential",
    "config": {"name": "net", "layers": [layer("InputLayer", batch_shape=[None, 8, 8, 1]), CONV]},
    "registered_name": None,
}


def with_layer(row):
    config = copy.deepcopy(CONFIG)
    config["config"]["layers"].append(row)
    return config


def saved(path, config=CONFIG, **members):
    """Write a file of Keras, of any content."""
    content = {
        "metadata.json": b'{"keras_version": "3.15.1"}',
        "config.json": json.dumps(config),
        "model.weights.h5": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in (content | members).items():
            if data is not None:
                archive.writestr(name, data)
    return path


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


HOSTILE = {
    "a Lambda": (layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "4wEA"}}), "'__lambda__'"),
    "a Lambda of a name": (layer("Lambda", function="f"), "'Lambda'"),
    "pickled torch": (layer("TorchModuleWrapper", module="gASV"), "'TorchModuleWrapper'"),
    "a vocabulary": (layer("StringLookup", vocabulary="/etc/passwd"), "'StringLookup'"),
    "a saved model": (layer("TFSMLayer", filepath="/tmp/x"), "'TFSMLayer'"),
    "a custom layer": (CONV | {"registered_name": "Pkg>Conv2D"}, "'Pkg>Conv2D'"),
    "another module": (CONV | {"module": "os"}, "'Conv2D' of 'os', and not of Keras"),
    "a module like Keras": (CONV | {"module": "keras_evil.layers"}, "'keras_evil.layers'"),
    "a function": (layer("Activation", activation={"class_name": "function", "config": "system"}), "the activation"),
    "an unknown activation": (layer("Activation", activation="os.system"), "the activation 'os.system'"),
    "a layer within": (layer("Dropout", rate=[{"module": "builtins", "class_name": "eval", "config": {}}]), "'eval'"),
    "an object within a build": (CONV | {"build_config": {"x": {"class_name": "Lambda"}}}, "'Lambda'"),
    "a class without a name": ({"class_name": ["Conv2D"], "config": {}}, "none of the layers"),
    "a wrapper": (layer("TimeDistributed", layer=CONV), "'TimeDistributed'"),
    "too many filters": (layer("Conv2D", filters=2**40), "is no number that a network has"),
    "an infinite number": (layer("Dropout", rate=1e999), "JSON"),
    "too deep": (layer("Dropout", rate=nested(100)), "is nested too deeply"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_file_that_asks_for_more_than_layers_is_refused_by_name(tmp_path, case):
    row, told = HOSTILE[case]
    path = saved(tmp_path / "a.keras", with_layer(row))

    message = refusal(ModelError, path)

    assert message.startswith(f"{path}: ")
    assert told in message


def test_every_object_of_the_file_is_written_anew_in_our_words():
    row = CONV | {"config": CONV["config"] | {"kernel_initializer": {"module": "os", "class_name": "system"}}}
    row["config"] |= {"dtype": {"module": "os", "class_name": "system"}, "seed": {"class_name": "x"}}
    config = with_layer(row | {"module": "keras.src.layers.convolutional.conv2d"})

    plain = json.dumps(keras_file._plain(config, "a.keras", ""))

    assert "system" not in plain
    assert "src.layers" not in plain
    assert plain.count('"class_name"') == 4


@pytest.mark.parametrize(
    ("members", "told"),
    [
        ({"assets/vocabulary.txt": b"x"}, "holds other files than a network of Keras 3"),
        ({"config.json": None}, "holds other files than a network of Keras 3"),
        ({"config.json": b"{"}, "config.json: line 1"),
        ({"metadata.json": b"x" * 2**17}, "metadata.json: is larger than"),
    ],
)
def test_a_file_with_other_members_is_refused(tmp_path, members, told):
    assert told in refusal(ModelError, saved(tmp_path / "a.keras", **members))


def test_a_damaged_file_is_refused(tmp_path):
    path = saved(tmp_path / "a.keras")
    path.write_bytes(path.read_bytes() + path.read_bytes())

    assert "is not a .keras file that can be read" in refusal(ModelError, path)


@pytest.mark.parametrize("kind", ["external link", "soft link", "external data", "virtual", "fill value", "compressed"])
def test_weights_that_are_not_in_the_file_are_refused(tmp_path, kind):
    h5py = pytest.importorskip("h5py")
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        group = file.create_group("layers/conv2d/vars")
        group["0"] = np.ones((3, 3, 1, 2), np.float32)
        keras_file.check_weights(_content(file, stream))
        if kind == "external link":
            group["1"] = h5py.ExternalLink("/etc/passwd", "/x")
        elif kind == "soft link":
            group["1"] = h5py.SoftLink("/layers/conv2d/vars/0")
        elif kind == "external data":
            group.create_dataset("1", (2,), np.float32, external=[("/etc/passwd", 0, 8)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((2,), np.float32)
            layout[:] = h5py.VirtualSource("other.h5", "x", (2,))
            group.create_virtual_dataset("1", layout)
        else:
            more = {"compression": "gzip"} if kind == "compressed" else {}
            group.create_dataset("1", (2**20,), np.float32, data=np.zeros(2**20) if more else None, **more)
        content = _content(file, stream)

    with pytest.raises(ValueError, match=r"leads to another place|is not stored as it is"):
        keras_file.check_weights(content)


def _content(file, stream):
    file.flush()
    return stream.getvalue()


@pytest.fixture(scope="module")
def keras():
    os.environ["KERAS_BACKEND"] = "torch"
    return pytest.importorskip("keras")


def flat(keras):
    """A network of slices of any size."""
    image = keras.Input((None, None, 3))
    x = keras.layers.SeparableConv2D(4, 3, padding="same", activation="gelu")(image)
    x = keras.layers.LayerNormalization()(x)
    y = keras.layers.UpSampling2D(2, interpolation="bilinear")(keras.layers.AveragePooling2D(2)(x))
    return keras.Model(image, keras.layers.Conv2D(1, 1, activation="sigmoid")(keras.layers.Add()([x, y])))


def deep(keras):
    """A network of volumes with the layers that U-Nets have."""
    layers = keras.layers
    image = keras.Input((8, 16, 24, 1))
    x = layers.LeakyReLU()(
        layers.BatchNormalization()(layers.Conv3D(4, 3, padding="same")(layers.Rescaling(0.01)(image)))
    )
    y = layers.PReLU(shared_axes=[1, 2, 3])(layers.Conv3D(6, 3, strides=2, padding="same", use_bias=False)(x))
    y = layers.GroupNormalization(2)(layers.Dropout(0.5)(y))
    y = layers.SpatialDropout3D(0.5)(layers.Conv3DTranspose(4, 3, strides=2, padding="same", activation="elu")(y))
    z = layers.Cropping3D(1)(layers.ZeroPadding3D(1)(layers.UpSampling3D(2)(layers.MaxPooling3D(2)(x))))
    out = layers.Conv3D(3, 1)(layers.Concatenate()([x, y, z]))
    return keras.Model(image, layers.Activation("softmax")(out))


@pytest.mark.parametrize(("make", "sizes"), [(flat, (1, 32, 48, 3)), (deep, (1, 8, 16, 24, 1))])
def test_the_converted_network_gives_the_values_of_keras(tmp_path, keras, make, sizes):
    keras.utils.set_random_seed(6)
    network, noise = make(keras), np.random.default_rng(7)
    network.set_weights(
        [noise.uniform(0.1, 1, value.shape) - (value.ndim > 1) * 0.5 for value in network.get_weights()]
    )
    network.save(tmp_path / "net.keras")
    image = noise.normal(0, 100, sizes).astype(np.float32)

    draft = read_source(tmp_path / "net.keras")

    session = onnxruntime.InferenceSession(draft.content)
    (given,) = session.run(None, {session.get_inputs()[0].name: image})
    expected = keras.ops.convert_to_numpy(network(image, training=False))
    np.testing.assert_allclose(given, expected, atol=1e-5)
    assert expected.std() > 0.01
    assert draft.inputs == sizes[-1]
    assert draft.at(("output", "activation")) == ("sigmoid" if make is flat else "softmax")
    assert draft.any_slices == (make is flat)
    assert "Keras" in draft.entry["description"]
