"""Every command of the manual works, in the order in which a reader comes upon it."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pydicom
import pytest

from NativeDLLib.cli import main
from NativeDLLib.models.iodeep import elements
from Testing.docs import manual
from Testing.test_rooms import ROOMS

# Ports of the manual's servers, in whose place the tests take free ones.
PORTS = ("4242", "8042", "11112", "2762", "8043", "11113", "8080", "8443")
# Commands in ```text blocks, which are not run here: how they begin, and why.
NOT_RUN = {
    "git clone": "GitHub",
    "cd NativeDL": "the clone",
    "make demo": ".ci/run runs it",
    "make PIP_FLAGS=": "installs from PyTorch's index",
    "export PATH": "the clone",
    "pip install": "installs packages; Testing/extension and .ci/run install the project",
    "Slicer ": "no Slicer; Testing/slicer and Testing/extension run the module and NativeDLBatch.py",
    "cmake ": "no build of Slicer; Testing/extension configures and installs the extension with CMake",
    "sudo ": "the tests install Orthanc themselves",
    "nativedl models fetch": "GitHub; Testing/models fetches from a server of its own and from a file",
    "nativedl models remove totalsegmentator": "follows models fetch; Testing/models removes",
    "nativedl batch --database": "no Slicer database of the reader; Testing/batch runs it on one",
    "nativedl models pull --published": "a PACS with such a network; Testing/models/iodeep pulls one",
    "nativedl batch FOLDER -o cohort --scheduler": "several machines; Testing/batch/test_cluster.py",
    "dask scheduler": "several machines; Testing/batch/test_cluster.py",
    "CUDA_VISIBLE_DEVICES=": "several machines; Testing/batch/test_cluster.py",
    "*/5 * * * * nativedl outbox send --due": "a line of crontab; Testing/pacs runs the command",
    "make ": "a target of the Makefile, which runs these tests among others",
    ".ci/run": "runs these tests",
}
# Pages that take minutes.
LONG = ("models/nnunet.md", "training.md")


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory, real_data: Path) -> Iterator[manual.Reader]:
    """A reader whose own series are those of the manual."""
    home = tmp_path_factory.mktemp("reader")
    manual.copy_series(real_data / "upper_abdomen_ct_dicom", home / "ct")
    manual.copy_series(real_data / "upper_abdomen_ct_dicom", home / "cts" / "one")
    for file in sorted((real_data / "liver_spine_ct_dicom").glob("*.dcm")):
        if pydicom.dcmread(file, stop_before_pixels=True).Modality == "CT":
            (home / "cts" / "two").mkdir(exist_ok=True)
            (home / "cts" / "two" / file.name).write_bytes(file.read_bytes())
    nnunet_folder = pytest.importorskip("nnunet_folder")
    nnunet_folder.write(home / "nnUNet_results" / "Dataset901_Abdomen" / "nnUNetTrainer__nnUNetPlans__3d_fullres")
    with manual.reader(home, PORTS) as here:
        yield here


def _pages() -> list[object]:
    return [pytest.param(page, marks=pytest.mark.campaign) if page in LONG else page for page in manual.pages()]


@pytest.mark.slow
@pytest.mark.parametrize("page", _pages())
def test_the_commands_of_a_page_can_be_pasted(reader: manual.Reader, page: str) -> None:
    reader.read_to(page, LONG)


@pytest.mark.slow
def test_a_reader_has_the_results_that_the_manual_promises(reader: manual.Reader) -> None:
    reader.read_to("batch.md", LONG)
    home = reader.home
    assert json.loads((home / "demo" / "result" / "report.json").read_text())["outcome"] == "segmented"
    seg = pydicom.dcmread(home / "results" / "liver" / "segmentation.dcm")
    series = pydicom.dcmread(next((home / "ct").iterdir()), stop_before_pixels=True)
    assert seg.ReferencedSeriesSequence[0].SeriesInstanceUID == series.SeriesInstanceUID
    approved = json.loads((home / "results" / "liver-approved" / "approved.json").read_text())
    assert approved["sent"] == {"peer": "ORTHANC", "delivered": True}
    assert {path.name for path in (home / "results").iterdir()} >= {"bone", "bone-torch", "bone-weights"}
    lines = [json.loads(line) for line in (home / "cohort" / "manifest.jsonl").read_text().splitlines()]
    assert [line["state"] for line in lines].count("done") == 2


def test_commands_that_are_not_run_are_known_with_the_reason() -> None:
    shown = [
        (block.page, line)
        for page in manual.pages()
        for block in manual.blocks(page)
        if block.language == "text"
        for line in block.text.splitlines()
    ]
    assert [place for place in shown if not place[1].startswith(tuple(NOT_RUN))] == []
    assert [start for start in NOT_RUN if not any(line.startswith(start) for _, line in shown)] == []


def test_blocks_are_commands_that_run_commands_that_do_not_or_json() -> None:
    languages = {block.language for page in manual.pages() for block in manual.blocks(page)}
    assert languages <= {"bash", "text", "json"}


@pytest.mark.parametrize(
    "block",
    [block for page in manual.pages() for block in manual.blocks(page) if block.language == "json"],
    ids=lambda block: f"{block.page}:{block.line}",
)
def test_examples_of_files_are_json_and_what_their_schema_asks_for(block: manual.Block) -> None:
    content = json.loads(block.text)
    if block.title:
        schema = manual.ROOT / "Resources" / block.title.replace(".json", ".schema.json")
        jsonschema.validate(content, json.loads(schema.read_text()))


def test_every_option_that_the_manual_names_is_one_of_a_command() -> None:
    known = {string for parser in _parsers() for action in parser._actions for string in action.option_strings}
    unknown = [
        (page, option)
        for page in [*manual.pages(), "../README.md"]
        for code in re.findall(r"(?<!`)`(?:nativedl [^`]*|--[^`]*)`", (manual.MANUAL / page).read_text())
        for option in re.findall(r"(?<![\w-])--[a-z][a-z-]*", code)
        if option not in known
    ]
    assert unknown == []


def test_every_command_is_shown_in_the_manual() -> None:
    text = "\n".join((manual.MANUAL / page).read_text() for page in manual.pages())
    commands = [parser.prog for parser in _parsers() if parser.get_default("run") is not None]
    assert [command for command in commands if command not in text] == []


def test_the_rooms_of_the_manual_are_those_of_the_library_in_their_order() -> None:
    text = (manual.MANUAL / "developers.md").read_text()
    table = text[text.index("| room | holds |") : text.index("`NativeDL/` is the panel")]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert [name for row in rows for name in re.findall(r"`(\w+)/`", row)] == list(ROOMS)


def test_the_elements_of_a_model_in_the_pacs_are_those_that_are_written() -> None:
    text = (manual.MANUAL / "models-in-the-pacs.md").read_text()
    rows = re.findall(r"^\| 0017,xx([0-9A-F]{2}) \| (\w\w) \|", text, re.MULTILINE)
    assert {int(element, 16): vr for element, vr in rows} == elements.VRS


def _parsers() -> Iterator[argparse.ArgumentParser]:
    waiting = [main._parser(["--help"])]
    while waiting:
        parser = waiting.pop()
        yield parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                waiting += dict.fromkeys(action.choices.values())
