"""Commands of this program, each in a fork of one process that has imported what they need: hundreds in minutes.

A trial ends as the command does, after a minute, or with a signal; what it took and what it left is known.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from NativeDLLib.worker.processes import EventReader

ROOT = Path(__file__).resolve().parents[1]
SECONDS, MEMORY = 60.0, 4 * 2**30
_TRACEBACK = 99


@dataclass(frozen=True)
class Trial:
    """End of a command: exit code, below zero after a signal, its events, and what it left beside its output."""

    code: int
    reader: EventReader
    told: str
    strays: list[str]


class Trials:
    """The process that forks."""

    def __init__(self, *modules: str) -> None:
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
        command = [sys.executable, __file__, *modules]
        self._server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait()

    def run(self, folder: Path, output: Path, arguments: Sequence[Any], registry: Path | None = None) -> Trial:
        """Run a command with a home and a folder for temporary files in `folder`, and check its limits."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        places = {"HOME": folder / "home", "TMPDIR": folder / "tmp"} | (
            {"NATIVEDL_REGISTRY": registry} if registry else {}
        )
        for name in ("home", "tmp", "here"):
            (folder / name).mkdir(exist_ok=True)
        before = _files(folder)
        words = [*map(str, arguments), "--events"]
        request = {"arguments": words, "folder": str(folder), "places": {k: str(v) for k, v in places.items()}}
        self._server.stdin.write(json.dumps(request).encode() + b"\n")
        self._server.stdin.flush()
        ended = json.loads(self._server.stdout.readline())
        reader = EventReader()
        reader.feed((folder / "stdout").read_bytes())
        told = (folder / "stderr").read_text(errors="replace")
        reader.end(ended["code"])
        assert ended["seconds"] < SECONDS, f"{arguments}: took {ended['seconds']:.0f} s"
        assert ended["memory"] < MEMORY, f"{arguments}: took {ended['memory'] / 2**30:.1f} GiB"
        assert ended["code"] != _TRACEBACK, told
        ours = (folder / "home" / ".nativedl", output, folder / "stdout", folder / "stderr")
        new = [path for path in sorted(_files(folder) - before) if not any(path.is_relative_to(o) for o in ours)]
        return Trial(ended["code"], reader, told, [str(path) for path in new])


@contextlib.contextmanager
def trials(*modules: str) -> Iterator[Trials]:
    """Give the process that forks, which has imported some more modules, and end it."""
    server = Trials(*modules)
    try:
        yield server
    finally:
        server.close()


def _files(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_dir()}


def _serve() -> None:
    import gdcm  # noqa: F401
    import highdicom  # noqa: F401
    import onnxruntime  # noqa: F401
    import SimpleITK  # noqa: F401

    import NativeDLLib.dicom.seg
    import NativeDLLib.regions.read_rtstruct
    import NativeDLLib.segment.run  # noqa: F401
    from NativeDLLib.cli.main import main

    for module in sys.argv[1:]:
        importlib.import_module(module)
    for line in sys.stdin:
        request = json.loads(line)
        started = time.monotonic()
        child = os.fork()
        if child == 0:
            code = _TRACEBACK
            try:
                for number, name in ((1, "stdout"), (2, "stderr")):
                    os.dup2(os.open(Path(request["folder"]) / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
                os.chdir(Path(request["folder"]) / "here")
                os.environ.update(request["places"])
                code = main(request["arguments"])
            except SystemExit as end:
                code = int(end.code or 0)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        signal.signal(signal.SIGALRM, lambda *_, child=child: os.kill(child, signal.SIGKILL))
        signal.alarm(int(SECONDS))
        _, status, used = os.wait4(child, 0)
        signal.alarm(0)
        ended = {"code": os.waitstatus_to_exitcode(status), "memory": used.ru_maxrss * 1024}
        print(json.dumps(ended | {"seconds": time.monotonic() - started}), flush=True)


if __name__ == "__main__":
    _serve()
