"""A batch that is killed, cancelled, started twice or changed: nothing is lost, and nothing is done twice."""

import json
import os
import shutil
import signal
from collections import Counter

import factories
import pytest
from servers import wait_until

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has neither SIGKILL nor SIGINT for another process")


def times(batch, state):
    return Counter(line["case"] for line in batch.lines() if line["state"] == state)


def test_a_killed_batch_goes_on_and_does_nothing_twice(cohort, batch, helpers):
    finish, kill_tree = helpers
    twelve = batch("--input", cohort(12, damaged=True, unsuitable=True), "--jobs", 2)
    first = twelve.start()
    twelve.wait_for("done", 3)
    kill_tree(first)
    done_before = {name for name, state in twelve.states().items() if state == "done"}
    before = twelve.results()

    code, printed = finish(twelve.start())

    assert code == 7, printed
    assert 3 <= len(done_before) < 10
    assert "10 done, 2 failed, 0 left of 12 cases" in printed
    assert "is a damaged DICOM file" in printed
    assert "no model fits this series" in printed
    after = twelve.results()
    assert len(after) == 10
    assert len({uid for uid, _ in after.values()}) == 10
    assert {name: after[name] for name in before} == before
    assert set(times(twelve, "done").values()) == {1}
    assert set(times(twelve, "failed").values()) == {1}
    started = times(twelve, "running")
    assert all(started[name] == 1 for name in done_before)
    assert not list(twelve.output.glob(".nativedl-*"))


def test_jobs_end_when_the_batch_is_killed_alone(cohort, batch, helpers):
    finish, _ = helpers
    two = batch("--input", cohort(2), "--jobs", 2)
    process = two.start()
    wait_until(lambda: len(two.jobs()) == 2, "two jobs run")

    process.kill()
    process.communicate()

    two.wait_for_no_jobs()
    assert finish(two.start())[0] == 0
    assert len(two.results()) == 2
    assert set(times(two, "done").values()) == {1}


def test_ctrl_c_ends_the_jobs_and_the_same_command_goes_on(cohort, batch, helpers):
    finish, _ = helpers
    three = batch("--input", cohort(3))
    process = three.start()
    three.wait_for("done", 1)
    wait_until(three.jobs, "the third job runs")
    before = three.results()

    process.send_signal(signal.SIGINT)
    code, printed = finish(process)

    assert code == 6
    assert "the same command goes on" in printed
    assert not three.jobs()
    assert three.count("running") == 0
    assert finish(three.start())[0] == 0
    assert before.items() <= three.results().items()
    assert set(times(three, "done").values()) == {1}


def test_a_job_that_is_killed_harms_its_own_case_only(cohort, batch, helpers):
    finish, _ = helpers
    two = batch("--input", cohort(2))
    process = two.start()
    job, *_ = wait_until(two.jobs, "the first job runs")
    job.kill()

    code, printed = finish(process)

    assert code == 7
    assert "1 done, 1 failed" in printed
    assert "ended unexpectedly: memory may have run out, or it was killed" in printed
    assert two.run("--retry-failed") == 0
    assert sorted(two.states().values()) == ["done", "done"]


def test_a_failure_is_left_alone_until_it_is_to_be_retried(cohort, batch, capsys):
    folder = cohort(2, damaged=True)
    two = batch("--input", folder)
    assert two.run() == 7
    lines = len(two.lines())

    assert two.run() == 7
    assert len(two.lines()) == lines
    assert "--retry-failed" in capsys.readouterr().err

    assert two.run("--retry-failed") == 7
    assert times(two, "failed").most_common(1)[0][1] == 2
    assert set(times(two, "done").values()) == {1}


def test_other_options_are_refused_by_name_unless_everything_is_done_again(cohort, batch, capsys):
    one = batch("--input", cohort(1))
    assert one.run("--set", "step=0.5") == 0
    before = one.results()

    assert one.run("--set", "step=0.7") == 2
    assert "was begun with parameters {'step': '0.5'}, which is now {'step': '0.7'}" in capsys.readouterr().err
    assert one.run("--set", "step=0.5", "--keep-empty") == 2
    assert "was begun with keep-empty False" in capsys.readouterr().err
    assert one.run("--set", "step=0.5", "--device", "cpu") == 0
    assert one.results() == before

    assert one.run("--set", "step=0.7", "--again") == 0
    assert one.results() != before
    (name,) = before
    assert json.loads((one.output / name / "report.json").read_text())["parameters"]["step"] == 0.7
    assert one.run("--set", "step=0.7") == 0


def test_a_result_that_has_vanished_is_made_again(cohort, batch, capsys):
    two = batch("--input", cohort(2))
    two.run("--jobs", 2)
    before = two.results()
    gone, stays = sorted(before)
    shutil.rmtree(two.output / gone)

    assert two.run() == 0

    assert "the results of 1 cases that were done are gone" in capsys.readouterr().err
    assert two.results()[stays] == before[stays]
    assert two.results()[gone] != before[gone]


def test_a_whole_result_that_the_manifest_does_not_know_of_is_kept(cohort, batch):
    one = batch("--input", cohort(1))
    one.run()
    before = one.results()
    manifest = one.output / "manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    manifest.write_bytes(b"".join(lines[:-1]) + lines[-1][:40])

    assert one.run() == 0

    assert one.results() == before
    assert one.lines()[-1]["reason"] == "the result was complete already"


def test_a_series_that_came_later_joins_the_batch(cohort, batch):
    folder = cohort(1)
    one = batch("--input", folder)
    one.run()
    before = one.results()
    factories.ct_series(folder / "later")

    assert one.run() == 0

    assert len(one.results()) == 2
    assert before.items() <= one.results().items()


def test_a_folder_of_somebody_else_is_not_written_to(cohort, batch, capsys):
    one = batch("--input", cohort(1))
    one.run()
    (one.output / "manifest.jsonl").unlink()
    before = one.results()

    assert one.run() == 2

    assert "is not of this batch" in capsys.readouterr().err
    assert one.results() == before


def test_a_batch_says_how_far_it_is(cohort, batch, capsys):
    assert batch("--input", cohort(2, damaged=True), "--events", "--no-overlap").run() == 7

    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    cases = [event for event in events if event["event"] == "case"]
    assert [event["state"] for event in cases] == ["running", "done", "running", "failed"]
    assert [(event["done"], event["failed"], event["total"]) for event in cases][-1] == (1, 1, 2)
    assert cases[0]["remaining_s"] is None
    assert cases[2]["remaining_s"] > 0
    assert cases[3]["remaining_s"] == 0
    assert events[-2]["event"] == "result"
    assert events[-2]["failed"][0]["code"] == 3
    assert (events[-1]["event"], events[-1]["code"]) == ("error", 7)


def test_several_devices_are_dealt_out(cohort, batch):
    two = batch("--input", cohort(2), "--jobs", 2, "--device", "cpu,cuda:7")

    assert two.run() == 7

    where = {line["where"]: line for line in two.lines() if line["state"] in ("done", "failed")}
    assert where["cpu"]["state"] == "done"
    assert where["cuda:7"]["state"] == "failed"
    assert "cuda:7" in where["cuda:7"]["reason"]
