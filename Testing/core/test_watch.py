import json
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest

from NativeDLLib.errors import UsageError
from NativeDLLib.watch import Rule, load_rules, match, rules_file

ROOT = Path(__file__).resolve().parents[2]
LIVER = {
    "name": "livers",
    "model": "liver-ct-demo",
    "when": {"Modality": "CT", "SeriesDescription": "*portal*", "BodyPartExamined": ["LIVER", "ABDOMEN"]},
}
PORTAL = {"Modality": "CT", "SeriesDescription": "3 Portal venous", "BodyPartExamined": "ABDOMEN"}


def write(path, *rules, **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"enabled": True, "rules": rules} | more))
    return path


def rule(**when):
    return Rule("rule", "model", {keyword: (pattern,) for keyword, pattern in when.items()})


def test_rules_are_read_in_their_order(tmp_path):
    other = {"name": "other", "model": "auto", "when": {"Modality": "MR"}, "parameters": {"step": 0.25, "mirror": True}}

    rules = load_rules(write(tmp_path / "watch.json", LIVER, other))

    assert [found.name for found in rules] == ["livers", "other"]
    assert rules[0].when["BodyPartExamined"] == ("LIVER", "ABDOMEN")
    assert rules[0].parameters == {}
    assert rules[1].parameters == {"step": 0.25, "mirror": True}


def test_nothing_is_watched_until_the_user_says_so(tmp_path):
    assert load_rules() == []
    assert load_rules(write(tmp_path / "off.json", LIVER, enabled=False)) == []
    unsaid = tmp_path / "unsaid.json"
    unsaid.write_text(json.dumps({"rules": [LIVER]}))
    assert load_rules(unsaid) == []


@pytest.mark.parametrize("enabled", ["yes", 0, None])
def test_on_and_off_are_said_by_true_and_false_alone(tmp_path, enabled):
    with pytest.raises(UsageError, match=r"watch\.json: enabled: .* is not of type 'boolean'"):
        load_rules(write(tmp_path / "watch.json", LIVER, enabled=enabled))


@pytest.mark.parametrize("content", ["[]", "{", '{"enabled": true}', '{"enabled": true, "rules": {}}'])
def test_a_file_that_holds_no_rules_is_named(tmp_path, content):
    path = tmp_path / "watch.json"
    path.write_text(content)

    with pytest.raises(UsageError, match=f"^{path}: "):
        load_rules(path)


def test_without_a_file_named_the_users_own_is_read():
    write(rules_file(), LIVER)

    assert [found.model for found in load_rules()] == ["liver-ct-demo"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "Liver"}, "rules[1] (wrong).model: 'Liver' does not match"),
        ({"model": None}, "rules[1] (wrong).model: None is not of type 'string'"),
        ({"when": {}}, "rules[1] (wrong).when: {}"),
        ({"when": {"Modality": []}}, "rules[1] (wrong).when.Modality: []"),
        ({"when": {"Modality": 3}}, "rules[1] (wrong).when.Modality: 3 is not"),
        ({"when": {"series description": "*"}}, "rules[1] (wrong).when: 'series description' does not match"),
        ({"when": {"SeriesDescripton": "*"}}, "rules[1] (wrong).when: 'SeriesDescripton' is no DICOM keyword"),
        ({"parameters": {"step": [1]}}, "rules[1] (wrong).parameters.step: [1] is not of type"),
        ({"to": "PACS"}, "rules[1] (wrong): Additional properties are not allowed ('to' was unexpected)"),
        ({"name": "livers"}, "rules[1] (livers).name: another rule has this name already"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path, change, message):
    path = write(tmp_path / "watch.json", LIVER, LIVER | {"name": "wrong"} | change)

    with pytest.raises(UsageError) as caught:
        load_rules(path)

    assert str(caught.value).startswith(f"{path}: {message}")


def test_without_pydicom_what_looks_like_a_keyword_is_one(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pydicom.datadict", None)
    path = write(tmp_path / "watch.json", LIVER | {"when": {"SeriesDescripton": "*"}})

    assert [found.name for found in load_rules(path)] == ["livers"]


@pytest.mark.parametrize(
    ("attributes", "matches"),
    [
        ({}, True),
        ({"BodyPartExamined": "liver "}, True),
        ({"SeriesDescription": "PORTAL"}, True),
        ({"SeriesDescription": "arterial"}, False),
        ({"BodyPartExamined": "CHEST"}, False),
        ({"Modality": "MR"}, False),
        ({"BodyPartExamined": ""}, False),
    ],
)
def test_a_series_matches_a_rule_in_every_attribute_by_one_of_its_patterns(tmp_path, attributes, matches):
    rules = load_rules(write(tmp_path / "watch.json", LIVER))

    assert match(rules, PORTAL | attributes) == (rules[0] if matches else None)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("portal", "portal", True),
        ("portal", "portal venous", False),
        ("p*l", "portal", True),
        ("*por*ven*", "3 portal venous", True),
        ("*ven*por*", "3 portal venous", False),
        ("*a*a", "a", False),
        ("*a*a", "banana", True),
        ("**", "", True),
        ("T?", "T1", True),
        ("T?", "T12", False),
        ("a.c", "abc", False),
        ("[ab]", "a", False),
        ("[ab]", "[AB]", True),
        ("ö*", "Ödem", True),
        ("*first*", "one\nfirst", True),
    ],
)
def test_stars_and_question_marks_stand_for_text_and_nothing_else_does(pattern, text, matches):
    found = match([rule(SeriesDescription=pattern)], {"Modality": "CT", "SeriesDescription": text})

    assert (found is not None) == matches


def test_of_several_values_one_is_enough():
    series = {"Modality": "CT", "ImageType": "ORIGINAL\\PRIMARY\\AXIAL"}

    assert match([rule(ImageType="primary")], series)
    assert match([rule(ImageType="ORIGINAL\\PRIMARY\\*")], series)
    assert match([rule(ImageType="DERIVED")], series) is None


def test_the_first_rule_that_matches_is_taken():
    rules = [rule(Modality="MR"), rule(Modality="C*"), rule(Modality="CT")]

    assert match(rules, PORTAL) is rules[1]


@pytest.mark.parametrize("modality", ["SEG", "seg ", "RTSTRUCT", "SR", "DOC", "PR", "KO", ""])
def test_what_is_made_from_images_never_matches(modality):
    assert match([rule(SeriesDescription="*")], PORTAL | {"Modality": modality}) is None


def test_a_series_of_unknown_modality_never_matches():
    assert match([rule(SeriesDescription="*")], {"SeriesDescription": "portal"}) is None


def test_no_pattern_takes_long():
    started = time.perf_counter()

    assert match([rule(SeriesDescription="*a" * 31 + "*b")], PORTAL | {"SeriesDescription": "a" * 10_000}) is None
    assert time.perf_counter() - started < 1


def test_the_file_needs_nothing_but_python_until_there_are_rules(tmp_path):
    path = write(tmp_path / "watch.json", LIVER)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path; from NativeDLLib.watch import load_rules\n"
        "from NativeDLLib.errors import UsageError\n"
        "print(load_rules(Path('/nowhere')))\n"
        f"try: load_rules(Path({str(path)!r}))\n"
        "except UsageError as error: print(error)"
    )

    finished = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)

    wrong = "cannot be checked before the Python package jsonschema is installed"
    assert finished.stdout.splitlines() == ["[]", f"{path}: {wrong}"]


def test_the_schema_is_one():
    schema = json.loads((ROOT / "Resources" / "watch.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
