"""The sentences of the panel, made of what the commands really report."""

import subprocess

import pytest

from NativeDLLib.panel import wording as texts
from NativeDLLib.panel.requirements import Requirement

MODEL = {"problem": None, "fits": True, "reasons": ["CT as wanted", "BodyPartExamined is LIVER"], "expected": None}


def test_facts_are_a_table_without_those_that_are_empty():
    html = texts.facts_html({"Name": "Doe, Jane", "Sex": "", "Study": "Abdomen"})

    assert html.count("<tr>") == 2
    assert "<td>Doe, Jane</td>" in html
    assert "Sex" not in html


def test_where_nothing_is_known_there_is_no_table():
    assert texts.facts_html({"Name": "", "Sex": ""}) == ""


def test_what_a_header_says_is_never_html():
    html = texts.facts_html({"<b>": "<img src='http://x'> & \"co\"</td></tr></table>"})

    assert "<img" not in html
    assert "<b>" not in html
    assert "&lt;img src=&#x27;http://x&#x27;&gt; &amp; &quot;co&quot;&lt;/td&gt;" in html
    assert html.count("</table>") == 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Doe^Jane", "Doe, Jane"),
        ("Doe^Jane^^Dr.", "Doe, Jane, Dr."),
        ("Doe^Jane^Mary Ann^Dr.^MD", "Doe, Jane Mary Ann, Dr., MD"),
        ("Doe", "Doe"),
        (" Doe ^ Jane ", "Doe, Jane"),
        ("^Jane", "Jane"),
        ("Doe^^^^", "Doe"),
        ("^^^^", ""),
        ("", ""),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田, 太郎, やまだ, たろう)"),
        ("=山田^太郎", "山田, 太郎"),
        ("===", ""),
        ("a^b^c^d^e^f^g", "a, b c, d, e, f, g"),
    ],
)
def test_names_are_shown_as_slicer_shows_them(name, shown):
    assert texts.shown_name(name) == shown


def test_a_model_is_told_with_its_reasons_and_what_it_will_take():
    expected = {"seconds": 130.0, "peak_mib": 1536.0, "basis": "last run on this computer"}

    assert texts.model_text(MODEL | {"expected": expected}).splitlines() == [
        "Fits: CT as wanted; body part is LIVER",
        "Takes about 2 min and 1.5 GB of memory (last run on this computer)",
    ]


def test_memory_that_is_not_known_is_not_told():
    text = texts.model_text(MODEL | {"expected": {"seconds": 0.2, "peak_mib": None, "basis": "NVIDIA H200"}})

    assert text.endswith("\nTakes about 1 s (NVIDIA H200)")


def test_a_model_that_cannot_run_says_so_first():
    lines = texts.model_text(MODEL | {"problem": "needs nnunetv2", "fits": False}).splitlines()

    assert lines == [
        "Cannot run yet: needs nnunetv2",
        "May not fit: CT as wanted; body part is LIVER",
        "What it takes is known after its first run on this computer",
    ]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "1 s"), (1.4, "1 s"), (99, "99 s"), (100, "2 min"), (3599, "60 min"), (6000, "1.7 h"), (90_000, "25.0 h")],
)
def test_a_time_is_told_in_the_unit_in_which_people_say_it(seconds, text):
    assert texts.duration(seconds) == text


@pytest.mark.parametrize(
    ("kind", "event", "text"),
    [
        ("stage", {"stage": "load"}, "Loading the model…"),
        ("progress", {"stage": "infer", "fraction": 0.5, "remaining_s": 30.0}, "Segmenting: about 30 s left"),
        ("progress", {"stage": "infer", "fraction": 0.0, "remaining_s": None}, "Segmenting…"),
        ("progress", {"stage": "infer", "fraction": 1, "remaining_s": 0.0}, "Segmenting…"),
        ("stage", {"stage": "new stage"}, "new stage…"),
    ],
)
def test_progress_is_told_with_the_time_that_remains(kind, event, text):
    assert texts.progress_text(kind, event) == text


def test_the_outbox_is_told_with_its_peers_and_the_last_reason():
    entries = [{"peer": "B", "reason": "first"}, {"peer": "A", "reason": ""}, {"peer": "B", "reason": "no answer"}]

    assert texts.outbox_text([]) == "Nothing waits in the outbox."
    assert texts.outbox_text(entries) == "3 waiting for A, B: no answer"
    assert texts.outbox_text(entries[:2]) == "2 waiting for A, B"


def test_the_comment_of_a_pacs_reaches_the_physician_whole():
    reason = "the peer is out of resources (status 0xA700: disk full; call 1234 before sending again)"

    assert texts.outbox_text([{"peer": "PACS", "reason": reason}]) == f"1 waiting for PACS: {reason}"


def test_what_is_missing_is_told_with_purpose_and_size():
    missing = [
        Requirement("tqdm", "tqdm>=4", "about 0.1 MB", "progress in a terminal", False),
        Requirement("odd", "odd", "", "developing NativeDL", False),
    ]

    assert texts.missing_text(missing) == ("• tqdm (progress in a terminal, about 0.1 MB)\n• odd (developing NativeDL)")


def test_a_failed_installation_is_told_with_pips_last_lines():
    output = b"\n".join(b"line %d" % number for number in range(40)) + b"\nERROR: \xff no space left\n"
    text = texts.install_failure(subprocess.CalledProcessError(2, "pip", output))

    assert text.startswith("The installation failed (pip ended with 2); Slicer works as before. pip's last lines:\n")
    assert text.endswith("line 39\nERROR: \ufffd no space left")
    assert "line 28\n" not in text


def test_a_failed_installation_may_have_said_something_on_stderr_or_nothing():
    assert texts.install_failure(subprocess.CalledProcessError(1, "pip", "out", "err")).endswith(":\nerr")
    assert "Slicer's log" in texts.install_failure(subprocess.CalledProcessError(1, "pip"))


def test_without_the_pytorch_extension_that_is_what_to_install():
    assert '"PyTorch" in the Extensions Manager' in texts.install_failure(ModuleNotFoundError("PyTorchUtils"))


def test_an_inspection_tells_its_warnings_and_why_there_can_be_no_seg():
    assert texts.inspection_text({"no_seg_because": None, "warnings": []}) == ""
    assert texts.inspection_text({"no_seg_because": "It was moved.", "warnings": ["a", "b"]}) == (
        "The result cannot be stored as DICOM SEG. It was moved.\na\nb"
    )


@pytest.mark.parametrize(
    ("report", "pending", "reviewer", "hint"),
    [
        (None, [], "Doe", "Choose a result under Review first."),
        ({"no_seg_because": "It was moved."}, [], "Doe", "This result cannot be stored as DICOM SEG: It was moved."),
        ({"no_seg_because": None}, ["Liver", "L1"], "", "Accept or reject first: Liver, L1"),
        ({"no_seg_because": None}, [], " ", "Enter the name of the reviewer."),
        ({"no_seg_because": None}, [], "Doe", ""),
    ],
)
def test_what_stands_in_the_way_of_sending_is_told_one_at_a_time(report, pending, reviewer, hint):
    assert texts.send_hint(report, pending, False, reviewer) == hint


def test_of_an_empty_result_it_is_told_that_there_is_nothing_to_send():
    report = {"no_seg_because": None}

    assert "othing" in texts.send_hint(report, [], True, "Doe")


def test_the_help_says_that_it_is_not_for_clinical_use():
    assert "Not for clinical use" in texts.HELP
