"""The published rules by which a network is chosen for an image, case by case."""

from itertools import permutations

import factories
import pytest
from pydicom import dcmread

from NativeDLLib.core.errors import ModelError
from NativeDLLib.models.iodeep.choose import Offer, choose, newest, offer_of
from NativeDLLib.registry import load_models
from NativeDLLib.source import Series


class Image:
    """An image with these attributes."""

    def __init__(self, **attributes):
        self._attributes = {"Modality": "MR", "SamplesPerPixel": "1", "PhotometricInterpretation": "MONOCHROME2"}
        self._attributes |= attributes

    def text(self, keyword):
        return self._attributes.get(keyword, "")


HEAD = Offer("head-mr", "1.0", "MR", ("HEAD",))
ABDOMEN = Offer("abdomen-mr", "1.0", "MR", ("ABDOMEN", "LIVER"))
ANY = Offer("any-mr", "1.0", "MR")
COLOUR = Offer("colour-mr", "1.0", "MR", ("HEAD",), samples_per_pixel=3, photometric_interpretation="RGB")
CT = Offer("head-ct", "1.0", "CT", ("HEAD",))
ALL = (HEAD, ABDOMEN, ANY, COLOUR, CT)


def chosen(offers=ALL, **attributes):
    return choose(offers, Image(**attributes)).offer


def refusal(offers=ALL, **attributes):
    with pytest.raises(ModelError) as caught:
        choose(offers, Image(**attributes))
    return str(caught.value)


@pytest.mark.parametrize(("part", "expected"), [("HEAD", HEAD), ("ABDOMEN", ABDOMEN), ("LIVER", ABDOMEN)])
def test_modality_and_body_part_decide(part, expected):
    assert chosen(BodyPartExamined=part) is expected


def test_the_same_body_part_in_another_modality_has_another_network():
    assert chosen(Modality="CT", BodyPartExamined="HEAD") is CT


def test_none_for_the_modality_says_so_for_each():
    message = refusal((HEAD, CT), Modality="PT", BodyPartExamined="HEAD")
    assert "head-ct 1.0: is for CT, the image is PT | head-mr 1.0: is for MR, the image is PT" in message


def test_none_for_the_body_part_says_so():
    message = refusal((HEAD,), BodyPartExamined="FOOT", StudyDescription="head")
    assert message.endswith("head-mr 1.0: is for HEAD, BodyPartExamined is FOOT")


def test_no_networks_at_all_is_said():
    assert refusal(()) == "no model matches this image. There are none"


@pytest.mark.parametrize("description", ["Head", "MRI of the HEAD, contrast", "head^routine", "RM_head"])
def test_an_empty_body_part_is_looked_for_among_the_words_of_the_study_description(description):
    choice = choose((HEAD, ABDOMEN), Image(StudyDescription=description))
    assert choice.offer is HEAD
    assert choice.reasons[-1] == "BodyPartExamined is empty, StudyDescription says 'head'"


@pytest.mark.parametrize("description", ["", "Forehead", "headache clinic", "Routine"])
def test_an_empty_body_part_that_the_description_does_not_name_matches_nothing(description):
    assert "StudyDescription names none of HEAD" in refusal((HEAD,), StudyDescription=description)


def test_a_body_part_of_two_words_is_found_in_a_description():
    offer = Offer("torso", "1", "MR", ("CHESTABDOMEN",))
    assert chosen((offer,), StudyDescription="Chest/Abdomen with contrast") is offer


def test_the_keywords_of_a_registry_entry_name_its_body_part_too():
    offer = Offer("liver", "1", "MR", ("ABDOMEN",), keywords=("portal venous",))
    assert chosen((offer,), StudyDescription="Portal Venous phase") is offer


def test_a_body_part_that_is_given_is_believed_and_not_the_description():
    assert chosen(BodyPartExamined="ABDOMEN", StudyDescription="head") is ABDOMEN


@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL_422"])
def test_a_colour_image_gets_the_network_for_colour(kind):
    attributes = {"SamplesPerPixel": "3", "PhotometricInterpretation": kind, "BodyPartExamined": "HEAD"}
    assert chosen(**attributes) is COLOUR


def test_a_grey_image_does_not_get_the_network_for_colour():
    assert "is for RGB, the image is MONOCHROME2" in refusal((COLOUR,), BodyPartExamined="HEAD")


def test_a_colour_image_does_not_get_a_network_for_grey():
    message = refusal((HEAD,), SamplesPerPixel="3", PhotometricInterpretation="RGB", BodyPartExamined="HEAD")
    assert "is for MONOCHROME2, the image is RGB" in message


def test_one_sample_that_indexes_colours_is_no_grey():
    assert "the image is PALETTE COLOR" in refusal(
        (HEAD,), PhotometricInterpretation="PALETTE COLOR", BodyPartExamined="HEAD"
    )


def test_grey_is_grey_whichever_end_is_white():
    assert chosen(PhotometricInterpretation="MONOCHROME1", BodyPartExamined="HEAD") is HEAD


def test_the_number_of_samples_decides_among_those_for_colour():
    four = Offer("four", "1", "MR", ("HEAD",), samples_per_pixel=4, photometric_interpretation="RGB")
    attributes = {"SamplesPerPixel": "3", "PhotometricInterpretation": "RGB", "BodyPartExamined": "HEAD"}
    assert "is for 4 sample(s) a pixel, the image has 3" in refusal((four,), **attributes)


def test_an_image_that_does_not_count_its_samples_is_judged_by_its_kind():
    assert chosen(SamplesPerPixel="", BodyPartExamined="HEAD") is HEAD
    assert chosen(SamplesPerPixel="", PhotometricInterpretation="RGB", BodyPartExamined="HEAD") is COLOUR


def test_of_several_the_most_specific_wins_then_the_newest_whatever_their_order():
    offers = [
        Offer("wide", "9.0", "MR", ("HEAD", "NECK")),
        Offer("narrow", "1.9", "MR", ("HEAD",)),
        Offer("narrow", "1.10", "MR", ("HEAD",)),
        Offer("any", "10.0", "MR"),
        Offer("abc", "1.10", "MR", ("HEAD",)),
    ]
    for order in permutations(offers):
        choice = choose(order, Image(BodyPartExamined="HEAD"))
        assert (choice.offer.id, choice.offer.version) == ("abc", "1.10")
        assert {offer.id for offer, _ in choice.others} == {"wide", "narrow", "any"}


def test_a_network_for_any_body_part_is_taken_where_none_is_for_this_one():
    assert chosen(BodyPartExamined="FOOT") is ANY


@pytest.mark.parametrize(("older", "newer"), [("1.9", "1.10"), ("2.0rc1", "2.0"), ("nightly", "0.1"), ("1.0", "1.0.1")])
def test_versions_are_compared_as_versions(older, newer):
    assert newest(older) < newest(newer)


def test_a_real_series_is_described_well_enough(tmp_path):
    def edit(dataset, _):
        del dataset.BodyPartExamined
        dataset.StudyDescription = "Abdomen and pelvis"

    files = factories.ct_series(tmp_path / "series", edit=edit)
    assert "BodyPartExamined" not in dcmread(files[0])

    choice = choose([offer_of(model) for model in load_models().values()], Series.read([tmp_path / "series"]))

    assert choice.offer.id == "liver-ct-demo"
