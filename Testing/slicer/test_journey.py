"""The whole way: a series of Slicer's database, segmented, edited, approved, on the PACS and in the database."""

import pydicom
import pytest
from factories import digest
from servers import Orthanc

from Testing.slicer import panel as panels
from Testing.slicer.standin.session import Heartbeat

# No beat of the event loop may take longer, or the window feels frozen.
LONGEST_S = 0.1


@pytest.fixture
def orthanc(tmp_path):
    with Orthanc(tmp_path / "orthanc") as server:
        yield server


@pytest.mark.usefixtures("spare")
def test_a_series_of_the_database_comes_back_from_the_pacs_as_approved(slicer_app, tmp_path, orthanc, pictures):
    slicer, database = slicer_app.slicer, slicer_app.slicer.dicomDatabase
    series = panels.phantom(slicer_app, tmp_path)
    panels.configure_server(orthanc.peer())
    panel = panels.Panel(slicer_app)
    pictures(panel, "start")

    panel.choose_series("portal")
    pictures(panel, "series")
    assert "Miller" in panel.ui.factsLabel.text
    panel.start()
    with Heartbeat() as beat:
        slicer_app.wait_until(lambda: panel.ui.progressBar.value > 5, 60, "progress")
        assert panel.finish() == "Finished: review the result below."
    # A panel that computed itself would let the event loop run a few times only.
    assert beat.beats > 50
    ((name, volume_ml, decision),) = panel.rows()
    assert (name, decision) == ("Liver", "To review")
    assert 500 < float(volume_ml.split()[0]) < 3000
    assert panel.ui.sendHint.text == "Accept or reject first: Liver"
    pictures(panel, "review")

    node, folder = panel.widget.review.node, panel.widget.review.folder
    before = digest(folder.automatic / "segmentation.dcm")
    volume = node.GetNodeReference("referenceImageGeometryRef")
    assert slicer.util.arrayFromVolume(volume).shape == (40, 192, 192)
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)
    items = [hierarchy.GetItemByDataNode(each) for each in (node, volume)]
    assert hierarchy.GetItemParent(items[0]) == hierarchy.GetItemParent(items[1])
    (segment_id,) = panel.widget.review.segments()
    panels.paint(node, segment_id, volume, lambda mask: mask.__setitem__(slice(0, 20), 0))
    slicer_app.wait_until(lambda: panel.rows()[0][1] != volume_ml, 5, "the new volume")
    panel.decide(0, "Accepted")
    panel.ui.reviewerEdit.text = "Dr. Jane Doe"
    assert panel.press(panel.ui.echoButton).endswith("answers.")
    pictures(panel, "send")

    assert panel.press(panel.ui.sendButton).startswith("Saved and sent to ")
    pictures(panel, "sent")

    (dataset,) = panels.stored_segmentations(orthanc)
    assert dataset.ContentCreatorName == "Doe^Jane^^Dr."
    (described,) = dataset.SegmentSequence
    assert described.SegmentAlgorithmType == "SEMIAUTOMATIC"
    assert described.SegmentationAlgorithmIdentificationSequence[0].AlgorithmName == "liver-ct-demo"
    assert digest(folder.automatic / "segmentation.dcm") == before
    study = database.studyForSeries(series)
    assert dataset.SeriesInstanceUID in database.seriesForStudy(study)
    assert (
        pydicom.dcmread(database.filesForSeries(dataset.SeriesInstanceUID)[0]).SOPInstanceUID == dataset.SOPInstanceUID
    )


@pytest.mark.campaign
def test_the_window_does_not_freeze_while_a_series_is_segmented(slicer_app, tmp_path):
    panels.phantom(slicer_app, tmp_path)
    panel = panels.Panel(slicer_app)
    panel.choose_series("portal")

    panel.start()
    with Heartbeat() as beat:
        assert panel.finish() == "Finished: review the result below."

    assert beat.longest < LONGEST_S
