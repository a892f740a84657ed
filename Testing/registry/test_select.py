import factories
import pytest

from NativeDLLib.core.errors import ModelError
from NativeDLLib.registry import rank, select
from NativeDLLib.registry.load import make_model
from NativeDLLib.registry.select import is_unknown


class Described(dict):
    """A series as the choice sees it: attributes as text."""

    def text(self, keyword):
        return self.get(keyword, "")


def ct(**attributes):
    return Described({"Modality": "CT"} | attributes)


def models(tmp_path, **wanted):
    """Return models by id; each is given as changes to the factory's input contract."""
    contract = factories.entry()["input"]
    entries = [factories.entry(id=name, input=contract | changes) for name, changes in wanted.items()]
    return {entry["id"]: make_model(entry, tmp_path / "registry.json") for entry in entries}


@pytest.fixture
def three(tmp_path):
    return models(
        tmp_path,
        liver={"body_parts": ["ABDOMEN", "LIVER"], "keywords": ["liver", "portal venous"]},
        spine={"body_parts": ["SPINE", "LSPINE"], "keywords": ["spine"]},
        brain={"modality": "MR", "body_parts": ["HEAD", "BRAIN"], "keywords": ["brain"]},
    )


def test_the_body_part_decides(three):
    model, reasons, warnings = select(three, ct(BodyPartExamined="LSPINE"))

    assert model.id == "spine"
    assert reasons == ["CT as wanted", "BodyPartExamined is LSPINE"]
    assert warnings == []


@pytest.mark.parametrize("unspecific", ["", "BODY", "WHOLEBODY", "unknown"])
@pytest.mark.parametrize(
    ("keyword", "where"), [("SeriesDescription", "series"), ("ProtocolName", "series"), ("StudyDescription", "study")]
)
def test_descriptions_decide_where_the_body_part_says_nothing(three, unspecific, keyword, where):
    series = ct(BodyPartExamined=unspecific, **{keyword: "Spine 2.0/B60f"})

    model, reasons, _ = select(three, series)

    assert model.id == "spine"
    assert f"the {where} description says 'spine'" in reasons


def test_keywords_are_whole_words(three):
    assert select(three, ct(SeriesDescription="CT_PORTAL-VENOUS 3mm"))[0].id == "liver"
    with pytest.raises(ModelError):
        select(three, ct(SeriesDescription="delivery"))


def test_the_series_counts_for_more_than_the_study_and_the_body_part_for_most(three):
    series = ct(SeriesDescription="spine", StudyDescription="liver")

    assert select(three, series)[0].id == "spine"
    assert select(three, Described(series | {"BodyPartExamined": "LIVER"}))[0].id == "liver"


def test_the_ranking_puts_the_best_first_and_what_does_not_fit_last(three):
    ranking = rank(three.values(), ct(BodyPartExamined="ABDOMEN", StudyDescription="spine"))

    assert [(c.model.id, c.fits) for c in ranking] == [("liver", True), ("spine", True), ("brain", False)]
    assert ranking[0].score > ranking[1].score > ranking[2].score


def test_a_model_for_any_body_part_comes_after_one_for_this_one(tmp_path):
    both = models(tmp_path, anything={"body_parts": [], "keywords": []}, liver={"body_parts": ["LIVER"]})

    ranking = rank(both.values(), ct(BodyPartExamined="LIVER"))

    assert [c.model.id for c in ranking] == ["liver", "anything"]
    assert ranking[1].reasons == ("CT as wanted", "takes any body part")


def test_of_equals_the_first_is_taken_and_the_other_is_named(tmp_path):
    both = models(tmp_path, first={}, second={})

    model, _, warnings = select(both, ct(BodyPartExamined="LIVER"))

    assert model.id == "first"
    assert warnings == ["first was chosen; second would fit as well"]


def test_where_none_fits_each_says_why(three):
    with pytest.raises(ModelError) as caught:
        select(three, ct(BodyPartExamined="HEAD"))

    assert str(caught.value) == (
        "no model fits this series. "
        "liver: is for ABDOMEN, LIVER; BodyPartExamined is HEAD | spine: is for SPINE, LSPINE; BodyPartExamined is HEAD"
        " | brain: is for MR, the series is CT"
    )


def test_an_unknown_body_part_is_named_as_unknown(three):
    with pytest.raises(ModelError, match=r"liver: body part is unknown .*descriptions name none of ABDOMEN, LIVER"):
        select(three, ct())


def test_models_for_what_the_images_seem_to_show_are_offered_and_never_chosen(three):
    with pytest.raises(ModelError) as caught:
        select(three, ct(BodyPartExamined="PARTIALBODY"), seen=["ABDOMEN"])
    assert str(caught.value) == (
        "no model is chosen: the body part is not told; a coarse look at the images, which is an estimate, shows "
        "abdomen, for which there are liver"
    )

    ranking = rank(three.values(), ct(), ["SPINE"])
    assert (ranking[0].model.id, ranking[0].fits) == ("spine", False)
    assert "a coarse look, which is an estimate, shows spine" in ranking[0].reasons[0]


def test_what_the_series_says_of_itself_wins_over_what_it_seems_to_show(three):
    assert select(three, ct(BodyPartExamined="LIVER"), seen=["SPINE"])[0].id == "liver"
    with pytest.raises(ModelError, match="no model fits this series"):
        select(three, ct(BodyPartExamined="HEAD"), seen=["ABDOMEN"])
    assert is_unknown(three.values(), ct())
    assert is_unknown(three.values(), ct(BodyPartExamined="PARTIALBODY"))
    assert not is_unknown(three.values(), ct(BodyPartExamined="HEAD"))
    assert not is_unknown(three.values(), ct(SeriesDescription="liver"))


def test_a_series_without_modality_fits_nothing(three):
    with pytest.raises(ModelError, match="liver: is for CT, the series is without modality"):
        select(three, Described(BodyPartExamined="LIVER"))


def test_a_model_of_several_channels_does_not_fit_one_series(tmp_path):
    channels = [{"name": "T1"}, {"name": "FLAIR"}]
    found = models(tmp_path, two={"channels": channels})

    with pytest.raises(ModelError, match=r"two: needs 2 channels \(T1, FLAIR\), a series gives one"):
        select(found, ct(BodyPartExamined="LIVER"))


def test_without_models_none_fits():
    with pytest.raises(ModelError, match="no model fits this series"):
        select({}, ct())


def test_an_explicit_choice_wins(three):
    model, reasons, warnings = select(three, ct(BodyPartExamined="LIVER"), "spine")

    assert model.id == "spine"
    assert reasons == ["chosen by the user"]
    assert warnings == ["model spine was chosen but may not fit: is for SPINE, LSPINE; BodyPartExamined is LIVER"]


def test_an_explicit_choice_that_fits_needs_no_warning(three):
    assert select(three, ct(BodyPartExamined="LIVER"), "liver")[2] == []


def test_an_explicit_choice_that_is_not_there_is_refused(three):
    with pytest.raises(ModelError, match="there is no model 'heart'; there are brain, liver, spine"):
        select(three, ct(), "heart")


def test_a_model_of_unknown_purpose_is_never_chosen_by_itself(tmp_path):
    silent = models(tmp_path, silent={"keywords": ["liver"]})
    entry = dict(silent["silent"].data)
    entry["input"] = {key: value for key, value in entry["input"].items() if key != "body_parts"}
    silent = {"silent": make_model(entry, tmp_path / "registry.json")}
    series = ct(BodyPartExamined="HEAD", SeriesDescription="liver")

    with pytest.raises(ModelError, match="does not name the body parts"):
        select(silent, series)
    model, _, warnings = select(silent, series, "silent")
    assert model.id == "silent"
    assert "does not name the body parts" in warnings[0]


def test_a_model_for_any_body_part_says_so(tmp_path):
    (model,) = [select(models(tmp_path, any={"body_parts": []}), ct(BodyPartExamined="HEAD"))[0]]

    assert model.id == "any"
