"""Who may ask, and how much: tokens, sizes, times, memory; and that nothing outlives its request."""

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import zlib

import factories
import psutil
import pytest
from pydicom import dcmread
from pydicom.filewriter import dcmwrite
from pydicom.uid import DeflatedExplicitVRLittleEndian
from servers import LOOPBACK, wait_until

RELATED = 'multipart/related; type="application/dicom"; boundary=XX'


def test_a_token_of_the_file_opens_what_no_other_opens(serve, tokens, token, series):
    service = serve("--token-file", tokens)

    def status(token):
        headers = {} if token is None else {"Authorization": token}
        answers = [service.get("/models", headers=headers), service.get("/models/bright", headers=headers)]
        answers.append(service.post("/select", json={"Modality": "CT"}, headers=headers))
        answers.append(service.predict(series, "?model=bright", headers=headers))
        return {answer.status_code for answer in answers}

    for wrong in (None, "Bearer", "Bearer ", f"Basic {token}", f"Bearer {token}x", f"Bearer {token[:-1]}", token):
        assert status(wrong) == {401}, wrong
    assert status(f"Bearer {token}") == {200}
    assert status(f"Bearer {token[::-1]}") == {200}
    refused = service.get("/models")
    assert (refused.json()["code"], refused.headers["WWW-Authenticate"]) == ("unauthorized", "Bearer")
    assert service.get("/health").status_code == 200
    assert token not in service.log()


def _head(service, length):
    return (
        f"POST /predict?model=bright HTTP/1.1\r\nHost: {LOOPBACK}\r\nContent-Type: {RELATED}\r\n{length}\r\n\r\n"
    ).encode()


def _connect(service):
    return socket.create_connection((LOOPBACK, int(service.url.rpartition(":")[2])), timeout=30)


def test_a_body_that_says_that_it_is_too_large_is_refused_unread(serve):
    service = serve("--max-upload", 1)
    with _connect(service) as connection:
        connection.sendall(_head(service, f"Content-Length: {2**20 + 1}"))
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
    wait_until(lambda: not service.leftovers(), "nothing is left")


def test_a_body_that_does_not_say_how_large_it_is_is_cut_off(serve):
    service = serve("--max-upload", 1)
    chunk = b"10000\r\n" + b"x" * 2**16 + b"\r\n"
    part = b"--XX\r\nContent-Type: application/dicom\r\n\r\n"
    with _connect(service) as connection:
        connection.sendall(
            _head(service, "Transfer-Encoding: chunked") + f"{len(part):x}\r\n".encode() + part + b"\r\n"
        )
        for _ in range(16):
            connection.sendall(chunk)
        assert connection.recv(100).startswith(b"HTTP/1.1 413")
    wait_until(lambda: not service.leftovers(), "nothing is left")


def test_a_body_of_too_many_parts_is_refused(serve, series):
    answer = serve("--max-parts", 5).predict(series)

    assert (answer.status_code, answer.json()["error"]) == (413, "the body may have 5 parts")


def test_a_client_that_is_too_slow_loses_its_place(serve):
    service = serve("--timeout", 1)
    with _connect(service) as connection:
        connection.sendall(_head(service, "Content-Length: 1000") + b"--XX\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 408")
    wait_until(lambda: not service.leftovers() and service.get("/health").json()["taken"] == 0, "the place is free")


def test_a_prediction_that_takes_too_long_is_ended(serve, slow):
    service = serve("--timeout", 4)
    answer = service.predict(*slow)

    assert (answer.status_code, answer.json()["code"]) == (503, "timeout")
    assert service.workers() == []
    wait_until(lambda: not service.leftovers(), "nothing is left")


def test_a_client_that_goes_away_ends_its_prediction(in_background, serve, slow):
    service = serve()
    files, query = slow
    body = b"".join(b"\r\n--XX\r\n\r\n" + file.read_bytes() for file in files) + b"\r\n--XX--"
    head = f"POST /predict{query} HTTP/1.1\r\nHost: {LOOPBACK}\r\nContent-Type: {RELATED}\r\n"
    with _connect(service) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        wait_until(service.workers, "the worker runs")
    wait_until(lambda: not service.workers(), "the worker ends")
    wait_until(lambda: not service.leftovers(), "nothing is left")
    assert service.get("/health").json()["taken"] == 0


def test_a_file_that_unpacks_far_beyond_its_image_is_refused(serve, tmp_path):
    bomb = tmp_path / "bomb"
    _write_bomb(bomb, 2**30)
    assert bomb.stat().st_size < 2**22
    service = serve("--max-memory", 700)

    answer = service.predict([bomb], "?model=bright")

    assert (answer.status_code, answer.json()["code"]) == (422, "input")
    assert service.workers() == []
    assert service.get("/health").status_code == 200


def test_a_file_that_unpacks_into_more_memory_than_allowed_is_refused(serve, tmp_path):
    (large,) = factories.ct_series(tmp_path / "large", factories.block((1, 16, 16)))
    dataset = dcmread(large)
    dataset.Rows = dataset.Columns = 8192
    dataset.PixelSpacing = [0.05, 0.05]
    dataset.PixelData = bytes(2 * 8192**2)
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dcmwrite(large, dataset, enforce_file_format=True)
    assert large.stat().st_size < 2**20
    service = serve("--max-memory", 300)

    answer = service.predict([large], "?model=bright")

    assert (answer.status_code, answer.json()["code"]) == (413, "too_large"), answer.text
    assert "memory" in answer.json()["error"]
    assert service.workers() == []


def _write_bomb(path, size):
    """Write a deflated CT image whose data set unpacks to `size` bytes."""
    dataset = dcmread(factories.ct_series(path.parent / "plain")[0])
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    whole = stream.getvalue()
    start = 144 + int.from_bytes(whole[140:144], "little")
    plain = zlib.decompress(whole[start:], -zlib.MAX_WBITS)
    packer = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    # A text before the pixel data that does not end.
    comment = b"\x20\x00\x00\x40UT\x00\x00" + size.to_bytes(4, "little")
    pixels = plain.index(b"\x28\x00\x02\x00")
    with path.open("wb") as target:
        target.write(whole[:start] + packer.compress(plain[:pixels] + comment))
        for _ in range(size // 2**24):
            target.write(packer.compress(b" " * 2**24))
        target.write(packer.compress(plain[pixels:]) + packer.flush())


def test_a_worker_that_dies_is_an_error_of_the_server_and_the_next_one_runs(in_background, serve, slow, series):
    service = serve()
    lost = in_background(service.predict, *slow)
    wait_until(service.workers, "the worker runs")
    service.workers()[0].kill()
    wait_until(lambda: lost, "the answer comes")

    assert (lost[0].status_code, lost[0].json()["code"]) == (500, "server")
    assert service.reported("failure")
    assert service.predict(series, "?model=bright").status_code == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_server_and_its_workers_and_tells_the_clients(in_background, serve, slow, number):
    service = serve("--jobs", 2)
    answers = [in_background(service.predict, *slow) for _ in range(3)]
    wait_until(lambda: len(service.workers()) == 2 and service.get("/health").json()["taken"] == 3, "all are there")
    workers = service.workers()

    service.process.send_signal(number)

    assert service.process.wait(30) == 0
    assert not [worker for worker in workers if worker.is_running()]
    wait_until(lambda: all(answers), "the clients are told")
    assert [(answer[0].status_code, answer[0].json()["code"]) for answer in answers] == [(503, "stopping")] * 3
    assert os.listdir(service.folder / "tmp") == []


def test_a_server_that_is_killed_takes_its_workers_along(in_background, serve, slow):
    service = serve()
    in_background(service.predict, *slow)
    wait_until(service.workers, "the worker runs")
    workers = service.workers()

    service.process.kill()

    assert psutil.wait_procs(workers, timeout=30)[1] == []


HALVES = {"head": b"GET /health HTTP/1.1\r\nHost:", "body": b"--XX\r\n"}


@pytest.mark.parametrize("half", HALVES)
def test_half_requests_make_no_server_deaf_and_end_by_themselves(serve, series, half):
    service = serve("--jobs", 1, "--queue", 0)
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(_connect(service)) for _ in range(300)]
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.sendall((_head(service, "Content-Length: 1000") if half == "body" else b"") + HALVES[half])
        assert service.get("/health").json()["taken"] == 0
        assert service.predict(series, "?model=bright").status_code == 200
        with contextlib.suppress(ConnectionResetError):
            connections[-1].settimeout(60)
            assert connections[-1].recv(100) == b"" or half == "body"


def test_a_header_of_a_part_has_an_end(serve):
    service = serve()
    with _connect(service) as connection:
        connection.sendall(_head(service, "Content-Length: 100000") + b"--XX\r\nX: " + b"x" * 20000)
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


@pytest.mark.skipif(sys.platform != "linux", reason="a small disk is mounted")
def test_a_full_disk_is_said_to_be_full(serve, tmp_path, slow):
    small = tmp_path / "service0" / "tmp"
    small.mkdir(parents=True)
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", small], capture_output=True, check=False
    ).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        service = serve()
        answer = service.predict(*slow)
        assert (answer.status_code, answer.json()["code"]) == (507, "storage")
        wait_until(lambda: not service.leftovers(), "nothing is left")
    finally:
        subprocess.run(["umount", "-l", small], check=True)
