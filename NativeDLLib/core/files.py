"""Files that are either whole or absent, and the digests that say which file it is."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import uuid4

from NativeDLLib.core.errors import InputError

_scratch: set[Path] = set()


@contextlib.contextmanager
def atomic_path(path: Path, mode: int | None = None) -> Iterator[Path]:
    """Temporary path beside `path` that replaces it when the block ends without an error. Its folder is made. The
    temporary name keeps the suffixes, because image writers choose the format by them. `mode` are the permissions, by
    default those of any new file. After an OSError `path` is what it was before.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".partial-{uuid4().hex}{''.join(path.suffixes[-2:])}")
    os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666 if mode is None else mode))
    try:
        yield temporary
        sync(temporary)
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def scratch(prefix: str, parent: Path | None = None) -> Iterator[Path]:
    """Give an empty folder, by default in the system's one for such, that is gone after the block, or by
    `remove_scratch`. In the system's folder the next one of the prefix removes what killed processes left.
    """
    # Slicer's panel writes files before the packages are there.
    from NativeDLLib.core.locking import held

    shared = Path(tempfile.gettempdir())
    folder = (parent or shared) / f"{prefix}{uuid4().hex}"
    with contextlib.ExitStack() as stack:
        if parent is None:
            _remove_dead(shared, prefix)
            # Held before the folder is there, so that no folder is ever taken for a dead process'.
            stack.enter_context(held(shared / f"{folder.name}.lock"))
        folder.mkdir(mode=0o700)
        _scratch.add(folder)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            _scratch.discard(folder)


def _remove_dead(parent: Path, prefix: str) -> None:
    from NativeDLLib.core.locking import is_held

    for lock in parent.glob(f"{prefix}*.lock"):
        with contextlib.suppress(OSError):
            mine = not hasattr(os, "getuid") or lock.lstat().st_uid == os.getuid()
            if mine and not lock.is_symlink() and not is_held(lock):
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink()


def remove_scratch() -> None:
    """Remove all folders of `scratch`, for a process that ends without unwinding."""
    for folder in tuple(_scratch):
        shutil.rmtree(folder, ignore_errors=True)


def sync(path: Path) -> None:
    """Make sure that a file's content is on disk."""
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def utf8_name(path: Path) -> str:
    """Return a path as ITK takes it; InputError where it is no UTF-8, by which ITK would end the process."""
    try:
        return os.fsencode(path).decode("utf-8")
    except UnicodeDecodeError as error:
        told = f"{path}: images are read and written only where the name is UTF-8 text; rename it, or choose another"
        raise InputError(told) from error


def write_names(path: Path, names: Iterable[str]) -> None:
    """Write names of files, one a line, atomically: in their own bytes, which need be text of no encoding."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"".join(os.fsencode(name) + b"\n" for name in names))


def write_json(path: Path, data: object) -> None:
    """Write `data` as indented JSON to `path`, atomically."""
    write_text(path, json.dumps(data, indent=2, default=str) + "\n")


def sha256(path: Path) -> str:
    """Return the SHA-256 digest of a file as 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
