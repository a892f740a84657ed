"""The benchmarks on tiny inputs: every figure that a table or the JSON shows is one that was measured."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from benchmarks import sliding_window
from benchmarks.__main__ import main
from benchmarks.compare import Comparison, MissingError, Result, Setting, in_turn
from benchmarks.growth import fit
from benchmarks.inputs import kept, label_map
from benchmarks.measure import Cost
from benchmarks.segmenting import compare_labels
from benchmarks.table import aligned, show


def cost(seconds, mib=100.0):
    return Cost(seconds, seconds + 1, seconds / 2, mib)


def test_reading_and_writing_are_compared_on_tiny_inputs(tmp_path, capsys):
    output = tmp_path / "results.json"

    main(["--quick", "--runs", "1", "--only", "reading", "writing", "--output", str(output), "--folder", str(tmp_path)])

    printed = capsys.readouterr().out
    document = json.loads(output.read_text())
    assert document["quick"] is True
    assert document["machine"]["cores"] >= 1
    assert {"torch", "highdicom", "SimpleITK"} <= set(document["versions"])
    reading, writing = (document["benchmarks"][name]["comparisons"] for name in ("reading", "writing"))
    # dcm2niix is there only where the benchmarks were installed.
    assert {row["peer"] for row in reading} >= {"SimpleITK"}
    assert {(row["case"], row["peer"]) for row in writing} == {
        (case, peer) for case in ("1 segment", "5 segments") for peer in ("highdicom", "dcmqi")
    }
    for row in [*reading, *writing]:
        (ours,), (theirs,) = row["ours"], row["theirs"]
        assert row["ratio_time"]["median"] == ours[row["time"]] / theirs[row["time"]]
        assert 0 < ours["seconds"] < ours["process_seconds"]
        assert ours["cpu_seconds"] > 0
        assert 50 < ours["peak_mib"] < 2000
        assert row["case"] in printed
    assert "ratio min" in printed


@pytest.fixture
def one_thread():
    """Tiny networks take longest where threads wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_the_sliding_window_is_compared_with_one_that_sees_the_same_windows(tmp_path):
    def whole(module, volume, patch):
        with torch.inference_mode():
            first = module(torch.from_numpy(volume[None, :, :patch, :patch, :patch]))
        return np.zeros((first.shape[1], *volume.shape[1:]), np.float32)

    result = sliding_window.run(Setting(tmp_path, runs=1, quick=True), peer=whole)

    (comparison,) = result.comparisons
    assert comparison.facts == {"windows_ours": 2 * 3 * 3, "windows_theirs": 1}
    assert comparison.ratio("seconds").median > 1
    assert "64 x 64 x 40" in show("sliding_window", result)


def test_ratios_are_those_of_neighbouring_runs():
    ours, theirs = [cost(2), cost(9), cost(4)], [cost(4), cost(3), cost(4)]

    ratio = Comparison("case", "peer", ours, theirs).ratio("seconds")

    assert (ratio.minimum, ratio.median, ratio.maximum) == (0.5, 1.0, 3.0)


def test_a_table_shows_medians_and_ratios():
    ours, theirs = [cost(2, 300.0), cost(4, 300.0)], [cost(1), cost(1)]
    comparison = Comparison("case", "peer", ours, theirs, time="seconds")

    row = show("name", Result([comparison])).splitlines()[3].split()

    assert row == ["case", "peer", "3.000", "1.000", "2.000", "3.000", "4.000", "3.000", "300", "100", "3.000"]


def test_runs_alternate_and_one_who_is_missing_is_noted():
    order = []

    def run(name):
        return lambda number: order.append((name, number)) or cost(1)

    def missing(_):
        raise MissingError("it is not there")

    result = Result()
    own, peers = in_turn(run("ours"), {"a": run("a"), "b": missing}, 2, result)

    assert order == [("ours", 0), ("a", 0), ("ours", 1), ("a", 1)]
    assert len(own) == len(peers["a"]) == 2
    assert set(peers) == {"a"}
    assert result.missing == ["it is not there"]
    assert "not compared: it is not there" in show("name", result)


def test_numbers_of_a_table_stand_to_the_right():
    lines = aligned(("name", "seconds"), [("one", 12.34), ("three", 1.5)]).splitlines()

    assert lines == ["name   seconds", "one       12.3", "three    1.500"]


def test_a_gpu_benchmark_without_a_gpu_ends_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    output = tmp_path / "results.json"

    code = main(["--quick", "--only", "gpu", "--output", str(output), "--folder", str(tmp_path)])

    assert code == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "no CUDA GPU" in said.err


def test_a_line_is_fitted_with_its_coefficient_of_determination():
    exact = fit([100, 300, 600], [11.0, 31.0, 61.0])

    assert exact == pytest.approx({"offset": 1.0, "slope": 0.1, "r2": 1.0})
    assert fit([1, 2, 3], [1.0, 5.0, 1.0])["r2"] == pytest.approx(0.0)


def test_a_label_map_has_every_label_in_a_place_of_its_own():
    labels = label_map((30, 40, 50), 25)

    values, counts = np.unique(labels, return_counts=True)
    assert list(values) == list(range(26))
    assert counts[1:].min() > 100


def test_equal_labels_are_counted_on_the_same_grid_only(tmp_path):
    first = sitk.GetImageFromArray(label_map((10, 20, 30), 2))
    second = sitk.Image(first)
    second[0, 0, 0] = 2
    moved = sitk.Image(first)
    moved.SetOrigin((1.0, 0.0, 0.0))
    paths = [tmp_path / f"{name}.nii.gz" for name in ("first", "second", "moved")]
    for image, path in zip((first, second, moved), paths, strict=True):
        sitk.WriteImage(image, str(path))

    assert compare_labels(paths[0], paths[1])["equal_labels"] == pytest.approx(1 - 1 / 6000)
    with pytest.raises(AssertionError, match="not on the same grid"):
        compare_labels(paths[0], paths[2])


def test_an_input_is_made_once_and_never_in_part(tmp_path):
    made = []

    def fail(folder):
        (folder / "half").touch()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        kept(tmp_path / "input", fail)
    for _ in range(2):
        kept(tmp_path / "input", lambda folder: made.append((folder / "whole").touch()))

    assert len(made) == 1
    assert [path.name for path in (tmp_path / "input").iterdir()] == ["whole"]
