import json

import pytest

from NativeDLLib.batch.cohort import Case, Cohort
from NativeDLLib.batch.manifest import Manifest
from NativeDLLib.batch.run import Settings, run_batch
from NativeDLLib.core.errors import InputError, UsageError
from NativeDLLib.core.locking import hold
from NativeDLLib.core.progress import Progress


@pytest.fixture
def written(tmp_path):
    manifest = Manifest.open(tmp_path)
    manifest.queue({"a": {"model": "auto"}, "b": {"model": "bright"}})
    manifest.note("a", "running", where="here")
    manifest.note("a", "done", code=0)
    return manifest.path


def test_what_was_written_is_read_again(written, tmp_path):
    manifest = Manifest.open(tmp_path)

    assert [manifest.state(name) for name in ("a", "b", "c")] == ["done", "queued", None]
    assert [manifest.last[name]["asked"]["model"] for name in "ab"] == ["auto", "bright"]


@pytest.mark.parametrize("torn", [1, 20, -1], ids=["one byte", "half a line", "all but the line break"])
def test_a_torn_last_line_is_cut_off(written, tmp_path, torn):
    whole = written.read_bytes()
    line = whole.splitlines(keepends=True)[-1]
    written.write_bytes(whole[: -len(line)] + line[:torn])

    manifest = Manifest.open(tmp_path)

    assert manifest.state("a") == "running"
    manifest.note("a", "done", code=0)
    assert [json.loads(line)["state"] for line in written.read_text().splitlines()[1:]][-1] == "done"
    assert Manifest.open(tmp_path).state("a") == "done"


@pytest.mark.parametrize("line", ["{", "[]", "7", '{"case": "a"}', '{"case": "new", "state": "done"}'])
def test_another_damaged_line_is_named(written, tmp_path, line):
    lines = written.read_text().splitlines()
    written.write_text("\n".join([lines[0], line, *lines[1:]]) + "\n")

    with pytest.raises(InputError, match=r"manifest\.jsonl: line 2 is damaged"):
        Manifest.open(tmp_path)


def test_a_folder_that_another_batch_holds_is_refused_and_one_that_was_held_is_not(tmp_path):
    cohort, settings = Cohort([Case("a", ())]), Settings(tmp_path, arguments=(), options={})
    (tmp_path / "a").mkdir()

    with hold(tmp_path, "held twice"), pytest.raises(UsageError, match="another batch works there"):
        run_batch(cohort, settings, Progress())
    with pytest.raises(UsageError, match="is not of this batch"):
        run_batch(cohort, settings, Progress())
