"""One class writes and reads the reports of all commands, and one schema describes them."""

import json
from dataclasses import fields

import pytest
from conftest import ROOT
from jsonschema import Draft202012Validator
from tools import nativedl

from NativeDLLib.core.errors import InputError
from NativeDLLib.results.names import APPROVED_REPORT, REPORT, RTSTRUCT_REPORT
from NativeDLLib.results.report import ModelName, Report, ReportedSeries, Sent, StoredObject

SCHEMA = json.loads((ROOT / "Resources" / "report.schema.json").read_text("utf-8"))


@pytest.fixture
def reports(accepted):
    """The reports of a run, of an approval with a structure set, and of validated regions, by their names."""
    folder, source = accepted.folder, ["--input", accepted.folder / "series"]
    regions = folder / "regions.json"
    assert nativedl(*accepted.command("--format", "seg,rtstruct")) == 0
    assert nativedl("regions", "--result", accepted.out, *source, "--output", regions) == 0
    regions.write_text(regions.read_text().replace('"proposed"', '"validated"'))
    given = ["rtstruct", "--regions", regions, "--reviewer", "Doe^Jane"]
    assert nativedl(*given, *source, "--output", folder / "stored") == 0
    places = {REPORT: accepted.out, APPROVED_REPORT: folder / "approved", RTSTRUCT_REPORT: folder / "stored"}
    return {name: json.loads((place / name).read_text("utf-8")) for name, place in places.items()}


def closed(node):
    """Return a schema that takes nothing it does not describe."""
    if isinstance(node, list):
        return [closed(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: closed(value) for key, value in node.items()}
    return {"additionalProperties": False, **node} if "properties" in node else node


def test_every_report_fits_the_schema_and_has_nothing_that_it_does_not_describe(reports):
    for name, report in reports.items():
        problems = [f"{name}: {error.json_path}: {error.message}" for error in
                    Draft202012Validator(closed(SCHEMA)).iter_errors(report)]  # fmt: skip
        assert problems == []


def test_every_report_is_written_as_it_was_read(reports):
    for report in reports.values():
        assert Report.from_json(report).to_json() == report


def test_the_schema_describes_every_field_of_the_class():
    kinds = {"series": ReportedSeries, "model": ModelName, "sent": Sent}
    described = set(SCHEMA["properties"])
    assert {field.name for field in fields(Report)} - {"details"} <= described
    for name, kind in kinds.items():
        node = SCHEMA["properties"][name]
        node = next((part for part in node.get("anyOf", ()) if "properties" in part), node)
        assert {field.name for field in fields(kind)} == set(node["properties"])
    assert {field.name for field in fields(StoredObject)} == set(SCHEMA["$defs"]["stored_segmentation"]["properties"])


def test_a_report_of_an_earlier_version_is_read(reports):
    first = {"model": {"id": "bright", "version": "1"}, "outcome": "segmented", "device": "cpu", "warnings": ["one"]}

    report = Report.from_json(first)

    assert (report.model.id, report.quality, report.sent, report.details) == ("bright", [], None, {})
    assert (report.nativedl, report.versions) == ("", {})


def test_a_report_of_a_later_version_is_read(reports):
    later = reports[REPORT]
    later["mood"] = later["series"]["mood"] = later["stages"][0]["mood"] = "good"

    assert Report.from_json(later).details["mood"] == "good"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ([], "top level: [] is not of type 'object'"),
        ({}, "top level: 'outcome' is missing"),
        ({"outcome": 3}, "outcome: 3 is not of type 'string'"),
        ({"outcome": "x", "segments": [{"name": "Liver"}]}, "segments[0] (Liver): 'number' is missing"),
        ({"outcome": "x", "quality": [{"code": "x", "message": "x", "segment": 3}]}, "quality[0].segment: 3 is not of"),
        ({"outcome": "x", "stages": [{"name": "x", "seconds": -1, "peak_mib": 0}]}, "stages[0].seconds: -1 is less"),
        ({"outcome": "x", "sent": {"peer": "x"}}, "sent: 'delivered' is missing"),
        ({"outcome": "x", "series": {"study_instance_uid": "../", "series_instance_uid": None}}, "series.study_inst"),
    ],
)  # fmt: skip
def test_a_foreign_report_is_refused_with_what_is_wrong_in_it(wrong, message):
    with pytest.raises(InputError) as caught:
        Report.from_json(wrong, "there")

    assert str(caught.value).startswith(f"there: {message}")


@pytest.mark.parametrize("wrong", [[], {}, 3, {"outcome": "x", "series": {}}, {"outcome": "x", "quality": 3}])
def test_without_the_schema_it_is_refused_in_one_line_too(wrong):
    with pytest.raises(InputError, match=r"^there: is not a report of NativeDL, or is damaged$"):
        Report.from_json(wrong, "there", check=False)
