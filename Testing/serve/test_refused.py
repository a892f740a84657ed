"""What is refused: with the right status, in one line, and without a path or a traceback."""

import json
import re
import socket
from random import Random

import factories
import pytest
from conftest import ROOT
from pydicom import dcmread
from servers import LOOPBACK, wait_until

FORM = "multipart/form-data; boundary=XX"
RELATED = 'multipart/related; type="application/dicom"; boundary=XX'
PART = b"--XX\r\nContent-Type: application/dicom\r\n\r\nsomething\r\n"
FILE = b'--XX\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\nsomething\r\n'


def problem(answer, status, code):
    """Check that an answer is this error, told as every error is, and return its line."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/json"), answer.text
    body = answer.json()
    assert body.keys() == {"error", "code"}
    assert body["code"] == code
    assert "\n" not in body["error"]
    assert not re.search(r"/tmp|/home|\.py\b|Traceback|" + re.escape(str(ROOT)), body["error"])
    return body["error"]


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        (None, b"x", 415, "media_type"),
        ("application/dicom", b"x", 415, "media_type"),
        ("application/json", b"{}", 415, "media_type"),
        ("multipart/mixed; boundary=XX", PART + b"--XX--", 415, "media_type"),
        ('multipart/related; type="image/png"; boundary=XX', PART + b"--XX--", 415, "media_type"),
        (RELATED, PART.replace(b"application/dicom", b"image/png") + b"--XX--", 415, "media_type"),
        ("multipart/related", PART + b"--XX--", 400, "body"),
        (f"{RELATED}{'X' * 100}", PART + b"--XX--", 400, "body"),
        (RELATED, b"", 400, "body"),
        (RELATED, b"no multipart at all", 400, "body"),
        (RELATED, PART, 400, "body"),
        (RELATED, PART + b"--XX", 400, "body"),
        (RELATED, PART[:30], 400, "body"),
        (RELATED, b"--XX--\r\n", 400, "body"),
        (RELATED, b"--XX\r\nbroken header\r\n\r\nx\r\n--XX--", 400, "body"),
        (RELATED, b"--XX\r\nA: " + b"b" * 100_000 + b"\r\n\r\nx\r\n--XX--", 400, "body"),
        (RELATED, b"--XX\r\n" + b"A: b\r\n" * 1000 + b"\r\nx\r\n--XX--", 400, "body"),
        (FORM, FILE.replace(b'; filename="a"', b"") + b"--XX--", 400, "body"),
        (FORM, FILE.replace(b'"files"', b'"model"') + b"--XX--", 400, "body"),
        (RELATED, PART + b"--XX--", 422, "input"),
        (FORM, FILE + b"--XX--", 422, "input"),
    ],
)
def test_a_body_that_is_no_series_of_files_is_refused(service, kind, body, status, code):
    answer = service.post("/predict?model=bright", data=body, headers={"Content-Type": kind})

    assert problem(answer, status, code)
    wait_until(lambda: not service.leftovers(), "nothing is left")


def test_no_damage_to_a_body_is_an_error_of_the_server(service):
    random = Random(1)
    whole = PART + PART + b"--XX--\r\n"
    for _ in range(60):
        body = bytearray(whole)
        for _ in range(random.randint(1, 4)):
            start = random.randrange(len(body))
            body[start : start + random.randint(0, 9)] = random.choice(
                [b"", b"\r", b"\n", b"--", b"--XX", b"\0", b"\xff"]
            )
        answer = service.post("/predict?model=bright", data=bytes(body), headers={"Content-Type": RELATED})
        assert answer.status_code in (400, 415, 422), (bytes(body), answer.text)
    assert service.reported("failure") == []
    wait_until(lambda: not service.leftovers(), "nothing is left")


def test_a_packed_body_is_refused(service):
    answer = service.post("/predict", data=b"x", headers={"Content-Type": RELATED, "Content-Encoding": "gzip"})

    assert "Content-Encoding" in problem(answer, 415, "media_type")


@pytest.mark.parametrize("name", ["../../evil", "/etc/passwd", "part-00001", "a\\..\\b", "x" * 3000])
def test_the_name_of_a_file_is_never_that_of_ours(service, series, name):
    files = [("files", (name, file.read_bytes())) for file in series]

    assert service.post("/predict?model=bright", files=files).status_code == 200
    wait_until(lambda: not service.leftovers(), "nothing is left")


def test_a_series_that_cannot_be_segmented_truthfully_is_refused_with_the_reason(service, series, tmp_path):
    gap = service.predict(series[:2] + series[3:], "?model=bright")
    assert "truthfully" in problem(gap, 422, "input")

    cut = tmp_path / "cut"
    cut.write_bytes(series[0].read_bytes()[:600])
    told = service.predict([*series[1:], cut], "?model=bright&format=json").json()["warnings"]
    assert any("part-00006" in warning and "damaged" in warning for warning in told), told

    other = factories.ct_series(tmp_path / "other")
    both = service.predict([*series, *other], "?model=bright")
    uid = dcmread(other[0]).SeriesInstanceUID
    assert uid in problem(both, 422, "input")
    assert service.predict([*series, *other], f"?model=bright&series={uid}").status_code == 200


def test_a_series_that_no_model_fits_is_refused_with_the_reasons(service, tmp_path):
    def make_mr(dataset, _):
        dataset.Modality = "MR"
        dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"

    answer = service.predict(factories.ct_series(tmp_path, edit=make_mr))

    assert "bright: is for CT, the series is MR" in problem(answer, 422, "no_model_fits")


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("?model=none-such", 404, "no_such_model"),
        ("?model=bright&set=step=7", 400, "usage"),
        ("?model=bright&set=unknown=7", 400, "usage"),
        ("?model=auto&set=unknown=7", 400, "usage"),
        ("?model=bright&set=step", 422, "usage"),
        ("?model=bright&set=step=%00", 422, "usage"),
        ("?model=bright&series=1.2.3", 422, "input"),
        ("?series=--help", 422, "usage"),
        ("?segmentation=SURFACE", 422, "usage"),
        ("?format=rtstruct2", 422, "usage"),
        ("?keep-empty=perhaps", 422, "usage"),
        ("?output=elsewhere", 422, "usage"),
        ("?model=--overwrite", 404, "no_such_model"),
    ],
)
def test_a_wrong_parameter_is_refused(service, series, query, status, code):
    assert problem(service.predict(series, query), status, code)


def test_a_form_that_nothing_gives_is_not_acceptable(service, series):
    answer = service.predict(series, headers={"Accept": "text/html, application/dicom;q=0"})

    assert "application/zip" in problem(answer, 406, "not_acceptable")


@pytest.mark.parametrize(
    ("kind", "body", "status", "code"),
    [
        ("application/json", b"{", 400, "body"),
        ("application/json", b"\xff\xfe", 400, "body"),
        ("application/json", b"[" * 100_000, 400, "body"),
        ("application/json", b"[]", 422, "usage"),
        ("application/json", b'{"Modality": {"a": 1}}', 422, "usage"),
        ("application/dicom+json", b'{"Modality": "CT"}', 422, "usage"),
        ("application/dicom+json", b'{"00080060": {"Value": 7}}', 422, "usage"),
        ("application/json", b'{"Modality": "' + b"C" * 2**20 + b'"}', 413, "too_large"),
        ("text/plain", b"{}", 415, "media_type"),
    ],
)
def test_attributes_that_are_none_are_refused(service, kind, body, status, code):
    assert problem(service.post("/select", data=body, headers={"Content-Type": kind}), status, code)


def test_what_is_not_there_is_said_as_every_error_is(service):
    assert problem(service.get("/models/none-such"), 404, "no_such_model")
    assert problem(service.get("/elsewhere"), 404, "not_found")
    assert problem(service.get("/predict"), 405, "method_not_allowed")


def test_web_pages_are_kept_out(service):
    assert problem(service.get("/models", headers={"Origin": "https://evil.example"}), 403, "forbidden")
    assert problem(service.get("/models", headers={"Host": "evil.example"}), 403, "forbidden")
    preflight = service.session.options(service.url + "/predict", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-origin" not in preflight.headers
    assert preflight.status_code == 403


def test_a_client_that_goes_away_within_its_body_leaves_nothing(service):
    port = int(service.url.rpartition(":")[2])
    before = len(service.events("request"))
    with socket.create_connection((LOOPBACK, port)) as connection:
        head = f"POST /predict HTTP/1.1\r\nHost: {LOOPBACK}\r\nContent-Type: {RELATED}\r\nContent-Length: 9999\r\n\r\n"
        connection.sendall(head.encode() + PART)
    wait_until(lambda: len(service.events("request")) > before, "the request ends")
    wait_until(lambda: not service.leftovers(), "nothing is left")
    assert service.get("/health").json()["taken"] == 0
    assert json.loads(service.get("/health").text)["status"] == "ok"
