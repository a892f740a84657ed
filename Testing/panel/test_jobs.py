"""The folders of jobs, with real results in them and with everything that can be broken."""

import json
import os
import shutil
from datetime import datetime
from pathlib import Path

import factories
import pytest
from tools import nativedl

from NativeDLLib.core.errors import InputError
from NativeDLLib.panel.jobs import finished_jobs, new_job, results_folder

CONFIGURATION = {"model": "bright", "device": "cpu", "parameters": {"step": 1.0}}


@pytest.fixture
def files(tmp_path):
    return [str(path) for path in factories.ct_series(tmp_path / "series")]


@pytest.fixture
def finished(files, registry):
    """A job that ran."""
    folder = new_job(CONFIGURATION, files, None)
    assert nativedl(*folder.run_command(), registry=registry) == 0
    return folder


def renamed(folder, name):
    """Copy a finished job under another name."""
    return Path(shutil.copytree(folder.path, folder.path.parent / name))


def test_results_are_in_the_home_folder_or_where_the_user_says(monkeypatch, tmp_path):
    assert results_folder() == Path.home() / ".nativedl" / "results"
    monkeypatch.setenv("NATIVEDL_RESULTS", "~/elsewhere")
    assert results_folder() == Path.home() / "elsewhere"


def test_a_relative_folder_is_meant_from_here_wherever_the_workers_start(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NATIVEDL_RESULTS", "results")

    folder = new_job(CONFIGURATION, ["a"], None)
    monkeypatch.chdir("/")

    assert folder.path.parent == tmp_path / "results"
    assert folder.settings.is_file()


def test_a_job_runs_with_its_configuration_on_its_files(finished):
    report = json.loads((finished.automatic / "report.json").read_text())

    assert (report["model"]["id"], report["parameters"]["step"], report["source"]) == ("bright", 1.0, "files")
    assert finished.report() == {
        "model": "bright",
        "series": report["series"]["series_instance_uid"],
        "warnings": report["warnings"],
        "quality": [],
        "no_seg_because": None,
    }


def test_a_job_of_a_volume_says_why_there_is_no_seg_of_it(files, registry):
    folder = new_job(CONFIGURATION, [], "It was moved.")
    nativedl("run", "--input", Path(files[0]).parent, "--config", folder.settings, "--output", folder.automatic,
             registry=registry)  # fmt: skip

    assert folder.run_command()[1:3] == ["--image", str(folder.volume)]
    assert folder.report()["no_seg_because"] == "It was moved."


def test_what_is_approved_replaces_an_earlier_review(finished):
    command = finished.approve_command("Doe^Jane", unreviewed=False)

    assert command[0] == "approve"
    assert "--overwrite" in command
    assert "--unreviewed" not in command
    assert finished.approve_command("Doe^Jane", unreviewed=True)[-1] == "--unreviewed"
    assert finished.approved_seg == finished.approved / "approved.dcm"


def test_two_jobs_of_the_same_moment_have_a_folder_each(files):
    assert len({new_job(CONFIGURATION, files, None).path for _ in range(20)}) == 20


def test_nothing_has_finished_where_nothing_has_run(files):
    assert finished_jobs() == []

    new_job(CONFIGURATION, files, None)

    assert finished_jobs() == []


def test_finished_jobs_are_listed_with_model_time_and_state(finished):
    ((folder, report, line),) = finished_jobs()

    assert (folder, report) == (finished, finished.report())
    assert line.startswith(f"bright · {datetime.strptime(finished.path.name[:13], '%Y%m%d-%H%M'):%Y-%m-%d %H:%M} · ")
    assert line.endswith(" · to review")


def test_a_job_that_was_reviewed_is_listed_as_approved(finished):
    finished.approved.mkdir()
    (finished.approved / "approved.json").write_text("{}")

    assert finished_jobs()[0][2].endswith(" · approved")


def test_the_newest_comes_first(finished):
    names = ["20200101-120000-z-1", "20300101-120000-a-1", "20200101-120001-a-1"]
    for name in names:
        renamed(finished, name)

    found = [folder.path.name for folder, _, _ in finished_jobs()]

    assert found == [names[1], finished.path.name, names[2], names[0]]


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "{}", '{"model": "text"}',
     '{"model": {"id": 1}, "series": null, "warnings": [], "outcome": ""}',
     '{"model": {"id": 1}, "series": {}, "warnings": [], "outcome": ""}', "\xff",
     '{"model": {"id": "a"}, "series": {"series_instance_uid": "1"}, "warnings": 3, "outcome": ""}'],
)  # fmt: skip
def test_a_broken_report_hides_its_job_alone(finished, content):
    broken = renamed(finished, "20300101-120000-broken")
    (broken / "automatic" / "report.json").write_text(content, encoding="latin-1")

    assert [folder for folder, _, _ in finished_jobs()] == [finished]


def test_what_is_no_job_is_left_out(finished):
    renamed(finished, "my own folder")
    folder = renamed(finished, "20300101-120000-folder")
    (folder / "automatic" / "report.json").unlink()
    (folder / "automatic" / "report.json").mkdir()
    linked = renamed(finished, "20300101-120000-linked")
    (linked / "automatic" / "report.json").unlink()
    (linked / "automatic" / "report.json").symlink_to("report.json")
    (results_folder() / "a file").touch()
    (results_folder() / "20300101-120000-file").write_text("")

    assert [folder for folder, _, _ in finished_jobs()] == [finished]


def test_a_reason_that_cannot_be_read_hides_its_job_alone(finished):
    broken = renamed(finished, "20300101-120000-broken")
    (broken / "source.txt").unlink()
    (broken / "no_seg_because.txt").write_bytes(b"\xff\xfe")

    assert [folder for folder, _, _ in finished_jobs()] == [finished]


def test_a_report_that_is_not_there_is_named(files):
    folder = new_job(CONFIGURATION, files, None)

    with pytest.raises(InputError, match=f"^{folder.automatic / 'report.json'}: cannot be read"):
        folder.report()


def test_a_job_that_came_to_nothing_leaves_nothing(files):
    folder = new_job(CONFIGURATION, files, None)

    folder.remove()
    folder.remove()

    assert os.listdir(results_folder()) == []
