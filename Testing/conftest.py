"""What every test has: no registry, outbox or peers of the user, and the way to the real series."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import factories
import pytest
import rounds

ROOT = Path(__file__).resolve().parent.parent


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import, in the daily round, the rooms that it leaves out."""
    left_out = collection_path.parent == rounds.FOLDER and collection_path.name in rounds.ROOMS
    return True if left_out and "not slow" in config.option.markexpr else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if rounds.is_slow(item):
            item.add_marker(pytest.mark.slow)
    # Long files first: with the short ones at the end, no process waits long for another.
    long = {item.path for item in items if "slow" in item.keywords}
    items.sort(key=lambda item: item.path not in long)


@pytest.fixture(scope="session", autouse=True)
def _private_home_of_a_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        _live_in(tmp_path_factory.mktemp("home"), patch)
        yield


@pytest.fixture(autouse=True)
def _private_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    _live_in(tmp_path_factory.mktemp("home"), monkeypatch)


def _live_in(home: Path, patch: pytest.MonkeyPatch) -> None:
    """Take away the user's own settings, so that neither a test nor one beside it sees or changes them."""
    patch.setenv("HOME", str(home))
    patch.setenv("USERPROFILE", str(home))
    for name in ("NATIVEDL_REGISTRY", "NATIVEDL_MODELS", "NATIVEDL_OUTBOX", "NATIVEDL_RESULTS"):
        patch.delenv(name, raising=False)
    # How long a patch takes on this computer at this moment decides nothing in a test.
    patch.setenv("NATIVEDL_FORWARD", "torch")


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
