"""ZIP archives that every reader reads alike: one directory, where it says that it is, which says what the members say.

An archive with two directories, or with members that contradict theirs, shows one content to the reader that checks it
and another one to the reader that uses it. Numbers of sections are those of APPNOTE.TXT 6.3.10.
"""

import struct
from typing import IO

_END, _END_64, _LOCATOR = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
_ENTRY, _LOCAL = struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s5H3L2H")
_MOST_MEMBERS, _LARGEST_DIRECTORY = 20_000, 2**24
_ELSEWHERE_16, _ELSEWHERE_32 = 0xFFFF, 0xFFFFFFFF
_ENCRYPTED, _SIZES_FOLLOW, _FOLDER = 0x1, 0x8, 0x10
_SIZES, _OTHER_NAME = 0x0001, 0x7075


class ZipError(ValueError):
    """An archive that is damaged, or that two readers could take for different ones."""


def check_zip(stream: IO[bytes]) -> None:
    """Raise ZipError where an archive is none, is damaged, or two readers could differ on what it holds."""
    try:
        count, size, offset = _directory(stream)
        if count > _MOST_MEMBERS or size > _LARGEST_DIRECTORY:
            raise ZipError(f"it has {count} members; {_MOST_MEMBERS} are allowed")
        ends = 0
        for start, end in sorted(_members(stream, _at(stream, offset, size), count)):
            if start < ends:
                raise ZipError("two of its members share bytes")
            ends = end
        if ends > offset:
            raise ZipError("a member of it reaches into its directory")
    except struct.error as error:
        raise ZipError("it is cut off") from error


def _directory(stream: IO[bytes]) -> tuple[int, int, int]:
    """Number of members, size and offset of the directory, right before the records of the end (4.3.14 to 4.3.16)."""
    end = stream.seek(0, 2) - _END.size
    mark, disk, first_disk, here, count, size, offset, comment = _END.unpack(_at(stream, end, _END.size))
    if mark != b"PK\5\6" or comment:
        raise ZipError("it does not end as an archive does")
    stated = ((count, _ELSEWHERE_16), (size, _ELSEWHERE_32), (offset, _ELSEWHERE_32))
    disks = [disk, first_disk]
    locator = _at(stream, end - _LOCATOR.size, _LOCATOR.size) if end > _LOCATOR.size else b""
    if locator.startswith(b"PK\6\7"):
        end -= _LOCATOR.size + _END_64.size
        _, disk, place, total = _LOCATOR.unpack(locator)
        mark, rest, _, _, *more, here, count, size, offset = _END_64.unpack(_at(stream, end, _END_64.size))
        disks += [disk, *more, total - 1]
        if mark != b"PK\6\6" or place != end or rest != _END_64.size - 12:
            raise ZipError("it does not end as an archive does")
        if any(old not in (new, large) for (old, large), new in zip(stated, (count, size, offset), strict=True)):
            raise ZipError("its two records of the end differ")
    if any(disks) or here != count:
        raise ZipError("it is one of several files")
    if offset + size != end:
        raise ZipError("its directory is not where it says")
    return count, size, offset


def _members(stream: IO[bytes], directory: bytes, count: int) -> list[tuple[int, int]]:
    """Where each member begins and ends (4.3.12)."""
    found: dict[bytes, tuple[int, int]] = {}
    position = 0
    for _ in range(count):
        fields = _ENTRY.unpack_from(directory, position)
        mark, _, _, flags, method, _, _, crc, packed, plain, *lengths, disk, _, kind, start = fields
        position += _ENTRY.size
        name, extra, _ = (directory[(place := position + sum(lengths[:n])) : place + lengths[n]] for n in range(3))
        position += sum(lengths)
        if mark != b"PK\1\2" or disk or flags & _ENCRYPTED or not name or b"\0" in name or position > len(directory):
            raise ZipError("its directory is damaged")
        if name in found:
            raise ZipError(f"it holds '{_shown(name)}' twice")
        # Some readers give the content of a folder, and others none.
        if plain and (kind & _FOLDER or name.endswith(b"/")):
            raise ZipError(f"'{_shown(name)}' is a folder with content")
        plain, packed, start = _large(extra, [plain, packed, start])
        size = _header_size(stream, start, name, (method, crc, packed, plain))
        found[name] = (start, start + size + packed)
    if position != len(directory):
        raise ZipError("its directory is not where it says")
    return list(found.values())


def _large(extra: bytes, values: list[int]) -> list[int]:
    """Sizes and offset of a member, from its extra field where they are too large for the directory (4.5.3)."""
    position, seen = 0, set()
    while position + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, position)
        field, position = extra[position + 4 : position + 4 + size], position + 4 + size
        if position > len(extra) or kind == _OTHER_NAME or kind in seen:
            raise ZipError("its directory is damaged")
        seen.add(kind)
        if kind == _SIZES:
            numbers = iter(struct.unpack(f"<{size // 8}Q", field[: size // 8 * 8]))
            values = [next(numbers, value) if value == _ELSEWHERE_32 else value for value in values]
    if _ELSEWHERE_32 in values:
        raise ZipError("its directory does not say how large a member is")
    return values


def _header_size(stream: IO[bytes], start: int, name: bytes, stated: tuple[int, int, int, int]) -> int:
    """Size of a member's own header, which must say what the directory does, or leave it open (4.3.7)."""
    header = _LOCAL.unpack(_at(stream, start, _LOCAL.size))
    mark, _, flags, method, _, _, *numbers, name_size, extra_size = header
    open_to = {0, _ELSEWHERE_32} if flags & _SIZES_FOLLOW else {_ELSEWHERE_32}
    same = all(own == value or own in open_to for own, value in zip(numbers, stated[1:], strict=True))
    if mark != b"PK\3\4" or _at(stream, start + _LOCAL.size, name_size) != name or method != stated[0] or not same:
        raise ZipError(f"'{_shown(name)}' is not what its directory says")
    return int(_LOCAL.size + name_size + extra_size)


def _shown(name: bytes) -> str:
    return name[:80].decode("ascii", "backslashreplace")


def _at(stream: IO[bytes], position: int, size: int) -> bytes:
    stream.seek(max(0, position))
    content = stream.read(size)
    if position < 0 or len(content) < size:
        raise ZipError("it is cut off")
    return content
