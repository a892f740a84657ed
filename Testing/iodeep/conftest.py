"""A PACS for models, keys to sign them, and a small model to push."""

import json

import factories
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from servers import LOOPBACK, Orthanc

from NativeDLLib.registry import load_registry


@pytest.fixture(autouse=True)
def _loopback_without_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", LOOPBACK)


@pytest.fixture
def orthanc(tmp_path_factory):
    # Without a cache, so that what is read is what lies on its disk.
    with Orthanc(tmp_path_factory.mktemp("orthanc"), MaximumStorageCacheSize=0) as server:
        yield server


@pytest.fixture
def pacs_file(orthanc, tmp_path_factory):
    path = tmp_path_factory.mktemp("peers") / "pacs.json"
    peer = {"name": "ORTHANC", "ae_title": "ORTHANC", "host": LOOPBACK, "port": orthanc.port}
    path.write_text(json.dumps({"peers": [peer]}))
    return path


@pytest.fixture
def registry(tmp_path):
    return factories.registry(tmp_path / "registry")


@pytest.fixture
def model(registry):
    (found,) = load_registry(registry)
    return found


@pytest.fixture
def keys(tmp_path):
    """Make the files of a new key pair: private, public."""

    def make(name="signer"):
        folder = tmp_path / "keys"
        folder.mkdir(exist_ok=True)
        key = Ed25519PrivateKey.generate()
        private, public = folder / f"{name}.key.pem", folder / f"{name}.pem"
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        return private, public

    return make
