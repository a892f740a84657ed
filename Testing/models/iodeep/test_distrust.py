"""Models in a PACS that are unsigned, damaged, hostile or not what they are listed as."""

import json
from pathlib import Path

import factories
import pytest
import torch
from model_objects import Hostile
from pydicom import dcmread

from NativeDLLib.models.iodeep.object_writer import write_model
from NativeDLLib.registry import load_models
from NativeDLLib.registry.load import pulled_registry


def trust(public):
    folder = Path.home() / ".nativedl" / "trusted_keys"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / public.name).write_bytes(public.read_bytes())


def objects_of(orthanc):
    files = [path for path in (orthanc.folder / "storage").rglob("*") if path.is_file()]
    return [path for path in files if path.read_bytes()[128:132] == b"DICM"]


def flip_weights_in(orthanc, marker):
    """Change one byte in the middle of the weights, in the PACS's own storage."""
    (path,) = objects_of(orthanc)
    content = path.read_bytes()
    place = content.index(marker) + len(marker) // 2
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])


def test_without_consent_an_unsigned_model_does_not_come_into_force(run, registry):
    assert run("models", "push", "bright", "--to", "ORTHANC", registry=registry)[0] == 0

    code, out, err = run("models", "pull", "--from", "ORTHANC")

    assert (code, out, err.count("\n")) == (4, "", 1)
    assert "model bright 1.2.3 is not signed; trusted keys are in" in err
    assert "pull it with --accept-unsigned" in err
    assert "bright" not in load_models()
    assert not list(pulled_registry().parent.iterdir())


def test_a_signed_model_needs_no_consent_once_its_signer_is_trusted(run, registry, keys):
    private, public = keys("clinic")
    assert run("models", "push", "bright", "--to", "ORTHANC", "--sign", private, registry=registry)[0] == 0
    code, _, err = run("models", "pull", "--from", "ORTHANC")
    assert (code, "is signed by a key that you do not trust" in err) == (4, True)

    trust(public)

    assert run("models", "pull", "--from", "ORTHANC")[1] == "bright 1.2.3: verified, signed by clinic\n"


def test_of_a_signed_and_an_unsigned_copy_the_trusted_one_is_taken(run, registry, keys, orthanc):
    private, public = keys()
    trust(public)
    assert run("models", "push", "bright", "--to", "ORTHANC", "--sign", private, registry=registry)[0] == 0
    assert run("models", "push", "bright", "--to", "ORTHANC", registry=registry)[0] == 0
    assert orthanc.count() == 2

    assert run("models", "pull", "--from", "ORTHANC")[1] == "bright 1.2.3: verified, signed by signer\n"


def test_a_byte_that_changed_in_the_pacs_is_noticed(run, registry, orthanc):
    assert run("models", "push", "bright", "--to", "ORTHANC", registry=registry)[0] == 0
    flip_weights_in(orthanc, (registry.parent / "bright.onnx").read_bytes()[40:80])

    code, _, err = run("models", "pull", "--from", "ORTHANC", "--accept-unsigned")

    assert (code, err.count("\n")) == (4, 1)
    assert "is damaged: its weights are not those that its digest means" in err
    assert not pulled_registry().exists()


def test_a_pulled_model_with_a_hostile_pickle_is_refused_and_its_payload_does_not_run(tmp_path, run):
    trace, weights = tmp_path / "trace", tmp_path / "evil.pt"
    torch.save({"weight": Hostile(trace)}, weights)
    entry = factories.entry(runtime="torch", weights={"file": weights.name, "sha256": factories.digest(weights)})
    factories.ct_series(tmp_path / "series")
    assert run("models", "push", "bright", "--to", "ORTHANC", registry=factories.registry(tmp_path, entry))[0] == 0
    assert run("models", "pull", "--from", "ORTHANC", "--accept-unsigned")[0] == 0

    code, _, err = run("run", "--input", tmp_path / "series", "--model", "bright", "--output", tmp_path / "out")

    assert (code, trace.exists()) == (4, False)
    assert "Traceback" not in err
    torch.load(weights, weights_only=False)  # the payload is real
    assert trace.exists()


@pytest.mark.parametrize("content", ["[]", "{", '{"1.2": {}}', '{"1.2": 3}'])
def test_a_damaged_index_of_the_cache_is_told_in_one_line(run, registry, content):
    pull = ["models", "pull", "--from", "ORTHANC", "--accept-unsigned"]
    assert run("models", "push", "bright", "--to", "ORTHANC", registry=registry)[0] == 0
    assert run(*pull)[0] == 0
    index = pulled_registry().with_name("objects.json")
    index.write_text(content)

    code, _, err = run(*pull)

    assert (code, err.count("\n")) == (4, 1)
    assert f"{index}: is damaged" in err
    index.unlink()
    assert run(*pull)[0] == 0


def test_an_object_that_is_listed_as_another_model_is_refused(tmp_path, run, model, upload):
    (path,) = write_model(model, tmp_path / "objects")
    dataset = dcmread(path)
    dataset.SeriesDescription = "liver-ct-demo"
    dataset.save_as(path)
    upload(path)

    code, _, err = run("models", "pull", "liver-ct-demo", "--from", "ORTHANC", "--accept-unsigned")

    assert (code, err.count("\n")) == (4, 1)
    assert "lists liver-ct-demo 1.2.3, but holds bright 1.2.3 there" in err
    assert not pulled_registry().exists()


def test_of_a_damaged_and_a_whole_copy_the_whole_one_is_taken(tmp_path, run, model, upload, registry):
    assert run("models", "push", "bright", "--to", "ORTHANC", registry=registry)[0] == 0
    files = write_model(model, tmp_path / "objects", chunk_size=40)
    upload(files[0])  # the later copy, without its other fragments

    assert run("models", "pull", "--from", "ORTHANC", "--accept-unsigned")[0] == 0
    assert load_models()["bright"].registry == pulled_registry()


PULL = ("models", "pull", "--from", "ORTHANC", "--accept-unsigned")
BY_NAME = ("models", "pull", "bright", "--from", "ORTHANC", "--accept-unsigned")


@pytest.fixture
def push(run, registry, keys):
    """Store a version of a model, signed by a trusted key of a name where one is given."""

    def store(version, signer=None, model_id="bright"):
        entry = json.loads(registry.read_text())["models"][0] | {"id": model_id, "version": version}
        sign = ()
        if signer:
            private, public = keys(signer)
            trust(public)
            sign = ("--sign", private)
        site = factories.registry(registry.parent, entry)
        assert run("models", "push", model_id, "--to", "ORTHANC", *sign, registry=site)[0] == 0

    return store


SUCCESSORS = {
    "older": (("1.0.0", "clinic"), "is older than version 2.0.0, which is here"),
    "unsigned": (("999.0.0", None), "is signed by nobody whom you trust, while this id was signed by clinic"),
    "of another signer": (("3.0.0", "other"), "is signed by other, while this id was signed by clinic"),
    "older and unsigned": (("1.0.0", None), "which is here and is signed by nobody"),
}


@pytest.mark.parametrize("kind", SUCCESSORS)
def test_what_may_not_follow_a_signed_model_does_so_only_by_name(run, push, erase, kind):
    (version, signer), reason = SUCCESSORS[kind]
    push("2.0.0", "clinic")
    assert run(*PULL)[0] == 0
    erase()
    push(version, signer)

    code, _, err = run(*PULL)

    assert (code, reason in err) == (4, True)
    assert load_models()["bright"].version == "2.0.0"
    code, _, err = run(*BY_NAME)
    assert (code, reason in err) == (0, True)
    assert load_models()["bright"].version == version


@pytest.mark.parametrize("command", [PULL[:-1], BY_NAME[:-1]])
def test_a_newest_version_that_cannot_be_used_is_passed_over_with_a_warning(run, push, command):
    push("1.0.0", "clinic")
    push("999.0.0")

    code, out, err = run(*command)

    assert (code, out) == (0, "bright 1.0.0: verified, signed by clinic\n")
    assert "bright 1.0.0 is used instead" in err


def test_a_bundled_models_id_is_taken_by_name_only(run, push):
    push("999.0.0", "clinic", "liver-ct-demo")

    code, _, err = run(*PULL)

    assert (code, "has the id of a model that comes with this program" in err) == (4, True)
    assert load_models()["liver-ct-demo"].version != "999.0.0"
