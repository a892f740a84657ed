"""A PACS for models, keys to sign them, and a small model to push."""

import json
import urllib.request

import factories
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from servers import LOOPBACK, Orthanc
from tools import nativedl

from NativeDLLib.models.iodeep.object_writer import write_model
from NativeDLLib.registry import load_registry


def ask(server, path, method, content=None):
    """Use the REST interface of the PACS."""
    request = urllib.request.Request(f"{server.url}{path}", content, method=method)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
        return json.load(answer)


@pytest.fixture(autouse=True)
def _loopback_without_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", LOOPBACK)


@pytest.fixture(scope="session")
def _server(tmp_path_factory):
    # Without a cache, so that what it sends is what lies on its disk.
    with Orthanc(tmp_path_factory.mktemp("orthanc"), MaximumStorageCacheSize=0) as server:
        yield server


@pytest.fixture
def erase(_server):
    """Remove everything from the PACS."""

    def erase():
        for patient in _server.get("/patients"):
            ask(_server, f"/patients/{patient}", "DELETE")
        assert _server.count() == 0

    return erase


@pytest.fixture
def orthanc(_server, erase):
    """A PACS that holds nothing."""
    erase()
    return _server


@pytest.fixture
def pacs_file(orthanc, tmp_path_factory):
    path = tmp_path_factory.mktemp("peers") / "pacs.json"
    patient = {"timeouts": {"connect": 60, "acse": 60, "dimse": 60, "network": 60}}
    peer = {"name": "ORTHANC", "ae_title": "ORTHANC", "host": LOOPBACK, "port": orthanc.port, **patient}
    address = {"url": f"{orthanc.url}/dicom-web"}
    web = {"name": "WEB", "retrieve": "dicomweb", "store": "dicomweb", "dicomweb": address, **patient}
    path.write_text(json.dumps({"peers": [peer, web]}))
    return path


@pytest.fixture
def upload(orthanc):
    """Give the PACS a file past DIMSE, as the authors of IODeep do."""
    return lambda path: ask(orthanc, "/instances", "POST", path.read_bytes())


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


@pytest.fixture
def series(tmp_path):
    factories.ct_series(tmp_path / "series")
    return tmp_path / "series"


@pytest.fixture
def run(pacs_file, capsys):
    """Run a command that talks to the PACS; return exit code, standard output and standard error."""

    def run(*arguments, registry=None):
        capsys.readouterr()
        code = nativedl(*arguments, "--pacs", pacs_file, registry=registry)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def files(model, tmp_path):
    return write_model(model, tmp_path / "objects", chunk_size=40)


@pytest.fixture
def one(model, tmp_path):
    (file,) = write_model(model, tmp_path / "one")
    return file
