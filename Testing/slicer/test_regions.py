"""From the slice that a physician looks at to an RT Structure Set of what was validated on it, on the PACS."""

from dataclasses import replace

import numpy as np
import pytest
import servers
from factories import ct_series, registry
from servers import Orthanc

from Testing.slicer import panel as panels

RED, GREEN = (0.9, 0.1, 0.1), (0.1, 0.7, 0.2)


@pytest.fixture
def orthanc(tmp_path):
    with Orthanc(tmp_path / "orthanc") as server:
        yield server


def three_blocks():
    """Return a volume with three bright blocks on slices 2 to 4 (HU, (z, y, x))."""
    voxels = np.full((6, 48, 60), 30, np.int16)
    for column in (6, 24, 42):
        voxels[2:5, 12:30, column : column + 12] = 300
    return voxels


@pytest.fixture
def panel(slicer_app, tmp_path, monkeypatch):
    monkeypatch.setenv("NATIVEDL_REGISTRY", str(registry(tmp_path / "registry")))
    slicer_app.series = panels.add(slicer_app, ct_series(tmp_path / "series", three_blocks()))
    panel = panels.Panel(slicer_app)
    panel.choose_series("bright")
    return panel


def view(app, name="Red"):
    """Return the node of a slice view, which Slicer makes with its layout."""
    app.slicer.app.layoutManager()
    return app.slicer.util.getNode(name)


def look_at(app, z):
    """Show the axial slice at a height in mm, as the slider of the red view does."""
    view(app).SetSliceOffset(z)


def select(panel, *rows):
    panel.ui.regionTable.clearSelection()
    model = panel.ui.regionTable.model()
    for row in rows:
        import qt

        flags = qt.QItemSelectionModel.Select | qt.QItemSelectionModel.Rows
        panel.ui.regionTable.selectionModel().select(model.index(row, 0), flags)


def regions(panel):
    table = panel.ui.regionTable
    return [tuple(table.item(row, column).text() for column in (0, 2)) for row in range(table.rowCount)]


def volume(panel):
    return panel.app.slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")[0]


def propose(panel, z=106.0):
    look_at(panel.app, z)
    panel.ui.roiButton.click()
    panel.finish()
    panel.settle()


def colors(panel):
    return [
        tuple(round(c, 3) for c in curve.GetDisplayNode().GetSelectedColor())
        for curve in panel.widget.regions.curves.values()
    ]


def test_two_regions_are_validated_one_is_rejected_and_the_structure_set_is_on_the_pacs(
    panel, orthanc, pictures, slice_pictures
):
    panels.configure_server(orthanc.peer())
    panel.widget.send.refresh()
    panel.ui.regionsSection.collapsed = False
    propose(panel)

    assert regions(panel) == [("Liver", "Proposed")] * 3
    assert set(colors(panel)) == {RED}
    pictures(panel, "regions-proposed")
    slice_pictures(volume(panel), 3, "regions-proposed")

    select(panel, 0, 2)
    panel.ui.validateButton.click()
    select(panel, 1)
    panel.ui.rejectButton.click()
    assert regions(panel) == [("Liver", "Validated")] * 2
    assert set(colors(panel)) == {GREEN}
    assert panel.app.slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLMarkupsClosedCurveNode") == 2
    panel.ui.reviewerEdit.text = "Doe^Jane"
    pictures(panel, "regions-validated")
    slice_pictures(volume(panel), 3, "regions-validated")
    assert panel.ui.sendRegionsButton.enabled
    panel.ui.sendRegionsButton.click()
    panel.settle()

    assert panel.ui.regionsMessage.text == "Saved and sent to ORTHANC."
    (stored,) = panels.stored(orthanc, "RTSTRUCT")
    assert stored.ApprovalStatus == "APPROVED"
    assert stored.ReviewerName == "Doe^Jane"
    contours = [contour for roi in stored.ROIContourSequence for contour in roi.ContourSequence]
    assert len(contours) == 2
    assert {round(float(contour.ContourData[2]), 3) for contour in contours} == {106.0}
    database = panel.app.slicer.dicomDatabase
    assert stored.SeriesInstanceUID in database.seriesForStudy(database.studyForSeries(panel.app.series))


def test_no_region_is_proposed_where_nothing_was_found(panel):
    propose(panel, 100.0)

    assert regions(panel) == []
    assert panel.ui.regionsMessage.text == "Nothing was found on this slice."
    assert not panel.ui.saveRegionsButton.enabled


def test_without_a_displayed_view_of_the_slices_it_is_said(panel):
    panel.run()
    look_at(panel.app, 106.0)
    layouts = panel.app.slicer.app.layoutManager()
    layouts.setLayout(panel.app.slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpGreenSliceView)
    panel.ui.roiButton.click()
    panel.settle()

    assert view(panel.app).GetOrientation() == "Axial"
    assert panel.ui.regionsMessage.text.startswith("No view shows a slice of the series")


def test_the_slice_is_that_of_a_displayed_view_however_many_are_hidden(panel):
    layouts, layout = panel.app.slicer.app.layoutManager(), panel.app.slicer.vtkMRMLLayoutNode
    look_at(panel.app, 100.0)
    layouts.setLayout(layout.SlicerLayoutThreeOverThreeView)
    layouts.setLayout(layout.SlicerLayoutOneUpGreenSliceView)
    view(panel.app, "Green").SetOrientation("Axial")
    view(panel.app, "Green").SetSliceOffset(106.0)
    panel.ui.roiButton.click()
    panel.finish()
    panel.settle()

    assert regions(panel) == [("Liver", "Proposed")] * 3
    heights = {float(point[2]) for region in panel.widget.regions.rows for point in region.points}
    assert heights == {106.0}


def test_a_place_outside_the_images_is_said_in_a_sentence_without_options(panel):
    propose(panel, 0.0)

    assert regions(panel) == []
    place = "the place 0.0, 0.0, 0.0 mm lies 100.0 mm outside them"
    assert panel.ui.regionsMessage.text == f"no slice of the series is there: {place}"


def test_regions_go_with_their_result(panel):
    propose(panel)
    panel.app.close_scene()

    assert regions(panel) == []
    assert panel.widget.regions.curves == {}


def test_the_table_shows_the_color_of_each_region(panel):
    propose(panel)
    select(panel, 1)
    panel.ui.validateButton.click()

    import qt

    shown = [panel.ui.regionTable.item(row, 0).data(qt.Qt.DecorationRole) for row in range(3)]
    assert [(round(c.redF(), 1), round(c.greenF(), 1)) for c in shown] == [(0.9, 0.1), (0.1, 0.7), (0.9, 0.1)]


def test_keys_and_a_double_click_decide(panel):
    from PySide6.QtTest import QTest

    propose(panel)
    panel.ui.regionsSection.collapsed = False
    panel.widget.parent.show()
    panel.ui.regionTable.setFocus()
    panel.app.wait_until(lambda: panel.ui.regionTable.hasFocus(), 10, "the focus")

    import qt

    select(panel, 0)
    QTest.keyClick(panel.ui.regionTable, qt.Qt.Key_Delete)
    assert regions(panel) == [("Liver", "Proposed")] * 2
    select(panel, 0)
    QTest.keyClick(panel.ui.regionTable, qt.Qt.Key_Return)
    assert regions(panel) == [("Liver", "Validated"), ("Liver", "Proposed")]
    select(panel, 1)
    panel.ui.regionTable.itemDoubleClicked.emit(panel.ui.regionTable.item(1, 0))
    assert regions(panel) == [("Liver", "Validated")] * 2


def test_a_pacs_that_is_down_gets_the_structure_set_later(panel, orthanc):
    peer = orthanc.peer()
    panels.configure_server(replace(peer, port=servers.free_port()))
    panel.widget.send.refresh()
    propose(panel)
    select(panel, 0)
    panel.ui.validateButton.click()
    panel.ui.reviewerEdit.text = "Doe^Jane"
    panel.ui.sendRegionsButton.click()
    panel.settle()
    assert "outbox" in panel.ui.regionsMessage.text
    assert panel.widget.regions.folder.structure_set.is_file()

    panels.configure_server(peer)
    panel.widget.send.refresh()
    panel.settle()
    panel.press(panel.ui.retryButton)
    assert len(panels.stored(orthanc, "RTSTRUCT")) == 1


def test_a_result_that_has_gone_is_said_in_one_line(panel):
    panel.run()
    labels = panel.widget.review.folder.automatic / "segmentation.nii.gz"
    labels.unlink()
    propose(panel)

    assert regions(panel) == []
    assert str(labels) in panel.ui.regionsMessage.text
    assert "\n" not in panel.ui.regionsMessage.text
