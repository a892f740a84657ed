"""ZIP archives that two readers could take for different ones are refused."""

import io
import random
import struct
import zipfile

import pytest

from NativeDLLib.core.zip_check import ZipError, check_zip

torch = pytest.importorskip("torch")


def archive(method=zipfile.ZIP_STORED, **options):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method, **options) as target:
        target.writestr("a/first", b"first" * 40)
        target.writestr("a/empty", b"")
        target.writestr("a/größe", b"second")
    return stream.getvalue()


def streamed():
    """Return an archive that was written without going back: sizes follow their content."""

    class Pipe(io.RawIOBase):
        content = b""

        def writable(self):
            return True

        def write(self, data):
            self.content += bytes(data)
            return len(data)

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as target:
        target.writestr("a/first", b"first" * 40)
    return pipe.content


def large_fields():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target, target.open("a/first", "w", force_zip64=True) as member:
        member.write(b"first")
    return stream.getvalue()


def of_torch():
    stream = io.BytesIO()
    torch.save({"a": torch.zeros(3)}, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content", [archive(), archive(zipfile.ZIP_DEFLATED), streamed(), large_fields(), of_torch()],
    ids=["stored", "deflated", "streamed", "with large fields", "of torch"],
)  # fmt: skip
def test_archives_as_they_are_written_are_taken(content):
    check_zip(io.BytesIO(content))


def refusal(content):
    with pytest.raises(ZipError) as caught:
        check_zip(io.BytesIO(content))
    return str(caught.value)


def commented():
    stream = io.BytesIO(archive())
    with zipfile.ZipFile(stream, "a") as target:
        target.comment = archive()
    return stream.getvalue()


def twice():
    stream = io.BytesIO(archive())
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(stream, "a") as target:
        target.writestr("a/first", b"other")
    return stream.getvalue()


def patched(offset, value, mark=b"PK\1\2", content=None):
    """Return an archive of which some bytes of its first record of a kind are others."""
    result = bytearray(content or archive())
    place = result.index(mark) + offset
    result[place : place + len(value)] = value
    return bytes(result)


def with_other_name():
    """Return an archive with a field that gives a member another name in newer Pythons."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as target:
        info = zipfile.ZipInfo("a/first")
        field = struct.pack("<BL", 1, zipfile.crc32(b"a/first")) + b"../evil"
        info.extra = struct.pack("<2H", 0x7075, len(field)) + field
        target.writestr(info, b"")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "cut off"),
        (b"PK\3\4" + bytes(100), "does not end"),
        (archive() + b"\0", "does not end"),
        (archive()[:-1], "does not end"),
        (archive()[50:], "its directory is not where it says"),
        (b"#!/bin/sh\n" + archive(), "its directory is not where it says"),
        (archive() + archive(), "its directory is not where it says"),
        (commented(), "its directory is not where it says"),
        (twice(), "'a/first' twice"),
        (patched(30, b"b", b"PK\3\4"), "'a/first' is not what its directory says"),
        (patched(8, b"\x08", b"PK\3\4"), "'a/first' is not what its directory says"),
        (patched(18, b"\1", b"PK\3\4"), "'a/first' is not what its directory says"),
        (patched(14, b"\1\2\3\4", b"PK\3\4"), "'a/first' is not what its directory says"),
        (patched(42, b"\x01"), "is not what its directory says"),
        (patched(8, b"\1"), "its directory is damaged"),
        (patched(46, b"\0"), "its directory is damaged"),
        (patched(8, b"\2\0", b"PK\5\6"), "one of several files"),
        (patched(16, b"\0\0", b"PK\5\6"), "its directory is not where it says"),
        (patched(32, b"\1", b"PK\6\6", of_torch()), "its two records of the end differ"),
        (patched(8, b"\1", b"PK\6\7", of_torch()), "does not end"),
        (with_other_name(), "its directory is damaged"),
        (patched(38, b"\x10"), "'a/first' is a folder with content"),
    ],
)
def test_an_archive_that_could_be_read_in_two_ways_is_refused(content, reason):
    assert reason in refusal(content)


def test_members_that_share_bytes_are_refused():
    content = bytearray(archive())
    places = [place for place in range(len(content)) if content[place : place + 4] == b"PK\1\2"]
    name, size = content[places[0] + 46 : places[0] + 53], struct.unpack_from("<L", content, places[0] + 20)[0]
    # The second entry of the directory becomes the first one, but for its name, which its header does not have.
    content[places[1] + 46 : places[1] + 53] = name
    assert "twice" in refusal(content)
    struct.pack_into("<2L", content, places[0] + 20, size + 60, size + 60)
    struct.pack_into("<2L", content, 18, size + 60, size + 60)
    content[places[1] + 46 : places[1] + 53] = b"a/empty"
    assert "share bytes" in refusal(content)


def of_python(content):
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        return {name: source.read(name) for name in source.namelist()}


def of_libtorch(content):
    reader = torch._C.PyTorchFileReader(io.BytesIO(content))
    return {name: reader.get_record(name) for name in reader.get_all_records()}


def test_whatever_bytes_are_changed_what_is_taken_is_the_same_to_two_readers():
    chance, honest = random.Random(0), of_torch()
    headers = [place + step for place in range(len(honest)) if honest[place : place + 2] == b"PK" for step in range(80)]
    taken = 0
    for _ in range(3000):
        content = bytearray(honest)
        for _ in range(chance.choice((1, 1, 2, 3))):
            place = min(chance.choice(headers), len(content) - 1)
            content[place] = chance.choice(
                (0, 1, 0xFF, content[place] ^ (1 << chance.randrange(8)), chance.randrange(256))
            )
        try:
            check_zip(io.BytesIO(content))
            found = of_python(bytes(content))
        except (ZipError, zipfile.BadZipFile, NotImplementedError):
            continue
        try:
            other = of_libtorch(bytes(content))
        except (RuntimeError, UnicodeDecodeError):
            continue
        root = next(iter(found)).partition("/")[0]
        assert {f"{root}/{name}": data for name, data in other.items()} == found
        taken += 1
    assert taken > 100
