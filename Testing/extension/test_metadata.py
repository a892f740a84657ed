"""What the extension says of itself in the extensions index and in the extension manager."""

import json

import numpy as np
import pytest
from draw_icon import draw
from installed import ROOT
from jsonschema import Draft7Validator
from PIL import Image

RAW = "https://raw.githubusercontent.com/nativedl/NativeDL/main/"
# The keys of version 1.0.2 of Slicer's schema of catalog entries.
ENTRY = {
    "type": "object",
    "required": ["$schema", "category", "scm_url"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"const": "https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/"
                             "slicer-extension-catalog-entry-schema-v1.0.2.json#"},
        "category": {"type": "string", "minLength": 1},
        "scm_url": {"type": "string", "pattern": "^https://"},
        "scm_revision": {"type": "string"},
        "scm_type": {"enum": ["git", "local"]},
        "build_dependencies": {"type": "array", "items": {"type": "string"}},
        "dicom_support_rule": {"type": "string"},
        "build_subdirectory": {"type": "string"},
        "enabled": {"type": "boolean"},
        "tier": {"type": "integer", "minimum": 1, "maximum": 5},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def entry():
    return json.loads((ROOT / "NativeDL.json").read_text())


@pytest.fixture(scope="module")
def description(prefix):
    lines = (prefix / "share" / "Slicer-5.12" / "NativeDL.s4ext").read_text().splitlines()
    return dict(line.split(" ", 1) for line in lines)


def test_the_index_entry_is_of_slicers_schema(entry):
    assert [error.message for error in Draft7Validator(ENTRY).iter_errors(entry)] == []


def test_the_extension_is_called_as_its_index_entry_and_not_slicer_something():
    (name,) = (path.stem for path in ROOT.glob("*.json"))

    assert f"project({name})" in (ROOT / "CMakeLists.txt").read_text()
    assert not name.startswith("Slicer")


def test_what_is_built_on_is_the_same_in_index_and_manager(entry, description):
    assert entry["build_dependencies"] == ["PyTorch"]
    assert description["depends"].split() == entry["build_dependencies"]
    assert entry["scm_url"] == description["homepage"] + ".git"


@pytest.mark.parametrize("key", ["iconurl", "screenshoturls"])
def test_pictures_in_the_manager_are_files_of_the_repository(description, key):
    for url in description[key].split():
        assert (ROOT / url.removeprefix(RAW)).is_file(), url


def test_the_icon_is_what_its_script_draws():
    with Image.open(ROOT / "Resources" / "Icons" / "NativeDL.png") as icon:
        assert (icon.format, icon.mode, icon.size) == ("PNG", "RGBA", (128, 128))
        difference = np.abs(np.asarray(icon, int) - np.asarray(draw(), int))

    # Another version of Pillow may round edges otherwise.
    assert difference.mean() < 0.5


@pytest.mark.parametrize("size", [16, 24])
def test_liver_and_vertebra_are_told_apart_in_a_toolbar(size):
    small = np.asarray(draw().resize((size, size), Image.Resampling.LANCZOS).convert("RGB"), float)
    red, blue = small[..., 0], small[..., 2]

    assert (red > blue + 60).sum() >= size
    assert ((blue > 180) & (red < blue)).sum() >= size / 2
    assert np.asarray(draw())[[0, 0, -1, -1], [0, -1, 0, -1], 3].tolist() == [0, 0, 0, 0]
