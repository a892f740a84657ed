"""Unpacking a downloaded zip of which nothing is trusted: neither names, nor kinds, nor the sizes it states."""

import re
import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO

from NativeDLLib.core.errors import ModelError, NativeDLError
from NativeDLLib.core.files import sync
from NativeDLLib.core.progress import Progress
from NativeDLLib.core.zip_check import ZipError, check_zip
from NativeDLLib.registry.weights import models_folder

LARGEST = 16 * 2**30
"""Bytes that an archive may have, packed or unpacked."""

_MOST_MEMBERS = 1000
# Weights hardly shrink; text shrinks by ten at most. Small archives may be nothing but text.
_HIGHEST_RATIO, _SMALL = 100, 2**26
_CHUNK = 2**20
# A step of a path on every system: not '.' or '..', no drive, no backslash, no device, nothing that Windows trims.
_STEP = re.compile(
    r"(?!\.{1,2}$)(?!(con|prn|aux|nul|com\d|lpt\d)(\.|$))[^\\/:*?\"<>|\x00-\x1f\x7f]{1,200}(?<![. ])", re.IGNORECASE
)


def unpack_zip(stream: BufferedReader, folder: Path, progress: Progress) -> None:
    """Unpack an open zip into a new folder: plain files below it and nothing else. ModelError where it is damaged or
    holds a member that no model has; NativeDLError where the disk has no room. The folder is of no use after an error.
    """
    archive = Path(stream.name)
    limit = min(LARGEST, max(_SMALL, _HIGHEST_RATIO * stream.seek(0, 2)))
    try:
        with zipfile.ZipFile(stream) as source:
            members = list(_checked(archive, source.infolist()))
            check_zip(stream)
            stated = sum(member.file_size for member in members)
            if stated > limit:
                raise ModelError(f"{archive}: says that it unpacks to {stated} bytes; {limit} are allowed")
            check_space(folder, stated)
            done = 0
            for member in members:
                with source.open(member) as content:
                    for size in write_stream(content, folder / member.orig_filename, progress):
                        done += size
                        # The sizes that an archive states are not believed.
                        if done > limit:
                            raise ModelError(f"{archive}: unpacks to more than {limit} bytes")
                        progress.update("unpack", min(1.0, done / max(stated, 1)))
    # Besides its own error, zipfile lets through those of the decompressor and of what it does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, OverflowError) as error:
        reason = str(error) if isinstance(error, ZipError) else "it is damaged"
        raise ModelError(f"{archive}: is not a zip that can be unpacked ({reason})") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ModelError(f"{archive}: holds two members of which one is in the way of the other") from error


def check_space(folder: Path, size: int) -> None:
    """Raise NativeDLError, with the size needed, where a folder's disk has no room."""
    free = shutil.disk_usage(folder).free
    if size > free:
        told = f"{folder}: {-(-size // 2**20)} MiB are needed there and {free // 2**20} MiB are free; make room"
        in_cache = folder.is_relative_to(models_folder())
        raise NativeDLError(told, hint="or name another cache with NATIVEDL_MODELS" if in_cache else "")


def write_stream(content: IO[bytes], path: Path, progress: Progress) -> Iterator[int]:
    """Write a stream to a new file, whose folder is made; gives the bytes of each piece that was written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as target:
        while data := content.read(_CHUNK):
            progress.check()
            target.write(data)
            yield len(data)
    sync(path)


def _checked(archive: Path, members: list[zipfile.ZipInfo]) -> Iterator[zipfile.ZipInfo]:
    """Yield the files among the members, in order."""
    if len(members) > _MOST_MEMBERS:
        raise ModelError(f"{archive}: has {len(members)} members; {_MOST_MEMBERS} are allowed")
    spelled: dict[str, str] = {}
    for member in members:
        # What zipfile itself made of the name is not what the archive says.
        name = member.orig_filename.removesuffix("/")
        where = f"{archive}: its member '{name[:80]}'"
        steps = name.split("/")
        if len(name) > 400 or not all(_STEP.fullmatch(step) for step in steps):
            raise ModelError(f"{where} has a name that could lead out of its folder")
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFDIR if member.is_dir() else stat.S_IFREG):
            raise ModelError(f"{where} is a link or another thing that is no plain file")
        if member.flag_bits & 0x1:
            raise ModelError(f"{where} is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ModelError(f"{where} is compressed in an unusual way")
        for count in range(1, len(steps) + 1):
            path = "/".join(steps[:count])
            if spelled.setdefault(unicodedata.normalize("NFC", path).casefold(), path) != path:
                raise ModelError(f"{where} has a name that some systems take for that of another one")
        if not member.is_dir():
            yield member
