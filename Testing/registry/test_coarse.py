"""An entry that names a coarse model: what it may say, and what else then asks for that model."""

import factories
import pytest

from NativeDLLib.core.errors import ModelError
from NativeDLLib.models.iodeep.object_writer import write_model
from NativeDLLib.registry import load_registry
from NativeDLLib.registry.select import rank

URL = {"url": "https://example.org/w.onnx", "file": "w.onnx", "sha256": "0" * 64}


def coarse_entry(**changes):
    return factories.entry(id="rough", **changes)


def fine_entry(coarse=None, **changes):
    switch = {"name": "coarse", "type": "boolean", "default": True, "label": "Coarse first", "help": "Faster."}
    parameters = [*factories.entry()["parameters"], switch]
    return factories.entry(parameters=parameters, coarse={"model": "rough"} | (coarse or {}), **changes)


def models(folder, *entries):
    return {model.id: model for model in load_registry(factories.registry(folder, *entries))}


def test_a_model_knows_its_coarse_one_wherever_it_stands_in_the_registry(tmp_path):
    given = {"segments": ["Liver"], "margin_mm": 35, "use": {"parameter": "coarse"}}
    found = models(tmp_path, fine_entry(given), coarse_entry())

    coarse = found["bright"].coarse
    assert coarse.model == found["rough"]
    assert [segment.name for segment in coarse.segments] == ["Liver"]
    assert coarse.margin_mm == 35
    assert coarse.use == {"parameter": "coarse"}
    assert found["bright"].needed == (found["bright"], found["rough"])
    assert found["rough"].needed == (found["rough"],)


def test_all_segments_count_and_twenty_millimetres_are_added_by_default(tmp_path):
    coarse = models(tmp_path, coarse_entry(), fine_entry())["bright"].coarse

    assert coarse.segments == coarse.model.segments
    assert coarse.margin_mm == 20
    assert coarse.use is True


@pytest.mark.parametrize(
    ("coarse", "place", "wrong"),
    [
        ({"model": "bright"}, "coarse.model", "'bright' has a coarse model itself"),
        ({"model": "blurred"}, "coarse.model", "there is no model 'blurred' in this registry"),
        ({"model": "Rough"}, "coarse.model", "does not match"),
        ({"segments": ["Liver", "Lung"]}, "coarse.segments", "'rough' has no segment 'Lung'"),
        ({"segments": []}, "coarse.segments", "should be non-empty"),
        ({"margin_mm": 4}, "coarse.margin_mm", "4 is less than the minimum of 5"),
        ({"use": {"parameter": "rough"}}, "coarse.use", "there is no parameter 'rough'"),
        ({"use": {"parameter": "step"}}, "coarse.use", "parameter 'step' is not of type boolean"),
        ({"use": "no"}, "coarse.use", "'no' is in none"),
        ({"spacing": 3}, "coarse", "'spacing' is not known here"),
    ],
)
def test_what_cannot_be_a_coarse_model_is_refused(tmp_path, coarse, place, wrong):
    with pytest.raises(ModelError) as caught:
        models(tmp_path, coarse_entry(), fine_entry(coarse))

    message = str(caught.value)
    assert f"models[1] (bright).{place}: " in message
    assert wrong in message
    assert "\n" not in message


def test_a_coarse_model_for_other_images_is_refused(tmp_path):
    other = coarse_entry(input=factories.entry()["input"] | {"modality": "MR"})

    with pytest.raises(ModelError, match=r"coarse.model: 'rough' is for MR, this model for CT"):
        models(tmp_path, other, fine_entry())


def by_image():
    given = factories.entry()["input"]
    return {"input": given | {"intensity": {"normalization": "image"}}}


def nnunet_for(modality, **contract):
    given = {"modality": modality, "channels": [{"name": modality}]} | contract
    return {"input": given, "runtime": "nnunetv2", "weights": {"folder": "results"}}


PATCH = {"spacing": [1.5, 1.5, 1.5], "patch_size": [128, 128, 128]}


@pytest.mark.parametrize("changes", [by_image(), nnunet_for("MR", **PATCH)])
def test_a_model_that_a_part_of_the_image_would_look_different_to_is_refused(tmp_path, changes):
    modality = changes["input"]["modality"]
    other = coarse_entry(input=factories.entry()["input"] | {"modality": modality})

    with pytest.raises(ModelError, match=r"coarse: this model normalises by the whole image"):
        models(tmp_path, other, fine_entry(**changes))


def test_an_nnunet_folder_needs_the_size_of_its_patch_in_its_entry(tmp_path):
    with pytest.raises(ModelError, match=r"\(bright\).input: 'spacing' is missing"):
        models(tmp_path / "without", coarse_entry(), fine_entry(**nnunet_for("CT")))

    assert models(tmp_path / "with", coarse_entry(), fine_entry(**nnunet_for("CT", **PATCH)))["bright"].coarse


class Abdomen:
    """A series of the abdomen."""

    def text(self, keyword):
        return {"Modality": "CT", "BodyPartExamined": "ABDOMEN"}.get(keyword, "")


def test_a_model_is_not_chosen_while_its_coarse_one_is_to_be_fetched(tmp_path):
    found = models(tmp_path, coarse_entry(weights=URL), fine_entry())

    (judged,) = rank([found["bright"]], Abdomen())

    assert not judged.fits
    reason = "the weights of its coarse model are to be fetched first"
    assert judged.reasons[-1] == reason


def test_a_model_with_a_coarse_one_is_no_object_in_the_pacs(tmp_path):
    found = models(tmp_path, coarse_entry(), fine_entry())

    with pytest.raises(ModelError, match="model bright: needs the coarse model rough too"):
        write_model(found["bright"], tmp_path / "object")
