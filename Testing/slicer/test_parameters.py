"""Parameter nodes and the panel follow each other by Slicer's rules."""

import enum
from typing import Annotated, Optional, Union

import pytest


class Device(enum.Enum):
    AUTO = "auto"
    CPU = "cpu"


@pytest.fixture
def wrapper(slicer_app):
    import slicer
    from slicer.parameterNodeWrapper import Choice, Default, WithinRange, parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        volume: slicer.vtkMRMLScalarVolumeNode
        model: str = "liver"
        tiles: Annotated[int, WithinRange(1, 8)] = 2
        overlap: Annotated[float, WithinRange(0, 0.9), Default(0.5)]
        send: bool
        device: Device
        side: Annotated[str, Choice(["left", "right"])] = "right"
        seed: Optional[int]  # noqa: UP045
        target: Union[slicer.vtkMRMLSegmentationNode, None]  # noqa: UP007

    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    return Parameters(node)


def test_values_start_with_their_defaults(wrapper):
    assert (wrapper.volume, wrapper.model, wrapper.tiles, wrapper.overlap) == (None, "liver", 2, 0.5)
    assert (wrapper.send, wrapper.device, wrapper.side, wrapper.seed) == (False, Device.AUTO, "right", None)
    assert wrapper.target is None


def test_values_live_in_the_node(wrapper, slicer_app):
    volume = slicer_app.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    wrapper.volume, wrapper.tiles, wrapper.send, wrapper.device, wrapper.seed = volume, 3, True, Device.CPU, 7

    again = type(wrapper)(wrapper.parameterNode)

    assert (again.volume, again.tiles, again.send, again.device, again.seed) == (volume, 3, True, Device.CPU, 7)
    assert wrapper.parameterNode.GetParameter("tiles") == "3"
    assert wrapper.parameterNode.GetNodeReference("volume") is volume
    again.seed = None
    assert wrapper.seed is None


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("tiles", 9, ValueError),
        ("tiles", "3", TypeError),
        ("model", None, ValueError),
        ("side", "up", ValueError),
        ("send", "yes", TypeError),
        ("seed", "x", TypeError),
    ],
)
def test_a_value_that_does_not_fit_is_refused(wrapper, name, value, error):
    with pytest.raises(error):
        setattr(wrapper, name, value)


def test_a_union_written_with_a_bar_is_refused(slicer_app):
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    with pytest.raises(TypeError, match="Unable to create serializer"):

        @parameterNodeWrapper
        class Parameters:
            seed: int | None


def panel(**widgets):
    import qt
    import slicer

    root = qt.QWidget()
    layout = qt.QVBoxLayout(root)
    for name, widget in widgets.items():
        widget.setProperty("SlicerParameterName", name)
        widget.objectName = name
        layout.addWidget(widget)
    return root, slicer.util.childWidgetVariables(root)


def test_the_panel_and_the_node_follow_each_other(wrapper, slicer_app):
    import ctk
    import qt
    import slicer

    _root, ui = panel(
        model=qt.QLineEdit(),
        tiles=qt.QSpinBox(),
        overlap=ctk.ctkSliderWidget(),
        send=qt.QCheckBox(),
        device=qt.QComboBox(),
        volume=slicer.qMRMLNodeComboBox(),
    )
    ui.volume.noneEnabled = True
    ui.volume.setMRMLScene(slicer.mrmlScene)
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")

    tag = wrapper.connectGui(ui)
    assert (ui.model.text, ui.tiles.value, ui.tiles.maximum, ui.overlap.value) == ("liver", 2, 8, 0.5)
    assert (ui.device.count, ui.device.currentText) == (2, "AUTO")

    ui.model.text, ui.tiles.value, ui.send.checked, ui.device.currentIndex = "spine", 4, True, 1
    ui.volume.setCurrentNode(volume)
    ui.overlap.value = 0.25
    assert (wrapper.model, wrapper.tiles, wrapper.send, wrapper.device) == ("spine", 4, True, Device.CPU)
    assert (wrapper.volume, wrapper.overlap) == (volume, 0.25)

    wrapper.model, wrapper.send, wrapper.volume = "liver", False, None
    assert (ui.model.text, ui.send.checked, ui.volume.currentNode()) == ("liver", False, None)

    wrapper.disconnectGui(tag)
    ui.model.text = "nothing hears this"
    assert wrapper.model == "liver"


def test_a_node_that_is_deleted_leaves_the_panel_and_the_parameter(wrapper, slicer_app):
    import slicer

    _root, ui = panel(volume=slicer.qMRMLNodeComboBox())
    ui.volume.noneEnabled = True
    ui.volume.setMRMLScene(slicer.mrmlScene)
    wrapper.connectGui(ui)
    wrapper.volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    assert ui.volume.currentNode() is wrapper.volume

    slicer.mrmlScene.RemoveNode(wrapper.volume)

    assert ui.volume.currentNode() is None
    assert wrapper.volume is None


def test_a_widget_that_slicer_does_not_connect_is_refused(wrapper):
    import qt

    _root, ui = panel(model=qt.QLabel())
    with pytest.raises(RuntimeError, match="Unable to create GUI connector"):
        wrapper.connectGui(ui)


def test_a_combo_box_for_text_needs_its_choices(wrapper):
    import qt

    _root, ui = panel(model=qt.QComboBox())
    with pytest.raises(RuntimeError, match="requires the Choice annotation"):
        wrapper.connectGui(ui)


def test_a_name_that_is_no_parameter_is_refused(wrapper):
    import qt

    _root, ui = panel(nonsense=qt.QLineEdit())
    with pytest.raises(ValueError, match="Cannot find a param with the given name: nonsense"):
        wrapper.connectGui(ui)
