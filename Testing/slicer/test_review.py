"""What a physician does to a result: look, decide, correct, come back to it."""

import factories
import pytest

from Testing.slicer import panel as panels

LIVER = factories.entry()["output"]["segments"][0]


@pytest.fixture
def two(slicer_app, tmp_path, monkeypatch):
    """The panel with a finished result of two segments under review, the second being what the first is not."""
    weights = factories.threshold_onnx(tmp_path / "bright.onnx", 1.5)
    spleen = {"value": "78961009", "scheme": "SCT", "meaning": "Spleen"}
    segments = [LIVER | {"label": 1}, LIVER | {"label": 2, "name": "Spleen", "type": spleen, "color": [200, 0, 0]}]
    output = {"channels": 3, "segments": segments}
    three_channels(weights)
    entry = factories.entry(weights={"file": weights.name, "sha256": factories.digest(weights)}, output=output)
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(factories.registry(tmp_path, entry)))
    slicer_app.series = panels.add(slicer_app, factories.ct_series(tmp_path / "series"))
    panel = panels.Panel(slicer_app)
    panel.choose_series("bright")
    assert panel.run() == "Finished: review the result below."
    return panel


def three_channels(path):
    """Write a network that finds bright voxels as 1 and soft tissue as 2."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(path)
    del model.graph.initializer[:]
    # Normalised: air -2, tissue 0.3, bright 3.
    weights, biases = np.array([0, 1, 0], np.float32).reshape(3, 1, 1, 1, 1), np.array([0, -1.5, 0.1], np.float32)
    weights[2] = 0.2
    model.graph.initializer.extend([numpy_helper.from_array(weights, "w"), numpy_helper.from_array(biases, "b")])
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", 3, "z", "y", "x"]))
    onnx.save(model, path)


def nodes(app):
    return app.slicer.util.getNodesByClass("vtkMRMLSegmentationNode")


def stored(panel):
    return {segment.SegmentLabel: segment.SegmentAlgorithmType for segment in panel.approved().SegmentSequence}


def mask(panel, name):
    """Return a segment's ID and voxels."""
    import slicer

    review = panel.widget.review
    (segment_id,) = [key for key, segment in review.segments().items() if segment.GetName() == name]
    volume = review.node.GetNodeReference("referenceImageGeometryRef")
    return segment_id, slicer.util.arrayFromSegmentBinaryLabelmap(review.node, segment_id, volume).copy()


def test_segments_are_accepted_and_rejected_one_by_one(two):
    assert [row[::2] for row in two.rows()] == [("Liver", "To review"), ("Spleen", "To review")]
    assert two.ui.sendHint.text == "Accept or reject first: Liver, Spleen"
    two.decide(0, "Rejected")
    assert two.ui.sendHint.text == "Accept or reject first: Spleen"
    two.decide(1, "Accepted")
    assert two.ui.sendHint.text == "Enter the name of the reviewer."
    two.ui.reviewerEdit.text = "Doe^Jane"

    assert two.press(two.ui.saveButton) == "Saved in Slicer's DICOM database."
    assert stored(two) == {"Spleen": "AUTOMATIC"}
    assert two.ui.resultBox.currentText.endswith("approved")

    two.decide(1, "Rejected")
    assert two.press(two.ui.saveButton) == "Every segment was rejected: nothing was saved or sent."
    assert not two.widget.review.folder.approved_seg.exists()


def test_what_is_to_be_checked_stands_among_the_warnings_and_beside_its_segment(two):
    assert "Spleen: cut by the inferior" in two.ui.reviewWarning.text
    assert [volume.endswith("⚠") for _, volume, _ in two.rows()] == [False, True]
    tips = [two.ui.segmentTable.item(row, 0).toolTip() for row in range(2)]
    assert tips[0] == ""
    assert tips[1].startswith("Spleen: cut by the inferior")


def test_the_eye_the_surfaces_and_the_editor_are_those_of_the_segment(slicer_app, two):
    import qt

    node = two.widget.review.node
    (first, second), display = two.widget.review.segments(), node.GetDisplayNode()
    two.ui.segmentTable.item(0, 0).setCheckState(qt.Qt.Unchecked)
    assert not display.GetSegmentVisibility(first)
    assert display.GetSegmentVisibility(second)

    two.ui.show3dCheck.checked = True
    surface = node.GetSegmentation().GetSegment(second).GetRepresentation("Closed surface")
    assert surface.GetNumberOfPoints() > 0
    assert display.GetVisibility3D()
    two.ui.show3dCheck.checked = False
    assert not display.GetVisibility3D()

    two.ui.editButton.click()
    assert slicer_app.slicer.util.mainWindow().moduleSelector().selectedModule == "SegmentEditor"
    editor = slicer_app.slicer.modules.SegmentEditorWidget.editor
    assert editor.segmentationNode() is node
    assert editor.sourceVolumeNode() is node.GetNodeReference("referenceImageGeometryRef")


def test_what_was_edited_added_and_removed_is_what_is_stored(slicer_app, two):
    review, volume = two.widget.review, two.widget.review.node.GetNodeReference("referenceImageGeometryRef")
    two.accept_all()
    # Edited after it was accepted, and over its neighbour.
    liver, _ = mask(two, "Liver")
    panels.paint(review.node, liver, volume, lambda m: m.__setitem__((slice(2, 4), slice(20, 25)), 1))
    segmentation = review.node.GetSegmentation()
    added = segmentation.AddEmptySegment("", "Tumour")
    entry = "Segmentation category and type - DICOM master list~SCT^49755003^Morphologically Altered Structure~"
    segmentation.GetSegment(added).SetTag("TerminologyEntry", f"{entry}SCT^4147007^Mass~^^~Anatomic codes~^^~^^")
    panels.paint(review.node, added, volume, lambda m: m.__setitem__((3, slice(8, 12), slice(10, 14)), 1))
    slicer_app.wait_until(lambda: len(two.rows()) == 3, 5, "the new row")
    assert two.ui.sendHint.text == "Accept or reject first: Tumour"
    two.decide(2, "Accepted")
    spleen, _ = mask(two, "Spleen")
    segmentation.RemoveSegment(spleen)
    slicer_app.wait_until(lambda: len(two.rows()) == 2, 5, "the row to go")

    assert two.press(two.ui.saveButton) == "Saved in Slicer's DICOM database."
    assert stored(two) == {"Liver": "SEMIAUTOMATIC", "Tumour": "MANUAL"}


def test_a_result_that_is_opened_again_is_as_it_was_left(slicer_app, two):
    review = two.widget.review
    node, volume = review.node, review.node.GetNodeReference("referenceImageGeometryRef")
    liver, before = mask(two, "Liver")
    two.decide(1, "Rejected")
    panels.paint(node, liver, volume, lambda m: m.__setitem__(slice(0, 3), 0))
    two.choose_result(0)
    assert two.rows() == []
    two.choose_result(1)
    assert review.node is node
    assert len(nodes(slicer_app)) == 1
    assert [row[2] for row in two.rows()] == ["To review", "Rejected"]
    assert mask(two, "Liver")[1].sum() < before.sum()

    # What was saved comes back even when the scene is closed, and not what the model had found.
    two.accept_all()
    two.press(two.ui.saveButton)
    edited = mask(two, "Liver")[1]
    slicer_app.close_scene()
    two.choose_result(1)
    assert [row[2] for row in two.rows()] == ["Accepted", "Rejected"]
    assert (mask(two, "Liver")[1] == edited).all()
    assert stored(two) == {"Liver": "SEMIAUTOMATIC"}


def test_two_results_are_listed_with_the_newest_first_and_stand_side_by_side(slicer_app, two):
    first = two.widget.review.folder
    two.decide(0, "Accepted")
    slicer_app.wait_until(lambda: two.widget.model.current and two.ui.runButton.enabled, 5, "Segment")
    two.run()
    second = two.widget.review.folder
    two.widget.review.listResults()

    assert first != second
    assert len(nodes(slicer_app)) == 2
    assert two.ui.resultBox.count == 3
    names = sorted([first.path.name, second.path.name], reverse=True)
    assert [job[0].path.name for job in two.widget.review._jobs] == names
    two.choose_result(1 + names.index(first.path.name))
    assert [row[2] for row in two.rows()] == ["Accepted", "To review"]
    assert len(nodes(slicer_app)) == 2


def test_a_result_of_a_volume_without_dicom_comes_back_with_its_volume(slicer_app, bright):
    bright.choose_volume(slicer_app.slicer.util.addVolumeFromArray(factories.block()))
    bright.choose_model("bright")
    bright.run()
    slicer_app.close_scene()
    bright.choose_result(1)

    volume = bright.widget.review.node.GetNodeReference("referenceImageGeometryRef")
    assert (slicer_app.slicer.util.arrayFromVolume(volume) == factories.block()).all()
    assert [row[0] for row in bright.rows()] == ["Liver"]


def test_where_nothing_was_found_it_is_said_and_nothing_is_to_be_decided(slicer_app, tmp_path, bright):
    import numpy as np

    panels.add(
        slicer_app,
        factories.ct_series(
            tmp_path / "dark",
            np.full((6, 32, 40), -1000, np.int16),
            edit=lambda dataset, _: setattr(dataset, "SeriesDescription", "dark block liver"),
        ),
    )
    bright.choose_series("dark")
    assert bright.run() == "Finished: review the result below."
    bright.ui.reviewerEdit.text = "Doe^Jane"

    assert bright.ui.sendHint.text == "Nothing was found, so there is nothing to review or to save."
    assert "found none of its segments" in bright.ui.reviewWarning.text
    assert not bright.ui.saveButton.enabled
