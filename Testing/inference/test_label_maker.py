import numpy as np
import pytest

from NativeDLLib.inference import label_maker
from NativeDLLib.inference.label_maker import Axis, Head, LabelMaker

torch = pytest.importorskip("torch")


def axes_of(sizes, shape):
    """Both grids over the same extent."""
    return [
        Axis.linear((np.arange(count) + 0.5) * size / count - 0.5, size)
        for size, count in zip(sizes, shape, strict=True)
    ]


def interpolated(logits, axes):
    """Every class at every voxel, one axis after the other."""
    for number, axis in enumerate(axes, 1):
        weight = axis.weight.reshape([-1 if number == n else 1 for n in range(4)])
        logits = (1 - weight) * logits.take(axis.first, number) + weight * logits.take(axis.last, number)
    return logits


def smooth(classes, shape, seed=0):
    coarse = np.random.default_rng(seed).normal(size=(classes, 4, 4, 4)).astype(np.float32)
    return interpolated(coarse, axes_of((4, 4, 4), shape)).astype(np.float32)


def label(logits, axes, planes=100, head=None, where=lambda array: array):
    maker = LabelMaker(axes, head)
    for start in range(0, logits.shape[1], planes):
        maker.add(where(logits[:, start : start + planes]))
    return maker.labels


@pytest.mark.parametrize("shape", [(70, 65, 90), (20, 33, 41), (9, 9, 100)])
@pytest.mark.parametrize("planes", [1, 7, 100])
@pytest.mark.parametrize("kind", [np.float32, np.float16])
@pytest.mark.parametrize("where", [lambda array: array, torch.from_numpy], ids=["arrays", "tensors"])
def test_labels_are_the_most_likely_classes_of_interpolated_logits(shape, planes, kind, where, monkeypatch):
    # So little that tensors are labelled a few planes at a time.
    monkeypatch.setattr(label_maker, "_AT_ONCE", 500_000)
    logits = smooth(6, (24, 30, 28)).astype(kind)
    axes = axes_of((24, 30, 28), shape)

    labels = label(logits, axes, planes, where=where)

    values = interpolated(logits.astype(np.float32), axes)
    first, second = np.sort(values, axis=0)[-1:-3:-1]
    clear = first - second > 1e-5
    assert clear.mean() > 0.99
    assert np.array_equal(labels[clear], values.argmax(axis=0)[clear])


@pytest.mark.parametrize("where", [lambda array: array, torch.from_numpy], ids=["arrays", "tensors"])
def test_features_become_the_labels_of_the_logits_that_a_head_makes_of_them(where):
    rng = np.random.default_rng(3)
    features, axes = smooth(4, (10, 12, 14)), axes_of((10, 12, 14), (21, 25, 19))
    head = Head(rng.normal(size=(12, 4)).astype(np.float32), rng.normal(size=12).astype(np.float32))

    labels = label(features, axes, 3, head, where)

    values = np.tensordot(head.weights, interpolated(features, axes).astype(np.float32), 1)
    values += head.bias[:, None, None, None]
    first, second = np.sort(values, axis=0)[-1:-3:-1]
    clear = first - second > 1e-4
    assert clear.mean() > 0.99
    assert len(np.unique(labels)) > 3
    assert np.array_equal(labels[clear], values.argmax(axis=0)[clear])


def test_noise_has_a_winner_at_every_voxel():
    logits = np.random.default_rng(2).normal(size=(9, 12, 13, 14)).astype(np.float32)
    axes = axes_of((12, 13, 14), (40, 41, 42))

    assert np.mean(label(logits, axes, 5) == interpolated(logits, axes).argmax(axis=0)) > 0.9999


def test_a_class_that_wins_only_between_voxels_is_found():
    corners = np.array([[4.0, 0, 3], [0, 4.0, 3]], np.float32).T
    logits = np.broadcast_to(corners[:, :, None, None], (3, 2, 2, 2))
    axes = [Axis.linear(np.array([0, 0.5, 1.0]), 2), *axes_of((2, 2), (2, 2))]

    assert label(np.ascontiguousarray(logits), axes)[:, 0, 0].tolist() == [0, 2, 1]


def test_the_first_of_equal_classes_wins():
    assert not label(np.ones((3, 4, 4, 4), np.float32), axes_of((4, 4, 4), (9, 9, 9))).any()


def test_one_plane_is_enough():
    logits = np.stack([np.zeros((1, 3, 3)), np.eye(3)[None]]).astype(np.float32)

    labels = label(logits, axes_of((1, 3, 3), (4, 3, 3)))

    assert np.array_equal(labels, np.broadcast_to(np.eye(3), (4, 3, 3)))


def test_beyond_the_outermost_voxels_is_the_nearest():
    axis = Axis.linear(np.array([-5.0, 0, 1.25, 3, 9]), 4)

    assert axis.first.tolist() == [0, 0, 1, 2, 2]
    assert axis.weight.tolist() == [0, 0, 0.25, 1, 1]
