"""The public models in the bundled registry: the right labels, codes and colours of the right downloads."""

import pytest
from pydicom.sr.codedict import codes

from NativeDLLib.registry import load_models

BASE = "https://github.com/wasserth/TotalSegmentator/releases/download/v2.0.0-weights/"
LEVELS = ["S1", *(f"{part}{n}" for part, most in (("L", 5), ("T", 12), ("C", 7)) for n in range(most, 0, -1))]
PUBLIC = ("totalsegmentator-liver", "totalsegmentator-vertebrae", "totalsegmentator-3mm")


def rows(model_id):
    return load_models()[model_id].data["output"]["segments"]


def spine(first):
    names = ["sacrum", *(f"vertebrae_{level}" for level in LEVELS)]
    return list(enumerate(names, first))


@pytest.mark.parametrize(
    ("model_id", "expected"),
    [
        ("totalsegmentator-liver", [(5, "liver")]),
        ("totalsegmentator-vertebrae", spine(1)),
        ("totalsegmentator-3mm", [(5, "liver"), *spine(25)]),
    ],
)
def test_the_segments_are_those_labels_of_the_download_that_are_wanted(model_id, expected):
    assert [(row["label"], row["label_name"]) for row in rows(model_id)] == expected


@pytest.mark.parametrize(
    ("model_id", "folder"),
    [
        ("totalsegmentator-liver", "Dataset291_TotalSegmentator_part1_organs_1559subj/nnUNetTrainerNoMirroring"),
        ("totalsegmentator-vertebrae", "Dataset292_TotalSegmentator_part2_vertebrae_1532subj/nnUNetTrainerNoMirroring"),
        ("totalsegmentator-3mm", "Dataset297_TotalSegmentator_total_3mm_1559subj/nnUNetTrainer_4000epochs_NoMirroring"),
    ],
)
def test_the_folder_is_that_of_the_trainer_in_the_download(model_id, folder):
    weights = load_models()[model_id].weights

    assert weights.place == f"{folder}__nnUNetPlans__3d_fullres"
    assert weights.url == f"{BASE}{folder.partition('/')[0]}.zip"


@pytest.mark.parametrize("model_id", PUBLIC)
def test_codes_are_those_of_pydicoms_dictionary(model_id):
    unknown = []
    for row in rows(model_id):
        code, name = row["type"], row["name"]
        assert (code["scheme"], code["meaning"]) == ("SCT", name)
        try:
            known = getattr(codes.SCT, name.replace(" vertebra", "Vertebra"))
        except AttributeError:
            unknown.append(name)
            continue
        assert (known.value, known.meaning) == (code["value"], name)
    assert set(unknown) <= {"S1 vertebra"}


def test_the_same_structure_looks_the_same_in_each_model():
    looks = {}
    for model_id in (*PUBLIC, "liver-ct-demo"):
        for row in rows(model_id):
            look = (row["color"], row["type"])
            assert looks.setdefault(row["name"], look) == look
    assert len(looks) == 27
    assert len({str(color) for color, _ in looks.values()}) == 27


@pytest.mark.parametrize("model_id", PUBLIC)
def test_they_say_who_made_them_and_that_their_digest_is_recorded_first(model_id):
    model = load_models()[model_id]

    assert model.weights.sha256 is None
    assert "the first fetch records it after asking, later ones must match" in model.description
    assert model.license == "Apache-2.0"
    assert "10.1148/ryai.230024" in model.citation
    assert model.input.orientation == "RAS"
