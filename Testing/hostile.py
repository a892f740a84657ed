"""A folder of a stranger: what a person works in, or receives, holds files that Python would take for libraries."""

from __future__ import annotations

from pathlib import Path

# Of each kind: Python's own, what it runs by itself, libraries of ours, packages without an __init__, and this program.
_MODULES = ("json", "logging", "sitecustomize", "usercustomize", "pydicom", "psutil", "SimpleITK", "highdicom", "tqdm")
_PACKAGES = ("numpy", "torch", "onnxruntime", "requests", "NativeDLLib", "NativeDLLib/cli", "dl")
_PAYLOAD = "import pathlib\npathlib.Path({marker!r}).touch()\nraise SystemExit(99)\n"


class HostileFolder:
    """A folder of such files; whoever imports one of them leaves a mark."""

    def __init__(self, path: Path) -> None:
        self.path, self._marker = path, path / "RAN"
        payload = _PAYLOAD.format(marker=str(self._marker))
        for name in (*(f"{name}.py" for name in _MODULES), *(f"{name}/__init__.py" for name in _PACKAGES)):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_text(payload, encoding="utf-8")
        (path / "NativeDLLib" / "__main__.py").write_text(payload, encoding="utf-8")

    @property
    def ran(self) -> bool:
        """Whether something of it was imported."""
        return self._marker.exists()
