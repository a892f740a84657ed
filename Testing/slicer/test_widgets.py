"""Qt here refuses what PythonQt refuses."""

import pytest


@pytest.fixture
def qt(slicer_app):
    import qt

    return qt


@pytest.mark.parametrize("name", ["Signal", "Slot", "Property", "SIGNAL", "Nonsense"])
def test_what_only_pyside_has_is_not_in_qt(qt, name):
    with pytest.raises(AttributeError):
        getattr(qt, name)


def test_properties_are_attributes_and_setters_are_methods(qt):
    label = qt.QLabel("a")
    label.text = "b"
    assert label.text == "b"
    label.setText("c")
    assert (label.text, label.enabled, label.isEnabled()) == ("c", True, True)


def test_a_getter_is_not_callable(qt):
    with pytest.raises(TypeError, match="not callable"):
        qt.QLabel("a").text()


def test_an_unknown_attribute_is_refused(qt):
    with pytest.raises(AttributeError, match="'wordwrap' does not exist"):
        qt.QLabel("a").wordwrap = True


def test_a_method_is_not_overwritten(qt):
    with pytest.raises(AttributeError, match="'setText' does not exist"):
        qt.QLabel("a").setText = print


def test_a_value_of_the_wrong_kind_is_refused(qt):
    with pytest.raises(AttributeError, match="does not accept an object of type"):
        qt.QSpinBox().value = object()


def test_a_property_without_a_setter_is_refused(qt):
    with pytest.raises(AttributeError, match="not writable"):
        qt.QComboBox().count = 3


def test_keyword_arguments_of_constructors_are_refused(qt):
    with pytest.raises(TypeError, match="no keyword arguments"):
        qt.QLabel(text="a")


def test_snake_case_is_refused(qt):
    with pytest.raises(AttributeError):
        qt.QLabel("a").set_text("b")


def test_a_python_class_keeps_attributes_of_its_own(qt):
    class Panel(qt.QWidget):
        def __init__(self):
            qt.QWidget.__init__(self)
            self.rows = 3

    assert Panel().rows == 3


def test_both_ways_of_connecting_call_back_with_their_arguments(qt):
    button, calls = qt.QPushButton("a"), []
    button.clicked.connect(lambda checked: calls.append(("attribute", checked)))
    button.connect("clicked()", lambda default="none": calls.append(("text", default)))
    button.connect("clicked(bool)", lambda checked: calls.append(("bool", checked)))

    button.click()

    assert calls == [("attribute", False), ("text", "none"), ("bool", False)]


def test_a_connection_ends(qt):
    edit, calls = qt.QLineEdit(), []
    edit.connect("textChanged(QString)", calls.append)
    edit.text = "a"
    edit.disconnect("textChanged(QString)", calls.append)
    edit.text = "b"
    assert calls == ["a"]


@pytest.mark.parametrize("signature", ["clicked", "pressed(int)", "nonsense()", "setText(QString)"])
def test_a_signal_that_is_not_there_is_refused(qt, signature):
    with pytest.raises(ValueError, match=signature.split("(")[0]):
        qt.QPushButton("a").connect(signature, print)


def test_a_process_gives_bytes(qt, slicer_app):
    import sys

    process, output = qt.QProcess(), []
    process.readyReadStandardOutput.connect(lambda: output.append(process.readAllStandardOutput().data()))
    process.start(sys.executable, ["-c", "print('Grüße')"])
    slicer_app.wait_until(lambda: process.state() == qt.QProcess.NotRunning)
    assert b"".join(output).strip() == "Grüße".encode()
    assert process.exitCode() == 0


def test_a_timer_has_both_its_property_and_its_static_method(qt, slicer_app):
    calls = []
    timer = qt.QTimer()
    timer.singleShot = True
    timer.interval = 1
    timer.timeout.connect(lambda: calls.append("timer"))
    timer.start()
    qt.QTimer.singleShot(0, lambda: calls.append("static"))
    slicer_app.wait_until(lambda: len(calls) == 2)
    assert not timer.active


def test_an_item_has_methods_because_it_is_no_qobject(qt):
    tree = qt.QTreeWidget()
    tree.columnCount = 2
    item = qt.QTreeWidgetItem(tree, ["a", "b"])
    item.setData(0, qt.Qt.UserRole, "uid")
    assert (item.text(1), item.data(0, qt.Qt.UserRole), tree.topLevelItemCount) == ("b", "uid", 1)


def test_a_property_stays_one_where_a_class_overrides_its_methods(qt):
    layout = qt.QHBoxLayout()
    layout.spacing = 3
    assert (layout.spacing, layout.count()) == (3, 0)
    with pytest.raises(TypeError, match="not callable"):
        layout.spacing()


def test_a_file_is_asked_for_by_its_class_and_by_itself(qt, tmp_path):
    assert qt.QFile.exists(str(tmp_path))
    assert not qt.QFile(str(tmp_path / "none")).exists()
