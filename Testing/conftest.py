"""What every test has: no registry, outbox or peers of the user, and the way to the real series."""

from __future__ import annotations

import os
from pathlib import Path

import factories
import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _private_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    for name in ("NATIVEDL_REGISTRY", "NATIVEDL_MODELS", "NATIVEDL_OUTBOX", "NATIVEDL_RESULTS"):
        monkeypatch.delenv(name, raising=False)
    # How long a patch takes on this computer at this moment decides nothing in a test.
    monkeypatch.setenv("NATIVEDL_FORWARD", "torch")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real series; the test is skipped where there is none."""
    folder = Path(os.environ.get("NATIVEDL_TEST_DATA") or ROOT / ".." / "shared" / "data").resolve()
    if not folder.is_dir():
        pytest.skip(f"no real series: {folder} is not there (NATIVEDL_TEST_DATA)")
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    """A registry with a working network."""
    return factories.registry(tmp_path / "registry")


@pytest.fixture
def series(tmp_path: Path) -> Path:
    """A series that this network fits."""
    factories.ct_series(tmp_path / "series")
    return tmp_path / "series"
