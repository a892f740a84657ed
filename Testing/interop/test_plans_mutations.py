"""Damaged results folders of nnU-Net through ``models add``: what is added runs, and what is not has its reason."""

import json
import random
import shutil

import factories
import mutations
import own_models
import pytest
from trials import trials

pytest.importorskip("nnunetv2")
import nnunet_folder

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server():
    with trials("torch", "nnunetv2", "NativeDLLib.inference.nnunet") as server:
        yield server


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A results folder, the answers that it needs, and a series."""
    folder = tmp_path_factory.mktemp("original")
    nnunet_folder.write(folder / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    own_models.written(folder / "answers.json", own_models.TWO_LABELS | {"id": "damaged"})
    factories.ct_series(folder / "series")
    return folder


@pytest.fixture
def outcome(server, original, tmp_path):
    """Add the damaged folder, run what was added, and judge both; return whether it was added."""
    results = shutil.copytree(
        original / "nnUNetTrainer__nnUNetPlans__3d_fullres", tmp_path / "nnUNetTrainer__nnUNetPlans__3d_fullres"
    )
    output = tmp_path / "output"

    def do(*words):
        trial = server.run(tmp_path, output, words)
        assert "Traceback" not in trial.told
        assert trial.strays == []
        assert trial.code in (0, 2, 3, 4), trial.reader.error
        if trial.code:
            assert "\n" not in trial.reader.error
            assert "this is a defect" not in trial.reader.error
            assert len(trial.reader.error) < 1000
        return trial.code

    def run():
        if do("models", "add", results, "--answers", original / "answers.json"):
            assert not list((tmp_path / "home" / ".nativedl").glob("*.json"))
            return False
        words = ("run", "--input", original / "series", "--model", "damaged", "--device", "cpu", "--keep-empty")
        assert do(*words, "--output", output) == 0
        return True

    return run, results


def test_what_nobody_damaged_is_added_and_runs(outcome):
    assert outcome[0]()


FILES = pytest.mark.parametrize("name", ["plans.json", "dataset.json"])


@FILES
@mutations.seeds(15)
@pytest.mark.parametrize("change", [mutations.without, mutations.renamed], ids=["gone", "renamed"])
def test_a_key_that_is_gone_or_has_another_name(outcome, name, change, seed):
    run, results = outcome
    mutations.change_json(results / name, random.Random(seed), change)

    run()


@FILES
@mutations.seeds(40)
def test_a_value_of_another_kind(outcome, name, seed):
    run, results = outcome
    mutations.change_json(results / name, random.Random(seed), mutations.replaced)

    run()


@FILES
@mutations.seeds(30)
def test_flipped_bytes(outcome, name, seed):
    run, results = outcome
    content = (results / name).read_bytes()
    (results / name).write_bytes(mutations.flip_bytes(content, random.Random(seed), start=0))

    run()


@mutations.seeds(20)
def test_flipped_bytes_of_the_weights(outcome, seed):
    run, results = outcome
    file = results / "fold_0" / "checkpoint_final.pth"
    file.write_bytes(mutations.flip_bytes(file.read_bytes(), random.Random(seed), start=0))

    run()


@FILES
def test_a_number_beyond_numbers(outcome, name):
    run, results = outcome
    data = json.loads((results / name).read_text())
    data["numTraining" if name == "dataset.json" else "original_median_spacing_after_transp"] = 10**400
    (results / name).write_text(json.dumps(data))

    run()
