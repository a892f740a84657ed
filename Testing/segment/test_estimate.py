"""What a run will take, judged by what runs took before; real runs are remembered, others are written as they are."""

import json
import subprocess
import sys
from dataclasses import replace

import factories
import pytest
from conftest import ROOT
from tools import nativedl

from NativeDLLib.core.places import kept
from NativeDLLib.core.progress import StageCost
from NativeDLLib.registry import load_registry
from NativeDLLib.results.report import ModelName, Report, ReportedSeries
from NativeDLLib.segment.estimate import expect, remember

SIZE, SPACING = (256, 256, 100), (0.8, 0.8, 3.0)


def model(folder, **changes):
    (found,) = load_registry(factories.registry(folder, factories.entry(**changes)))
    return found


@pytest.fixture
def bright(tmp_path):
    return model(tmp_path / "bright")


def report(size=SIZE, spacing=SPACING, device="cpu (2 threads)", **stages):
    """Return what `remember` looks at; stages by name with s and MiB."""
    stages = stages or {"read": (1, 400), "load": (2, 300), "infer": (10, 1300), "write": (3, 800)}
    return Report(
        "segmented",
        ReportedSeries("1.2", "1.2.3", "CT", size, spacing),
        ModelName("bright", "1.2.3"),
        device=device,
        stages=[StageCost(name, s, mib) for name, (s, mib) in stages.items()],
    )


def broken(content):
    kept("timings.json").parent.mkdir(parents=True, exist_ok=True)
    kept("timings.json").write_text(content)


def test_a_real_run_is_remembered_and_expected_again(tmp_path, registry, series, capsys):
    assert nativedl("run", "--input", series, "--output", tmp_path / "out", "--device", "cpu", registry=registry) == 0

    capsys.readouterr()
    assert nativedl("inspect", "--input", series, "--device", "cpu", "--events", registry=registry) == 0

    (found,) = [m for m in json.loads(capsys.readouterr().out.splitlines()[-1])["models"] if m["id"] == "bright"]
    written = json.loads((tmp_path / "out" / "report.json").read_text())
    assert found["expected"]["basis"] == "last run on this computer"
    assert found["expected"]["seconds"] == pytest.approx(sum(stage["seconds"] for stage in written["stages"]))


def test_the_same_series_takes_what_it_took(bright):
    remember(report())

    expected = expect(bright, SIZE, SPACING, "cpu")

    assert (expected.seconds, expected.peak_mib) == pytest.approx((16, 1300))


def test_twice_the_voxels_take_twice_the_time_but_the_model_is_loaded_once(bright):
    remember(report())

    expected = expect(bright, (256, 256, 200), SPACING, "cpu")

    assert (expected.seconds, expected.peak_mib) == pytest.approx((2 + 2 * 14, 300 + 2 * 1000))


def test_inference_takes_as_long_for_the_same_body_in_finer_voxels(bright):
    remember(report())

    expected = expect(bright, (512, 512, 100), (0.4, 0.4, 3.0), "cpu")

    assert expected.seconds == pytest.approx(2 + 10 + 4 * 4)


def test_the_network_is_given_at_least_one_patch(bright):
    remember(report((40, 32, 6), (0.1, 0.1, 0.1), infer=(0.5, 100)))

    # A patch is 24 x 16 x 16 mm; neither body fills one.
    assert expect(bright, (40, 32, 12), (0.1, 0.1, 0.1), "cpu").seconds == pytest.approx(0.5)


def test_a_network_without_a_spacing_of_its_own_takes_time_by_voxels(tmp_path):
    contract = {key: value for key, value in factories.entry()["input"].items() if key in ("modality", "channels")}
    unspaced = model(tmp_path, runtime="nnunetv2", weights={"folder": "results"}, input=contract)
    remember(report(infer=(10, 100)))

    assert expect(unspaced, (512, 512, 100), (0.4, 0.4, 3.0), "cpu").seconds == pytest.approx(40)


def test_a_tiny_run_says_nothing_about_a_large_one(bright):
    remember(report((40, 32, 6)))

    assert expect(bright, SIZE, SPACING, "cpu") is None


def test_a_tiny_run_does_not_replace_a_large_one(bright):
    remember(report())
    remember(report((40, 32, 6), read=(0.1, 90), infer=(0.2, 100)))

    assert expect(bright, SIZE, SPACING, "cpu").seconds == pytest.approx(16)
    assert expect(bright, (40, 32, 6), SPACING, "cpu").seconds == pytest.approx(0.3)


def test_a_large_run_says_enough_about_a_tiny_one(bright):
    remember(report())

    assert 2 <= expect(bright, (40, 32, 6), SPACING, "cpu").seconds < 2.2


def test_the_last_run_of_about_this_size_counts(bright):
    remember(report())
    remember(report((256, 256, 120), infer=(36, 100)))

    assert expect(bright, SIZE, SPACING, "cpu").seconds == pytest.approx(30)
    assert len(json.loads(kept("timings.json").read_text())["runs"]) == 1


def test_each_device_has_its_own_and_automatic_is_what_ran_last(bright):
    remember(report(device="cuda:0 (NVIDIA H200)", infer=(1, 100)))
    remember(report(device="cpu (onnxruntime)", infer=(60, 100)))

    assert [expect(bright, SIZE, SPACING, device).seconds for device in ("cuda:0", "cuda", "cpu", "auto")] == [
        1, 1, 60, 60,
    ]  # fmt: skip
    assert expect(bright, SIZE, SPACING, "cuda:1") is None


def test_another_version_is_another_model(tmp_path):
    remember(report())

    assert expect(model(tmp_path, version="1.2.4"), SIZE, SPACING, "cpu") is None


def test_the_network_to_the_pacs_and_waiting_for_other_jobs_do_not_count(bright):
    remember(report(retrieve=(100, 90), wait=(100, 90), infer=(5, 90), send=(100, 90)))

    assert expect(bright, SIZE, SPACING, "cpu").seconds == pytest.approx(5)


def test_where_nothing_ran_yet_the_registry_says_what_its_hardware_took(tmp_path):
    rows = [{"data": "d", "cases": 3}, {"data": "d", "cases": 3, "hardware": "NVIDIA H200", "seconds": 7}]

    expected = expect(model(tmp_path, evaluation=rows), SIZE, SPACING, "cpu")

    assert (expected.seconds, expected.peak_mib, expected.basis) == (7, None, "NVIDIA H200")


def test_where_nobody_knows_there_is_no_estimate(bright):
    assert expect(bright, SIZE, SPACING, "auto") is None


GOOD = {"model": "bright 1.2.3", "device": "cpu", "voxels": 1e6, "volume_mm3": 1e6, "stages": {"infer": [1, 1]}}


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", "null", "3", "{}", '{"runs": null}', '{"runs": 3}', '{"runs": "text"}', '{"runs": {"a": 1}}',
     "\xff", '{"bright 1.2.3 cpu": {"voxels": 1, "stages": {}}}'],
)  # fmt: skip
def test_a_broken_file_is_no_file_and_is_written_anew(bright, content):
    broken(content)

    assert expect(bright, SIZE, SPACING, "cpu") is None
    remember(report())
    assert expect(bright, SIZE, SPACING, "cpu").seconds == pytest.approx(16)


@pytest.mark.parametrize(
    "change",
    [{"voxels": 0}, {"voxels": -1}, {"voxels": "many"}, {"voxels": None}, {"volume_mm3": 0}, {"volume_mm3": []},
     {"stages": {}}, {"stages": []}, {"stages": None}, {"stages": {"infer": 3}}, {"stages": {"infer": [1]}},
     {"stages": {"infer": ["a", "b"]}}, {"stages": {"infer": [-1, 1]}}, {"stages": {"infer": [None, 1]}},
     {"voxels": "nan"}, {"volume_mm3": "inf"}],
)  # fmt: skip
def test_a_broken_entry_is_left_out_and_the_others_count(bright, change):
    broken(json.dumps({"runs": [GOOD | {"stages": {"infer": [4, 1]}}, GOOD | change, 3, None, {}]}))

    assert expect(bright, (100, 100, 100), (1, 1, 1), "cpu").seconds == 4


@pytest.mark.parametrize("missing", [{"model": None}, {"device": ""}, {"series": None}, {"stages": []}])
def test_remembering_never_fails_whatever_the_report_lacks(missing):
    remember(replace(report(), **missing))

    assert not kept("timings.json").exists()


def test_remembering_never_fails_where_nothing_can_be_written():
    kept("timings.json").parent.write_text("a file where the folder should be")

    remember(report())


def test_neither_fails_where_there_is_no_home(bright, monkeypatch):
    for name in ("HOME", "USERPROFILE", "HOMEPATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: {}[0])

    remember(report())

    assert expect(bright, SIZE, SPACING, "cpu") is None


def test_the_file_does_not_grow_for_ever():
    for index in range(220):
        remember(report(device=f"device{index}"))

    devices = [run["device"] for run in json.loads(kept("timings.json").read_text())["runs"]]
    assert (len(devices), devices[-1]) == (200, "device219")


def test_runs_that_end_at_the_same_time_leave_a_whole_file(bright):
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}]\n"
        "from NativeDLLib.results.report import Report\n"
        "from NativeDLLib.segment.estimate import remember\n"
        f"told = Report.from_json({report().to_json()!r})\n"
        "told.device = sys.argv[1]\n"
        "for _ in range(30): remember(told)"
    )
    writers = [subprocess.Popen([sys.executable, "-c", code, f"cuda:{index}"]) for index in range(3)]

    while any(writer.poll() is None for writer in writers):
        assert not kept("timings.json").exists() or json.loads(kept("timings.json").read_text())["runs"]

    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert expect(bright, SIZE, SPACING, "auto").seconds == pytest.approx(16)
    assert [path.name for path in kept("timings.json").parent.iterdir()] == ["timings.json"]
