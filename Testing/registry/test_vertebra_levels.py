"""What a registry may say about vertebrae, and what it must."""

import json

import factories
import pytest

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.places import resources_folder
from NativeDLLib.registry import load_registry


def entry():
    given = json.loads((resources_folder() / "training" / "vertebra-ct-demo.json").read_text())["entry"]
    return given | {"weights": {"file": "none", "sha256": "0" * 64}}


def test_the_segments_are_the_levels_and_the_numbers_from_the_top(tmp_path):
    (model,) = load_registry(factories.registry(tmp_path, entry()))

    assert [segment.name for segment in model.segments[:2]] == ["Vertebra C1", "Vertebra C2"]
    assert model.segments[-1].name == "Vertebra 24 from the top"
    assert len({segment.color for segment in model.segments}) == 48
    assert model.network_segments == ()
    by_label = {segment.label: segment.name for segment in model.segments}
    (levels,) = (step.settings["levels"] for step in model.postprocessing if step.step == "vertebra_levels")
    assert {f"Vertebra {level}" for level in levels} == {by_label[n] for n in levels.values()}


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (
            lambda e: e["postprocessing"].reverse(),
            "out of place; the first steps are away_from_skull, needs_bone, vertebra_levels",
        ),
        (lambda e: e["output"].pop("channels"), "output.channels is missing, vertebra_levels needs it"),
        (lambda e: e["postprocessing"][2]["classes"].update(rib=3), "must be different classes of the 5 channels"),
        (lambda e: e["postprocessing"][2]["classes"].update(rib=5), "must be different classes of the 5 channels"),
        (lambda e: e["postprocessing"][2]["numbered"].append(101), "its labels must be different"),
        (lambda e: e["postprocessing"][2]["numbered"].append(4), "beyond the 5 channels"),
        (lambda e: e["postprocessing"][2]["numbered"].append(300), "no segment has label 300"),
        (lambda e: e["postprocessing"][2]["levels"].pop("T7"), "postprocessing[2].levels"),
        (lambda e: e["postprocessing"][2].pop("classes"), "postprocessing[2]"),
        (lambda e: e["postprocessing"][3].update(numbered=[201]), "postprocessing[3]"),
        (
            lambda e: e["postprocessing"].append(e["postprocessing"][0]),
            "postprocessing[5]: away_from_skull is out of place",
        ),
        (lambda e: e["postprocessing"][0].pop("distance_mm"), "postprocessing[0]"),
        (lambda e: e["postprocessing"][0].update(enabled=False), "postprocessing[0]"),
        (lambda e: e["postprocessing"][4].update(distance_mm=3), "postprocessing[4]"),
        (lambda e: e["input"].update(modality="MR"), "postprocessing[0]: is for CT, where bone has"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, change, wrong):
    given = entry()
    change(given)

    with pytest.raises(ModelError) as caught:
        load_registry(factories.registry(tmp_path, given))

    assert wrong in str(caught.value)
