import sys

import pytest

from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.core.jsonfile import check_schema, json_path, read_json
from NativeDLLib.registry import load_registry


def refusal(tmp_path, content):
    path = tmp_path / "file.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError) as caught:
        read_json(path, UsageError)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_utf_8_is_read_with_or_without_a_mark(tmp_path, mark):
    path = tmp_path / "file.json"
    path.write_bytes(mark + '{"name": "Ödem 肝"}'.encode())

    assert read_json(path, UsageError) == {"name": "Ödem 肝"}


def test_what_is_not_json_is_named_with_line_and_column(tmp_path):
    assert refusal(tmp_path, '{\n  "a": 1,\n}').startswith("line 3 column 1: ")


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("", "line 1 column 1"),
        ("Ö".encode("latin-1"), "is not UTF-8 text (byte 0)"),
        ('{"a": 1}'.encode("utf-16"), "is not UTF-8 text"),
        ('{"a": {"b": 1, "b": 2}}', "the key 'b' is there twice"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": -Infinity}', "-Infinity is not a JSON number"),
        ('{"a": 1e999}', "1e999 is too large a number"),
        ('{"a": ' + "9" * 400 + "}", "9999999999999999999999999999999999999999 is too large a number"),
        ('{"a": ' + "9" * 9000 + "}", "9999999999999999999999999999999999999999 is too large a number"),
        ('{"a": "\\ud800"}', "surrogates not allowed"),
        ("[" * 100_000 + "]" * 100_000, "recursion depth exceeded"),
    ],
)
def test_what_json_cannot_say_is_refused(tmp_path, content, wrong):
    assert wrong in refusal(tmp_path, content)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=f"^{tmp_path / 'none.json'}: cannot be read"):
        read_json(tmp_path / "none.json", UsageError)


def test_a_folder_is_not_read(tmp_path):
    with pytest.raises(UsageError, match=f"^{tmp_path}: cannot be read"):
        read_json(tmp_path, UsageError)


def test_a_file_of_absurd_size_is_not_read(tmp_path):
    path = tmp_path / "file.json"
    with path.open("wb") as stream:
        stream.truncate(17 * 2**20)

    with pytest.raises(UsageError, match="is larger than 16 MiB"):
        read_json(path, UsageError)


@pytest.mark.parametrize("depth", [100, 300, 600, 900])
def test_nesting_is_refused_at_every_depth(tmp_path, depth):
    """The parser, the schema and the message each have a depth of their own at which they give up."""
    path = tmp_path / "file.json"
    path.write_text('{"schema_version": "1.0", "models": ' + "[" * depth + "]" * depth + "}")

    with pytest.raises(ModelError) as caught:
        load_registry(path)

    assert str(caught.value).startswith(f"{path}: ")
    assert len(str(caught.value)) < 500


def test_a_place_names_the_entry_that_it_is_in():
    data = {"models": [{"id": "liver", "input": {"spacing": [1, 0]}}, {"name": "x" * 100}, 3]}

    assert json_path(data, ["models", 0, "input", "spacing", 1], "models") == "models[0] (liver).input.spacing[1]"
    assert json_path(data, ["models", 1], "models") == f"models[1] ({'x' * 64})"
    assert json_path(data, ["models", 2], "models") == "models[2]"
    assert json_path(data, [], "models") == "top level"


def test_a_check_that_lacks_its_package_says_which(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jsonschema.exceptions", None)

    with pytest.raises(UsageError) as caught:
        check_schema({}, "pacs.schema.json", tmp_path / "pacs.json", UsageError, "peers")

    wrong = "cannot be checked before the Python package jsonschema.exceptions is installed"
    assert str(caught.value) == f"{tmp_path / 'pacs.json'}: {wrong}"
