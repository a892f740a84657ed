"""Real servers for the tests, Orthanc and DCMTK's storescp: on loopback, in a folder of their own, gone after."""

import contextlib
import ctypes
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import pytest
from filelock import FileLock, Timeout

from NativeDLLib.pacs.peers import DicomWeb, Peer, Timeouts, Tls

LOOPBACK = "127.0.0.1"
_PR_SET_PDEATHSIG = 1
_LONGEST_S = 180
_PORTS = []
_DICOMWEB_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def free_port():
    """Return a port that nobody listens on, and that no other run of the tests is given while this one lasts."""
    folder = Path(tempfile.gettempdir()) / "nativedl-ports"
    folder.mkdir(exist_ok=True)
    # Below those of clients: of these the system may give one away before the server listens on it.
    for port in random.Random().sample(range(20_000, 32_000), 1000):
        lock = FileLock(folder / str(port), timeout=0)
        with contextlib.suppress(Timeout, OSError), socket.socket() as probe:
            lock.acquire()
            probe.bind((LOOPBACK, port))
            _PORTS.append(lock)
            return port
    pytest.fail("no port is free")


def wait_until(condition, what):
    """Poll until the condition holds, and return its value; the time only ends a test that would wait for ever."""
    deadline = time.monotonic() + _LONGEST_S
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    pytest.fail(f"{what}: not within {_LONGEST_S} s")


def require(program, package):
    """Return the program's path; install its Debian package if that is possible, else skip the test with the reason.

    The path is absolute because pynetdicom's commands, named like DCMTK's, hide them in a virtual environment.
    """
    path = Path(program)
    if not path.exists():
        install_packages(package)
    if not path.exists():
        miss(f"{path} is missing (Debian package {package})")
    return str(path)


def install_packages(names):
    """Install Debian packages where that is possible."""
    if shutil.which("apt-get") and os.geteuid() == 0:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        # The tests run in several processes, of which one waits until the other has installed.
        for command in (["apt-get", "update"], ["apt-get", "install", "-y", "--no-install-recommends", *names.split()]):
            alone = ["flock", Path(tempfile.gettempdir()) / "nativedl-packages.lock", *command]
            subprocess.run(alone, env=environment, capture_output=True, check=False)


def miss(reason):
    """Skip the test, or where nothing may be skipped (``NATIVEDL_NO_SKIP=1``) let it fail."""
    if os.environ.get("NATIVEDL_NO_SKIP") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


def _die_with_parent():
    """Have Linux kill the server when the tests themselves are killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class _Server:
    """A program that listens on a port; it can be killed and started again on the same folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self._process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    def start(self):
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdout=log, stderr=subprocess.STDOUT, preexec_fn=_die_with_parent
            )
        wait_until(self._ready, f"{self._command()[0]} starts, see {self.folder}/server.log")

    def kill(self):
        """End it at once, as a power cut would."""
        self.signal(signal.SIGKILL)
        self._process.wait()

    def signal(self, number):
        """Send it a signal."""
        self._process.send_signal(number)

    def _ready(self):
        assert self._process.poll() is None, f"ended with {self._process.returncode}, see {self.folder}/server.log"
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0


class Orthanc(_Server):
    """Orthanc with the DICOMweb plugin; it sends by C-MOVE to the AE title NATIVEDL at `move_port`."""

    ae_title = "ORTHANC"

    def __init__(self, folder, **settings):
        super().__init__(folder)
        self._program = require("/usr/sbin/Orthanc", "orthanc orthanc-dicomweb")
        self.http_port = free_port()
        self.move_port = free_port()
        configuration = {
            "Name": "test",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "Plugins": [str(_DICOMWEB_PLUGIN)] if _DICOMWEB_PLUGIN.exists() else [],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
            "DicomAet": self.ae_title,
            "DicomPort": self.port,
            "HttpPort": self.http_port,
            "RemoteAccessAllowed": False,
            "DicomAlwaysAllowFind": True,
            "DicomAlwaysAllowGet": True,
            "DicomAlwaysAllowMove": True,
            "DicomModalities": {"us": ["NATIVEDL", LOOPBACK, self.move_port]},
            "UnknownSopClassAccepted": True,
            "SaveJobs": False,
            **settings,
        }
        (self.folder / "orthanc.json").write_text(json.dumps(configuration))

    @property
    def url(self):
        return f"http://{LOOPBACK}:{self.http_port}"

    def peer(self, **changes):
        """Return the peer that it is to NativeDL."""
        settings = {
            "name": "ORTHANC",
            "ae_title": self.ae_title,
            "host": LOOPBACK,
            "port": self.port,
            "move_port": self.move_port,
            "dicomweb": DicomWeb(f"{self.url}/dicom-web"),
            "timeouts": Timeouts(60, 60, 60, 60),
        }
        return Peer(**settings | changes)

    def get(self, path):
        """Ask the REST interface."""
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{self.url}{path}") as answer:
            return json.load(answer)

    def instances(self):
        """Return the SOP Instance UID of every stored instance; one that is there twice is listed twice."""
        return sorted(item["MainDicomTags"]["SOPInstanceUID"] for item in self.get("/instances?expand"))

    def count(self):
        """Return how many instances are stored."""
        return self.get("/statistics")["CountInstances"]

    def _command(self):
        return [self._program, str(self.folder / "orthanc.json")]

    def _ready(self):
        try:
            return super()._ready() and self.get("/system")
        except OSError:
            return False


class Storescp(_Server):
    """DCMTK's storescp."""

    ae_title = "STORESCP"

    def __init__(self, folder, *options):
        super().__init__(folder)
        self._program = require("/usr/bin/storescp", "dcmtk")
        self._options = options
        (self.folder / "received").mkdir(exist_ok=True)

    def peer(self, **changes):
        """Return the peer that it is to NativeDL."""
        settings = {"name": "STORESCP", "ae_title": self.ae_title, "host": LOOPBACK, "port": self.port}
        return Peer(**settings | {"timeouts": Timeouts(60, 60, 60, 60)} | changes)

    def files(self):
        """Return the files that it received."""
        return sorted((self.folder / "received").iterdir())

    def _command(self):
        where = ["-aet", self.ae_title, "-od", str(self.folder / "received"), str(self.port)]
        return [self._program, *self._options, *where]


def make_certificate(folder, name="localhost", address=LOOPBACK):
    """Make a self-signed certificate with the openssl command, and return it as a peer's TLS settings."""
    openssl = require("/usr/bin/openssl", "openssl")
    folder = Path(folder)
    key, certificate = folder / f"{name}.key", folder / f"{name}.pem"
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={name}"]
    command += ["-addext", f"subjectAltName=DNS:{name},IP:{address}", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return Tls(ca=certificate, cert=certificate, key=key)
