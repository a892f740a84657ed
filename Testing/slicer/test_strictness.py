"""The source check finds PySide's habits, and the module has none."""

from pathlib import Path

import pytest

from Testing.slicer.standin import strictness

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("from PySide6 import QtCore", "PySide6 is not in Slicer"),
        ("import PyQt5.QtWidgets", "is not in Slicer"),
        ("from __feature__ import true_property", "__feature__ is not in Slicer"),
        ("class A(qt.QObject):\n    done = qt.Signal()", "qt.Signal is not in PythonQt"),
        ("qt.QLabel(text='a')", "qt.QLabel: PythonQt takes no keyword arguments"),
        ("ctk.ctkCollapsibleButton(parent=p)", "no keyword arguments"),
        ("slicer.qMRMLNodeComboBox(parent=p)", "no keyword arguments"),
        ("item.data(0, qt.Qt.ItemDataRole.UserRole)", "enums are flat in PythonQt, write qt.Qt.UserRole"),
        ("dialog.exec()", "write exec_"),
        ("with qt.QSignalBlocker(box):\n    pass", "with qt.QSignalBlocker: is no context manager"),
        ("isinstance(child, (str, qt.QWidget))", "write inherits('QWidget')"),
        ("label.setCursor(qt.Qt.PointingHandCursor)", "needs a qt.QCursor"),
        ("self.ui.modelComboBox.currentText()", "currentText(): is an attribute"),
        ("box.checked()", "checked(): is an attribute"),
        (
            "@parameterNodeWrapper\nclass P:\n    volume: vtkMRMLScalarVolumeNode | None",
            "volume: vtkMRMLScalarVolumeNode | None: write typing.Optional",
        ),
    ],
)
def test_a_habit_of_pyside_is_found(source, message):
    assert any(message in text for _, text in strictness.check(source))


@pytest.mark.parametrize(
    "source",
    [
        "import qt\nlabel = qt.QLabel('a')\nlabel.text = 'b'",
        "process.state() == qt.QProcess.NotRunning",
        "item.text(0)",
        "slicer.util.errorDisplay('a', windowTitle='b')",
        "slicer.packaging.pip_ensure(r, requester='NativeDL')",
        "box.isChecked(); widget.layout().count()",
    ],
)
def test_what_works_in_both_is_left_alone(source):
    assert list(strictness.check(source)) == []


def test_a_place_is_named_by_file_and_line(tmp_path):
    (tmp_path / "panel.py").write_text("import qt\n\nqt.QLabel(text='a')\n")
    assert strictness.problems(tmp_path) == ["panel.py:3: qt.QLabel: PythonQt takes no keyword arguments"]


def test_the_module_is_written_for_pythonqt():
    assert strictness.problems(ROOT / "NativeDL") == []
