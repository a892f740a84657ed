"""What may be saved and sent, to whom, and what the panel says of servers that are wrong."""

import json
from pathlib import Path

from servers import free_port


def own_peers(text):
    file = Path.home() / ".nativedl" / "pacs.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def test_nothing_unreviewed_is_saved_unless_that_is_ticked_for_this_result(slicer_app, bright):
    bright.run()
    bright.ui.reviewerEdit.text = "Doe^Jane"
    assert bright.ui.sendHint.text == "Accept or reject first: Liver"
    assert not bright.ui.saveButton.enabled
    bright.ui.unreviewedCheck.checked = True
    bright.ui.reviewerEdit.text = "  "
    assert bright.ui.sendHint.text == "Enter the name of the reviewer."
    bright.ui.reviewerEdit.text = "Doe^Jane"

    assert bright.press(bright.ui.saveButton) == "Saved in Slicer's DICOM database."
    report = json.loads((bright.widget.review.folder.approved / "approved.json").read_text())
    assert report["outcome"] == "not reviewed"
    # Without any server: the SEG stands under its study all the same.
    assert not bright.ui.sendButton.enabled
    database = slicer_app.slicer.dicomDatabase
    uid = bright.approved().SeriesInstanceUID
    assert uid in database.seriesForStudy(database.studyForSeries(slicer_app.series))

    bright.choose_result(1)
    assert not bright.ui.unreviewedCheck.checked


def test_servers_of_slicer_and_our_own_are_offered_and_a_broken_one_is_no_obstacle(bright):
    import qt

    own_peers(json.dumps({"peers": [{"name": "ours", "ae_title": "A", "host": "127.0.0.1", "port": free_port()}]}))
    row = {"Name": "theirs", "Called AETitle": "B", "Address": "127.0.0.1", "Port": str(free_port()), "CheckState": 2}
    settings = qt.QSettings()
    settings.setValue("DICOM/ServerNodes/0", "{broken")
    settings.setValue("DICOM/ServerNodes/1", json.dumps(row))
    settings.setValue("DICOM/ServerNodeCount", 3)
    bright.widget.enter()
    bright.settle()

    box = bright.ui.peerBox
    assert [box.itemText(index) for index in range(box.count)] == ["ours", "theirs"]
    assert "Slicer's DICOM server 1: its settings cannot be read; it is left out" in box.toolTip
    assert "Slicer's DICOM server 3: its settings cannot be read; it is left out" in box.toolTip
    for index in range(box.count):
        box.currentIndex = index
        answer = bright.press(bright.ui.echoButton)
        assert box.currentText in answer
        assert "\n" not in answer
        assert not answer.endswith("answers.")


def test_a_broken_list_of_our_own_is_said_and_saving_goes_on(bright):
    own_peers("{")
    bright.run()
    bright.widget.enter()
    bright.settle()

    assert bright.ui.sendMessage.text.startswith("The DICOM servers could not be read.")
    assert "pacs.json" in bright.ui.sendMessage.text
    assert bright.ui.peerBox.count == 0
    bright.accept_all()
    assert not bright.ui.sendButton.enabled
    assert not bright.ui.echoButton.enabled
    bright.press(bright.ui.saveButton)
    assert bright.approved().Modality == "SEG"
