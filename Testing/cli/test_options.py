import json

import pytest

from NativeDLLib.cli.options import read_configuration
from NativeDLLib.core.errors import UsageError


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    "content",
    [{}, {"model": "bright"}, {"model": "a", "device": "cpu", "segmentation": "LABELMAP", "parameters": {"step": 1}}],
)
def test_a_configuration_is_read_as_it_was_saved(tmp_path, content):
    assert read_configuration(write(tmp_path / "c.json", content)) == content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "must be an object with model, device, segmentation, parameters"),
        (None, "must be an object"),
        ({"modell": "a"}, "'modell' is not known; there are model, device, segmentation, parameters"),
        ({"x" * 1000: 1}, f"'{'x' * 64}' is not known"),
        ({"model": 3}, "model: must be text"),
        ({"device": None}, "device: must be text"),
        ({"parameters": []}, "parameters: must be an object"),
        ("{", "line 1 column 2"),
        ('{"model": "a", "model": "b"}', "the key 'model' is there twice"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path, content, message):
    path = write(tmp_path / "c.json", content)

    with pytest.raises(UsageError) as caught:
        read_configuration(path)

    assert str(caught.value).startswith(f"{path}: {message}")
    assert len(str(caught.value)) < 400


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=f"^{tmp_path / 'c.json'}: cannot be read"):
        read_configuration(tmp_path / "c.json")
