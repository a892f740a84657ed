"""``nativedl models add`` with answers in a file: what is added, what is refused, and that nothing is left then."""

import json
import shutil
import signal
import subprocess
import sys

import factories
import own_models
import pytest
from conftest import ROOT
from tools import nativedl

from NativeDLLib.core.errors import ModelError, NativeDLError, UsageError
from NativeDLLib.models.add.install import user_registry
from NativeDLLib.models.add.model_files import read_source
from NativeDLLib.registry import load_models, load_registry


@pytest.fixture
def network(tmp_path):
    return factories.threshold_onnx(tmp_path / "own.onnx", 150)


@pytest.fixture
def given(tmp_path):
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(own_models.answers()))
    return path


def test_without_a_terminal_all_that_is_missing_is_named_in_one_line(network, capsys):
    assert nativedl("models", "add", network) == 2

    message = capsys.readouterr().err
    assert "missing: title, license, intended_use, input.modality, input.body_parts, input.keywords" in message
    assert "input.orientation, input.spacing" in message
    assert "output.segments[0].name" in message
    assert "--answers" in message
    assert message.count("\n") == 1
    assert not user_registry().parent.exists()


def test_a_program_is_told_what_was_added(network, given, capsys):
    assert nativedl("models", "add", network, "--answers", given, "--id", "mine", "--events") == 0

    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["event"] == "result"
    assert result["model"]["id"] == "mine"
    assert result["registry"] == str(user_registry())
    assert any("10200004 SCT Liver" in line for line in result["found"])


def test_an_id_that_is_taken_is_refused_unless_it_is_replaced(tmp_path, network, given, capsys):
    add = ("models", "add", network, "--answers", given, "--id", "mine")
    assert nativedl(*add) == 0
    before = user_registry().read_bytes()
    capsys.readouterr()

    assert nativedl(*add) == 2
    assert f"there is a model 'mine' in {user_registry()}" in capsys.readouterr().err
    assert user_registry().read_bytes() == before
    factories.threshold_onnx(network, 100)
    assert nativedl(*add, "--replace") == 0

    assert len(load_registry(user_registry())) == 1
    assert len(list(user_registry().parent.glob("weights/mine/*"))) == 1
    assert nativedl("models", "check", user_registry()) == 0
    assert nativedl(*add, "--replace") == 0
    assert nativedl("models", "check", user_registry()) == 0


def test_a_bundled_model_is_not_overridden_by_accident(network, given, capsys):
    assert nativedl("models", "add", network, "--answers", given, "--id", "liver-ct-demo") == 2

    assert "--replace" in capsys.readouterr().err


def test_other_entries_stay_as_they_are(tmp_path, network, given):
    registry = factories.registry(tmp_path / "site")
    data = json.loads(registry.read_text()) | {"$schema": "registry.schema.json"}
    data["models"][0]["description"] = "Größe"
    registry.write_text(json.dumps(data))

    assert nativedl("models", "add", network, "--answers", given, "--registry", registry, registry=registry) == 0

    after = json.loads(registry.read_text(encoding="utf-8"))
    assert after["models"][:-1] == data["models"]
    assert after["$schema"] == data["$schema"]
    assert nativedl("models", "check", registry) == 0
    assert load_registry(registry)[1].weights.place.startswith("weights/own/")


def test_a_registry_that_is_not_in_force_is_said_to_be_so(tmp_path, network, given, capsys):
    assert nativedl("models", "add", network, "--answers", given, "--registry", tmp_path / "r.json") == 0

    assert "NATIVEDL_REGISTRY" in capsys.readouterr().err


def test_weights_below_the_registry_stay_where_they_are(tmp_path):
    path = factories.threshold_onnx(tmp_path / "own.onnx", 150)

    model = own_models.add_model(path, own_models.answers(), tmp_path / "registry.json")
    again = own_models.add_model(path, own_models.answers(version="2"), tmp_path / "registry.json", replace=True)

    assert model.weights.place == again.weights.place == "own.onnx"
    assert path.is_file()
    assert not (tmp_path / "weights").exists()


def test_a_damaged_registry_is_refused_before_any_question(network, given, capsys):
    user_registry().parent.mkdir()
    user_registry().write_text("{")

    assert nativedl("models", "add", network, "--answers", given) == 4
    assert f"{user_registry()}: line 1" in capsys.readouterr().err
    assert user_registry().read_text() == "{"


@pytest.mark.parametrize("model_id", ["../../escape", "a/b", "/etc", "UPPER", "\x1b[31m", "a" * 65])
def test_an_id_that_leads_out_of_the_folder_is_refused(network, given, model_id, capsys):
    assert nativedl("models", "add", network, "--answers", given, "--id", model_id) == 2

    assert "\x1b" not in capsys.readouterr().err
    assert not user_registry().parent.exists()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"id": ["x"]}, UsageError),
        ({"input": 5}, UsageError),
        ({"output": {"segments": 5}}, UsageError),
        ({"output": {"segments": [{"label": [1]}]}}, UsageError),
        ({"weights": {"file": "../../../etc/passwd"}}, UsageError),
        ({"card": "../card.md"}, ModelError),
        ({"title": "a\nb"}, ModelError),
        ({"surprise": 1}, ModelError),
        ({"sliding_window": 3}, UsageError),
    ],
)
def test_answers_that_make_no_entry_are_refused_and_leave_nothing(network, change, error):
    with pytest.raises(error):
        own_models.add_model(network, own_models.answers(**change))
    assert not user_registry().parent.exists()


def test_a_full_disk_is_noticed_before_copying(network, monkeypatch):
    full = shutil.disk_usage(network)._replace(free=10)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)

    with pytest.raises(NativeDLError, match="1 MiB are needed there and 0 MiB are free; make room") as caught:
        own_models.add_model(network, own_models.answers())
    assert "NATIVEDL_MODELS" not in caught.value.hint
    assert not list(user_registry().parent.rglob("*"))


def test_a_network_that_cannot_run_its_patch_leaves_nothing(tmp_path):
    import onnx

    path = factories.threshold_onnx(tmp_path / "own.onnx", 150)
    model = onnx.load(path)
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("strides", [2, 2, 2]))
    onnx.save(model, path)

    with pytest.raises(ModelError, match=f"^{path}: gives an output of shape"):
        own_models.add_model(path, own_models.answers())
    assert not list(user_registry().parent.rglob("*"))


def test_a_network_that_runs_on_nothing_and_not_on_an_image_leaves_nothing(tmp_path):
    import onnx

    path = factories.threshold_onnx(tmp_path / "own.onnx", 0)
    model = onnx.load(path)
    # The root of what is below the threshold is no number.
    model.graph.node.append(onnx.helper.make_node("Sqrt", ["logits"], ["root"]))
    model.graph.output[0].name = "root"
    onnx.save(model, path)

    with pytest.raises(ModelError, match=f"^{path}: gives values that are not finite"):
        own_models.add_model(path, own_models.answers())
    assert not list(user_registry().parent.rglob("*"))


def test_a_registry_that_cannot_be_written_keeps_the_weights_it_means(network, monkeypatch):
    own_models.add_model(network, own_models.answers())
    before = user_registry().read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("NativeDLLib.core.files.sync", full)
    with pytest.raises(OSError, match="No space left"):
        own_models.add_model(network, own_models.answers(version="2"), replace=True)

    assert user_registry().read_bytes() == before
    assert nativedl("models", "check", user_registry()) == 0


def test_a_code_whose_meaning_the_dictionary_does_not_share_is_pointed_out(tmp_path, network, capsys):
    wrong = {"value": "78961009", "scheme": "SCT", "meaning": "Liver"}
    changed = own_models.answers()
    changed["output"]["segments"][0] |= {"type": wrong, "category": wrong, "color": [1, 2, 3]}
    (tmp_path / "answers.json").write_text(json.dumps(changed))

    assert nativedl("models", "add", network, "--answers", tmp_path / "answers.json") == 0

    assert "liver: type 78961009 is 'Spleen' in DICOM's dictionary, 'Liver' here" in capsys.readouterr().err


def test_a_killed_copy_is_no_model(tmp_path, network, given):
    command = [sys.executable, "-m", "NativeDLLib", "models", "add", str(network), "--answers", str(given), "--events"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if json.loads(line).get("stage") == "try":
                process.send_signal(signal.SIGKILL)
                break

    assert "own" not in load_models()
    assert own_models.add_model(network, own_models.answers()).id == "own"


def test_options_that_do_not_belong_to_the_source_are_refused(tmp_path, network):
    with pytest.raises(UsageError, match="only a results folder of nnU-Net has folds"):
        read_source(network, folds=["0"])
    with pytest.raises(UsageError, match="only a file of weights has an architecture"):
        read_source(tmp_path, architecture=network)
    with pytest.raises(UsageError, match="is not there"):
        read_source(tmp_path / "nothing")
