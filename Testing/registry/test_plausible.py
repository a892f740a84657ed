"""What is plausible for a segment stands in the registry."""

import factories
import pytest

from NativeDLLib.core.errors import ModelError
from NativeDLLib.registry import load_registry
from NativeDLLib.registry.entry import Plausible


def registry(tmp_path, plausible):
    entry = factories.entry()
    entry["output"]["segments"][0]["plausible"] = plausible
    return factories.registry(tmp_path, entry)


def test_an_entry_says_what_is_plausible(tmp_path):
    (model,) = load_registry(registry(tmp_path, {"volume_ml": [500, 4500], "side": "RA", "cut_at": ["H", "F"]}))

    assert model.segments[0].plausible == Plausible((500, 4500), "RA", ("H", "F"))


@pytest.mark.parametrize(
    ("plausible", "field"),
    [
        ({"volume_ml": [4500, 500]}, r"segments\[0\]\.plausible\.volume_ml: the lower bound is not below the upper"),
        ({"volume_ml": [500]}, "volume_ml"),
        ({"side": "right"}, "side"),
        ({"side": "RL"}, "side"),
        ({"cut_at": ["superior"]}, "cut_at"),
        ({"border": "expected"}, "plausible"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_its_place(tmp_path, plausible, field):
    with pytest.raises(ModelError, match=field):
        load_registry(registry(tmp_path, plausible))
