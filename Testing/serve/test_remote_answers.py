"""Answers of a server about something else than what was sent, or no result at all: nothing of them is kept."""

import contextlib
import io
import json
import tempfile
import threading
import urllib.request
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread, dcmwrite
from pydicom.uid import DeflatedExplicitVRLittleEndian, generate_uid
from servers import LOOPBACK
from tools import nativedl

SEG, LABELS, REPORT = "segmentation.dcm", "segmentation.nii.gz", "report.json"


@contextlib.contextmanager
def between(url, edit):
    """Run a server that passes requests on to a real one, and its zip back after an edit of its members."""

    class Handler(BaseHTTPRequestHandler):
        def _pass_on(self):
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
            headers = {"Content-Type": self.headers["Content-Type"]} if body else {}
            request = urllib.request.Request(url + self.path, body, headers)
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
                content, kind = answer.read(), answer.headers["Content-Type"]
            if kind == "application/zip":
                with zipfile.ZipFile(io.BytesIO(content)) as archive:
                    members = {name: archive.read(name) for name in archive.namelist()}
                method = edit(members) or zipfile.ZIP_STORED
                packed = io.BytesIO()
                with zipfile.ZipFile(packed, "w", method) as archive:
                    for name, member in members.items():
                        archive.writestr(name, member)
                content = packed.getvalue()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _pass_on  # noqa: N815

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://{LOOPBACK}:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def run(tmp_path, service, series, registry, monkeypatch):
    """Segment the series by way of a server that edits the answer, to be sent on to a peer that is not there."""
    pacs = tmp_path / "pacs.json"
    pacs.write_text('{"peers": [{"name": "PACS", "ae_title": "PACS", "host": "127.0.0.1", "port": 1}]}')
    monkeypatch.setenv("NATIVEDL_OUTBOX", str(tmp_path / "outbox"))

    def start(edit, *more):
        output = tmp_path / "out"
        with between(service.url, edit) as url:
            source = ("--input", series[0].parent, "--model", "bright", "--device", url)
            return nativedl("run", *source, "--output", output, *more, registry=registry), output

    return start


def seg(edit):
    def change(members):
        dataset = dcmread(io.BytesIO(members[SEG]))
        edit(dataset)
        content = io.BytesIO()
        dcmwrite(content, dataset)
        members[SEG] = content.getvalue()

    return change


def attribute(keyword, value):
    return seg(lambda dataset: setattr(dataset, keyword, value))


def deflate(dataset):
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian


def other_series(dataset):
    dataset.ReferencedSeriesSequence[0].SeriesInstanceUID = generate_uid()


def other_instance(dataset):
    dataset.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID = generate_uid()


def report(edit):
    def change(members):
        document = json.loads(members[REPORT])
        edit(document)
        members[REPORT] = json.dumps(document).encode()

    return change


def labels(edit):
    """Edit the label map, in a file because ITK reads from nothing else."""

    def change(members):
        with tempfile.TemporaryDirectory() as place:
            path = Path(place, LABELS)
            path.write_bytes(members[LABELS])
            sitk.WriteImage(edit(sitk.ReadImage(path)), path)
            members[LABELS] = path.read_bytes()

    return change


def moved(image):
    image.SetOrigin([value + 5 for value in image.GetOrigin()])
    return image


def numbered(value):
    def change(image):
        image[0, 0, 0] = value
        return image

    return change


def left_out(name):
    return lambda members: members.pop(name) and None


FOREIGN = {
    "PatientID": attribute("PatientID", "ANOTHER"),
    "PatientName": attribute("PatientName", "Another^Patient"),
    "PatientBirthDate": attribute("PatientBirthDate", "19010101"),
    "StudyInstanceUID": attribute("StudyInstanceUID", generate_uid()),
    "FrameOfReferenceUID": attribute("FrameOfReferenceUID", generate_uid()),
    "series": seg(other_series),
    "instance": seg(other_instance),
    "report": report(lambda document: document["series"].update(series_instance_uid="1.2.3")),
}
NO_RESULT = {
    "moved": labels(moved),
    "cut": labels(lambda image: image[:, :, 1:]),
    "halves": labels(lambda image: sitk.Cast(image, sitk.sitkFloat32) + 0.5),
    "two components": labels(lambda image: sitk.Compose(image, image)),
    "number without segment": labels(numbered(9)),
    "no SEG": left_out(SEG),
    "no labels": left_out(LABELS),
    "no report": left_out(REPORT),
    "packed": lambda members: zipfile.ZIP_DEFLATED,
    "deflated SEG": seg(deflate),
    "no DICOM": lambda members: members.update({SEG: b"no DICOM"}),
    "no JSON": lambda members: members.update({REPORT: b"{"}),
    "a list": lambda members: members.update({REPORT: b"[]"}),
    "no model": report(lambda document: document.pop("model")),
    "model as a word": report(lambda document: document.update(model="bright")),
    "a stage without time": report(lambda document: document["stages"][0].pop("seconds")),
    "a name with escapes": report(lambda document: document["segments"][0].update(name="Li\x1b[2Jver")),
    "a long name": report(lambda document: document["segments"][0].update(name="L" * 65)),
    "a backslash": report(lambda document: document["algorithm"].update(title="A\\B")),
    "a number left out": report(lambda document: document["segments"][0].update(number=2)),
}


@pytest.mark.parametrize("case", FOREIGN)
def test_the_result_of_something_else_is_neither_kept_nor_sent_on(run, capsys, tmp_path, case):
    code, output = run(FOREIGN[case], "--to", "PACS", "--pacs", tmp_path / "pacs.json")

    assert code == 4
    assert "another" in capsys.readouterr().err.splitlines()[-1]
    assert not output.exists()
    assert not (tmp_path / "outbox").exists()


@pytest.mark.parametrize("case", NO_RESULT)
def test_an_answer_that_is_no_result_for_the_series_is_one_line(run, capsys, tmp_path, case):
    code, output = run(NO_RESULT[case], "--to", "PACS", "--pacs", tmp_path / "pacs.json")

    line = capsys.readouterr().err.splitlines()[-1]
    assert code == 4
    assert "is no result for this series" in line
    assert "\x1b" not in line
    assert not output.exists()
    assert not (tmp_path / "outbox").exists()


def test_a_seg_that_the_server_put_elsewhere_is_not_used(run, series):
    def elsewhere(dataset):
        for frame in dataset.PerFrameFunctionalGroupsSequence:
            position = frame.PlanePositionSequence[0]
            position.ImagePositionPatient = [value + 30 for value in position.ImagePositionPatient]

    code, output = run(seg(elsewhere))

    assert code == 0
    written = dcmread(output / SEG)
    places = [frame.PlanePositionSequence[0].ImagePositionPatient for frame in written.PerFrameFunctionalGroupsSequence]
    sent = [dcmread(file).ImagePositionPatient for file in series]
    assert all(any(np.allclose(place, one) for one in sent) for place in places)


def test_what_the_report_says_was_found_is_measured_here(run):
    code, output = run(report(lambda document: document["segments"][0].update(voxels=7, volume_ml=1e9)))

    assert code == 0
    row = json.loads((output / REPORT).read_text())["segments"][0]
    assert row["voxels"] == np.count_nonzero(sitk.GetArrayViewFromImage(sitk.ReadImage(output / LABELS)))
    assert row["volume_ml"] < 1e6
