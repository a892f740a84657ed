"""A coarse model finds the place, the fine one looks only there: the labels are those of a look at everything."""

import json
import shutil

import factories
import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk
from conftest import ROOT
from tools import nativedl

from NativeDLLib.registry.load import load_registry

SHAPE = (32, 64, 72)
SPACING = (2.0, 2.0, 2.0)
INSIDE = (slice(12, 20), slice(24, 36), slice(30, 44))
TILTED = ((0.8, 0.6, 0.0), (-0.36, 0.48, 0.8))


def voxels(place=INSIDE, hu=300):
    result = np.full(SHAPE, -1000, np.int16)
    result[:, 4:60, 4:68] = 30
    result[place] = hu
    return result


def registry(folder, *, threshold=1.5, coarse=None, patch=(16, 16, 16)):
    """Write a registry of two networks that find what is bright, one of which looks where the other one found it."""
    folder.mkdir()
    contract = factories.entry()["input"]
    rough, fine = (factories.threshold_onnx(folder / name, t) for name, t in (("r.onnx", threshold), ("f.onnx", 1.5)))
    switch = {"name": "coarse", "type": "boolean", "default": True, "label": "Coarse first", "help": "Faster."}
    return factories.registry(
        folder,
        factories.entry(
            coarse={"model": "rough", "use": {"parameter": "coarse"}} | (coarse or {}),
            weights={"file": fine.name, "sha256": factories.digest(fine)},
            input=contract | {"spacing": SPACING, "patch_size": patch},
            parameters=[*factories.entry()["parameters"], switch],
        ),
        factories.entry(
            id="rough",
            weights={"file": rough.name, "sha256": factories.digest(rough)},
            input=contract | {"spacing": [5.0, 6.0, 6.0]},
        ),
    )


def run(folder, registry, *options, code=0):
    command = ["run", "--input", folder / "series", "--output", folder / "out", "--model", "bright", "--overwrite"]
    assert nativedl(*command, *options, registry=registry) == code
    report = json.loads((folder / "out" / "report.json").read_text())
    return report, sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "out" / "segmentation.nii.gz")))


@pytest.mark.parametrize("axes", [factories.AXIAL, factories.SAGITTAL, TILTED])
@pytest.mark.parametrize(
    "place",
    [INSIDE, (slice(0, 6), slice(4, 12), slice(58, 68)), (slice(26, 32), slice(50, 60), slice(4, 10))],
    ids=["inside", "at the first slice", "at the last slice"],
)
@pytest.mark.parametrize("patch", [(16, 16, 16), (40, 40, 40)], ids=["patches", "one patch"])
def test_the_labels_are_those_of_a_look_at_the_whole_image(tmp_path, axes, place, patch):
    factories.ct_series(tmp_path / "series", voxels(place), spacing=SPACING, axes=axes)
    path = registry(tmp_path / "registry", patch=patch)

    report, labels = run(tmp_path, path)
    _, whole = run(tmp_path, path, "--set", "coarse=false")

    assert np.array_equal(labels, whole)
    assert labels[place].all()
    first, last = (report["coarse"]["box"][key] for key in ("first_voxel", "last_voxel"))
    assert np.prod(np.subtract(last, first) + 1) < 0.6 * np.prod(SHAPE)


@pytest.mark.parametrize(
    ("axes", "first", "last"),
    [(factories.AXIAL, [16, 17, 6], [56, 41, 24]), (factories.SAGITTAL, [24, 20, 0], [48, 38, 31])],
)
def test_a_box_is_at_least_a_patch_wherever_the_image_goes_on(tmp_path, axes, first, last):
    factories.ct_series(tmp_path / "series", voxels(), spacing=SPACING, axes=axes)
    # 40 voxels from right to left, 24 from front to back, 18 from bottom to top.
    path = registry(tmp_path / "registry", coarse={"margin_mm": 5}, patch=(18, 24, 40))

    report, _ = run(tmp_path, path)

    assert report["coarse"]["box"]["first_voxel"] == first
    assert report["coarse"]["box"]["last_voxel"] == last


def test_report_and_seg_say_where_it_looked_and_who_said_so(tmp_path, capsys):
    factories.ct_series(tmp_path / "series", voxels(), spacing=SPACING, origin=(-70.0, -60.0, 100.0))
    path = registry(tmp_path / "registry", coarse={"margin_mm": 10})

    report, _ = run(tmp_path, path, "--events")

    assert report["coarse"] == {
        "model": next(model for model in load_registry(path) if model.id == "rough").origin,
        "segments": ["Liver"],
        "margin_mm": 10.0,
        "weights_sha256": factories.digest(tmp_path / "registry" / "r.onnx"),
        "device": report["device"],
        "box": {
            "first_voxel": [25, 19, 7],
            "last_voxel": [48, 40, 24],
            "first_mm": [-20.0, -22.0, 114.0],
            "last_mm": [26.0, 20.0, 148.0],
        },
    }
    assert report["weights_sha256"] == factories.digest(tmp_path / "registry" / "f.onnx")
    seg = hd.seg.segread(tmp_path / "out" / "segmentation.dcm")
    used = seg.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0].AlgorithmParameters
    assert "coarse_model=rough 1.2.3" in used
    assert "coarse_box=x 25-48 y 19-40 z 7-24" in used
    seen = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    stages = [event["stage"] for event in seen if event["event"] == "stage"]
    assert stages[1:6] == ["read", "coarse", "load", "preprocess", "infer"]
    assert {event["stage"] for event in seen if event["event"] == "progress"} == {"coarse", "infer"}
    assert "restore" in [stage["name"] for stage in report["stages"]]


def test_it_is_switched_off_by_a_parameter(tmp_path):
    factories.ct_series(tmp_path / "series", voxels(), spacing=SPACING)

    report, _ = run(tmp_path, registry(tmp_path / "registry"), "--set", "coarse=false")

    assert "coarse" not in report
    assert report["parameters"]["coarse"] is False
    assert "coarse" not in [stage["name"] for stage in report["stages"]]


def test_where_the_coarse_model_finds_nothing_the_whole_image_is_looked_at(tmp_path):
    factories.ct_series(tmp_path / "series", voxels(), spacing=SPACING)

    report, labels = run(tmp_path, registry(tmp_path / "registry", threshold=3.5))

    assert labels[INSIDE].all()
    assert report["coarse"]["box"] is None
    assert "coarse model rough: found nothing of Liver; bright looks at the whole image" in report["warnings"]
    assert report["algorithm"]["parameters"]["coarse_box"] == "whole image"


def test_what_goes_on_beyond_the_box_is_told(tmp_path):
    image = voxels()
    # Bright enough for the fine network, but not for the coarse one.
    image[12:20, 24:36, 8:30] = 200
    factories.ct_series(tmp_path / "series", image, spacing=SPACING)

    report, labels = run(tmp_path, registry(tmp_path / "registry", threshold=2.5, coarse={"margin_mm": 10}))

    first = report["coarse"]["box"]["first_voxel"][0]
    assert 8 < first < 30
    assert labels[12:20, 24:36, first:44].all()
    assert not labels[:, :, :first].any()
    (finding,) = report["quality"]
    assert (finding["code"], finding["segment"]) == ("cut-by-box", "Liver")
    assert finding["message"].startswith("Liver: cut at the right side of the box around what rough found")
    assert finding["message"] in report["warnings"]


@pytest.mark.slow
def test_that_vertebrae_are_numbered_in_the_box_alone_is_told(tmp_path, real_data):
    bundled = json.loads((ROOT / "Resources" / "registry.json").read_text())
    (entry,) = (model for model in bundled["models"] if model["id"] == "vertebra-ct-demo")
    shutil.copytree(ROOT / "Resources" / "models", tmp_path / "models")
    fine, rough = entry | {"id": "bright", "coarse": {"model": "rough"}}, entry | {"id": "rough"}
    (tmp_path / "registry.json").write_text(json.dumps(bundled | {"models": [fine, rough]}))
    (tmp_path / "series").symlink_to(real_data / "upper_abdomen_ct_dicom")

    report, _ = run(tmp_path, tmp_path / "registry.json", "--set", "step=1")

    assert report["levels"] == "numbered"
    assert report["coarse"]["box"] is not None
    told = [
        warning for warning in report["warnings"] if "numbered from the top of the box around what rough" in warning
    ]
    assert len(told) == 1


def test_weights_of_the_coarse_model_are_checked_too(tmp_path, capsys):
    factories.ct_series(tmp_path / "series", voxels(), spacing=SPACING)
    path = registry(tmp_path / "registry")
    (tmp_path / "registry" / "r.onnx").write_bytes(b"other")

    with pytest.raises(FileNotFoundError):
        run(tmp_path, path, code=4)
    assert "model rough: " in capsys.readouterr().err
    run(tmp_path, path, "--set", "coarse=false")
