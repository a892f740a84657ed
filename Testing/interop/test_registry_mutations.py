"""Damaged registry files through ``models check``: each is right, or refused in one line that names the file."""

import random
import shutil

import factories
import mutations
import pytest
from tools import nativedl


@pytest.fixture
def registry(tmp_path):
    """A registry of two right entries with their weights, to be damaged."""
    weights = factories.threshold_onnx(tmp_path / "bright.onnx", 1.5)
    right = {"weights": {"file": "bright.onnx", "sha256": factories.digest(weights)}}
    return factories.registry(tmp_path, factories.entry(**right), factories.entry(id="other", **right))


@pytest.fixture
def check(registry, capfd):
    """Run the command on the damaged registry and judge how it ends; return its exit code."""

    def run():
        code = nativedl("models", "check", registry)
        captured = capfd.readouterr()
        if code == 0:
            assert captured.err == ""
            assert "no errors" in captured.out
        else:
            assert code == 4, captured.err
            (line,) = captured.err.splitlines()
            assert line.startswith(f"nativedl: error: {registry}: ") or ": its weights " in line
            assert "this is a defect" not in line
            assert len(line) < 1000
        return code

    return run


def test_what_nobody_damaged_is_right(check):
    assert check() == 0


@mutations.seeds(40)
def test_flipped_bytes(registry, check, seed):
    registry.write_bytes(mutations.flip_bytes(registry.read_bytes(), random.Random(seed), start=0))

    check()


@mutations.seeds(8)
def test_a_truncated_file(registry, check, seed):
    registry.write_bytes(mutations.truncate(registry.read_bytes(), random.Random(seed)))

    assert check() == 4


@mutations.seeds(30)
def test_a_key_that_is_gone(registry, check, seed):
    mutations.change_json(registry, random.Random(seed), mutations.without)

    check()


@mutations.seeds(20)
def test_a_key_under_another_name(registry, check, seed):
    mutations.change_json(registry, random.Random(seed), mutations.renamed)

    check()


@mutations.seeds(100)
def test_a_value_of_another_kind(registry, check, seed):
    mutations.change_json(registry, random.Random(seed), mutations.replaced)

    check()


NO_JSON = ["NaN", "Infinity", "-Infinity", "1e999", "9" * 400, "9" * 5000, "'0.5'", "0x10"]


@pytest.mark.parametrize("value", mutations.these(NO_JSON, ["NaN"]))
def test_a_number_that_json_does_not_have(registry, check, value):
    registry.write_text(registry.read_text().replace('"default": 0.5', f'"default": {value}'))

    assert check() == 4


@pytest.mark.parametrize("depth", mutations.these([50, 200, 400, 800, 950, 2000, 100_000], [2000]))
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_deep_nesting(registry, check, depth, opening, closing):
    nested = opening * depth + "1" + closing * depth
    registry.write_text(registry.read_text().replace('"Bright block"', nested, 1))

    assert check() == 4


@pytest.mark.parametrize(
    ("encoding", "code"),
    [("utf-8", 0), ("utf-8-sig", 0), ("latin-1", 4), ("utf-16", 4), ("utf-16-le", 4), ("utf-32", 4), ("cp037", 4)],
)
def test_an_encoding(registry, check, encoding, code):
    registry.write_bytes(registry.read_text().replace("Tests.", "Prüfung.").encode(encoding))

    assert check() == code


@pytest.mark.parametrize("copy", ["id", '"schema_version"', "models"])
def test_duplicates(registry, check, copy):
    content = registry.read_text()
    same = {
        "id": content.replace('"other"', '"bright"'),
        '"schema_version"': content.replace("{", '{"schema_version": "1.0", ', 1),
        "models": content[:-1] + ', "models": []}',
    }
    registry.write_text(same[copy])

    assert check() == 4


def test_no_file(registry, check):
    registry.unlink()

    assert check() == 4


def test_a_folder(registry, check):
    registry.unlink()
    shutil.copytree(registry.parent, registry)

    assert check() == 4
