from types import SimpleNamespace

import numpy as np
import pytest

from NativeDLLib.inference.nnunet_resample import axes_back, is_separable, resample_by_splines

reference = pytest.importorskip("nnunetv2.preprocessing.resampling.default_resampling")

DATA = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
LOGITS = DATA | {"order": 1}
SPACINGS = [
    ((1.5, 0.8, 0.8), (1.5, 1.5, 1.5)),
    ((5.0, 0.8, 0.8), (1.5, 1.5, 1.5)),
    ((0.7, 0.7, 0.7), (6.0, 1.0, 1.0)),
    ((2.0, 1.0, 1.2), (1.0, 0.9, 1.3)),
]


def body(shape=(18, 30, 26)):
    """Edges as sharp as those of bone, so that splines overshoot."""
    values = np.random.default_rng(0).normal(0, 0.05, shape).astype(np.float32) - 3
    values[4:14, 6:24, 5:20] += 5
    return values


@pytest.mark.parametrize(("current", "new"), SPACINGS)
@pytest.mark.parametrize("settings", [DATA, DATA | {"order_z": 1}, DATA | {"force_separate_z": False}])
def test_values_are_those_of_nnunet(current, new, settings):
    values = body()
    shape = reference.compute_new_shape(values.shape, current, new)

    expected = reference.resample_data_or_seg_to_shape(values[None], shape, current, new, **settings)[0]
    result = resample_by_splines(values, shape.tolist(), current, new, settings)

    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=2e-5)


@pytest.mark.parametrize(("current", "new"), SPACINGS)
@pytest.mark.parametrize("settings", [LOGITS, LOGITS | {"order_z": 1}])
def test_the_way_back_is_that_of_nnunet(current, new, settings):
    logits = body()
    shape = reference.compute_new_shape(logits.shape, current, new).tolist()

    expected = reference.resample_data_or_seg_to_shape(logits[None], shape, current, new, **settings)[0]
    result = logits
    for number, axis in enumerate(axes_back(logits.shape, shape, current, new, settings)):
        weight = axis.weight.reshape([-1 if number == n else 1 for n in range(3)])
        result = (1 - weight) * result.take(axis.first, number) + weight * result.take(axis.last, number)

    np.testing.assert_allclose(result, expected, atol=2e-5)


def test_the_same_shape_is_left_alone():
    values = body()
    assert resample_by_splines(values, values.shape, (1, 1, 1), (1, 1, 1), DATA) is values


@pytest.mark.parametrize(
    ("change", "separable"),
    [
        ({}, True),
        ({"resampling_fn_data": "resample_torch_fornnunet"}, False),
        ({"resampling_fn_probabilities": "resample_torch_fornnunet"}, False),
        ({"resampling_fn_probabilities_kwargs": LOGITS | {"order": 3}}, False),
    ],
)
def test_plans_that_resample_in_another_way_are_told(change, separable):
    name = "resample_data_or_seg_to_shape"
    plans = {
        "resampling_fn_data": name,
        "resampling_fn_data_kwargs": DATA,
        "resampling_fn_probabilities": name,
        "resampling_fn_probabilities_kwargs": LOGITS,
    } | change
    assert is_separable(SimpleNamespace(configuration=plans)) == separable
