"""One job through the command line: what it writes, what it refuses, and what is left when it fails."""

import hashlib
import json
import os
import signal
import subprocess
import sys

import factories
import highdicom as hd
import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from conftest import ROOT
from PIL import Image
from tools import nativedl

from NativeDLLib.registry.load import load_registry


def events(capsys):
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_run_writes_seg_label_map_preview_and_report(tmp_path, registry, series, capsys):
    out = tmp_path / "out"

    assert nativedl("run", "--input", series, "--output", out, registry=registry) == 0

    report = json.loads((out / "report.json").read_text())
    expected = factories.block() > 150
    labels = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "segmentation.nii.gz")))
    assert np.mean(labels == expected) > 0.97
    (segment,) = report["segments"]
    assert segment["voxels"] == labels.sum()
    assert segment["volume_ml"] == pytest.approx(labels.sum() * 2 / 1000)
    assert segment["mean_hu"] == pytest.approx(factories.block()[labels > 0].mean(), abs=0.01)
    stages = {stage["name"]: stage for stage in report["stages"]}
    assert {"scan", "read", "load", "preprocess", "infer", "restore", "postprocess", "write"} <= stages.keys()
    assert all(stage["peak_mib"] > 10 for stage in stages.values())
    (model,) = load_registry(registry)
    canonical = json.dumps(model.data, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    digest = hashlib.sha256(canonical).hexdigest()
    named = {"id": "bright", "version": "1.2.3", "runtime": "onnx"}
    assert report["model"] == named | {"registry": str(registry), "entry_sha256": digest}
    assert report["parameters"] == {"step": 0.5, "min_volume": 0.05}
    assert report["chosen_because"][1] == "BodyPartExamined is ABDOMEN"
    assert {"id": "bright", "fits": True, "score": 7}.items() <= report["ranking"][0].items()
    assert report["device"].startswith("cpu")
    assert Image.open(out / "preview.png").size == (384, 384)
    printed = capsys.readouterr().out
    assert "Liver" in printed
    assert "segmentation.dcm" in printed


def test_the_seg_holds_the_label_map_and_the_effective_parameters(tmp_path, registry, series):
    out = tmp_path / "out"
    configuration = tmp_path / "config.json"
    configuration.write_text(json.dumps({"parameters": {"step": 0.7, "min_volume": 0.01}, "model": "bright"}))

    code = nativedl(
        "run", "--input", series, "--output", out, "--config", configuration, "--set", "step=0.8", registry=registry
    )

    assert code == 0
    seg = hd.seg.segread(out / "segmentation.dcm")
    volume = seg.get_volume(combine_segments=True)
    labels = sitk.ReadImage(str(out / "segmentation.nii.gz"))
    assert volume.array.sum() == sitk.GetArrayViewFromImage(labels).sum()
    used = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    assert "step=0.8" in used
    assert "min_volume=0.01" in used


def test_events_are_json_lines_and_nothing_else_is_on_stdout(tmp_path, registry, series, capsys):
    code = nativedl("run", "--input", series, "--output", tmp_path / "out", "--events", registry=registry)

    assert code == 0
    seen = events(capsys)
    assert [e["stage"] for e in seen if e["event"] == "stage"][:3] == ["scan", "read", "load"]
    progress = [e for e in seen if e["event"] == "progress"]
    assert progress[-1] == {"event": "progress", "stage": "infer", "fraction": 1.0, "remaining_s": 0.0}
    assert seen[-1]["event"] == "result"
    assert seen[-1]["outcome"] == "segmented"


def test_an_error_is_one_event_with_its_code(tmp_path, registry, capsys):
    code = nativedl("run", "--events", "--input", tmp_path / "nowhere", "--output", tmp_path / "out", registry=registry)

    assert code == 3
    told = f"{tmp_path / 'nowhere'}: does not exist"
    assert events(capsys) == [{"event": "error", "code": 3, "message": told, "hint": ""}]


def test_a_label_map_seg_is_written_on_request(tmp_path, registry, series):
    out = tmp_path / "out"

    nativedl("run", "--input", series, "--output", out, "--segmentation", "LABELMAP", registry=registry)

    assert pydicom.dcmread(out / "segmentation.dcm").SegmentationType == "LABELMAP"


def test_finding_nothing_is_said_and_no_seg_is_written(tmp_path, registry, capsys):
    factories.ct_series(tmp_path / "series", np.full((6, 32, 40), -1000, np.int16))
    out = tmp_path / "out"

    assert nativedl("run", "--input", tmp_path / "series", "--output", out, registry=registry) == 0

    assert "found none of its segments: no SEG is written" in capsys.readouterr().err
    report = json.loads((out / "report.json").read_text())
    assert report["outcome"] == "empty"
    assert report["segmentation"] is None
    assert report["segments"][0]["mean_hu"] is None
    assert not (out / "segmentation.dcm").exists()


def test_an_empty_seg_is_written_where_the_caller_wants_it(tmp_path, registry):
    factories.ct_series(tmp_path / "series", np.full((6, 32, 40), -1000, np.int16))
    out = tmp_path / "out"

    nativedl("run", "--input", tmp_path / "series", "--output", out, "--keep-empty", registry=registry)

    seg = pydicom.dcmread(out / "segmentation.dcm")
    assert [s.SegmentLabel for s in seg.SegmentSequence] == ["Liver"]
    assert not seg.pixel_array.any()


def test_results_are_not_overwritten_unless_told_to(tmp_path, registry, series, capsys):
    out = tmp_path / "out"
    nativedl("run", "--input", series, "--output", out, registry=registry)
    before = (out / "report.json").read_bytes()

    assert nativedl("run", "--input", series, "--output", out, registry=registry) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (out / "report.json").read_bytes() == before
    assert nativedl("run", "--input", series, "--output", out, "--overwrite", registry=registry) == 0
    assert (out / "report.json").read_bytes() != before


def test_a_file_is_not_taken_for_the_output_folder(tmp_path, registry, series):
    (tmp_path / "out").write_text("mine")

    assert nativedl("run", "--input", series, "--output", tmp_path / "out", registry=registry) == 2
    assert (tmp_path / "out").read_text() == "mine"


def test_a_refused_series_leaves_nothing_behind(tmp_path, registry, capsys):
    def tilt(dataset, index):
        dataset.ImagePositionPatient = [-20.0, -16.0 + index * 0.8, 100.0 + index * 2]

    factories.ct_series(tmp_path / "series", edit=tilt)
    before = sorted(tmp_path.iterdir())

    assert nativedl("run", "--input", tmp_path / "series", "--output", tmp_path / "out", registry=registry) == 3

    assert "gantry tilt: the slices are stacked 21.8 degrees" in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.skipif(os.name == "nt", reason="Windows cannot limit the size of files")
@pytest.mark.parametrize("limit", [100, 5000])
def test_a_disk_that_takes_no_more_leaves_nothing_half_written(tmp_path, registry, series, limit):
    import resource

    command = [sys.executable, "-m", "NativeDLLib", "run", "--input", str(series), "--output", str(tmp_path / "out")]
    before = sorted(tmp_path.iterdir())

    finished = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"NATIVEDL_REGISTRY": str(registry)},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )

    assert finished.returncode == 1, finished.stderr
    assert finished.stderr.count("\n") == 1
    assert "defect" not in finished.stderr
    assert sorted(tmp_path.iterdir()) == before


def test_an_explicit_model_wins_with_a_warning(tmp_path, registry, capsys):
    def head(dataset, _):
        dataset.BodyPartExamined = "HEAD"
        dataset.StudyDescription = dataset.SeriesDescription = ""

    factories.ct_series(tmp_path / "series", edit=head)
    run = ["run", "--input", tmp_path / "series", "--output", tmp_path / "out"]

    assert nativedl(*run, registry=registry) == 4
    assert "bright: is for ABDOMEN, LIVER; BodyPartExamined is HEAD" in capsys.readouterr().err
    assert nativedl(*run, "--model", "bright", registry=registry) == 0
    assert "may not fit" in capsys.readouterr().err


def test_a_series_of_slicers_database_is_segmented(tmp_path, registry, real_data):
    database = real_data / "slicer_dicom_database" / "ctkDICOM.sql"
    uid = "2.25.190301725187792661401090012501411869866"
    run = ["run", "--database", database, "--series", uid, "--model", "bright", "--output", tmp_path / "out"]

    assert nativedl(*run, registry=registry) == 0

    seg = pydicom.dcmread(tmp_path / "out" / "segmentation.dcm")
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == uid
    assert len(seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence) == 20


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_cancel_between_patches_ends_with_six_and_writes_nothing(tmp_path, registry):
    voxels = np.tile(factories.block((60, 256, 256)), (1, 1, 1))
    factories.ct_series(tmp_path / "series", voxels, spacing=(1.0, 1.0, 1.5))
    command = [sys.executable, "-m", "NativeDLLib", "run", "--events", "--input", str(tmp_path / "series")]
    command += ["--output", str(tmp_path / "out"), "--set", "step=0.25"]
    environment = os.environ | {"NATIVEDL_REGISTRY": str(registry)}
    before = sorted(tmp_path.iterdir())

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT) as process:
        for line in process.stdout:
            if json.loads(line)["event"] == "progress":
                process.send_signal(signal.SIGINT)
                break
        rest = [json.loads(line) for line in process.stdout]
        code = process.wait(timeout=30)

    assert code == 6
    # What had begun is finished, and of the many patches no other is.
    assert sum(event["event"] == "progress" for event in rest) < 5
    assert rest[-1]["event"] == "error"
    assert rest[-1]["code"] == 6
    assert sorted(tmp_path.iterdir()) == before
