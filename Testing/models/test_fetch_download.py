"""Downloads that break, and servers that are not what they should be."""

import ssl
import threading

import pytest
from remote_model import download_from as get
from remote_model import download_refusal as refusal
from servers import free_port, make_certificate
from weights_server import WeightsServer

from NativeDLLib.core.errors import CancelledError
from NativeDLLib.core.progress import Progress
from NativeDLLib.models.fetch import download as module

CONTENT = bytes(range(256)) * 4096


@pytest.fixture(autouse=True)
def _patience(direct):
    """Wait no time between tries, and ask no proxy."""


@pytest.fixture
def site():
    server = WeightsServer(CONTENT)
    yield server
    server.stop()


class Watching(Progress):
    _INTERVAL_S = 0

    def __init__(self):
        super().__init__()
        self.fractions = []

    def show(self, event):
        if event["event"] == "progress":
            self.fractions.append(event["fraction"])


def test_a_file_is_downloaded_with_progress(site, tmp_path):
    progress = Watching()

    assert get(f"{site.address}/a.zip", tmp_path, progress=progress) == CONTENT
    assert progress.fractions[-1] == 1
    assert progress.fractions == sorted(progress.fractions)


def test_what_breaks_off_goes_on_where_it_was(site, tmp_path):
    site.breaks = [100_000, 70_000]

    assert get(f"{site.address}/a.zip", tmp_path) == CONTENT
    assert site.offsets == [None, "bytes=65536-", "bytes=131072-"]


def test_a_later_process_goes_on_where_an_earlier_one_gave_up(site, tmp_path):
    url = f"{site.address}/a.zip"
    site.breaks = [100_000, *[0] * 10]

    assert "the connection fails or breaks off; what came is kept" in refusal(url, tmp_path)
    assert (tmp_path / "part").stat().st_size == 65536
    site.breaks.clear()

    assert get(url, tmp_path) == CONTENT
    assert site.offsets[-1] == "bytes=65536-"


def test_a_line_that_breaks_all_the_time_still_brings_everything(site, tmp_path):
    site.breaks = [100_000] * 10

    assert get(f"{site.address}/a.zip", tmp_path) == CONTENT
    assert len(site.requests) > 10


def test_another_file_at_the_same_address_is_downloaded_from_its_start(site, tmp_path):
    site.breaks = [100_000, *[0] * 4]
    refusal(f"{site.address}/a.zip", tmp_path)
    site.breaks.clear()
    site.content, site.tag = CONTENT[::-1], '"two"'

    assert get(f"{site.address}/a.zip", tmp_path) == CONTENT[::-1]
    assert site.offsets[-1] == "bytes=65536-"


def test_a_part_of_another_address_is_not_gone_on_with(site, tmp_path):
    site.breaks = [100_000, *[0] * 4]
    refusal(f"{site.address}/a.zip", tmp_path)
    site.breaks.clear()

    assert get(f"{site.address}/b.zip", tmp_path) == CONTENT
    assert site.offsets[-1] is None


@pytest.mark.parametrize("change", [{"ranges": False}, {"tag": 'W/"weak"'}])
def test_a_server_that_cannot_go_on_starts_anew(site, tmp_path, change):
    vars(site).update(change)
    site.breaks = [100_000]

    assert get(f"{site.address}/a.zip", tmp_path) == CONTENT
    assert len(site.requests) == 2


def test_a_whole_file_that_is_there_is_not_downloaded_again(site, tmp_path):
    get(f"{site.address}/a.zip", tmp_path)

    assert get(f"{site.address}/a.zip", tmp_path) == CONTENT
    assert len(site.requests) == 1


def test_more_than_the_file_has_is_no_part_of_it(site, tmp_path):
    get(f"{site.address}/a.zip", tmp_path)
    with (tmp_path / "part").open("ab") as part:
        part.write(b"more")

    assert get(f"{site.address}/a.zip", tmp_path) == CONTENT


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_server_that_is_busy_is_asked_again(site, tmp_path, status):
    site.statuses = [status] * 4

    assert get(f"{site.address}/a.zip", tmp_path) == CONTENT


def test_a_server_that_stays_busy_is_given_up(site, tmp_path):
    site.statuses = [503] * 10

    message = refusal(f"{site.address}/a.zip", tmp_path)

    assert "the server answers 503 Service Unavailable; what came is kept" in message
    assert len(site.requests) == 5


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_refusal_is_told_at_once(site, tmp_path, status):
    site.statuses = [status]

    assert f"the server answers {status} " in refusal(f"{site.address}/a.zip", tmp_path)
    assert len(site.requests) == 1


def test_a_server_that_is_not_there_is_named(tmp_path):
    url = f"http://127.0.0.1:{free_port()}/a.zip"

    assert refusal(url, tmp_path).startswith(f"{url}: the connection fails or breaks off")


def test_redirects_are_followed(site, tmp_path):
    site.redirects = {"/a.zip": "/elsewhere", "/elsewhere": f"{site.address}/b.zip"}

    assert get(f"{site.address}/a.zip", tmp_path) == CONTENT
    assert [path for path, _ in site.requests] == ["/a.zip", "/elsewhere", "/b.zip"]


def test_redirects_do_not_go_round_for_ever(site, tmp_path):
    site.redirects = {"/a.zip": "/a.zip"}

    assert "is redirected more than 10 times" in refusal(f"{site.address}/a.zip", tmp_path)


@pytest.mark.parametrize("target", ["http://example.org/a.zip", "ftp://127.0.0.1/a.zip", "file:///etc/passwd"])
def test_a_redirect_to_an_address_without_tls_is_not_followed(site, tmp_path, target):
    site.redirects = {"/a.zip": target}

    assert "leads to an address without TLS" in refusal(f"{site.address}/a.zip", tmp_path)


def test_a_redirect_out_of_tls_is_not_followed_even_to_this_computer(tmp_path, site, monkeypatch):
    tls = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.ca))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tls.cert, tls.key)
    secure = WeightsServer(CONTENT, context)
    secure.redirects = {"/a.zip": f"{site.address}/b.zip"}
    site.redirects = {"/start": f"{secure.address}/a.zip"}

    for start in (f"{secure.address}/a.zip", f"{site.address}/start"):
        assert "leads to an address without TLS" in refusal(start, tmp_path)
    secure.stop()
    assert [path for path, _ in site.requests] == ["/start"]


def test_a_size_other_than_the_registrys_is_refused_before_anything_comes(site, tmp_path):
    message = refusal(f"{site.address}/a.zip", tmp_path, size=1000)

    assert f"has {len(CONTENT)} bytes; 1000 are expected" in message
    assert not (tmp_path / "part").exists()


def test_a_file_that_is_too_large_is_refused(site, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 1000)

    assert "1000 at most are expected" in refusal(f"{site.address}/a.zip", tmp_path)


def test_a_download_can_be_cancelled_and_gone_on_with(site, tmp_path):
    class Cancelling(Progress):
        def update(self, stage, fraction):
            self.cancel()

    with pytest.raises(CancelledError):
        get(f"{site.address}/a.zip", tmp_path, progress=Cancelling())
    came = (tmp_path / "part").stat().st_size
    assert 0 < came < len(CONTENT)

    assert get(f"{site.address}/a.zip", tmp_path) == CONTENT
    assert site.offsets[-1] == f"bytes={came}-"


def test_a_wait_can_be_cancelled(site, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_FIRST_WAIT_S", 60)
    site.statuses = [503]
    progress = Progress()

    def when_asked():
        site.asked.wait(30)
        progress.cancel()

    threading.Thread(target=when_asked).start()

    with pytest.raises(CancelledError):
        get(f"{site.address}/a.zip", tmp_path, progress=progress)
