import hashlib

import factories
import pytest

from NativeDLLib.core.errors import ModelError
from NativeDLLib.registry import load_registry
from NativeDLLib.registry.weights import find_weights, models_folder, verified_weights

CONTENT = b"weights"
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def model(folder, **weights):
    (found,) = load_registry(factories.registry(folder, factories.entry(weights=weights)))
    return found


def nnunet(root, **weights):
    results = root / "results"
    for name in ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth", "fold_1/checkpoint_final.pth"):
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_bytes(CONTENT)
    entry = factories.entry(runtime="nnunetv2", weights={"folder": "results", **weights})
    (found,) = load_registry(factories.registry(root, entry))
    return found


def refusal(found):
    with pytest.raises(ModelError) as caught:
        verified_weights(found)
    assert str(caught.value).startswith("model bright: ")
    return str(caught.value)


def test_a_file_with_the_declared_digest_and_size_is_accepted(tmp_path):
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "a.onnx").write_bytes(CONTENT)

    found = verified_weights(model(tmp_path, file="w/a.onnx", sha256=SHA256, size=len(CONTENT)))

    assert found == (tmp_path / "w" / "a.onnx", SHA256)


def test_a_missing_file_is_named(tmp_path):
    assert refusal(model(tmp_path, file="a.onnx", sha256=SHA256)).endswith(f"{tmp_path / 'a.onnx'} are not there")


def test_a_folder_in_place_of_the_file_is_refused(tmp_path):
    (tmp_path / "a.onnx").mkdir()

    assert f"{tmp_path / 'a.onnx'} is not there" in refusal(model(tmp_path, file="a.onnx", sha256=SHA256))


def test_another_file_is_refused_by_its_digest(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"another")

    message = refusal(model(tmp_path, file="a.onnx", sha256=SHA256))

    assert f"{tmp_path / 'a.onnx'} is not the file that the registry means" in message
    assert f"instead of {SHA256[:12]}" in message


def test_another_file_is_refused_by_its_size(tmp_path):
    (tmp_path / "a.onnx").write_bytes(CONTENT)

    assert "has 7 bytes instead of 8" in refusal(model(tmp_path, file="a.onnx", sha256=SHA256, size=8))


def test_a_link_out_of_the_registrys_folder_is_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(CONTENT)
    folder = tmp_path / "site"
    found = model(folder, file="a.onnx", sha256=SHA256)
    (folder / "a.onnx").symlink_to(tmp_path / "secret")

    assert f"lead out of {folder}" in refusal(found)


def test_a_link_within_the_registrys_folder_is_followed(tmp_path):
    (tmp_path / "real.onnx").write_bytes(CONTENT)
    (tmp_path / "a.onnx").symlink_to(tmp_path / "real.onnx")

    assert verified_weights(model(tmp_path, file="a.onnx", sha256=SHA256))[1] == SHA256


def test_a_link_to_itself_is_refused(tmp_path):
    (tmp_path / "a.onnx").symlink_to(tmp_path / "a.onnx")

    assert "are not there" in refusal(model(tmp_path, file="a.onnx", sha256=SHA256))


def test_what_is_downloaded_lies_in_the_cache_of_models(tmp_path, monkeypatch):
    monkeypatch.setenv("NATIVEDL_MODELS", str(tmp_path / "cache"))
    found = model(tmp_path, file="a.onnx", sha256=SHA256, url="https://example.org/a.onnx")
    place = tmp_path / "cache" / "bright" / "a.onnx"

    message = refusal(found)
    place.parent.mkdir(parents=True)
    place.write_bytes(CONTENT)

    assert message == "model bright: its weights are to be fetched first"
    assert verified_weights(found) == (place, SHA256)


def test_the_cache_of_models_is_in_the_home_folder_where_nothing_else_is_said():
    assert models_folder().parts[-2:] == (".nativedl", "models")


def test_the_digest_of_a_results_folder_covers_plans_and_checkpoints(tmp_path):
    found = nnunet(tmp_path)

    path, before = verified_weights(found)
    (path / "notes.txt").write_text("not part of the model")
    same = verified_weights(found)[1]
    (path / "fold_1" / "checkpoint_final.pth").write_bytes(b"another")
    after = verified_weights(found)[1]

    assert path == tmp_path / "results"
    assert before == same != after


def test_declared_digests_of_a_results_folder_are_checked(tmp_path):
    assert verified_weights(nnunet(tmp_path, files={"plans.json": SHA256}))
    message = refusal(nnunet(tmp_path, files={"fold_0/checkpoint_final.pth": "0" * 64}))

    assert "fold_0/checkpoint_final.pth is not the file that the registry means" in message


def test_a_declared_file_that_is_missing_is_named(tmp_path):
    message = refusal(nnunet(tmp_path, files={"fold_4/checkpoint_final.pth": SHA256}))

    assert message.endswith("fold_4/checkpoint_final.pth is not there")


@pytest.mark.parametrize("name", ["plans.json", "dataset.json"])
def test_a_results_folder_without_its_plans_is_refused(tmp_path, name):
    found = nnunet(tmp_path)
    (tmp_path / "results" / name).unlink()

    assert refusal(found).endswith(f"{name} is not there")


def test_a_file_in_place_of_the_results_folder_is_refused(tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    found = nnunet(tmp_path, folder="file")

    assert refusal(found).endswith(f"{tmp_path / 'file'} is not a folder")


def test_a_checkpoint_that_links_out_of_the_results_folder_is_refused(tmp_path):
    found = nnunet(tmp_path)
    checkpoint = tmp_path / "results" / "fold_0" / "checkpoint_final.pth"
    checkpoint.unlink()
    (tmp_path / "secret").write_bytes(CONTENT)
    checkpoint.symlink_to(tmp_path / "secret")

    assert f"{checkpoint} leads out of {tmp_path / 'results'}" in refusal(found)


def test_weights_are_found_without_being_read(tmp_path):
    found = model(tmp_path, file="a.onnx", sha256=SHA256)
    (tmp_path / "a.onnx").write_bytes(b"another")

    assert find_weights(found) == tmp_path / "a.onnx"
    assert find_weights(nnunet(tmp_path / "nnunet")) == tmp_path / "nnunet" / "results"


def test_weights_that_are_not_there_are_said_to_be_missing_before_any_run(tmp_path):
    found = model(tmp_path, file="a.onnx", sha256=SHA256)

    with pytest.raises(ModelError, match=r"^model bright: its weights .*a\.onnx are not there$"):
        find_weights(found)
