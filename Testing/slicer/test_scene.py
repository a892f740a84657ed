"""The scene, its logics and its files are the real ones."""

import numpy as np
import pytest


def test_only_what_slicer_has_is_in_slicer(slicer_app):
    slicer = slicer_app.slicer
    assert slicer.vtkMRMLScene().IsA("vtkMRMLScene")
    assert callable(slicer.util.arrayFromVolume)
    for name in ("arrayFromVolume", "MRMLCore", "loadVolume", "nonsense"):
        with pytest.raises(AttributeError):
            getattr(slicer, name)


@pytest.mark.parametrize("name", ["segmentations", "volumes", "subjecthierarchy", "terminologies", "colors"])
def test_the_logics_are_real_and_know_the_scene(slicer_app, name):
    slicer = slicer_app.slicer
    logic = getattr(slicer.modules, name).logic()
    assert logic.GetClassName().startswith("vtkSlicer")
    assert logic.GetMRMLScene() is slicer.mrmlScene


def test_a_module_that_is_not_there_is_missing(slicer_app):
    with pytest.raises(AttributeError):
        slicer_app.slicer.modules.nonsense  # noqa: B018
    with pytest.raises(RuntimeError, match="Could not find module"):
        slicer_app.slicer.util.getModule("Nonsense")


def segmentation(slicer):
    volume = slicer.util.addVolumeFromArray(np.zeros((4, 5, 6), np.int16))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Result")
    node.CreateDefaultDisplayNodes()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    voxels = np.zeros((4, 5, 6), np.uint8)
    voxels[1:3, 2:4, 1:5] = 1
    segment = node.GetSegmentation().AddEmptySegment("liver", "Liver", [0.2, 0.5, 0.2])
    slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, node, segment, volume)
    return volume, node, voxels


def tag(segment, name):
    import vtk

    value = vtk.reference("")
    assert segment.GetTag(name, value)
    return str(value)


def test_a_segmentation_comes_back_from_its_file_with_its_terminology(slicer_app, tmp_path):
    slicer = slicer_app.slicer
    _, node, voxels = segmentation(slicer)
    liver = (
        "Segmentation category and type - DICOM master list~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^"
    )
    node.GetSegmentation().GetSegment("liver").SetTag("TerminologyEntry", liver)
    node.GetSegmentation().GetSegment("liver").SetTag("DICOM.SegmentAlgorithmName", "NativeDL")
    path = tmp_path / "result.seg.nrrd"
    assert slicer.util.saveNode(node, str(path))
    slicer_app.close_scene()

    loaded = slicer.util.loadSegmentation(str(path), {"name": "Again"})

    segment = loaded.GetSegmentation().GetSegment("liver")
    assert (loaded.GetName(), segment.GetName()) == ("Again", "Liver")
    assert tag(segment, "TerminologyEntry").startswith(liver)
    assert tag(segment, "DICOM.SegmentAlgorithmName") == "NativeDL"
    np.testing.assert_allclose(segment.GetColor(), [0.2, 0.5, 0.2], atol=0.01)
    assert loaded.GetDisplayNode() is not None
    assert slicer.util.arrayFromSegmentInternalBinaryLabelmap(loaded, "liver").sum() == voxels.sum()


def test_a_volume_comes_back_from_its_file(slicer_app, tmp_path):
    slicer = slicer_app.slicer
    voxels = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    volume = slicer.util.addVolumeFromArray(voxels, np.diag([2.0, 3.0, 4.0, 1.0]), "CT")
    assert slicer.util.saveNode(volume, str(tmp_path / "ct.nrrd"))

    loaded = slicer.util.loadVolume(tmp_path / "ct.nrrd")

    assert loaded.GetName() == "ct"
    assert loaded.GetSpacing() == (2.0, 3.0, 4.0)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(loaded), voxels)


def test_a_file_that_is_not_there_raises_as_in_slicer(slicer_app, tmp_path):
    import vtk

    vtk.vtkObject.GlobalWarningDisplayOff()
    try:
        with pytest.raises(RuntimeError, match="Failed to load node from file"):
            slicer_app.slicer.util.loadSegmentation(str(tmp_path / "none.seg.nrrd"))
    finally:
        vtk.vtkObject.GlobalWarningDisplayOn()
    assert slicer_app.slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode") == 0


def test_closed_surfaces_and_label_maps_are_made_by_the_real_logic(slicer_app):
    slicer = slicer_app.slicer
    _, node, voxels = segmentation(slicer)
    assert node.CreateClosedSurfaceRepresentation()
    label = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    assert slicer.modules.segmentations.logic().ExportAllSegmentsToLabelmapNode(node, label)
    assert (slicer.util.arrayFromVolume(label) > 0).sum() == voxels.sum()


def test_nodes_get_items_in_the_subject_hierarchy(slicer_app):
    slicer = slicer_app.slicer
    volume, node, _ = segmentation(slicer)
    tree = slicer.mrmlScene.GetSubjectHierarchyNode()
    assert tree.GetItemDataNode(tree.GetItemByDataNode(volume)) is volume
    item = tree.GetItemByDataNode(node)
    assert tree.GetItemName(item) == "Result"
    slicer.mrmlScene.RemoveNode(node)
    assert tree.GetItemLevel(item) == ""
    slicer_app.close_scene()
    assert slicer.mrmlScene.GetSubjectHierarchyNode() is not None


def test_a_node_selector_follows_the_scene(slicer_app):
    slicer, chosen = slicer_app.slicer, []
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.noneEnabled = True
    assert not selector.enabled
    selector.setMRMLScene(slicer.mrmlScene)
    selector.connect("currentNodeChanged(vtkMRMLNode*)", chosen.append)
    volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT")
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    assert (selector.enabled, selector.nodeCount(), selector.currentNode()) == (True, 2, None)

    selector.showChildNodeTypes = False
    selector.setCurrentNode(volume)
    assert (selector.nodeCount(), selector.currentNodeID) == (1, volume.GetID())
    slicer_app.close_scene()

    assert chosen == [volume, None]
    with pytest.raises(AttributeError, match="'nodeType' does not exist"):
        selector.nodeType = "a"
    with pytest.raises(ValueError, match="takes a vtkMRMLNode"):
        selector.setCurrentNode(3)


def test_where_the_chosen_node_goes_its_neighbour_is_chosen(slicer_app):
    slicer, chosen = slicer_app.slicer, []
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(slicer.mrmlScene)
    first, second, third = (slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name) for name in "abc")
    assert selector.currentNode() is None
    selector.setCurrentNode(second)
    selector.currentNodeChanged.connect(chosen.append)

    slicer.mrmlScene.RemoveNode(second)
    slicer.mrmlScene.RemoveNode(third)
    slicer.mrmlScene.RemoveNode(first)

    assert chosen == [third, first, None]
    selector.setCurrentNodeID("nonsense")
    assert selector.currentNode() is None


def test_settings_are_the_tests_own(slicer_app, tmp_path):
    import qt

    slicer = slicer_app.slicer
    qt.QSettings().setValue("DICOM/ServerNodeCount", 1)
    assert int(slicer.app.userSettings().value("DICOM/ServerNodeCount")) == 1
    assert slicer.util.settingsValue("DICOM/ServerNodeCount", 0, converter=int) == 1
    assert qt.QSettings().fileName().startswith(str(tmp_path))


def test_settings_of_another_test_are_gone(slicer_app):
    import qt

    assert qt.QSettings().value("DICOM/ServerNodeCount") is None


def test_slices_show_what_they_are_told(slicer_app):
    slicer = slicer_app.slicer
    composite = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")
    volume, _, _ = segmentation(slicer)
    slicer.util.setSliceViewerLayers(background=volume)
    assert composite.GetBackgroundVolumeID() == volume.GetID()
