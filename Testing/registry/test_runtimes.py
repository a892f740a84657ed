"""The table of runtimes, and what it must agree with."""

import inspect
import json
import tomllib
from importlib.util import find_spec
from pkgutil import resolve_name

import pytest
from conftest import ROOT

from NativeDLLib.core.places import resources_folder
from NativeDLLib.inference.engine import load_engine
from NativeDLLib.registry.runtimes import RUNTIMES, Runtime


def test_the_schema_names_the_runtimes_of_the_table():
    schema = json.loads((resources_folder() / "registry.schema.json").read_text())

    assert schema["$defs"]["model"]["properties"]["runtime"]["enum"] == list(RUNTIMES)


@pytest.mark.parametrize("runtime", RUNTIMES.values(), ids=list(RUNTIMES))
def test_each_runtime_has_an_extra_modules_and_a_loader(runtime):
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]

    assert runtime.extra in extras
    if find_spec(runtime.module) is None:
        pytest.skip(f"{runtime.module} is not installed")
    assert all(find_spec(name) is not None for name in runtime.imports)
    loader = resolve_name(runtime.loader)
    names = [list(inspect.signature(function).parameters) for function in (loader, load_engine)]
    assert [len(found) for found in names] == [4, 4]
    assert names[0][3] == names[1][3] == "measure"


def test_a_runtime_that_is_not_installed_says_what_it_needs():
    assert Runtime("no_such_module", "none", (), "").problem == "needs no_such_module"
    assert Runtime("json", "none", (), "").problem == ""
