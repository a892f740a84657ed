import hashlib
import json
import os
import stat
from pathlib import Path

import pytest

from NativeDLLib.core.files import atomic_path, sha256, write_json, write_text


def test_a_file_appears_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "result.txt"

    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert not path.exists()

    assert path.read_text() == "new"
    assert [p.name for p in path.parent.iterdir()] == ["result.txt"]


def test_an_error_leaves_what_was_there_and_nothing_else(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("old")

    def write_half():
        with atomic_path(path) as temporary:
            temporary.write_text("ne")
            raise ValueError("half way")

    with pytest.raises(ValueError, match="half way"):
        write_half()

    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["result.txt"]


def test_the_temporary_name_keeps_the_suffixes_that_choose_a_format(tmp_path):
    with atomic_path(tmp_path / "labels.nii.gz") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffixes[-2:] == [".nii", ".gz"]
        temporary.touch()


def test_a_program_that_replaces_the_temporary_file_is_welcome(tmp_path):
    with atomic_path(tmp_path / "result") as temporary:
        other = tmp_path / "other"
        other.write_text("by another program")
        other.replace(temporary)

    assert (tmp_path / "result").read_text() == "by another program"


@pytest.mark.parametrize(("mask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_file_has_the_permissions_of_any_other(tmp_path, mask, mode):
    before = os.umask(mask)
    try:
        write_text(tmp_path / "result.txt", "text")
        assert os.umask(mask) == mask
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "result.txt").stat().st_mode) == mode


def test_a_place_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="file"), atomic_path(tmp_path / "file" / "result"):
        pytest.fail("there is no such folder")


def test_text_is_utf_8_and_json_is_text(tmp_path):
    write_text(tmp_path / "text", "Leber 肝")
    write_json(tmp_path / "json", {"path": Path("a"), "value": 1.5})

    assert (tmp_path / "text").read_bytes() == "Leber 肝".encode()
    assert json.loads((tmp_path / "json").read_text()) == {"path": "a", "value": 1.5}


def test_the_digest_is_that_of_the_content(tmp_path):
    (tmp_path / "file").write_bytes(b"content" * 1000)

    assert sha256(tmp_path / "file") == hashlib.sha256(b"content" * 1000).hexdigest()


def test_a_file_may_be_for_its_user_alone(tmp_path):
    with atomic_path(tmp_path / "peers.json", mode=0o600) as temporary:
        temporary.write_text("{}")

    assert (tmp_path / "peers.json").stat().st_mode & 0o777 == 0o600
