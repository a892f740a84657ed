"""The picture of a result, drawn as radiologists look at it however the file lies."""

import itertools

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from NativeDLLib.registry import find_model, load_models
from NativeDLLib.volumes.preview import write_preview

# Each pair of opposite letters once, in every order.
ORIENTATIONS = ["".join(p) for axes in itertools.product("LR", "PA", "SI") for p in itertools.permutations(axes)]


def volume():
    """A block with one bright corner: left, posterior and superior."""
    values = np.zeros((12, 20, 24), np.int16)
    values[6:, 14:, 16:] = 200
    image, labels = sitk.GetImageFromArray(values), sitk.GetImageFromArray((values > 100).astype(np.uint8))
    return image, labels


def drawn(path, image, labels):
    segments = find_model(load_models(), "liver-ct-demo").segments
    write_preview(path, image, labels, segments, is_ct=True)
    return np.asarray(Image.open(path).convert("L")).astype(int)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_what_is_left_posterior_or_inferior_lies_where_a_radiologist_looks_for_it(tmp_path, orientation):
    image, labels = (sitk.DICOMOrient(part, orientation) for part in volume())

    picture = drawn(tmp_path / "preview.png", image, labels)

    picture = picture[30:-30, 30:-30]
    rows, columns = np.nonzero(picture > 150)
    right = columns.mean() > picture.shape[1] / 2
    down = rows.mean() > picture.shape[0] / 2
    # The bright corner is left and posterior, so right; seen from the front or the side it is above.
    assert right
    assert down == (orientation[2] in "SI")


def test_slices_are_counted_as_they_lie_in_the_file(tmp_path):
    image, labels = volume()
    turned = [sitk.DICOMOrient(part, "RAS") for part in (image, labels)]

    np.testing.assert_array_equal(drawn(tmp_path / "a.png", image, labels), drawn(tmp_path / "b.png", *turned))
