"""The self-test that Slicer's build runs, in the stand-in."""

from Testing.slicer import panel as panels


def test_the_self_test_segments_a_phantom(slicer_app):
    slicer_app.load(panels.MODULE)

    slicer_app.slicer.selfTests["NativeDL"]()

    names = [node.GetName() for node in slicer_app.slicer.util.getNodesByClass("vtkMRMLSegmentationNode")]
    assert names == ["test"]
