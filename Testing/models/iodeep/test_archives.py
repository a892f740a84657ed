"""nnU-Net results folders that travel as an archive, and archives that would do harm."""

import io
import tarfile

import factories
import pytest

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import sha256
from NativeDLLib.models.iodeep.elements import unpack
from NativeDLLib.models.iodeep.object_reader import read_model
from NativeDLLib.models.iodeep.object_writer import write_model
from NativeDLLib.registry import load_registry
from NativeDLLib.registry.weights import verified_weights

NAMES = ("plans.json", "dataset.json", "fold_0/checkpoint_final.pth", "fold_1/checkpoint_final.pth")


@pytest.fixture
def nnunet(tmp_path):
    root = tmp_path / "nnunet" / "Dataset291_part1"
    for name in NAMES:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"content of {name}")
    (root / "notes.txt").write_text("not part of the model")
    entry = factories.entry(runtime="nnunetv2", weights={"folder": root.name, "folds": [0, "all"]})
    (model,) = load_registry(factories.registry(root.parent, entry))
    return model


def archive(path, *members):
    """Write an archive of members: a name with the text of a file, or with another type of member."""
    with tarfile.open(path, "w") as target:
        for name, content in members:
            member = tarfile.TarInfo(name)
            if isinstance(content, str):
                member.size = len(content)
                target.addfile(member, io.BytesIO(content.encode()))
            else:
                member.type, member.linkname = content, "/etc/passwd"
                target.addfile(member)
    return path


def test_a_results_folder_is_read_back_with_its_folds_and_nothing_else(nnunet, tmp_path):
    received = read_model(write_model(nnunet, tmp_path / "objects", chunk_size=1000), tmp_path / "read")

    folder, digest = verified_weights(received.model)
    assert sorted(str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()) == sorted(NAMES)
    assert digest == verified_weights(nnunet)[1]
    assert received.model.weights.folds == (0, "all")


def test_the_same_folder_has_the_same_digest_wherever_it_lies(nnunet, tmp_path):
    (nnunet.registry.parent / "Dataset291_part1" / "plans.json").touch()
    first, second = (read_model(write_model(nnunet, tmp_path / n), tmp_path / f"read{n}") for n in "ab")

    assert first.digest == second.digest


def test_a_file_that_is_changed_after_it_was_pulled_is_noticed(nnunet, tmp_path):
    received = read_model(write_model(nnunet, tmp_path / "objects"), tmp_path / "read")
    folder, _ = verified_weights(received.model)
    (folder / "fold_1" / "checkpoint_final.pth").write_text("another")

    with pytest.raises(ModelError, match="is not the file that the registry means"):
        verified_weights(received.model)


@pytest.mark.parametrize(
    "member",
    [
        ("../evil", "x"),
        ("/tmp/evil", "x"),
        ("a/../../evil", "x"),
        (".hidden", "x"),
        ("C:evil", "x"),
        ("a\\evil", "x"),
        ("link", tarfile.SYMTYPE),
        ("hard", tarfile.LNKTYPE),
        ("device", tarfile.CHRTYPE),
        ("fifo", tarfile.FIFOTYPE),
        ("folder", tarfile.DIRTYPE),
        ("undeclared", "x"),
    ],
    ids=lambda member: member[0],
)
def test_a_member_that_is_no_plain_declared_file_is_refused(tmp_path, member):
    declared = {member[0]: "0" * 64} if member[0] != "undeclared" else {}
    (tmp_path / "deep" / "er").mkdir(parents=True)

    with pytest.raises(ModelError, match="which its entry does not name"):
        unpack(archive(tmp_path / "a.tar", member), tmp_path / "deep" / "er", declared, "model x")

    assert not list(tmp_path.rglob("evil"))
    assert not list((tmp_path / "deep" / "er").iterdir())


def test_a_member_that_is_there_twice_is_refused(tmp_path):
    path = archive(tmp_path / "a.tar", ("a", "1"), ("a", "2"))

    with pytest.raises(ModelError, match="'a' in its archive is there twice"):
        unpack(path, tmp_path / "new", {"a": "0" * 64}, "model x")


def test_a_declared_file_must_be_there_and_be_the_one(tmp_path):
    path = archive(tmp_path / "a.tar", ("a", "1"))

    with pytest.raises(ModelError, match="b in its archive is not the file that its entry declares"):
        unpack(path, tmp_path / "first", {"a": sha256_of(b"1", tmp_path), "b": "0" * 64}, "model x")
    with pytest.raises(ModelError, match="a in its archive is not the file that its entry declares"):
        unpack(path, tmp_path / "second", {"a": "0" * 64}, "model x")


def test_what_is_no_archive_is_refused(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"x" * 2000)

    with pytest.raises(ModelError, match="cannot be unpacked"):
        unpack(tmp_path / "a.tar", tmp_path / "new", {}, "model x")


def sha256_of(content, folder):
    (folder / "content").write_bytes(content)
    return sha256(folder / "content")
