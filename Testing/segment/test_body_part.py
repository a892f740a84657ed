"""A series that does not tell its body part: models are offered by a look at its images, and none is chosen by it."""

import pytest
from tools import nativedl

from NativeDLLib.phantom.ct_series import write_ct_series
from NativeDLLib.phantom.torso import make_phantom
from NativeDLLib.quality.look import parts_seen
from NativeDLLib.source import Series

pytestmark = pytest.mark.slow


@pytest.fixture
def untold(tmp_path):
    """The CT of a phantom whose header says nothing of the body part."""
    image, _ = make_phantom(1, (80, 72, 70), (5.0, 5.0, 6.0))
    texts = dict.fromkeys(("patient_name", "patient_id", "study_description", "series_description"), "X")
    write_ct_series(image, tmp_path / "series", **texts, body_part="")
    return tmp_path / "series"


def test_a_run_offers_the_models_and_chooses_none(tmp_path, untold, registry, capsys):
    assert nativedl("run", untold, "-o", tmp_path / "out", registry=registry) == 4

    told = capsys.readouterr().err
    assert (
        "the body part is not told; a coarse look at the images, which is an estimate, shows chest and abdomen" in told
    )
    assert "for which there are bright" in told
    assert not (tmp_path / "out").exists()


def test_inspect_says_it_of_each_model(untold, registry, capsys):
    assert nativedl("inspect", untold, registry=registry) == 0

    assert "bright: does not fit: body part is unknown" in (told := capsys.readouterr().out)
    assert "a coarse look, which is an estimate, shows chest and abdomen" in told


@pytest.mark.parametrize(
    ("name", "parts"), [("upper_abdomen_ct_dicom", ["ABDOMEN"]), ("abdomen_ct_5mm_dicom", ["CHEST", "ABDOMEN"])]
)
def test_a_few_slices_of_a_real_series_are_enough(real_data, name, parts):
    series = Series.read([real_data / name])

    assert parts_seen(series) == parts


def test_images_that_cannot_be_read_show_nothing(tmp_path, untold):
    series = Series.read([untold])
    for instance in series.instances:
        instance.path.write_bytes(instance.path.read_bytes()[:2000])

    assert parts_seen(series) == []
