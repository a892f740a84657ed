"""The manual as its readers use it: pages in their order, and the commands that they paste."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import servers

ROOT = Path(__file__).resolve().parents[2]
MANUAL = ROOT / "docs"
_FENCE = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_PAGE_SECONDS = 300


@dataclass(frozen=True)
class Block:
    """A fenced block of a page: its language, the line that it begins at, its title and its text."""

    page: str
    line: int
    language: str
    title: str
    text: str


def pages() -> list[str]:
    """Return the written pages in the order of the manual, which is that of ``nav`` in ``mkdocs.yml``."""
    listed = re.findall(r": ([\w/-]+\.md)$", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"), re.MULTILINE)
    return [page for page in listed if (MANUAL / page).exists()]


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = (MANUAL / page).read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        indent, language, rest, body = match.groups()
        lines = [line.removeprefix(indent) for line in body.splitlines()]
        line = text.count("\n", 0, match.start()) + 1
        title = re.search(r'title="([^"]*)"', rest)
        found.append(Block(page, line, language, title[1] if title else "", "\n".join(lines)))
    return found


@dataclass
class Reader:
    """A reader who pastes the commands of one page after the other into a terminal.

    Attributes
    ----------
    home
        The reader's home folder.
    ports
        Ports of the manual, and those that are free here.
    """

    home: Path
    ports: Mapping[str, str] = field(default_factory=dict)
    _read: list[str] = field(default_factory=list)
    _groups: list[int] = field(default_factory=list)

    def read_to(self, page: str, long: Collection[str]) -> None:
        """Paste the commands of a page, after those of all pages before it but the long ones."""
        for name in pages():
            if name not in self._read and (name == page or name not in long):
                self._read.append(name)
                self._paste(name)
            if name == page:
                return

    def _paste(self, page: str) -> None:
        commands = [block for block in blocks(page) if block.language == "bash"]
        if not commands:
            return
        parts = [f"echo '== {block.page}:{block.line}'\n{block.text}\n" for block in commands]
        # Servers of the manual end with the tests, also where those are killed.
        watch = f"(while kill -0 {os.getpid()} 2> /dev/null; do sleep 1; done; kill -9 -- -$$) &\n"
        script = f"{watch}set -euo pipefail\ncd\n" + "".join(parts)
        for port, free in self.ports.items():
            script = re.sub(rf"\b{port}\b", free, script)
        log = self.home / f"{page.replace('/', '-')}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(
                ["bash", "-c", script],
                cwd=self.home,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._groups.append(process.pid)
        try:
            code = process.wait(_PAGE_SECONDS)
        except subprocess.TimeoutExpired:
            code = None
        shown = log.read_text(encoding="utf-8", errors="replace")[-3000:]
        assert code == 0, f"{page}: a command ended with {code}:\n{shown}"
        assert "Traceback" not in shown, f"{page}: a traceback:\n{shown}"

    def _environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("NATIVEDL_")}
        # `nativedl` of these sources, and Python with their packages; pynetdicom's commands must not hide DCMTK's.
        programs = self.home / ".programs"
        path = os.pathsep.join([str(programs), "/usr/sbin", "/usr/bin", "/bin", kept.get("PATH", "")])
        here = {"HOME": str(self.home), "PATH": path, "PYTHONPATH": str(ROOT), "NO_PROXY": "localhost,127.0.0.1"}
        return kept | here

    def close(self) -> None:
        """End what the reader's terminals still run."""
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)


@contextlib.contextmanager
def reader(home: Path, ports: tuple[str, ...]) -> Iterator[Reader]:
    """Give a reader with the programs of the manual; what is started for it ends with the block."""
    for program, package in {"/usr/sbin/Orthanc": "orthanc orthanc-dicomweb", "/usr/bin/curl": "curl"}.items():
        servers.require(program, package)
    programs = home / ".programs"
    programs.mkdir()
    for name, command in {"nativedl": "-P -m NativeDLLib", "python": ""}.items():
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {command} "$@"\n', encoding="utf-8")
        script.chmod(0o755)
    here = Reader(home, {port: str(servers.free_port()) for port in ports})
    try:
        yield here
    finally:
        here.close()


def copy_series(source: Path, target: Path) -> None:
    """Copy the DICOM files of a series."""
    target.mkdir(parents=True)
    for file in sorted(source.glob("*.dcm")):
        shutil.copy(file, target)
