"""A server as a device: the same result as here, and every way in which it can fail."""

import json

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from servers import LOOPBACK, free_port, make_certificate, wait_until
from tools import nativedl

from NativeDLLib.core.errors import CancelledError
from NativeDLLib.core.progress import Progress
from NativeDLLib.results.folder import Destination
from NativeDLLib.segment.run import Request, run_request
from NativeDLLib.source.where import Where
from NativeDLLib.tools.tool import Machine


@pytest.fixture
def run(tmp_path, series, registry):
    """Segment the series with a device into a folder of that name."""

    def start(device, name, *more):
        output = tmp_path / name
        arguments = ("run", "--input", series[0].parent, "--model", "bright", "--output", output, "--device", device)
        return nativedl(*arguments, *more, registry=registry), output

    return start


def test_the_result_is_that_of_a_run_here_voxel_for_voxel(service, run):
    options = ("--set", "step=1", "--segmentation", "LABELMAP")
    assert run("cpu", "here", *options)[0] == 0
    code, there = run(service.url, "there", *options)

    assert code == 0
    here = there.parent / "here"
    assert {path.name for path in there.iterdir()} == {path.name for path in here.iterdir()}
    images = [sitk.ReadImage(folder / "segmentation.nii.gz") for folder in (here, there)]
    assert sitk.GetArrayViewFromImage(images[0]).any()
    np.testing.assert_array_equal(*map(sitk.GetArrayViewFromImage, images))
    for property_ in ("GetOrigin", "GetSpacing", "GetDirection"):
        assert getattr(images[0], property_)() == getattr(images[1], property_)()
    segs = [dcmread(folder / "segmentation.dcm") for folder in (here, there)]
    assert segs[0].PixelData == segs[1].PixelData
    assert (
        segs[0].ReferencedSeriesSequence[0].SeriesInstanceUID == segs[1].ReferencedSeriesSequence[0].SeriesInstanceUID
    )
    reports = [json.loads((folder / "report.json").read_text()) for folder in (here, there)]
    del reports[0]["model"]["registry"]  # a place on the server
    for key in ("model", "parameters", "segments", "outcome", "series", "source", "weights_sha256", "sent"):
        assert reports[0][key] == reports[1][key]
    assert reports[1]["device"] == f"{service.url} (cpu (onnxruntime))"
    assert reports[1]["files"] == {name: str(there / name) for name in reports[0]["files"]}
    assert [stage["name"] for stage in reports[1]["stages"]] == ["scan", "read", "upload", "remote", "write"]


def test_one_volume_of_an_object_with_several_is_segmented_there_too(service, registry, tmp_path, real_data):
    phases = real_data / "field_cases" / "dicom" / "enh_phases"
    command = ("run", phases, "--model", "bright", "--volume", "TemporalPositionIndex=2", "--device", service.url)

    assert nativedl(*command, "--output", tmp_path / "out", registry=registry) == 0

    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["series"]["volume"] == ["TemporalPositionIndex=2"]
    assert report["series"]["size"][2] == 6


def test_where_nothing_is_found_the_report_says_so(service, nothing_to_find, registry, tmp_path):
    command = ("run", "--input", nothing_to_find[0].parent, "--model", "bright", "--device", service.url)
    assert nativedl(*command, "--output", tmp_path / "out", registry=registry) == 0

    assert json.loads((tmp_path / "out" / "report.json").read_text())["outcome"] == "empty"
    assert not (tmp_path / "out" / "segmentation.dcm").exists()


def failed(capsys, outcome, code):
    """Check that a run ended with this code and left nothing, and return its line."""
    assert outcome[0] == code
    assert not outcome[1].exists()
    return capsys.readouterr().err.splitlines()[-1]


def test_what_the_server_refuses_is_an_error_as_here(service, run, capsys):
    assert "step" in failed(capsys, run(service.url, "out", "--set", "step=7"), 2)
    assert "no such model" in failed(capsys, run(service.url, "out", "--model", "none-such"), 2)


def test_a_server_that_is_not_there_is_named(run, capsys):
    url = f"http://{LOOPBACK}:{free_port()}"

    assert f"device {url} cannot be used" in failed(capsys, run(url, "out"), 4)


def test_images_go_to_another_computer_by_tls_only(run, capsys):
    assert "https only" in failed(capsys, run("http://hospital.example:8443", "out"), 2)


@pytest.mark.parametrize("device", ["https://", "https://host:99999", "ftp://host", "https://user@host"])
def test_an_address_that_is_none_is_refused(run, capsys, device):
    assert "device " in failed(capsys, run(device, "out"), 2)


def test_a_series_larger_than_the_server_takes_is_not_sent(serve, tmp_path, slow, registry, capsys):
    service = serve("--max-upload", 1)
    command = ("run", "--input", slow[0][0].parent, "--model", "bright", "--device", service.url)

    assert nativedl(*command, "--output", tmp_path / "out", registry=registry) == 3
    assert "takes 1 MiB" in capsys.readouterr().err
    assert {row["path"] for row in service.reported("request")} == {"/health"}


def test_the_token_comes_from_the_environment_or_from_the_users_file(
    serve, tokens, token, run, tmp_path, capsys, monkeypatch
):
    tls = make_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(tls.cert))
    service = serve("--token-file", tokens, "--cert", tls.cert, "--key", tls.key)

    assert "NATIVEDL_TOKEN" in failed(capsys, run(service.url, "out"), 4)
    monkeypatch.setenv("NATIVEDL_TOKEN", token)
    assert run(service.url, "by-environment")[0] == 0
    monkeypatch.delenv("NATIVEDL_TOKEN")
    home = tmp_path / "home" / ".nativedl"
    home.mkdir(parents=True)
    (home / "tokens.json").write_text(json.dumps({service.url: token}))
    monkeypatch.setenv("HOME", str(home.parent))
    assert run(service.url, "by-file")[0] == 0


def test_the_servers_that_the_user_has_named_are_listed_with_the_devices(capsys, tmp_path, monkeypatch):
    path = tmp_path / ".nativedl" / "tokens.json"
    path.parent.mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    path.write_text('{"https://gpu.hospital.example:8443/": "0123456789abcdef"}')

    assert nativedl("devices", "--events") == 0
    devices = json.loads(capsys.readouterr().out.splitlines()[-1])["devices"]
    assert "nativedl serve" in devices["https://gpu.hospital.example:8443"]
    assert "cpu" in devices
    for wrong in ('["https://host"]', '{"https://host": 7}', '{"host": "token"}'):
        path.write_text(wrong)
        assert nativedl("devices") == 2
        assert "tokens.json" in capsys.readouterr().err


def test_a_cancelled_run_ends_the_prediction_there(in_background, serve, slow, tmp_path):
    service = serve()
    progress = Progress()
    parameters = (("test", {"step": 0.25}),)
    job = Request(
        Where(tuple(slow[0])),
        Destination(tmp_path / "out"),
        model="bright",
        machine=Machine(service.url),
        parameters=parameters,
    )
    outcome = in_background(run_request, job, progress)
    wait_until(service.workers, "the worker runs")

    progress.cancel()

    wait_until(lambda: outcome, "the run ends")
    assert isinstance(outcome[0], CancelledError)
    assert not (tmp_path / "out").exists()
    wait_until(lambda: not service.workers() and not service.leftovers(), "the prediction is ended there")


def test_a_server_that_dies_is_an_error(in_background, serve, slow, tmp_path):
    service = serve()
    job = Request(
        Where(tuple(slow[0])),
        Destination(tmp_path / "out"),
        model="bright",
        machine=Machine(service.url),
        parameters=(("test", {"step": 0.25}),),
    )
    outcome = in_background(run_request, job, Progress())
    wait_until(service.workers, "the worker runs")

    service.process.kill()

    wait_until(lambda: outcome, "the run ends")
    assert "cannot be used" in str(outcome[0])
    assert not (tmp_path / "out").exists()
