from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from factories import ct_series, registry
from PIL import Image
from trainings import ball, without_export, write_ball, write_config

from NativeDLLib.cli.main import main
from NativeDLLib.core.files import sha256
from NativeDLLib.registry.load import load_registry
from NativeDLLib.registry.weights import verified_weights
from NativeDLLib.training.entry import publish
from NativeDLLib.training.export import FOLDER


def command(config: Path, output: Path, *more: str) -> int:
    return main(["train", "--config", str(config), "--output", str(output), "--device", "cpu", *more])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of sixty steps on two balls."""
    folder = tmp_path_factory.mktemp("trained")
    config = write_config(folder, schedule={"steps": 60, "learning_rate": 0.007, "ema": 0.9})
    assert command(config, folder / "out") == 0
    return folder / "out"


def test_sixty_steps_learn_to_find_a_ball(trained: Path) -> None:
    (row,) = json.loads((trained / "report.json").read_text())["evaluation"]
    assert row["data"] == "Another ball"
    assert row["cases"] == 1
    assert row["dice"]["Liver"] > 0.8
    assert row["surface_mm"]["Liver"] < 3
    assert row["hausdorff95_mm"]["Liver"] < 12


def test_the_output_is_a_registry_with_its_evaluation_and_a_card(trained: Path) -> None:
    (model,) = load_registry(trained / "registry.json")
    report = json.loads((trained / "report.json").read_text())
    assert list(model.evaluation) == report["evaluation"]
    assert model.card is not None
    card = model.card.read_text(encoding="utf-8")
    assert sha256(trained / "ball.onnx") in card
    assert "Another ball | 1 | Liver | 0." in card
    assert {name: sha256(trained / name) for name in report["files"]} == report["files"]
    assert {"ball.onnx", "ball.pt2", "registry.json", "log.csv", "ball.md"} < set(report["files"])


def test_nothing_that_was_written_tells_where_the_data_lies(trained: Path) -> None:
    for name in ("registry.json", "ball.md", "report.json", "nnUNetTrainer__nnUNetPlans__3d_fullres/dataset.json"):
        assert "ct1.nii.gz" not in (trained / name).read_text()


def test_progress_and_the_result_are_events(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(without_export(tmp_path), tmp_path / "out", "--events", "--steps", "3") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    stages = [event["stage"] for event in events if event["event"] == "stage"]
    assert stages == ["data", "train", "export", "evaluate"]
    assert any(event["event"] == "progress" and event["stage"] == "train" for event in events)
    assert events[-1]["event"] == "result"
    assert events[-1]["model"]["id"] == "ball"
    assert not (tmp_path / "out" / "ball.pt2").exists()


def test_a_training_is_not_replaced_unasked(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = trained.parent / "training.json"
    assert command(config, trained) == 2
    assert "already holds checkpoint.pt" in capsys.readouterr().err
    assert command(config, trained, "--resume", "--overwrite") == 2


def test_of_a_training_that_is_replaced_nothing_stays(tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert command(without_export(tmp_path), output, "--steps", "1") == 0
    (output / "ball.onnx").write_bytes(b"of an earlier training")
    assert command(without_export(tmp_path), output, "--steps", "1", "--overwrite") == 0
    assert not (output / "ball.onnx").exists()


def test_a_finished_training_is_only_evaluated_again_when_resumed(tmp_path: Path) -> None:
    config, weights = without_export(tmp_path), tmp_path / "out" / FOLDER / "fold_0" / "checkpoint_final.pth"
    assert command(config, tmp_path / "out") == 0
    before = torch.load(weights, weights_only=True)["network_weights"]
    assert command(config, tmp_path / "out", "--resume") == 0
    after = torch.load(weights, weights_only=True)["network_weights"]
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    assert len((tmp_path / "out" / "log.csv").read_text().splitlines()) == 7


def test_publishing_replaces_the_models_own_entry_and_no_other(trained: Path, tmp_path: Path) -> None:
    path = registry(tmp_path / "site")
    (model,) = load_registry(trained / "registry.json")
    for _ in range(2):
        publish(model, path)
    models = {model.id: model for model in load_registry(path)}
    assert list(models) == ["bright", "ball"]
    assert models["ball"].weights.place == "models/ball.onnx"
    assert sha256(tmp_path / "site" / "models" / "ball.onnx") == models["ball"].weights.sha256
    assert models["ball"].card == tmp_path / "site" / "models" / "ball.md"


def test_the_card_shows_what_is_found_in_series_without_labels(tmp_path: Path) -> None:
    hu, _ = ball(9, (10, 40, 40))
    ct_series(tmp_path / "series", hu, spacing=(3.0, 3.0, 3.0))
    config, registry_file = without_export(tmp_path), tmp_path / "site" / "registry.json"
    data = json.loads(config.read_text())
    data["data"]["pictures"] = [{"name": "A third patient", "series": "series"}]
    config.write_text(json.dumps(data))
    assert command(config, tmp_path / "out", "--steps", "2", "--publish", str(registry_file)) == 0

    assert "A third patient:\n\n![A third patient](ball-1.png)" in (tmp_path / "out" / "ball.md").read_text()
    for folder in (tmp_path / "out", tmp_path / "site" / "models"):
        with Image.open(folder / "ball-1.png") as picture:
            assert min(picture.size) >= 384
    assert "ball-1.png" in json.loads((tmp_path / "out" / "report.json").read_text())["files"]


def test_an_entry_may_point_to_the_nnunet_folder(tmp_path: Path) -> None:
    path = tmp_path / "site" / "registry.json"
    assert command(without_export(tmp_path), tmp_path / "out", "--steps", "2", "--publish", str(path)) == 0
    (model,) = load_registry(path)
    assert verified_weights(model)[0] == path.parent / "models" / "ball" / FOLDER


def test_a_class_that_no_case_has_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = write_ball(tmp_path, 1) | {"map": {"7": 1}}
    assert command(write_config(tmp_path, data={"train": [row]}), tmp_path / "out") == 3
    errors = capsys.readouterr().err.splitlines()
    assert re.search(r"error: .*no case has class 1 \(Liver\)", errors[-1])


def test_a_file_that_holds_no_labels_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    row = write_ball(tmp_path, 1)
    assert command(write_config(tmp_path, data={"train": [row | {"labels": row["image"]}]}), tmp_path / "out") == 3
    assert "holds values that are no labels" in capsys.readouterr().err


def test_a_time_limit_says_that_the_result_cannot_be_repeated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(without_export(tmp_path), tmp_path / "out", "--steps", "100000", "--minutes", "0.01") == 0
    assert "it cannot be repeated" in capsys.readouterr().err
