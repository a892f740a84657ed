"""Models that travel through a real PACS, as a user moves them."""

import json

import factories
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from servers import Storescp
from tools import nativedl

from NativeDLLib.demo.pacs_server import EmbeddedPacs
from NativeDLLib.models.iodeep.cache import newest
from NativeDLLib.models.iodeep.object_reader import read_model
from NativeDLLib.phantom.ct_series import write_ct_series
from NativeDLLib.phantom.torso import make_phantom
from NativeDLLib.registry import load_models, load_registry
from NativeDLLib.registry.load import pulled_registry


def voxels(folder):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "segmentation.nii.gz")))


def objects_of(orthanc):
    files = [path for path in (orthanc.folder / "storage").rglob("*") if path.is_file()]
    return [path for path in files if path.read_bytes()[128:132] == b"DICM"]


@pytest.mark.parametrize("model_id", ["liver-ct-demo", "vertebra-ct-demo"])
def test_a_bundled_model_comes_back_from_the_pacs_and_gives_the_same_voxels(tmp_path, run, orthanc, model_id):
    ct, _ = make_phantom(900_011, (96, 96, 40), (3.0, 3.0, 4.0))
    texts = {"patient_name": "A", "patient_id": "1", "study_description": "CT", "series_description": "CT"}
    write_ct_series(ct, tmp_path / "ct", **texts)
    job = ["run", "--input", tmp_path / "ct", "--model", model_id, "--device", "cpu", "--set", "step=1", "--output"]
    assert run(*job, tmp_path / "local")[0] == 0

    assert run("models", "push", model_id, "--to", "ORTHANC")[0] == 0
    assert orthanc.count() == 1
    assert f"{model_id}" in run("models", "list", "--from", "ORTHANC")[1]
    assert run("models", "pull", model_id, "--from", "ORTHANC", "--accept-unsigned")[0] == 0

    pulled = load_models()[model_id]
    assert pulled.registry == pulled_registry()
    assert run(*job, tmp_path / "pulled")[0] == 0
    expected = voxels(tmp_path / "local")
    assert expected.any()
    np.testing.assert_array_equal(voxels(tmp_path / "pulled"), expected)


def test_a_model_is_pulled_once_and_stored_once(tmp_path, run, orthanc, registry):
    assert run("models", "push", "bright", "--to", "ORTHANC", registry=registry)[0] == 0
    code, out, _ = run("models", "push", "bright", "--to", "ORTHANC", registry=registry)
    assert (code, "is there already" in out, orthanc.count()) == (0, True, 1)
    assert out.splitlines()[-1].startswith("ORTHANC: bright")
    pull = ["models", "pull", "--from", "ORTHANC", "--accept-unsigned"]
    assert "verified" in run(*pull)[1]
    for stored in objects_of(orthanc):  # what is fetched again now fails
        stored.write_bytes(b"")

    code, out, _ = run(*pull)

    assert (code, out) == (0, "bright 1.2.3: was here, accepted without a trusted signature\n")
    assert "here" in run("models", "list", "--from", "ORTHANC")[1]


def test_a_pulled_model_wins_over_the_bundled_and_the_sites_wins_over_it(run, registry, monkeypatch):
    entry = json.loads(registry.read_text())["models"][0] | {"id": "liver-ct-demo", "version": "9.0"}
    pushed = factories.registry(registry.parent, entry)
    assert run("models", "push", "liver-ct-demo", "--to", "ORTHANC", registry=pushed)[0] == 0

    assert run("models", "pull", "liver-ct-demo", "--from", "ORTHANC", "--accept-unsigned")[0] == 0

    assert load_models()["liver-ct-demo"].version == "9.0"
    site = factories.registry(registry.parent, entry | {"version": "9.1"})
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(site))
    assert load_models()["liver-ct-demo"].version == "9.1"


def test_the_newest_version_is_pulled_and_replaces_an_older_one(run, registry):
    entry = json.loads(registry.read_text())["models"][0]
    pull = ["models", "pull", "--from", "ORTHANC", "--accept-unsigned"]
    for version in ("1.9.0", "1.10.0", "1.2.0"):
        site = factories.registry(registry.parent, entry | {"version": version})
        assert run("models", "push", "bright", "--to", "ORTHANC", registry=site)[0] == 0
        if version == "1.9.0":
            assert run(*pull)[0] == 0

    assert run(*pull)[0] == 0

    (model,) = load_registry(pulled_registry())
    assert model.version == "1.10.0"
    folders = [path for path in pulled_registry().parent.iterdir() if path.is_dir()]
    assert len(folders) == 1


def test_the_model_for_a_series_is_chosen_with_its_reasons(tmp_path, run, registry):
    factories.ct_series(tmp_path / "series")
    assert run("models", "push", "bright", "--to", "ORTHANC", registry=registry)[0] == 0
    assert run("models", "push", "vertebra-ct-demo", "--to", "ORTHANC")[0] == 0

    code, out, _ = run(
        *("models", "pull", "bright", "vertebra-ct-demo", "--from", "ORTHANC"),
        *("--accept-unsigned", "--for", tmp_path / "series", "--events"),
    )

    assert code == 0
    chosen = json.loads(out.splitlines()[-1])["chosen"]
    assert chosen["id"] == "bright"
    assert "BodyPartExamined is ABDOMEN" in chosen["reasons"]
    reason = "CT as wanted; BodyPartExamined is ABDOMEN"
    assert chosen["others"] == [{"id": "vertebra-ct-demo", "reason": reason}]


@pytest.mark.parametrize(("older", "newer"), [("1.9", "1.10"), ("2.0rc1", "2.0"), ("nightly", "0.1"), ("1.0", "1.0.1")])
def test_versions_are_compared_as_versions(older, newer):
    assert newest(older) < newest(newer)


def test_a_model_that_the_peer_does_not_have_is_named(run):
    code, _, err = run("models", "pull", "nothing", "--from", "ORTHANC")

    assert (code, err.count("\n")) == (4, 1)
    assert "has no model 'nothing'; see: nativedl models list --from ORTHANC" in err


def test_images_of_the_same_pacs_are_not_taken_for_models(tmp_path, run, orthanc):
    factories.ct_series(tmp_path / "series")
    assert run("send", "ORTHANC", tmp_path / "series")[0] == 0

    assert run("models", "list", "--from", "ORTHANC")[1] == "ORTHANC has no model\n"


def test_a_model_is_pulled_through_dicomweb_too(run, registry):
    assert run("models", "push", "bright", "--to", "WEB", registry=registry)[0] == 0
    assert "is there already" in run("models", "push", "bright", "--to", "WEB", registry=registry)[1]

    assert run("models", "pull", "--from", "WEB", "--accept-unsigned")[0] == 0

    assert load_models()["bright"].registry == pulled_registry()


def test_a_second_copy_of_what_is_here_is_not_fetched(run, registry, erase):
    pull = ["models", "pull", "--from", "ORTHANC", "--accept-unsigned"]
    assert run("models", "push", "bright", "--to", "ORTHANC", registry=registry)[0] == 0
    assert run(*pull)[0] == 0
    erase()
    assert run("models", "push", "bright", "--to", "ORTHANC", registry=registry)[0] == 0

    assert "bright 1.2.3: was here" in run(*pull)[1]


def test_a_pulled_model_that_the_sites_registry_hides_is_told(run, registry):
    assert run("models", "push", "bright", "--to", "ORTHANC", registry=registry)[0] == 0

    _, _, err = run("models", "pull", "--from", "ORTHANC", "--accept-unsigned", registry=registry)

    assert f"bright is in {registry} too, which wins over what was pulled" in err


def test_the_embedded_pacs_keeps_models_too(tmp_path, registry, capsys):
    with EmbeddedPacs(tmp_path / "pacs") as pacs:
        peers = tmp_path / "pacs.json"
        peer = {"name": "OWN", "ae_title": pacs.ae_title, "host": "127.0.0.1", "port": pacs.port}
        peers.write_text(json.dumps({"peers": [peer]}))
        assert nativedl("models", "push", "bright", "--to", "OWN", "--pacs", peers, registry=registry) == 0

        assert nativedl("models", "pull", "--from", "OWN", "--accept-unsigned", "--pacs", peers) == 0

    assert load_models()["bright"].registry == pulled_registry()


def test_a_model_whose_architecture_is_json_travels_with_its_weights_and_runs(tmp_path, run, series):
    network = factories.threshold_module(1.5)
    weights = tmp_path / "bright.pt"
    torch.save({f"layers.0.{name}": value for name, value in network.state_dict().items()}, weights)
    architecture = {
        "schema_version": "1.0",
        "input_shape": [1, 16, 16, 16],
        "architecture": [{"type": "convolution", "filters": 2, "kernel_size": 1}],
    }
    file = {"file": weights.name, "sha256": factories.digest(weights)}
    site = factories.registry(tmp_path, factories.entry(runtime="torch", weights=file, architecture=architecture))
    job = ["run", "--input", series, "--model", "bright", "--device", "cpu", "--output"]
    assert run(*job, tmp_path / "local", registry=site)[0] == 0
    assert run("models", "push", "bright", "--to", "ORTHANC", registry=site)[0] == 0
    assert run("models", "pull", "--from", "ORTHANC", "--accept-unsigned")[0] == 0

    assert run(*job, tmp_path / "pulled")[0] == 0

    assert voxels(tmp_path / "local").any()
    np.testing.assert_array_equal(voxels(tmp_path / "pulled"), voxels(tmp_path / "local"))


def test_a_peer_that_only_stores_is_given_a_model(tmp_path, registry):
    with Storescp(tmp_path / "storescp") as server:
        peers = tmp_path / "pacs.json"
        peer = {"name": "STORE", "ae_title": server.ae_title, "host": "127.0.0.1", "port": server.port}
        peers.write_text(json.dumps({"peers": [peer]}))

        assert nativedl("models", "push", "bright", "--to", "STORE", "--pacs", peers, registry=registry) == 0

        assert read_model(server.files(), tmp_path / "read").model.id == "bright"
