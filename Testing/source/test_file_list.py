"""A list of files in place of a long command line."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from tools import nativedl


def run(registry, out, *arguments):
    return nativedl("run", "--output", out, *arguments, registry=registry)


def report(out):
    return json.loads((out / "report.json").read_text())


def labels(out):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(out / "segmentation.nii.gz")))


def test_a_list_of_files_gives_what_the_files_give(tmp_path, registry, series):
    listing = tmp_path / "list.txt"
    listing.write_text("\ufeff" + "\r\n".join(f"  {path}" for path in sorted(series.iterdir())) + "\n\n", "utf-8")

    assert run(registry, tmp_path / "a", "--files", listing) == 0
    assert run(registry, tmp_path / "b", "--input", series) == 0

    assert np.array_equal(labels(tmp_path / "a"), labels(tmp_path / "b"))
    assert (report(tmp_path / "a")["source"], report(tmp_path / "b")["source"]) == ("files", "input")
    assert report(tmp_path / "a")["series"] == report(tmp_path / "b")["series"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "list.txt: cannot be read (No such file"),
        (b"", "list.txt: names no file"),
        (b"\n  \n", "list.txt: names no file"),
        (b"\xff\xfe\x00", "does not exist; a list names one file a line"),
        (b"\nnowhere/IM1\n", "list.txt: line 2: nowhere/IM1: does not exist"),
        (b"no\0where\n", "line 1: no\\x00where: does not exist"),
    ],
)
def test_a_list_that_names_no_series_is_refused_in_one_line(tmp_path, registry, content, message, capsys):
    if content is not None:
        (tmp_path / "list.txt").write_bytes(content)

    assert run(registry, tmp_path / "out", "--files", tmp_path / "list.txt") == 3

    assert message in capsys.readouterr().err.replace("\0", "\\x00")


def test_a_list_that_is_no_list_is_not_read_whole(tmp_path, registry, capsys):
    with (tmp_path / "list.txt").open("wb") as stream:
        stream.truncate(2**30)

    assert run(registry, tmp_path / "out", "--files", tmp_path / "list.txt") == 3

    assert "is larger than 64 MiB" in capsys.readouterr().err
