"""What memory there is, and a limit to what a run may have: the line that is shown, and what is left behind."""

import json
import math

import numpy as np
import pytest
from tools import nativedl

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.memory import MIB, available, left_in_groups, resident
from NativeDLLib.core.progress import Progress


def test_a_series_that_needs_more_memory_is_refused_with_the_number_and_nothing_is_written(
    tmp_path, registry, series, capsys
):
    code = nativedl("run", "--input", series, "--output", tmp_path / "out", "--max-memory", 5, registry=registry)

    error = capsys.readouterr().err.strip()
    assert (code, error.count("\n")) == (3, 0)
    assert "40 x 32 x 6 voxels need at least" in error
    assert "MiB of memory, more than the allowed 5 MiB; take a model with larger voxels or" in error
    assert {path.name for path in tmp_path.iterdir()} == {"registry", "series"}


def test_a_series_that_fits_is_segmented(tmp_path, registry, series):
    arguments = ("run", "--input", series, "--output", tmp_path / "out", "--max-memory", 100_000)

    assert nativedl(*arguments, registry=registry) == 0

    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["outcome"] == "segmented"
    assert [stage["name"] for stage in report["stages"]][:4] == ["scan", "read", "load", "memory"]


@pytest.mark.parametrize("word", ["0", "-1", "much", "1.5"])
def test_a_limit_that_is_none_is_a_wrong_command_line(tmp_path, registry, series, word, capsys):
    code = nativedl("run", "--input", series, "--output", tmp_path / "o", f"--max-memory={word}", registry=registry)

    assert code == 2
    assert "--max-memory" in capsys.readouterr().err


def test_cases_of_a_batch_have_the_limit_each_for_itself(tmp_path, registry, series):
    out = tmp_path / "out"

    code = nativedl("batch", "--input", series, "--output", out, "--max-memory", 5, registry=registry)

    assert code == 7
    last = json.loads((out / "manifest.jsonl").read_text().splitlines()[-1])
    assert last["code"] == 3
    assert "more than the allowed 5 MiB" in last["reason"]


def test_work_that_takes_more_than_the_limit_stops_where_it_can_and_says_in_which_stage():
    progress = Progress()

    with progress.memory_limit(resident() + 100 * MIB):
        with progress.stage("read"):
            progress.check()
        with progress.stage("infer"):
            kept = np.ones(200 * MIB, np.uint8)

    with pytest.raises(InputError, match=r"the infer stage took \d+ MiB of memory, more than the allowed \d+ MiB"):
        progress.check()
    assert kept.size
    with progress.stage("send"):
        pass


def test_without_a_limit_nothing_is_stopped():
    progress = Progress()

    with progress.memory_limit(None), progress.stage("infer"):
        pass

    progress.check()


def test_there_is_memory_here():
    assert 0 < available() < 2**50


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("0::/outer/job", ("", "memory.max", "memory.current", "inactive_file")),
        (
            "4:cpu,memory:/outer/job",
            ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ),
    ],
    ids=["version 2", "version 1"],
)
def test_the_narrowest_control_group_limits_what_is_left(tmp_path, line, names):
    folder, most, used, cache = names
    groups, mounted = tmp_path / "groups", tmp_path / "mounted"
    groups.write_text(f"1:name=systemd:/\n{line}\n")
    for place, figures in (("", ("max", 5000, 0)), ("outer", (1000, 800, 50)), ("outer/job", (900, 700, 100))):
        group = mounted / folder / place
        group.mkdir(parents=True, exist_ok=True)
        for name, figure in zip((most, used), figures, strict=False):
            (group / name).write_text(f"{figure}\n")
        (group / "memory.stat").write_text(f"anon 7\n{cache} {figures[2]}\n")

    assert left_in_groups(groups, mounted) == 250
    (mounted / folder / "outer" / most).write_text("max\n")
    assert left_in_groups(groups, mounted) == 300


def test_where_there_are_no_control_groups_nothing_limits(tmp_path):
    groups = tmp_path / "groups"
    assert left_in_groups(groups, tmp_path) == math.inf
    groups.write_text("in another form\n0::/gone\n")
    assert left_in_groups(groups, tmp_path) == math.inf
