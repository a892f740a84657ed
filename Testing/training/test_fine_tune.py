from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from factories import ct_series, entry, registry, threshold_pt2
from trainings import ball, ball_entry, without_export, write_ball, write_config

from NativeDLLib.cli.main import main
from NativeDLLib.core.errors import InputError, ModelError, UsageError
from NativeDLLib.core.files import sha256
from NativeDLLib.core.progress import Progress
from NativeDLLib.dicom.seg import Algorithm, make_segmentation
from NativeDLLib.registry.load import load_registry
from NativeDLLib.source import Series
from NativeDLLib.training.cases import examples
from NativeDLLib.training.config import read_config
from NativeDLLib.training.labels import read_segmentation
from NativeDLLib.training.unet import Architecture, canonical, load_weights, start_weights


def command(config: Path, output: Path, *more: str) -> int:
    return main(["train", "--config", str(config), "--output", str(output), "--device", "cpu", *more])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a few steps, in all formats."""
    folder = tmp_path_factory.mktemp("start")
    assert command(write_config(folder, schedule={"steps": 4}), folder / "out") == 0
    return folder / "out"


@pytest.fixture
def _in_force(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(trained / "registry.json"))


def published(trained: Path, runtime: str) -> Any:
    """Return the trained model as an entry of another runtime."""
    data = json.loads((trained / "registry.json").read_text())["models"][0]
    data |= {"id": f"ball-{runtime}", "runtime": runtime}
    if runtime == "nnunetv2":
        del data["input"]["axes"], data["output"]["activation"]  # its plans and its dataset.json say them
        data["weights"] = {"folder": "nnUNetTrainer__nnUNetPlans__3d_fullres"}
    else:
        path = trained / ("ball.onnx" if runtime == "onnx" else "ball.pt2")
        data["weights"] = {"file": path.name, "sha256": sha256(path)}
    path = trained / f"{runtime}.json"
    path.write_text(json.dumps({"schema_version": "1.0", "models": [data]}))
    return load_registry(path)[0]


@pytest.mark.parametrize("runtime", ["onnx", "torch", "nnunetv2"])
def test_each_format_gives_its_weights_and_network_back(trained: Path, runtime: str) -> None:
    weights, _ = start_weights(published(trained, runtime))
    folder = trained / "nnUNetTrainer__nnUNetPlans__3d_fullres" / "fold_0" / "checkpoint_final.pth"
    expected = canonical(torch.load(folder, weights_only=True)["network_weights"])
    architecture = Architecture.of(weights)
    assert architecture == read_config(trained.parent / "training.json").architecture
    network = architecture.build(2)
    kept = load_weights(network, weights)
    assert all(name.startswith("decoder.seg_layers.0.") for name in kept)
    for name, value in canonical(network.state_dict()).items():
        assert name in kept or torch.equal(value, expected[name])


def test_a_network_that_is_no_plain_unet_is_refused(tmp_path: Path) -> None:
    path = threshold_pt2(tmp_path / "bright.pt2", 1.0)
    registry(tmp_path, entry(runtime="torch", weights={"file": path.name, "sha256": sha256(path)}))
    (model,) = load_registry(tmp_path / "registry.json")
    with pytest.raises(ModelError, match="not those of a PlainConvUNet"):
        Architecture.of(start_weights(model)[0])


def test_torchscript_is_refused_in_words(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Conv3d(1, 2, 1)), tmp_path / "bright.pt")
    weights = {"file": "bright.pt", "sha256": sha256(tmp_path / "bright.pt")}
    registry(tmp_path, entry(runtime="torch", weights=weights))
    with pytest.raises(ModelError, match="is TorchScript, which is code and is not run; export the network"):
        start_weights(load_registry(tmp_path / "registry.json")[0])


@pytest.mark.usefixtures("_in_force")
def test_other_classes_get_a_last_layer_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = ball_entry(runtime="nnunetv2", id="two")
    new["output"] = new["output"] | {"channels": 3}
    rows = [write_ball(tmp_path, 1), write_ball(tmp_path, 8, value=9) | {"map": {"9": 2}}]
    config = write_config(
        tmp_path, entry=new, outputs=[], classes={"1": "Liver", "2": "Other"}, data={"train": rows},
        schedule={"steps": 1}, network={"features": [8, 16, 16], "convolutions": 1, "decoder_convolutions": 1},
    )  # fmt: skip
    assert command(config, tmp_path / "out", "--from", "ball") == 0
    assert "the last layer of ball is for other classes" in capsys.readouterr().err


@pytest.mark.usefixtures("_in_force")
def test_another_network_than_the_models_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(without_export(tmp_path, network={"features": [8, 16]}), tmp_path / "out", "--from", "ball") == 2
    assert "network: is not that of model ball; leave it out" in capsys.readouterr().err
    assert command(without_export(tmp_path), tmp_path / "out", "--from", "nothing") == 4


def dicom_ball(folder: Path, seed: int, **look: Any) -> tuple[Path, Path]:
    """Write a ball as a CT series, and as a SEG what a physician would have corrected it to."""
    hu, labels = ball(seed, **look)
    ct_series(folder / "series", hu, spacing=(3.0, 3.0, 3.0))
    series = Series.read([folder / "series"])
    (model,) = load_registry(registry(folder / "registry"))
    algorithm = Algorithm("ball", "1.0", "Ball", "Tests", "0")
    seg = make_segmentation(series, labels, model.segments, algorithm)
    seg.save_as(folder / "approved.dcm", enforce_file_format=True)
    return folder / "series", folder / "approved.dcm"


def test_approved_corrections_of_dicom_series_make_a_model_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = without_export(tmp_path, schedule={"steps": 12, "learning_rate": 0.01, "ema": 0.5})
    assert command(base, tmp_path / "base") == 0
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(tmp_path / "base" / "registry.json"))

    data, rows = json.loads(base.read_text()), []
    for seed in (4, 5, 6):
        series, seg = dicom_ball(tmp_path / f"case{seed}", seed)
        rows.append({"series": str(series), "segmentation": str(seg)})
    data["data"]["train"] = rows  # no map: the segment has the name of the class
    data["schedule"] = {"steps": 50, "learning_rate": 0.01, "ema": 0.9}
    del data["network"]
    fine = tmp_path / "fine.json"
    fine.write_text(json.dumps(data))
    assert command(fine, tmp_path / "fine", "--from", "ball") == 0

    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in ("base", "fine")]
    before, after = (report["evaluation"][0]["dice"]["Liver"] for report in reports)
    assert reports[1]["started_from"] == "ball 1.2.3"
    assert after > before + 0.1
    assert after > 0.8


def test_a_seg_of_slicers_own_writer_is_read_in_its_place(real_data: Path) -> None:
    folder = real_data / "liver_spine_ct_dicom"
    labels, names = read_segmentation(folder / "liver.dcm", Series.read([folder]))
    expected = sitk.ReadImage(str(folder / "liver_seg.nrrd"))
    assert set(names.values()) == {1}
    found = sitk.Resample(labels, expected, sitk.Transform(), sitk.sitkNearestNeighbor, 0)
    assert np.array_equal(sitk.GetArrayFromImage(found) > 0, sitk.GetArrayFromImage(expected) > 0)


def test_a_seg_of_another_series_is_refused(tmp_path: Path) -> None:
    series, _ = dicom_ball(tmp_path / "a", 1)
    _, seg = dicom_ball(tmp_path / "b", 1)
    row = {"series": str(series), "segmentation": str(seg), "map": {"Liver": 1}}
    config = read_config(without_export(tmp_path, data={"train": [row]}))
    with pytest.raises(InputError, match=r"is not a SEG of series .* \(it has another frame of reference\)"):
        list(examples(config, config.rows("train")[0], Progress()))


def test_a_segment_that_is_not_there_is_named_beside_those_that_are(tmp_path: Path) -> None:
    series, seg = dicom_ball(tmp_path / "a", 1)
    row = {"series": str(series), "segmentation": str(seg), "map": {"Spleen": 1}}
    config = read_config(without_export(tmp_path, data={"train": [row]}))
    with pytest.raises(UsageError, match="there is no segment 'Spleen'; there are 'Liver'"):
        list(examples(config, config.rows("train")[0], Progress()))
