"""Archives of which nothing is trusted: what they may hold is unpacked, everything else is refused."""

import shutil
import stat
import struct
import zipfile

import pytest

from NativeDLLib.core.errors import CancelledError, ModelError, NativeDLError
from NativeDLLib.core.progress import Progress
from NativeDLLib.models.fetch import archive
from NativeDLLib.models.fetch.archive import unpack_zip


def packed(tmp_path, *members, compression=zipfile.ZIP_STORED):
    """Write a zip; a member is a name, or a ZipInfo, and its content."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", compression) as target:
        for member, content in members:
            target.writestr(member, content)
    return path


def renamed(path, before, after):
    """Change a name in a zip to another one of the same length, as no well-behaved program writes it."""
    assert len(before) == len(after)
    path.write_bytes(path.read_bytes().replace(before, after))
    return path


def unpack(path, tmp_path):
    folder = tmp_path / "inside" / "unpacked"
    folder.mkdir(parents=True)
    with path.open("rb") as stream:
        unpack_zip(stream, folder, Progress())
    return folder


def refusal(path, tmp_path):
    before = {p for p in tmp_path.rglob("*")}
    with pytest.raises(ModelError) as caught:
        unpack(path, tmp_path)
    outside = {p for p in tmp_path.rglob("*")} - before - {tmp_path / "inside", tmp_path / "inside" / "unpacked"}
    assert all(p.is_relative_to(tmp_path / "inside" / "unpacked") for p in outside)
    assert not any(p.is_symlink() for p in outside)
    return str(caught.value)


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_folder_with_files_is_unpacked(tmp_path, compression):
    members = [("top/", b""), ("top/nnUNetTrainer__nnUNetPlans__3d_fullres/plans.json", b"{}"), ("top/.hidden", b"x")]

    folder = unpack(packed(tmp_path, *members, compression=compression), tmp_path)

    files = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert files == {name: content for name, content in members if not name.endswith("/")}


@pytest.mark.parametrize(
    "name",
    ["/etc/x", "../x", "a/../../x", "a/./x", "a//x", "..", "C:/x", "C:x", "a/NUL", "com1.txt", "a /x", "a./x", "a:b",
     "x" * 201, "/".join("d" * 60 for _ in range(8)), "a\x07b"],
)  # fmt: skip
def test_a_name_that_could_lead_elsewhere_is_refused(tmp_path, name):
    assert "has a name that could lead out of its folder" in refusal(packed(tmp_path, (name, b"x")), tmp_path)


@pytest.mark.parametrize("name", [b"..\\x", b"\\\\hx", b"a\\bc", b"ok\0x"])
def test_a_name_that_zipfile_would_have_changed_is_refused(tmp_path, name):
    plain = b"q" * len(name)

    path = renamed(packed(tmp_path, (plain.decode(), b"x")), plain, name)

    assert "has a name that could lead out of its folder" in refusal(path, tmp_path)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK, stat.S_IFDIR])
def test_links_and_devices_are_refused(tmp_path, kind):
    member = zipfile.ZipInfo("link")
    member.create_system, member.external_attr = 3, (kind | 0o777) << 16

    assert "is a link or another thing" in refusal(packed(tmp_path, (member, b"/etc/passwd")), tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a/plans.json", "a/PLANS.json"), "that of another one"),
        (("a/x", "A/y"), "that of another one"),
        (("caf\u00e9", "cafe\u0301"), "that of another one"),
        (("a", "a/b"), "in the way"),
        (("a/b", "a"), "in the way"),
    ],
)
def test_names_that_collide_are_refused(tmp_path, names, message):
    assert message in refusal(packed(tmp_path, *((name, b"x") for name in names)), tmp_path)


def test_an_archive_that_another_reader_could_take_for_another_one_is_refused(tmp_path):
    path = packed(tmp_path, ("one", b"1"))
    path.write_bytes(path.read_bytes().replace(b"one", b"two", 1))

    assert "'one' is not what its directory says" in refusal(path, tmp_path)


def test_a_member_that_is_there_twice_is_refused(tmp_path):
    path = renamed(packed(tmp_path, ("one", b"1"), ("two", b"2")), b"two", b"one")

    assert "it holds 'one' twice" in refusal(path, tmp_path)


def test_an_encrypted_member_is_refused(tmp_path):
    path = packed(tmp_path, ("secret", b"x"))
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + flags] |= 1
    path.write_bytes(content)

    assert "'secret' is encrypted" in refusal(path, tmp_path)


def test_unusual_compression_is_refused(tmp_path):
    path = packed(tmp_path, ("a", b"x" * 1000), compression=zipfile.ZIP_LZMA)

    assert "'a' is compressed in an unusual way" in refusal(path, tmp_path)


def test_a_bomb_is_refused_by_the_size_it_states(tmp_path):
    path = packed(tmp_path, ("zeros", bytes(2**26 + 1)), compression=zipfile.ZIP_DEFLATED)

    assert "says that it unpacks to 67108865 bytes; 67108864 are allowed" in refusal(path, tmp_path)


def test_a_bomb_that_lies_about_its_size_writes_no_more_than_it_stated(tmp_path):
    path = packed(tmp_path, ("zeros", bytes(2**24)), compression=zipfile.ZIP_DEFLATED)
    path.write_bytes(path.read_bytes().replace(struct.pack("<I", 2**24), struct.pack("<I", 10)))

    assert "is not a zip that can be unpacked" in refusal(path, tmp_path)
    assert sum(p.stat().st_size for p in (tmp_path / "inside").rglob("*") if p.is_file()) <= 10


def test_members_that_share_their_bytes_are_counted_each(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "LARGEST", 5000)
    path = packed(tmp_path, ("a", b"x" * 2000), ("b", b"x" * 2000), ("c", b"x" * 2000))

    assert "unpacks to 6000 bytes; 5000 are allowed" in refusal(path, tmp_path)


def test_too_many_members_are_refused(tmp_path):
    path = packed(tmp_path, *((f"f{n}", b"") for n in range(1001)))

    assert "has 1001 members; 1000 are allowed" in refusal(path, tmp_path)


@pytest.mark.parametrize("damage", ["truncated", "flipped", "no zip", "empty"])
def test_a_damaged_archive_is_refused(tmp_path, damage):
    path = packed(tmp_path, ("a", bytes(range(256)) * 40), compression=zipfile.ZIP_DEFLATED)
    content = bytearray(path.read_bytes())
    content[60] ^= 0xFF
    path.write_bytes(
        {"truncated": path.read_bytes()[:-40], "flipped": content, "no zip": b"<html>", "empty": b""}[damage]
    )

    assert "is not a zip that can be unpacked" in refusal(path, tmp_path)


def test_a_disk_without_room_is_said_before_anything_is_written(tmp_path, monkeypatch):
    path = packed(tmp_path, ("a", bytes(2**20)))
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=2**19))

    with pytest.raises(NativeDLError, match="1 MiB are needed there and 0 MiB are free; make room") as caught:
        unpack(path, tmp_path)
    assert not isinstance(caught.value, ModelError)
    assert list((tmp_path / "inside" / "unpacked").iterdir()) == []


def test_unpacking_can_be_cancelled(tmp_path):
    progress = Progress()
    progress.cancel()
    (tmp_path / "unpacked").mkdir()

    with packed(tmp_path, ("a", b"x")).open("rb") as stream, pytest.raises(CancelledError):
        unpack_zip(stream, tmp_path / "unpacked", progress)
