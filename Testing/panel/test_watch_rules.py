import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from pydicom.datadict import tag_for_keyword

from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.places import kept
from NativeDLLib.panel.watch_rules import Arrivals, Rule, configuration, load_rules, set_enabled, written_rules_file

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


def asked(**attributes):
    """Return what gives a value by its tag, as Slicer's database does, and the tags that it was asked for."""
    numbers = {tag_for_keyword(keyword): value for keyword, value in attributes.items()}
    values, tags = {f"{tag >> 16:04x},{tag & 0xFFFF:04x}": value for tag, value in numbers.items()}, []

    def value_of(tag):
        tags.append(tag)
        return values.get(tag, "")

    return value_of, tags


def match(rules, attributes):
    """Return the configuration of a series with these attributes, by keyword."""
    return configuration(rules, asked(**attributes)[0])


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
    write(kept("watch.json"), LIVER)

    assert [found.model for found in load_rules()] == ["liver-ct-demo"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": "Liver"}, "rules[1] (wrong).model: 'Liver' does not match"),
        ({"model": None}, "rules[1] (wrong).model: None is not of type 'string'"),
        ({"when": {}}, "rules[1] (wrong).when: {}"),
        ({"when": {"Modality": []}}, "rules[1] (wrong).when.Modality: []"),
        ({"when": {"Modality": 3}}, "rules[1] (wrong).when.Modality: 3 is in none"),
        ({"when": {"series description": "*"}}, "rules[1] (wrong).when: 'series description' does not match"),
        ({"when": {"SeriesDescripton": "*"}}, "rules[1] (wrong).when: 'SeriesDescripton' is no DICOM keyword"),
        ({"parameters": {"step": [1]}}, "rules[1] (wrong).parameters.step: [1] is not of type"),
        ({"to": "PACS"}, "rules[1] (wrong): 'to' is not known here"),
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

    assert (match(rules, PORTAL | attributes) is not None) == matches


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
    rules = [rule(Modality="MR"), replace(rule(Modality="C*"), model="second"), rule(Modality="CT")]

    assert match(rules, PORTAL) == {"model": "second", "parameters": {}}


@pytest.mark.parametrize("modality", ["SEG", "seg ", "RTSTRUCT", "SR", "DOC", "PR", "KO", ""])
def test_what_is_made_from_images_never_matches(modality):
    assert match([rule(SeriesDescription="*")], PORTAL | {"Modality": modality}) is None


def test_a_series_of_unknown_modality_never_matches():
    assert match([rule(SeriesDescription="*")], {"SeriesDescription": "portal"}) is None


def test_a_pattern_is_not_tried_in_every_way_in_which_a_text_can_be_divided():
    assert match([rule(SeriesDescription="*a" * 31 + "*b")], PORTAL | {"SeriesDescription": "a" * 10_000}) is None


def test_the_file_needs_nothing_but_python_until_there_are_rules(tmp_path):
    path = write(tmp_path / "watch.json", LIVER)
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from pathlib import Path; from NativeDLLib.panel.watch_rules import load_rules\n"
        "from NativeDLLib.core.errors import UsageError\n"
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


def test_switching_on_for_the_first_time_gives_an_example_to_be_edited():
    with pytest.raises(UsageError, match=f"^{kept('watch.json')}: holds only an example yet; edit its rules first$"):
        set_enabled(True)

    assert load_rules() == []
    set_enabled(True)
    assert [found.model for found in load_rules()] == ["liver-ct-demo"]


def test_switching_keeps_what_the_user_wrote():
    write(kept("watch.json"), LIVER, LIVER | {"name": "other"})

    set_enabled(False)
    assert load_rules() == []
    set_enabled(True)

    assert [found.name for found in load_rules()] == ["livers", "other"]
    assert json.loads(kept("watch.json").read_text()) == {"enabled": True, "rules": [LIVER, LIVER | {"name": "other"}]}


@pytest.mark.parametrize("content", ["{", "[]", '{"rules": [{"name": "a"}]}'])
def test_a_file_that_is_wrong_is_named_and_not_written_to(content):
    kept("watch.json").parent.mkdir(parents=True)
    kept("watch.json").write_text(content)

    for enabled in (True, False):
        with pytest.raises(UsageError, match=f"^{kept('watch.json')}: "):
            set_enabled(enabled)
    assert kept("watch.json").read_text() == content


def test_the_file_to_be_edited_is_there_and_is_never_written_over():
    path = written_rules_file()
    example = json.loads(path.read_text())
    write(kept("watch.json"), LIVER)

    assert (path, example["enabled"], len(example["rules"])) == (kept("watch.json"), False, 1)
    assert written_rules_file() == path
    assert [found.name for found in load_rules()] == ["livers"]


def test_the_rule_of_a_series_says_which_model_runs_with_which_parameters(tmp_path):
    rules = load_rules(write(tmp_path / "watch.json", LIVER | {"parameters": {"step": 0.25}}))
    value_of, tags = asked(**PORTAL)

    assert configuration(rules, value_of) == {"model": "liver-ct-demo", "parameters": {"step": 0.25}}
    assert sorted(tags) == ["0008,0060", "0008,103e", "0018,0015"]


def test_a_series_that_no_rule_is_for_is_left_alone(tmp_path):
    rules = load_rules(write(tmp_path / "watch.json", LIVER))

    assert match(rules, PORTAL | {"Modality": "MR"}) is None
    assert match([], PORTAL) is None


def test_a_rule_without_modality_still_takes_no_objects_made_from_images():
    found = match([rule(SeriesDescription="*")], {"Modality": "SEG", "SeriesDescription": "Segmentation"})

    assert found is None


@pytest.fixture
def look():
    """Look at what arrives, with a rule for every CT; return the files of the series that have become complete."""

    def look(arrivals, files_of):
        arrivals.enqueue([rule(Modality="CT")], files_of, lambda file, tag: "CT")
        found = [files for files, _ in arrivals.queue]
        arrivals.queue.clear()
        return found

    return look


def test_a_series_is_complete_when_no_file_has_come_between_two_looks(look):
    arrivals, files = Arrivals(), {"1.2": ["a"], "1.3": ["x"]}
    arrivals.add("1.2")
    arrivals.add("1.3")

    looks = []
    for come in (["a"], ["a", "b"], ["a", "b"], ["a", "b", "c"]):
        files["1.2"] = come
        looks.append(look(arrivals, files.__getitem__))

    assert looks == [[], [["x"]], [["a", "b"]], []]
    assert len(arrivals) == 0


def test_a_series_that_was_deleted_while_it_came_is_not_waited_for(look):
    arrivals = Arrivals()
    arrivals.add("1.2")

    assert look(arrivals, lambda _: []) == []
    assert len(arrivals) == 1
    assert look(arrivals, lambda _: []) == []
    assert len(arrivals) == 0


def test_a_series_that_comes_again_is_complete_again(look):
    arrivals = Arrivals()

    for _ in range(2):
        arrivals.add("1.2")
        assert [look(arrivals, lambda _: ["a"]) for _ in range(3)] == [[], [["a"]], []]
