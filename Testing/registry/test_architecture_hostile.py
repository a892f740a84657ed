"""Descriptions from strangers: whatever they say, they are built or refused in one line, and in little memory."""

import copy
import random
import resource

import pytest
from growth import growth

from NativeDLLib.core.errors import ModelError
from NativeDLLib.models.iodeep.published_layout import from_iodeep
from NativeDLLib.registry.architecture import make_plan

torch = pytest.importorskip("torch")
from architectures import build_module  # noqa: E402

# fmt: off
STRANGE = (
    None, True, False, -1, 0, 1, 2, 3, 64, 65, 10**6, 10**9, 10**30, -(2**63), 0.0, 0.5, 2.0, 1e-300, 1e300,
    "", "relu", "convolution", "__class__", "torch.load", "../../etc/passwd", "\x00", "x" * 10_000, "1", "add", "first",
    [], [1], [3, 3], [3, 3, 3], [[3]], [1] * 1000, {}, {"type": "relu"}, {"$ref": "#"}, {"__reduce__": ["os.system"]},
)
# fmt: on
UNET = {
    "schema_version": "1.0",
    "input_shape": [1, 16, 16],
    "architecture": [
        {"type": "convolution", "filters": 4, "kernel_size": 3, "padding": 1, "groups": 1},
        {"type": "batch_normalisation", "epsilon": 1e-5},
        {"type": "leaky_relu", "slope": 0.1},
        {"type": "max_pooling", "kernel_size": 2, "stride": 2},
        {"type": "convolution", "name": "low", "filters": 8, "kernel_size": [3, 3], "padding": [1, 1], "dilation": 1},
        {"type": "dropout", "rate": 0.2},
        {"type": "upsampling", "scale": 2, "mode": "linear", "align_corners": True},
        {"type": "transposed_convolution", "filters": 4, "kernel_size": 3, "padding": 1, "output_padding": 0},
        {"type": "group_normalisation", "groups": 2, "affine": True},
        {"type": "convolution", "filters": 2, "kernel_size": 1, "bias": False},
        {"type": "flatten"},
        {"type": "dense", "units": 5},
        {"type": "softmax"},
    ],
    "skip_connection": [
        {"from": 2, "to": 6, "mode": "concatenate", "position": "first"},
        {"from": 0, "to": 8, "mode": "add"},
    ],
}
CODES = ("doubleConv", "Maxpool2d", "ElbowUNet", "Upsample", "UpDoubleConv_out")
NUMBERS = [(name,) for name in ("filters", "kernel_size", "stride", "padding", "dilation", "groups", "scale", "units")]
# What a network of a few layers may take to be refused or built.
KIB = 256 * 2**10


def most_memory():
    """Return the most memory that this process has taken, in KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def places(data, path=()):
    yield path
    if isinstance(data, dict | list):
        for key, value in data.items() if isinstance(data, dict) else enumerate(data):
            yield from places(value, (*path, key))


def mutated(data, chance):
    result = copy.deepcopy(data)
    for _ in range(chance.randint(1, 3)):
        *steps, last = chance.choice([path for path in places(result) if path])
        here = result
        for step in steps:
            here = here[step]
        action = chance.randrange(8)
        if action == 0:
            del here[last]
        elif action == 1 and isinstance(here, list):
            here.insert(last, copy.deepcopy(here[chance.randrange(len(here))]))
        elif action == 2 and isinstance(here, dict):
            here[str(chance.choice(STRANGE))] = chance.choice(STRANGE)
        elif action > 4 and type(here[last]) is int:
            here[last] = chance.randint(0, 8)
        else:
            here[last] = chance.choice(STRANGE)
    return result


def verdict(act):
    """Return 'built', or the refusal after checking that it is one line that a person can read."""
    try:
        act()
        said = "built"
    except ModelError as error:
        said = str(error)
        assert "\n" not in said
        assert 20 < len(said) < 700
        assert "Traceback" not in said
    return said


def test_mutated_descriptions_are_built_or_refused():
    chance = random.Random(0)
    said = []

    def attempt(description):
        # Weights take memory, and within what is allowed they may: here only that nothing else does.
        if sum(torch.Size(shape).numel() for shape in make_plan(description).parameters.values()) < 10**7:
            build_module(description)

    before = most_memory()
    for _ in range(200):
        description = mutated(UNET, chance)
        said.append(verdict(lambda description=description: attempt(description)))

    assert most_memory() - before < KIB
    assert 5 < said.count("built") < 130
    assert len(set(said)) > 60


def tuned(data, chance):
    """Return a description with some of its numbers changed."""
    result = copy.deepcopy(data)
    for _ in range(chance.randint(1, 3)):
        (*steps, last), here = chance.choice([path for path in places(data) if path[-1:] in NUMBERS]), result
        for step in steps:
            here = here[step]
        here[last] = chance.randint(0, 6)
    return result


def test_a_network_with_other_numbers_gives_the_shape_that_was_foretold():
    chance, ran = random.Random(1), 0
    for _ in range(100):
        description = tuned(UNET, chance)
        try:
            shapes = make_plan(description).passed
        except ModelError:
            continue
        module = build_module(description).eval()
        x = torch.zeros(1, *description["input_shape"])
        with torch.no_grad():
            output = module(x)
        assert tuple(output.shape[1:]) == shapes[-1], description
        ran += 1
    assert ran > 20


def nested(depth):
    data = {}
    for _ in range(depth):
        data = {"a": data}
    return data


@pytest.mark.parametrize(
    "description",
    [
        {},
        {**UNET, "architecture": UNET["architecture"] * 100},
        {**UNET, "architecture": [{"type": "relu"}] * 100_000},
        {**UNET, "input_shape": [1, 10**6, 10**6]},
        {**UNET, "input_shape": [1, 16]},
        {**UNET, "architecture": [{"type": "upsampling", "scale": 64}] * 1000},
        {
            **UNET,
            "architecture": [{"type": "flatten"}, {"type": "dense", "units": 10**6}, {"type": "dense", "units": 10**6}],
        },
        {**UNET, "architecture": nested(100_000)},
        {**UNET, "architecture": nested(500)},
        {**UNET, "skip_connection": [{"from": 0, "to": 6, "mode": "concatenate"}] * 100_000},
        {**UNET, "architecture": [{"type": "relu", "name": "a\nb"}]},
        {**UNET, "input_shape": [1] * 80_000},
        {1: 2},
    ],
    ids=range(13),
)
def test_absurd_descriptions_are_refused(description):
    before = most_memory()
    assert verdict(lambda: build_module(description)) != "built"
    assert most_memory() - before < KIB


def chain(layers):
    skips = [{"from": i, "to": layers - 1, "mode": "add"} for i in range(layers - 1)]
    return {**UNET, "architecture": [{"type": "relu"}] * layers, "skip_connection": skips}


def test_the_longest_network_is_built():
    assert verdict(lambda: build_module(chain(1000))) == "built"


def test_a_network_is_checked_in_time_proportional_to_its_length():
    assert growth(make_plan, chain(100), chain(400)) < 8


def test_a_thousand_doublings_are_refused_by_their_size():
    layers = [{"type": "relu"}] * 200
    skips = [{"from": i - 1, "to": i, "mode": "concatenate"} for i in range(1, 200)]

    assert "values at once" in verdict(lambda: build_module({**UNET, "architecture": layers, "skip_connection": skips}))


def test_mutated_descriptions_in_the_authors_layout_are_read_or_refused():
    data = {
        "input_shape": {"input_shape0": 16, "input_shape1": 16, "input_shape2": 1},
        "architecture": {
            "1": "doubleConv",
            "2": "Maxpool2d",
            "3": "ElbowUNet",
            "4": "Upsample",
            "5": "UpDoubleConv_out",
        },
        "convolutional": {"cn1": 4, "cn2": 8, "cn3": 4},
        "kernel": {"kernel1": 3, "kernel2": 3, "kernel3": 3},
        "pooling": {"pool1": 2},
        "padding": {"padding": 1},
        "skip_connection": {"1": "4"},
        "data_format": {"data_format": "channels_last"},
    }
    chance = random.Random(2)
    said = {verdict(lambda: from_iodeep(mutated(data, chance), {"w": torch.zeros(1)})) for _ in range(150)}

    assert "built" not in said
    assert len(said) > 20
