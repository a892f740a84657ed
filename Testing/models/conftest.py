"""A web server with a small nnU-Net results folder in a zip, and registries that name it."""

import factories
import pytest
from remote_model import RESULTS, packed
from weights_server import WeightsServer

from NativeDLLib.models.fetch import download as downloading


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    """The bytes of a zip with an nnU-Net results folder."""
    pytest.importorskip("torch")
    pytest.importorskip("nnunetv2")
    import nnunet_folder  # imports nnunetv2

    folder = tmp_path_factory.mktemp("model")
    nnunet_folder.write(folder / RESULTS)
    # Large enough to break off in the middle.
    (folder / RESULTS / "progress.png").write_bytes(bytes(range(256)) * 4096)
    return packed(folder)


@pytest.fixture
def site(archive):
    server = WeightsServer(archive)
    yield server
    server.stop()


@pytest.fixture
def direct(monkeypatch):
    """No proxy and no authority of the user's, and no time between tries."""
    monkeypatch.setattr(downloading, "_FIRST_WAIT_S", 0.001)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def cache(direct, tmp_path, monkeypatch):
    monkeypatch.setenv("NATIVEDL_MODELS", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def known(tmp_path, site, cache):
    """Write a registry whose one model is at the site."""

    def known(**weights):
        entry = factories.entry(
            id="remote",
            runtime="nnunetv2",
            weights={"folder": RESULTS, "url": f"{site.address}/model.zip"} | weights,
            input={"modality": "CT", "body_parts": ["ABDOMEN"], "channels": [{"name": "CT"}]},
            sliding_window={},
            postprocessing=[],
            parameters=[],
        )
        entry["output"].pop("channels")
        entry["output"]["segments"][0]["label_name"] = "liver"
        return factories.registry(tmp_path / "registry", entry)

    return known


@pytest.fixture
def registry(known):
    return known()
