"""Scripted modules live here as in Slicer: loaded from a folder, entered, reloaded, unloaded."""

import textwrap
import time

import pytest

from Testing.slicer.standin.session import Heartbeat

MODULE = """
import qt
import slicer
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin

class Example(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "Example"
        parent.categories = ["Segmentation"]

class ExampleWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    log = []

    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.uiWidget = slicer.util.loadUI(self.resourcePath("UI/Example.ui"))
        self.layout.addWidget(self.uiWidget)
        self.ui = slicer.util.childWidgetVariables(self.uiWidget)
        self.uiWidget.setMRMLScene(slicer.mrmlScene)
        self.ui.runButton.text = "Run it"
        self.ui.runButton.connect("clicked()", self.onRun)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onClosed)
        self.logic = ExampleLogic()
        self.log.append("setup")

    def enter(self): self.log.append("enter")
    def exit(self): self.log.append("exit")
    def onClosed(self, caller, event): self.log.append("closed")
    def onRun(self): raise RuntimeError("broken slot")

    def cleanup(self):
        self.removeObservers()
        self.log.append("cleanup")

class ExampleLogic(ScriptedLoadableModuleLogic):
    pass
"""

FORM = """<?xml version="1.0" encoding="UTF-8"?>
<ui version="4.0">
 <class>Example</class>
 <widget class="qMRMLWidget" name="Example">
  <layout class="QVBoxLayout" name="verticalLayout">
   <item><widget class="QPushButton" name="runButton"/></item>
   <item><widget class="qMRMLNodeComboBox" name="inputSelector">
     <property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>
     <property name="noneEnabled"><bool>true</bool></property>
     <property name="SlicerParameterName" stdset="0"><string>inputVolume</string></property>
   </widget></item>
   <item><widget class="ctkCollapsibleButton" name="advanced">
     <property name="text"><string>Advanced</string></property>
     <property name="collapsed"><bool>true</bool></property>
     <layout class="QFormLayout" name="form">
      <item row="0" column="0"><widget class="QLabel" name="label">
       <property name="text"><string>Tile:</string></property></widget></item>
      <item row="0" column="1"><widget class="QSpinBox" name="tileBox"/></item>
     </layout>
   </widget></item>
  </layout>
 </widget>
 <customwidgets>
  <customwidget><class>qMRMLWidget</class><extends>QWidget</extends><header>qMRMLWidget.h</header>
   <container>1</container></customwidget>
  <customwidget><class>qMRMLNodeComboBox</class><extends>QWidget</extends><header>qMRMLNodeComboBox.h</header></customwidget>
  <customwidget><class>ctkCollapsibleButton</class><extends>QWidget</extends><header>ctkCollapsibleButton.h</header>
   <container>1</container></customwidget>
 </customwidgets>
 <connections>
  <connection><sender>Example</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
   <receiver>inputSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection>
 </connections>
</ui>
"""


@pytest.fixture
def path(tmp_path):
    folder = tmp_path / "Example"
    (folder / "Resources" / "UI").mkdir(parents=True)
    (folder / "Resources" / "UI" / "Example.ui").write_text(FORM)
    (folder / "Example.py").write_text(textwrap.dedent(MODULE))
    return folder / "Example.py"


def test_a_module_is_loaded_from_its_folder_and_describes_itself(slicer_app, path):
    slicer_app.load(path)
    module = slicer_app.slicer.modules.example
    assert (module.name, module.title, module.path) == ("Example", "Example", str(path))
    with pytest.raises(AttributeError, match="'Title' does not exist"):
        module.Title = "a"
    assert slicer_app.slicer.util.getModuleWidget("Example") is slicer_app.slicer.modules.ExampleWidget


def test_the_form_gives_real_custom_widgets(slicer_app, path):
    import ctk

    slicer = slicer_app.slicer
    widget = slicer_app.load(path)
    ui = widget.ui
    assert type(ui.inputSelector) is slicer.qMRMLNodeComboBox
    assert type(ui.advanced) is ctk.ctkCollapsibleButton
    assert (list(ui.inputSelector.nodeTypes), ui.inputSelector.noneEnabled) == (["vtkMRMLScalarVolumeNode"], True)
    assert ui.inputSelector.property("SlicerParameterName") == "inputVolume"
    assert ui.inputSelector.mrmlScene() is slicer.mrmlScene
    assert (ui.runButton.text, ui.advanced.collapsed, ui.tileBox.value) == ("Run it", True, 0)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('class="QSpinBox"', 'class="ctkFlowWidget"', "ctkFlowWidget"),
        ('property name="noneEnabled"', 'property name="noneAllowed"', "sets noneAllowed"),
    ],
)
def test_a_form_that_slicer_would_not_read_well_is_refused(slicer_app, path, before, after, message):
    form = path.parent / "Resources" / "UI" / "Example.ui"
    form.write_text(FORM.replace(before, after))
    with pytest.raises(ValueError, match=message):
        slicer_app.slicer.util.loadUI(str(form))


def test_a_folded_section_hides_its_content_until_it_is_opened(slicer_app, path):
    ui = slicer_app.load(path).ui
    folds = []
    ui.advanced.connect("contentsCollapsed(bool)", folds.append)
    assert ui.tileBox.isHidden()
    ui.tileBox.setVisible(True)
    assert ui.tileBox.isHidden()
    ui.advanced.collapsed = False
    assert not ui.tileBox.isHidden()
    ui.advanced.checked = False
    assert ui.tileBox.isHidden()
    assert folds == [False, True]


def test_reloading_cleans_up_and_sets_up_again(slicer_app, path):
    log = slicer_app.load(path).log
    assert log == ["setup", "enter"]
    path.write_text(path.read_text().replace('"Run it"', '"Run again"'))

    again = slicer_app.reload("Example")

    assert log[2:] == ["cleanup"]
    assert again.ui.runButton.text == "Run again"
    assert again.log == ["setup", "enter"]


def test_unloading_cleans_up_and_leaves_nothing(slicer_app, path):
    import sys

    log = slicer_app.load(path).log
    slicer_app.unload("Example")
    slicer_app.close_scene()
    assert log == ["setup", "enter", "cleanup"]
    assert not hasattr(slicer_app.slicer.modules, "example")
    assert "Example" not in sys.modules


def test_closing_the_scene_is_heard_and_the_parameter_node_is_made_anew(slicer_app, path):
    widget = slicer_app.load(path)
    before = widget.logic.getParameterNode()
    assert before is widget.logic.getParameterNode()
    assert before.GetSingletonTag() == "Example"
    slicer_app.close_scene()
    assert widget.log[-1] == "closed"
    assert widget.logic.getParameterNode().GetAttribute("ModuleName") == "Example"


def test_an_exception_in_a_slot_is_not_lost(slicer_app, path):
    slicer_app.load(path).ui.runButton.click()
    assert "RuntimeError: broken slot" in slicer_app.errors.pop()


def test_an_exception_in_an_observer_is_not_lost(slicer_app):
    def fail(caller, event):
        raise RuntimeError("broken observer")

    tag = slicer_app.slicer.mrmlScene.AddObserver("ModifiedEvent", fail)
    slicer_app.slicer.mrmlScene.Modified()
    slicer_app.slicer.mrmlScene.RemoveObserver(tag)
    assert "RuntimeError: broken observer" in slicer_app.errors.pop()


def test_selecting_a_module_is_recorded(slicer_app, path):
    slicer_app.load(path)
    slicer_app.slicer.util.selectModule("Example")
    assert slicer_app.slicer.util.selectedModule() == "Example"
    with pytest.raises(RuntimeError, match="no module is named Nonsense"):
        slicer_app.slicer.util.selectModule("Nonsense")


def test_a_picture_is_as_wide_as_the_module_panel(slicer_app, path, tmp_path):
    import qt

    picture = slicer_app.picture(slicer_app.load(path), tmp_path / "panel.png", 400)
    image = qt.QImage(str(picture))
    assert image.width() == 400
    colours = {image.pixel(x, y) for x in range(0, 400, 2) for y in range(0, image.height(), 2)}
    assert len(colours) > 10


@pytest.mark.campaign
def test_a_stall_of_the_event_loop_is_measured(slicer_app):
    import qt

    def block():
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            pass

    done = []
    with Heartbeat() as calm:
        qt.QTimer.singleShot(30, lambda: done.append(1))
        slicer_app.wait_until(lambda: done)
    with Heartbeat() as stalled:
        qt.QTimer.singleShot(0, block)
        qt.QTimer.singleShot(10, lambda: done.append(2))
        slicer_app.wait_until(lambda: 2 in done)
    assert stalled.longest >= 0.2 > calm.longest


def test_the_modules_own_python_is_found_as_in_slicer(slicer_app):
    import shutil

    import qt

    process = qt.QProcess()
    process.start(shutil.which("PythonSlicer"), ["-c", "import NativeDLLib; print(NativeDLLib.__version__)"])
    slicer_app.wait_until(lambda: process.state() == qt.QProcess.NotRunning)
    assert process.exitCode() == 0, process.readAllStandardError().data().decode()
    assert shutil.which("PythonSlicer").startswith(slicer_app.slicer.app.slicerHome)
