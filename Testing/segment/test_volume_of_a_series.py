"""One volume of a series that is several: from the command to the SEG, to its review, by a server and in a batch."""

import json

import factories
import pydicom
import pytest
from tools import nativedl

from NativeDLLib.source import Series

pytestmark = pytest.mark.slow


@pytest.fixture
def phases(tmp_path):
    return factories.several_volumes(tmp_path / "series", {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2})


def referenced(path):
    rows = pydicom.dcmread(path).ReferencedSeriesSequence[0].ReferencedInstanceSequence
    return {str(row.ReferencedSOPInstanceUID) for row in rows}


def uids(folder):
    return {instance.text("SOPInstanceUID") for instance in Series.read([folder]).instances}


@pytest.mark.parametrize("by", ["option", "configuration"])
def test_the_result_refers_to_the_images_of_its_volume_alone_and_so_does_its_review(tmp_path, phases, registry, by):
    out = tmp_path / "out"
    (tmp_path / "config.json").write_text('{"volume": ["AcquisitionNumber=2"]}')
    chosen = ("--volume", "AcquisitionNumber=2") if by == "option" else ("--config", tmp_path / "config.json")
    assert nativedl("run", phases, "-o", out, *chosen, registry=registry) == 0

    assert referenced(out / "segmentation.dcm") <= uids(phases / "1")
    assert json.loads((out / "report.json").read_text())["series"]["volume"] == ["AcquisitionNumber=2"]
    given = ("--result", out, "--input", phases, "--reviewer", "Doe^Jane")
    assert nativedl("approve", *given, "-o", tmp_path / "approved", "--unreviewed") == 0
    assert referenced(tmp_path / "approved" / "approved.dcm") <= uids(phases / "1")
    regions = tmp_path / "regions.json"
    assert nativedl("regions", "--result", out, "--input", phases, "-o", regions) == 0
    told = json.loads(regions.read_text())
    assert told["series"]["volume"] == ["AcquisitionNumber=2"]
    assert {row["sop_instance_uid"] for row in told["regions"]} <= uids(phases / "1")
    first = told["regions"][0]["id"]
    given = ("--regions", regions, "--input", phases, "--reviewer", "Doe^Jane", "--validate", first)
    assert nativedl("rtstruct", *given, "-o", tmp_path / "rtstruct") == 0
    other = ("--result", out, "--input", phases, "-o", tmp_path / "other.json", "--volume", "AcquisitionNumber=1")
    assert nativedl("regions", *other) == 3


def test_without_a_choice_nothing_is_segmented_and_the_volumes_are_named(tmp_path, phases, registry, capsys):
    assert nativedl("run", phases, "-o", tmp_path / "out", registry=registry) == 3
    assert "holds 2 volumes that differ in AcquisitionNumber (1, 2)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()

    assert nativedl("inspect", phases, registry=registry) == 0
    assert capsys.readouterr().out.splitlines() == ["AcquisitionNumber=1  6 slices", "AcquisitionNumber=2  6 slices"]
    assert nativedl("inspect", phases, "--volume", "AcquisitionNumber=2", registry=registry) == 0
    assert "Voxels: 40 x 32 x 6" in capsys.readouterr().out


def test_a_batch_makes_a_case_of_each_volume_where_it_is_asked_for(tmp_path, phases, registry):
    factories.ct_series(tmp_path / "series" / "plain")
    first = Series.read([phases], volume=["AcquisitionNumber=1"], uid=_uid(phases / "0")).uid

    assert nativedl("batch", phases, "-o", tmp_path / "out", "--every-volume", registry=registry) == 0

    made = {path.parent.name for path in (tmp_path / "out").glob("*/report.json")}
    expected = {f"{first}_AcquisitionNumber-{n}" for n in (1, 2)} | {_uid(phases / "plain")}
    assert made == expected
    assert referenced(tmp_path / "out" / f"{first}_AcquisitionNumber-2" / "segmentation.dcm") <= uids(phases / "1")
    assert nativedl("batch", phases, "-o", tmp_path / "two", registry=registry) == 7


def _uid(folder):
    return Series.read([folder]).uid
