"""Calls that can neither write files nor start programs: a second line behind the checks of what is loaded.

Linux offers that to single threads since 5.13 (Landlock, https://docs.kernel.org/userspace-api/landlock.html).
Elsewhere, and where the kernel was built without it, the calls are made as they are.
"""

import ctypes
import io
import os
import struct
import sys
import warnings
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

from NativeDLLib.core.zip_check import ZipError, check_zip

T = TypeVar("T")
# Numbers of the system calls, the same on all processors.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_GET_VERSION, _BENEATH, _NO_NEW_PRIVILEGES = 1, 1, 38
# Execute, write, remove and make files of every kind; rename across folders since version 2, truncate since version 3.
_EXECUTE, _WRITE = 1 << 0, 1 << 1
_OF_FILES = _EXECUTE | _WRITE | sum(1 << bit for bit in range(4, 13))
_SINCE = {2: 1 << 13, 3: 1 << 14}
_OF_NETWORK = 0b11


def confined(call: Callable[..., T], *arguments: Any, **named: Any) -> T:
    """Result of a call that is made in a thread that can neither write files, start programs nor connect to others.
    Only devices can be written to, which a GPU needs. Errors of the call are raised here.
    """
    if not _version():
        return call(*arguments, **named)

    def run() -> T:
        _confine()
        return call(*arguments, **named)

    with ThreadPoolExecutor(1, "confined") as pool:
        return pool.submit(run).result()


@cache
def _version() -> int:
    """Version of Landlock here; zero where there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, _GET_VERSION)))


@cache
def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _confine() -> None:
    """Confine this thread for the rest of its life, as far as the kernel offers it."""
    version, libc = _version(), _libc()
    files = _OF_FILES | sum(right for since, right in _SINCE.items() if version >= since)
    rights = struct.pack("<QQ", files, _OF_NETWORK)[: 16 if version >= 4 else 8]
    rules = libc.syscall(_CREATE_RULESET, rights, len(rights), 0)
    if rules < 0:
        return
    try:
        devices = os.open("/dev", os.O_PATH | os.O_CLOEXEC)
        try:
            libc.syscall(_ADD_RULE, rules, _BENEATH, struct.pack("<Qi", _WRITE, devices), 0)
        finally:
            os.close(devices)
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
        libc.syscall(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def load_tensors(content: bytes) -> Any:
    """Content of a file of ``torch.save``; ZipError where it is an archive that torch does not write: compressed,
    with two directories, or TorchScript. Of another file torch makes anything from RuntimeError to KeyError and
    pickle's errors.
    """
    import torch

    stream = io.BytesIO(content)
    if content.startswith(b"PK"):
        check_zip(stream)
        with zipfile.ZipFile(stream) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ZipError("it is compressed, which torch never writes")
            if any(name.endswith("/constants.pkl") for name in archive.namelist()):
                raise ZipError("it is TorchScript, which is code and is not run")
        stream.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return confined(torch.load, stream, map_location="cpu", weights_only=True)
