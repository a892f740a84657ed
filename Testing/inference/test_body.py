import numpy as np
import pytest

from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.preprocess import Body, Prepared
from NativeDLLib.inference.sliding_window import WindowSettings, sliding_window, windows_along

SPACING = (3.0, 3.0, 3.0)


def thorax():
    """An elliptical body with lungs, and a thin table below it."""
    values = np.full((40, 100, 120), -1000, np.int16)
    y, x = np.indices((100, 120))
    values[:, ((y - 40) / 25) ** 2 + ((x - 60) / 40) ** 2 < 1] = 40
    for side in (-18, 18):
        values[:, ((y - 40) / 16) ** 2 + ((x - 60 - side) / 12) ** 2 < 1] = -850
    values[:, 75, 20:100] = -100
    return values


class Tissue:
    """A network that finds what is above -500 HU, voxel by voxel."""

    device, concurrency = "cpu", 1

    def __init__(self):
        self.calls = 0

    def to_device(self, array):
        return array

    def __call__(self, batch):
        self.calls += 1
        return np.concatenate([-batch - 500, batch + 500], axis=1)


def window(z, y, x, size=24):
    return tuple(slice(start, start + size) for start in (z, y, x))


def test_only_windows_beside_the_body_are_air():
    body = Body.find(thorax(), SPACING, thorax().shape)

    assert body.is_air(window(0, 0, 0, 12))
    assert body.is_air(window(10, 76, 40))
    assert body.is_air(window(0, -10, -10))
    assert not body.is_air(window(5, 30, 30))
    assert not body.is_air(window(5, 60, 50))


def test_a_window_that_holds_any_tissue_of_size_is_never_air():
    values = thorax()
    body = Body.find(values, SPACING, values.shape)
    rng = np.random.default_rng(0)

    for _ in range(400):
        place = window(*(rng.integers(0, n - 24) for n in values.shape))
        if np.count_nonzero(values[place] > -300) > 27 * 8 and body.is_air(place):
            assert np.all(np.argwhere(values[place] > -300)[:, 1] + place[1].start == 75)


def test_the_volume_of_the_patches_may_have_other_voxels():
    body = Body.find(thorax(), SPACING, (80, 50, 240))

    assert body.is_air((slice(0, 80), slice(40, 50), slice(0, 240)))
    assert not body.is_air((slice(0, 80), slice(20, 25), slice(100, 140)))


@pytest.mark.parametrize("values", [np.zeros((4, 4, 4)), np.zeros((0, 4, 4))])
def test_without_air_nothing_is_known(values):
    assert Body.find(values, SPACING, values.shape) is None


def logits(values, network, body, **settings):
    prepared = Prepared(values[None].astype(np.float32), None, None, None, 0.0, body=body)
    planes = sliding_window(prepared, [network], WindowSettings((24, 24, 24), **settings), Progress())
    return np.concatenate(list(planes), axis=1)


def test_patches_that_are_skipped_are_background_and_change_nothing_else():
    values = thorax()
    network = Tissue()
    body = Body.find(values, SPACING, values.shape)
    everything = logits(values, network, body)
    looked = network.calls
    skipping = logits(values, network, body, skip_air=True)

    assert network.calls - looked < 0.8 * looked
    table = np.zeros(values.shape, bool)
    table[:, 75] = True
    assert np.array_equal(everything.argmax(0)[~table], skipping.argmax(0)[~table])


def test_patches_laid_around_the_body_are_fewer_and_find_what_is_in_it():
    values = thorax()
    network = Tissue()
    body = Body.find(values, SPACING, values.shape)
    everything = logits(values, network, body).argmax(0)
    looked = network.calls
    around = logits(values, network, body, around_body=True)

    assert network.calls - looked < 0.8 * looked
    everything[:, 75] = 0  # the table
    assert np.array_equal(everything, around.argmax(0))


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (slice(0, 100), [0, 11, 22, 33, 43, 54, 65, 76]),
        (slice(30, 70), [30, 38, 46]),
        (slice(40, 50), [33]),
        (slice(0, 4), [0]),
        (slice(98, 100), [76]),
    ],
)
def test_patches_cover_a_part_or_lie_around_one_that_is_smaller(part, expected):
    assert windows_along(part, 100, 24, 0.5) == [slice(start, start + 24) for start in expected]


def test_the_extent_holds_all_tissue_with_a_margin_and_is_everything_where_there_is_none():
    values = thorax()
    tissue = np.argwhere(values[:, :75] > -300)

    extent = Body.find(values, SPACING, values.shape).extent()

    assert extent[0] == slice(0, 40)
    for axis in (1, 2):
        assert tissue[:, axis].min() - 9 <= extent[axis].start <= tissue[:, axis].min()
        assert tissue[:, axis].max() < extent[axis].stop <= tissue[:, axis].max() + 9
    nothing = np.full((10, 30, 40), -1000, np.int16)
    assert Body.find(nothing, SPACING, nothing.shape).extent() == (slice(0, 10), slice(0, 30), slice(0, 40))
