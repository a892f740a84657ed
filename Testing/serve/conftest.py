"""A real server in a process of its own, and what is sent to it."""

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import factories
import numpy as np
import psutil
import pytest
import requests
from conftest import ROOT
from servers import wait_until


class Service:
    """``nativedl serve`` on a free port of loopback."""

    def __init__(self, folder, registry, *arguments):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.rows = []
        self._lines = queue.SimpleQueue()
        (folder / "tmp").mkdir(exist_ok=True)
        self._environment = os.environ | {
            "HOME": str(folder),
            "TMPDIR": str(folder / "tmp"),
            "NATIVEDL_REGISTRY": str(registry),
            "PYTHONPATH": str(ROOT),
        }
        # It ends with the tests, also when these are killed: nobody holds the other end of its input any more.
        command = [sys.executable, "-m", "NativeDLLib", "serve", "--events", "--with-parent", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--device", "cpu", *map(str, arguments)],
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(folder / "stderr").open("wb"),
            text=True,
        )
        self.session = requests.Session()
        self.session.trust_env = False
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        wait_until(lambda: self.events("listening") or self.process.poll() is not None, "the server starts")
        assert self.process.poll() is None, self.rows
        self.url = self.events("listening")[0]["url"]
        return self

    def __exit__(self, *_):
        self.session.close()
        self.process.kill()
        self.process.wait()

    def _read(self):
        for line in self.process.stdout:
            self.rows.append(json.loads(line))

    def events(self, kind):
        """Return what the server has reported of a kind."""
        return [row for row in list(self.rows) if row["event"] == kind]

    def reported(self, kind):
        """Return all that the server has reported of a kind, also what is still on its way to us."""

        def marks():
            return sum(row["method"] == "PROPFIND" for row in self.events("request"))

        before = marks()
        self.session.request("PROPFIND", self.url)  # what it reports of this one comes last
        wait_until(lambda: marks() > before, "the report comes")
        return [row for row in self.events(kind) if row.get("method") != "PROPFIND"]

    def get(self, path, **options):
        """Ask."""
        return self.session.get(self.url + path, **options)

    def post(self, path, **options):
        """Send."""
        return self.session.post(self.url + path, **options)

    def predict(self, files, query="", **options):
        """Have files segmented, sent as a form."""
        return self.post(f"/predict{query}", files=form(files), **options)

    def workers(self):
        """Return the processes that the server has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def leftovers(self):
        """Return the folders of requests that are there."""
        return [path for path in (self.folder / "tmp").glob("*/*") if path.exists()]

    def log(self):
        """Return everything that the server has written."""
        return json.dumps(self.rows) + (self.folder / "stderr").read_text()


def form(files):
    return [("files", (Path(file).name, Path(file).read_bytes(), "application/dicom")) for file in files]


@pytest.fixture
def token():
    return "0123456789abcdef0123456789abcdef"


@pytest.fixture
def tokens(tmp_path, token):
    path = tmp_path / "tokens"
    path.write_text(f"# one for each client\n{token}\n\n{token[::-1]}\n")
    path.chmod(0o600)
    return path


@pytest.fixture(scope="session")
def registry(tmp_path_factory):
    return factories.registry(tmp_path_factory.mktemp("registry"))


@pytest.fixture(scope="module")
def service(tmp_path_factory, registry):
    with Service(tmp_path_factory.mktemp("service"), registry, "--jobs", 2) as running:
        yield running


@pytest.fixture
def serve(tmp_path, registry):
    """Start servers with other arguments; they end with the test."""
    running = []

    def start(*arguments):
        running.append(Service(tmp_path / f"service{len(running)}", registry, *arguments).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


@pytest.fixture(scope="session")
def series(tmp_path_factory):
    return factories.ct_series(tmp_path_factory.mktemp("series"))


@pytest.fixture(scope="session")
def slow(tmp_path_factory):
    """Write a series that takes far longer to segment than any test waits, with the query that sees to it."""
    files = factories.ct_series(tmp_path_factory.mktemp("slow"), factories.block((120, 256, 256)))
    return files, "?model=bright&set=step=0.25"


@pytest.fixture(scope="session")
def nothing_to_find(tmp_path_factory):
    return factories.ct_series(tmp_path_factory.mktemp("empty"), np.full((6, 32, 40), -1000, np.int16))


@pytest.fixture
def in_background():
    """Run something in a thread and return where its result will be."""
    threads = []

    def start(function, *arguments, **options):
        result = []

        def work():
            try:
                result.append(function(*arguments, **options))
            except Exception as error:
                result.append(error)

        threads.append(threading.Thread(target=work, daemon=True))
        threads[-1].start()
        return result

    yield start
    for thread in threads:
        thread.join(180)
        assert not thread.is_alive()
