"""``nativedl models add`` on a terminal: its questions, wrong answers, and ending in between."""

import os
import select
import signal
import subprocess
import sys
import time

import factories
import pytest
from conftest import ROOT

from NativeDLLib.models.add.install import user_registry
from NativeDLLib.registry import load_models

pty = pytest.importorskip("pty")

DEADLINE_S = 120


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, *arguments):
        self._master, slave = pty.openpty()
        command = [sys.executable, "-m", "NativeDLLib", *map(str, arguments)]
        # A session of its own, so that Ctrl-C on this terminal reaches this command and nothing else.
        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(slave)
        self.shown = ""
        self._read = 0

    def wait_for(self, text):
        deadline = time.monotonic() + DEADLINE_S
        while text not in self.shown[self._read :]:
            remaining = deadline - time.monotonic()
            assert remaining > 0, f"no '{text}' in: {self.shown}"
            if select.select([self._master], [], [], remaining)[0]:
                self.shown += self._chunk()
        self._read = self.shown.index(text, self._read) + len(text)

    def answer(self, question, text):
        self.wait_for(question)
        self.wait_for(": ")
        os.write(self._master, f"{text}\n".encode())

    def press(self, key):
        os.write(self._master, key)

    def ends(self):
        deadline = time.monotonic() + DEADLINE_S
        try:
            while select.select([self._master], [], [], deadline - time.monotonic())[0] and (chunk := self._chunk()):
                self.shown += chunk
        finally:
            os.close(self._master)
        return self.process.wait(max(1.0, deadline - time.monotonic()))

    def _chunk(self):
        try:
            return os.read(self._master, 4096).decode(errors="replace")
        # What Linux says when the other side of a terminal is closed.
        except OSError:
            return ""


def _take_terminal():
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it, and would hand that down


@pytest.fixture
def network(tmp_path):
    return factories.threshold_onnx(tmp_path / "own.onnx", 150)


def test_what_is_missing_is_asked_for_until_it_is_right(network):
    terminal = Terminal("models", "add", network)

    terminal.answer("title", "Bright block")
    terminal.answer("licence", "Ours")
    terminal.answer("intended use", "Tests.")
    terminal.answer("modality", "XR")
    terminal.wait_for("'XR' is not one of")
    terminal.answer("modality", "ct")
    terminal.answer("body parts", "abdomen, liver")
    terminal.answer("words of series", "none")
    terminal.answer("order of the axes", "zyz")
    terminal.answer("order of the axes", "xyz")
    terminal.answer("axes x, y, z", "LPL")
    terminal.wait_for("does not match")
    terminal.answer("axes x, y, z", "lps")
    terminal.answer("spacing", "2 1")
    terminal.wait_for("too short")
    terminal.answer("spacing", "2 nan 1")
    terminal.wait_for("no number")
    terminal.answer("spacing", "2 1 1")
    terminal.answer("intensities", "-200 400 50 100")
    terminal.answer("patch size", "16 16 16")
    terminal.answer("its channels", "tanh")
    terminal.answer("its channels", "Softmax")
    terminal.answer("name of label 1", "kidney_right")
    terminal.answer("[64033007 SCT Kidney]", "99999")
    terminal.wait_for("unknown codes are not guessed")
    terminal.answer("code", "")
    terminal.answer("[123037004 SCT Anatomical Structure]", "")
    terminal.answer("colour", "1 2 300")
    terminal.wait_for("greater than the maximum")
    terminal.answer("colour", "1 2 3")

    assert terminal.ends() == 0, terminal.shown
    model = load_models()["own"]
    (segment,) = model.segments
    assert model.input.modality == "CT"
    assert model.input.body_parts == ("ABDOMEN", "LIVER")
    assert model.input.keywords == ()
    assert model.input.axes == "xyz"
    assert model.input.orientation == "LPS"
    assert model.input.spacing == (2, 1, 1)
    assert model.input.channels[0].clip == (-200, 400)
    assert model.input.channels[0].normalization == {"mean": 50, "std": 100}
    assert segment.name == "kidney_right"
    assert segment.type.value == "64033007"
    assert segment.type_modifier.meaning == "Right"
    assert segment.color == (1, 2, 3)


def test_a_name_that_the_table_has_is_shown_with_its_code_and_not_asked_for(network):
    terminal = Terminal("models", "add", network)
    for question, text in [
        ("title", "T"),
        ("licence", "L"),
        ("intended use", "U"),
        ("modality", "CT"),
        ("body parts", "any"),
        ("words", "none"),
        ("order of the axes", "zyx"),
        ("axes x, y, z", "LPS"),
    ]:
        terminal.answer(question, text)
    for question, text in [
        ("spacing", "2 1 1"),
        ("intensities", "none"),
        ("patch", "16 16 16"),
        ("its channels", "softmax"),
        ("name", "L1 vertebra"),
    ]:
        terminal.answer(question, text)

    assert terminal.ends() == 0, terminal.shown
    assert "label 1 'L1 vertebra': 66794005 SCT L1 vertebra" in terminal.shown
    assert load_models()["own"].segments[0].type.value == "66794005"


@pytest.mark.parametrize("key", [b"\x03", b"\x04"], ids=["Ctrl-C", "end of input"])
def test_ending_a_question_leaves_nothing(network, key):
    terminal = Terminal("models", "add", network)
    terminal.answer("title", "Bright block")
    terminal.wait_for("licence")

    terminal.press(key)

    assert terminal.ends() == 6, terminal.shown
    assert "Traceback" not in terminal.shown
    assert "cancelled" in terminal.shown
    assert not user_registry().parent.exists()
