"""The table of structures and DICOM's dictionary of codes."""

import json

import pytest

from NativeDLLib.core.jsonfile import problem_of
from NativeDLLib.core.places import resources_folder
from NativeDLLib.models.add.structures import code_doubts, known_structure, meanings_of, offered_codes

ROWS = json.loads((resources_folder() / "structures.json").read_text())["structures"]
# Not in the dictionary that comes with pydicom.
UNCHECKED = {"65985001", "3572006"}


@pytest.mark.parametrize("row", ROWS, ids=[row["names"][0] for row in ROWS])
def test_every_row_is_a_segment_whose_code_dicom_has(row):
    segment = {"label": 1, "name": row["names"][0], **{key: row[key] for key in row if key != "names"}}

    assert problem_of(segment, "registry.schema.json", "/$defs/output/properties/segments/items") is None
    assert list(code_doubts(segment)) == []
    meanings = {meaning.removesuffix(" structure (body structure)") for meaning in meanings_of(row["type"]["value"])}
    # DICOM has 'Tumor' for what SNOMED CT calls a neoplasm.
    assert row["type"]["value"] in UNCHECKED or {row["type"]["meaning"], "Tumor"} & meanings
    assert (row["type"]["value"] in UNCHECKED) == (meanings == set())


def test_no_name_is_there_twice():
    names = [name for row in ROWS for name in row["names"]]

    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", ["vertebrae_L1", "Vertebra L1", "L1 vertebra", "vertebrae-l1"])
def test_names_are_found_however_they_are_written(name):
    assert known_structure(name)["type"]["value"] == "66794005"


@pytest.mark.parametrize("name", ["L1", "liver_vessel", "livers", ""])
def test_names_that_are_only_alike_are_not_found(name):
    assert known_structure(name) is None


def test_codes_of_the_dictionary_are_offered_by_their_exact_meaning():
    assert offered_codes("spleen") == {"type": {"value": "78961009", "scheme": "SCT", "meaning": "Spleen"}}
    assert offered_codes("kidney_left")["type_modifier"]["meaning"] == "Left"
    assert offered_codes("spleens") == offered_codes("left right kidney") == offered_codes("") == {}
