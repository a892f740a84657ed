"""What came is not what it should be: it is refused and not kept, at once or when it is changed later."""

import io
import shutil
import zipfile

import pytest
from remote_model import RESULTS, digest_of, fetch, left, model_of, packed
from tools import nativedl

from NativeDLLib.core.errors import ModelError
from NativeDLLib.registry.weights import verified_weights

torch = pytest.importorskip("torch")
pytest.importorskip("nnunetv2")
import nnunet_folder  # noqa: E402  (imports nnunetv2)


def test_a_digest_in_the_registry_needs_no_question(known, site, cache):
    fetch(known(sha256=digest_of(site.content), size=len(site.content)))

    assert (cache / "remote").is_dir()


def test_another_file_than_the_registrys_is_refused_and_not_kept(known, cache, capsys):
    error = fetch(known(sha256="0" * 64), "--yes", code=4, capsys=capsys)

    assert "is not the file that the registry says" in error
    assert left(cache) == []


def test_another_file_than_the_first_time_is_refused_even_with_consent(registry, site, cache, tmp_path, capsys):
    fetch(registry, "--yes")
    nativedl("models", "remove", "remote", registry=registry)
    nnunet_folder.write(tmp_path / "other" / RESULTS, mirror_axes=None)
    site.content, site.tag = packed(tmp_path / "other"), '"two"'

    assert "is not the file that was recorded the first time" in fetch(registry, "--yes", code=4, capsys=capsys)
    assert left(cache) == ["_locks/remote.json"]

    nativedl("models", "remove", "remote", "--forget", registry=registry)
    fetch(registry, "--yes")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: shutil.move(f / RESULTS, f / "elsewhere"), f"what was fetched holds no {RESULTS}"),
        (lambda f: (f / RESULTS / "plans.json").unlink(), "plans.json is not there"),
        (lambda f: (f / RESULTS / "fold_0" / "checkpoint_final.pth").write_bytes(b"x"), "checkpoint_final.pth: "),
        (lambda f: rename_label(f / RESULTS / "dataset.json"), "its label 1 is not 'liver', as model remote has it"),
    ],
)
def test_what_cannot_run_is_not_installed(registry, site, tmp_path, cache, spoil, message, capsys):
    nnunet_folder.write(tmp_path / "bad" / RESULTS)
    spoil(tmp_path / "bad")
    site.content = packed(tmp_path / "bad")

    assert message in fetch(registry, "--yes", code=4, capsys=capsys)
    assert left(cache) == []


def rename_label(path):
    path.write_text(path.read_text().replace('"liver"', '"spleen"'))


def test_a_checkpoint_with_a_pickle_is_neither_executed_nor_installed(registry, site, tmp_path, cache, capsys):
    nnunet_folder.write(tmp_path / "bad" / RESULTS)

    class Exploit:
        def __reduce__(self):
            return (open, (str(tmp_path / "executed"), "w"))

    torch.save({"network_weights": Exploit()}, tmp_path / "bad" / RESULTS / "fold_0" / "checkpoint_final.pth")
    site.content = packed(tmp_path / "bad")

    assert "more than tensors and plain values" in fetch(registry, "--yes", code=4, capsys=capsys)
    assert not (tmp_path / "executed").exists()
    assert left(cache) == []


def test_a_hostile_archive_leaves_nothing(registry, site, tmp_path, cache, capsys):
    content = io.BytesIO(site.content)
    with zipfile.ZipFile(content, "a") as target:
        target.writestr("../../outside", b"x")
    site.content = content.getvalue()

    assert "could lead out of its folder" in fetch(registry, "--yes", code=4, capsys=capsys)
    assert left(cache) == []
    assert not list(tmp_path.rglob("outside"))


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda f: (f / "fold_0" / "checkpoint_final.pth").write_bytes(b"x"), "fold_0/checkpoint_final.pth"),
        (lambda f: (f / "plans.json").write_text("{}"), "plans.json"),
        (lambda f: shutil.copytree(f / "fold_0", f / "fold_1"), "fold_1/checkpoint_final.pth"),
        (lambda f: shutil.rmtree(f / "fold_0"), "fold_0/checkpoint_final.pth"),
    ],
)
def test_what_is_changed_later_is_noticed_before_it_runs_and_fetched_again(registry, cache, change, name):
    fetch(registry, "--yes")
    model = model_of(registry)
    change(cache / "remote" / RESULTS)

    with pytest.raises(ModelError, match=f"{name} is not what was fetched") as caught:
        verified_weights(model)
    assert caught.value.hint == "fetch them with: nativedl models fetch remote"

    fetch(registry)
    assert verified_weights(model)


def test_a_folder_that_nobody_fetched_is_not_run(registry, cache):
    nnunet_folder.write(cache / "remote" / RESULTS)

    with pytest.raises(ModelError, match="no record of what was fetched into") as caught:
        verified_weights(model_of(registry))
    assert caught.value.hint == "fetch them with: nativedl models fetch remote"


def test_weights_of_an_address_that_the_registry_no_longer_names_are_not_run(registry, known, site):
    fetch(registry, "--yes")

    with pytest.raises(ModelError, match=f"was fetched from {site.address}/model.zip, which the registry no longer"):
        verified_weights(model_of(known(url=f"{site.address}/newer.zip")))


def test_a_damaged_lock_file_is_named(registry, cache):
    fetch(registry, "--yes")
    (cache / "_locks" / "remote.json").write_text('{"url": 3}')

    with pytest.raises(ModelError, match=r"remote\.json: is damaged") as caught:
        verified_weights(model_of(registry))
    assert "nativedl models remove remote --forget" in caught.value.hint
