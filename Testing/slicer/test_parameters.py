"""Parameter nodes and the panel follow each other by Slicer's rules."""

import pytest


@pytest.fixture
def wrapper(slicer_app):
    import slicer
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    @parameterNodeWrapper
    class Parameters:
        volume: slicer.vtkMRMLScalarVolumeNode

    return Parameters(slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode"))


@pytest.fixture
def selector(slicer_app):
    import slicer

    selector = slicer.qMRMLNodeComboBox()
    selector.noneEnabled = True
    selector.setMRMLScene(slicer.mrmlScene)
    return named(selector, "volume")


def named(widget, parameter):
    """Say which parameter a widget shows, as the .ui file does."""
    widget.setProperty("SlicerParameterName", parameter)
    widget.objectName = parameter
    return widget


def panel(widget):
    import qt
    import slicer

    root = qt.QWidget()
    qt.QVBoxLayout(root).addWidget(widget)
    return root, slicer.util.childWidgetVariables(root)


def add_volume(app):
    return app.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")


def test_a_node_is_kept_in_the_parameter_node(wrapper, slicer_app):
    assert wrapper.volume is None
    volume = wrapper.volume = add_volume(slicer_app)

    again = type(wrapper)(wrapper.parameterNode)

    assert again.volume is wrapper.parameterNode.GetNodeReference("volume") is volume
    again.volume = None
    assert wrapper.volume is None


def test_a_value_that_does_not_fit_is_refused(wrapper, slicer_app):
    other = slicer_app.slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    for value in (other, other.GetID(), 3):
        with pytest.raises(TypeError, match="Value must be of type"):
            wrapper.volume = value


def test_a_parameter_that_may_be_of_two_kinds_is_refused(slicer_app):
    from slicer import vtkMRMLScalarVolumeNode
    from slicer.parameterNodeWrapper import parameterNodeWrapper

    for kind in (vtkMRMLScalarVolumeNode | None, int):
        with pytest.raises(TypeError, match="Unable to create serializer"):
            parameterNodeWrapper(type("Parameters", (), {"__annotations__": {"volume": kind}}))


def test_the_panel_and_the_node_follow_each_other(wrapper, selector, slicer_app):
    _root, ui = panel(selector)
    volume = add_volume(slicer_app)
    tag = wrapper.connectGui(ui)
    assert (list(ui.volume.nodeTypes), ui.volume.currentNode()) == (["vtkMRMLScalarVolumeNode"], None)

    ui.volume.setCurrentNode(volume)
    assert wrapper.volume is volume
    wrapper.volume = None
    assert ui.volume.currentNode() is None

    wrapper.disconnectGui(tag)
    ui.volume.setCurrentNode(volume)
    assert wrapper.volume is None


def test_a_node_that_is_deleted_leaves_the_panel_and_the_parameter(wrapper, selector, slicer_app):
    _root, ui = panel(selector)
    wrapper.connectGui(ui)
    wrapper.volume = add_volume(slicer_app)
    assert ui.volume.currentNode() is wrapper.volume

    slicer_app.slicer.mrmlScene.RemoveNode(wrapper.volume)

    assert ui.volume.currentNode() is None
    assert wrapper.volume is None


def test_a_widget_that_slicer_does_not_connect_is_refused(wrapper):
    import qt

    _root, ui = panel(named(qt.QLabel(), "volume"))
    with pytest.raises(RuntimeError, match="Unable to create GUI connector"):
        wrapper.connectGui(ui)


def test_a_name_that_is_no_parameter_is_refused(wrapper, selector):
    _root, ui = panel(named(selector, "nonsense"))
    with pytest.raises(ValueError, match="Cannot find a param with the given name: nonsense"):
        wrapper.connectGui(ui)
