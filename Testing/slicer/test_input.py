"""What can be segmented, what the panel says about it, and when a DICOM SEG of it is not possible."""

import factories
import numpy as np
import pydicom
import pytest

from Testing.slicer import panel as panels


def tilt(dataset, index):
    x, y, z = (float(v) for v in dataset.ImagePositionPatient)
    dataset.ImagePositionPatient = [x, y + 2 * index * np.tan(np.radians(18.5)), z]


@pytest.fixture
def tilted(slicer_app, bright, tmp_path):
    """A loaded volume of a series with a gantry tilt."""
    return panels.load(slicer_app, panels.add(slicer_app, factories.ct_series(tmp_path / "tilted", edit=tilt)))


def no_seg(panel):
    """Segment, and return why no SEG can be made of the result, checking that Save and Send are disabled."""
    panel.choose_model("bright")
    assert panel.run() == "Finished: review the result below."
    assert [row[0] for row in panel.rows()] == ["Liver"]
    panel.accept_all()
    assert not panel.ui.saveButton.enabled
    assert not panel.ui.sendButton.enabled
    return panel.ui.sendHint.text


def test_a_loaded_volume_is_segmented_from_its_source_files(slicer_app, bright):
    series = slicer_app.series
    volume = panels.load(slicer_app, series)
    bright.choose_volume(volume)

    assert bright.run() == "Finished: review the result below."
    bright.accept_all()
    assert bright.press(bright.ui.saveButton) == "Saved in Slicer's DICOM database."

    assert bright.widget.review.node.GetNodeReference("referenceImageGeometryRef") is volume
    assert bright.report()["series"]["series_instance_uid"] == series
    referenced = {each.SeriesInstanceUID: each for each in bright.approved().ReferencedSeriesSequence}
    assert len(referenced[series].ReferencedInstanceSequence) == 6


def test_a_volume_without_dicom_is_segmented_by_a_model_chosen_by_hand(slicer_app, bright):
    volume = slicer_app.slicer.util.addVolumeFromArray(factories.block())
    bright.choose_volume(volume)
    reason = "The volume does not come from DICOM images"

    assert reason in bright.ui.inputMessage.text
    assert bright.ui.factsLabel.isHidden()
    assert reason in no_seg(bright)


def test_a_volume_whose_files_have_left_the_database_is_told_from_one_without(slicer_app, bright):
    volume = panels.load(slicer_app, slicer_app.series)
    slicer_app.slicer.dicomDatabase.removeSeries(slicer_app.series)
    bright.choose_volume(volume)

    assert "are no longer in Slicer's DICOM database; import them again" in bright.ui.inputMessage.text
    assert "are no longer in Slicer's DICOM database; import them again" in no_seg(bright)


def test_a_resampled_volume_is_segmented_from_its_voxels(slicer_app, bright):
    slicer = slicer_app.slicer
    volume = panels.load(slicer_app, slicer_app.series)
    slicer.util.updateVolumeFromArray(volume, slicer.util.arrayFromVolume(volume)[::2].copy())
    spacing = volume.GetSpacing()
    volume.SetSpacing(spacing[0], spacing[1], 2 * spacing[2])
    bright.choose_volume(volume)

    assert "it was resampled, or a transform was hardened on it" in no_seg(bright)
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(bright.widget.review.node, "Segment_1", volume)
    assert (mask > 0).any()
    assert ((mask > 0) == (slicer.util.arrayFromVolume(volume) > 150)).all()


def test_a_tilted_series_is_refused_in_one_line(bright, tilted):
    bright.choose_volume(tilted)

    message = bright.ui.inputMessage.text
    assert message.startswith("This cannot be segmented: ")
    assert "gantry tilt: the slices are stacked 18.5 degrees off their normal" in message
    assert "\n" not in message
    assert not bright.ui.runButton.enabled
    assert bright.ui.modelBox.count == 0


def test_a_tilted_series_that_slicer_made_regular_is_segmented_as_loaded_but_not_stored(slicer_app, bright, tilted):
    import qt

    slicer = slicer_app.slicer
    qt.QSettings().setValue("DICOM/ScalarVolume/AcquisitionGeometryRegularization", "hardenTransform")
    # What hardening does to the volume: an upright grid, with more rows.
    tilted.SetIJKToRASDirections(-1, 0, 0, 0, -1, 0, 0, 0, 1)
    slicer.util.updateVolumeFromArray(tilted, np.pad(slicer.util.arrayFromVolume(tilted), ((0, 0), (0, 6), (0, 0))))
    bright.choose_volume(tilted)

    reason = no_seg(bright)
    assert "Slicer resampled the volume when it loaded it" in reason
    assert "gantry tilt" in reason


def test_a_regular_series_is_stored_whatever_slicer_does_with_irregular_ones(slicer_app, bright):
    import qt

    qt.QSettings().setValue("DICOM/ScalarVolume/AcquisitionGeometryRegularization", "hardenTransform")
    bright.choose_volume(panels.load(slicer_app, slicer_app.series))

    assert bright.ui.inputMessage.text == ""
    bright.run()
    assert bright.report()["series"]["series_instance_uid"] == slicer_app.series


def test_a_volume_under_a_transform_gets_its_result_over_it_and_the_seg_in_dicom_space(slicer_app, bright):
    slicer = slicer_app.slicer
    volume = panels.load(slicer_app, slicer_app.series)
    move = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    move.SetMatrixTransformToParent(
        slicer.util.vtkMatrixFromArray(np.array([[0.0, -1, 0, 50], [1, 0, 0, 7], [0, 0, 1, -30], [0, 0, 0, 1]]))
    )
    volume.SetAndObserveTransformNodeID(move.GetID())
    bright.choose_volume(volume)
    bright.run()
    node = bright.widget.review.node
    bright.accept_all()
    bright.press(bright.ui.saveButton)

    assert node.GetParentTransformNode() is move
    mask = slicer.util.arrayFromSegmentBinaryLabelmap(node, "Segment_1", volume) > 0
    assert (mask == (slicer.util.arrayFromVolume(volume) > 150)).all()
    frames = bright.approved()
    bounds = np.zeros(6)
    node.GetRASBounds(bounds)
    assert bounds[:2].mean() == pytest.approx(50 - (16 - 11.5), abs=1)
    positions = {
        float(f.PlanePositionSequence[0].ImagePositionPatient[2]) for f in frames.PerFrameFunctionalGroupsSequence
    }
    assert positions == {104.0, 106.0, 108.0}


def test_who_and_what_is_shown_as_it_is_written_even_where_it_looks_like_markup(slicer_app, bright, tmp_path):
    def edit(dataset, _):
        dataset.PatientName, dataset.PatientID = "O'Neil^<b>Ann</b>", "4711"
        dataset.InstitutionName, dataset.ReferringPhysicianName = "St. Mary & Sons", "Roe^Richard"
        dataset.PatientSex, dataset.AccessionNumber, dataset.SeriesDescription = "F", "ACC-9", "odd one"

    panels.add(slicer_app, factories.ct_series(tmp_path / "odd", edit=edit))
    bright.choose_series("odd")

    text = bright.ui.factsLabel.text
    for shown in (
        "O&#x27;Neil, &lt;b&gt;Ann&lt;/b&gt;",
        "4711",
        "1970-01-01",
        ">F<",
        "ACC-9",
        "St. Mary &amp; Sons",
        "Roe, Richard",
        "2026-01-02",
        "Abdomen",
        "odd one",
    ):
        assert shown in text
    assert "<b>" not in text
    assert bright.ui.factsLabel.toolTip.startswith("Study UID: 1.2.826.")


def test_the_search_finds_series_that_have_every_word(slicer_app, bright, tmp_path):
    panels.add(slicer_app, factories.ct_series(tmp_path / "2", edit=lambda d, _: setattr(d, "PatientName", "Roe^Jim")))
    bright.choose_series("roe ABDOMEN")
    assert "Roe, Jim" in bright.ui.factsLabel.text
    assert bright.ui.seriesCount.text == "1 of 2 series"

    bright.ui.seriesSearch.text = "roe thorax"
    assert bright.ui.seriesCount.text == "0 of 2 series"
    bright.ui.seriesSearch.text = ""
    assert bright.ui.seriesCount.text == "2 of 2 series"


def test_without_a_database_volumes_are_segmented_and_the_list_says_what_to_do(slicer_app, bright):
    slicer_app.slicer.dicomDatabase.closeDatabase()
    bright.widget.source.listSeries()
    bright.widget.enter()
    bright.settle()

    assert bright.ui.seriesCount.text == "Slicer's DICOM database is not open; open the DICOM module once."
    bright.choose_volume(slicer_app.slicer.util.addVolumeFromArray(factories.block()))
    bright.choose_model("bright")
    assert bright.run() == "Finished: review the result below."


def test_in_an_empty_scene_the_panel_asks_for_images(slicer_app):
    panel = panels.Panel(slicer_app)

    assert panel.ui.inputMessage.text == "Choose a loaded volume, or a series of the DICOM database."
    assert not panel.ui.runButton.enabled
    assert panel.ui.sendHint.text == "Choose a result under Review first."


def test_a_series_of_several_volumes_offers_them_and_segments_the_one_that_is_chosen(slicer_app, bright, tmp_path):
    folder = factories.several_volumes(
        tmp_path / "two", *({"AcquisitionNumber": n, "SeriesDescription": "phases"} for n in (1, 2))
    )
    panels.add(slicer_app, sorted(path for part in folder.iterdir() for path in part.iterdir()))
    bright.choose_series("phases")

    box = bright.ui.partBox
    assert "holds 2 volumes that differ in AcquisitionNumber (1, 2)" in bright.ui.inputMessage.text
    assert [box.itemText(index) for index in range(box.count)] == [
        "Choose one of its volumes",
        "AcquisitionNumber 1 (6 slices)",
        "AcquisitionNumber 2 (6 slices)",
    ]
    assert not bright.ui.runButton.enabled

    box.activated.emit(2)
    bright.settle()
    assert bright.ui.inputMessage.text == ""
    bright.choose_model("bright")
    assert bright.run() == "Finished: review the result below."

    assert bright.report()["series"]["volume"] == ["AcquisitionNumber=2"]
    bright.accept_all()
    bright.press(bright.ui.saveButton)
    rows = bright.approved().ReferencedSeriesSequence[0].ReferencedInstanceSequence
    chosen = {str(pydicom.dcmread(path).SOPInstanceUID) for path in (folder / "1").iterdir()}
    assert {str(row.ReferencedSOPInstanceUID) for row in rows} <= chosen
    bright.choose_series("bright")
    assert box.isHidden()
