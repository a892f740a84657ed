"""Send: the approved SEG written, put into Slicer's DICOM database, and sent through the outbox."""

from pathlib import Path

import qt
import slicer
from NativeDLLib import texts

from NativeDLPanel import say, scene
from NativeDLPanel.worker import Workers


class Send:
    """Where the approved result goes."""

    def __init__(self, ui, review, onChanged):
        self.ui, self._review, self.workers = ui, review, Workers(onChanged)
        self._peers = Path.home() / ".nativedl" / "slicer-peers.json"
        ui.reviewerEdit.text = qt.QSettings().value("NativeDL/Reviewer") or ""
        ui.saveButton.connect("clicked()", self._export)
        ui.sendButton.connect("clicked()", lambda: self._export(ui.peerBox.currentText))
        ui.echoButton.connect("clicked()", self._echo)
        ui.retryButton.connect("clicked()", self._retry)
        self._say("")

    def refresh(self):
        """Read the peers and the outbox anew."""
        from NativeDLLib.pacs.peers import load_peers
        from NativeDLLib.pacs.slicer_servers import merge_peers

        settings, chosen, names = qt.QSettings(), self.ui.peerBox.currentText, []
        rows = range(int(settings.value("DICOM/ServerNodeCount") or 0))
        with slicer.util.tryWithErrorDisplay("The DICOM servers could not be read."):
            merge_peers(None, [settings.value(f"DICOM/ServerNodes/{row}") for row in rows], self._peers)
            names = list(load_peers(self._peers))
        self.ui.peerBox.clear()
        self.ui.peerBox.addItems(names)
        self.ui.peerBox.currentIndex = max(self.ui.peerBox.findText(chosen), min(len(names), 1) - 1)
        self.workers.start("outbox", ["outbox", "list"], self._showOutbox)

    def _say(self, text):
        say(self.ui.sendMessage, text)

    def _echo(self):
        peer = self.ui.peerBox.currentText
        self._say(f"Asking {peer}…")
        self.workers.start(
            "echo", ["echo", peer, "--pacs", self._peers], lambda _, error: self._say(error or f"{peer} answers.")
        )

    def _export(self, peer=None):
        folder = self._review.folder
        qt.QSettings().setValue("NativeDL/Reviewer", self.ui.reviewerEdit.text)
        options = ["--unreviewed"] if self.ui.unreviewedCheck.checked else []
        options += ["--to", peer, "--pacs", self._peers] if peer else []
        with slicer.util.tryWithErrorDisplay("The segmentation could not be saved.", waitCursor=True):
            scene.save(self._review.node, folder.edited)
            folder.approved_seg.unlink(missing_ok=True)
            source = ["--result", folder.automatic, "--edited", folder.edited, "--files", folder.source]
            target = ["--reviewer", self.ui.reviewerEdit.text, "--output", folder.approved, "--overwrite", *options]
            self._say("Writing the DICOM SEG…")
            done = f"Saved and sent to {peer}." if peer else "Saved in Slicer's DICOM database."
            self.workers.start(
                "export", ["approve", *source, *target], lambda _, error: self._exported(folder, done, error)
            )

    def _exported(self, folder, done, error):
        # Where only the sending failed the SEG is there, and waits in the outbox.
        written = folder.approved_seg.is_file()
        if written and scene.database():
            scene.database().insert(str(folder.approved_seg))
        self._say(error or (done if written else "Every segment was rejected: nothing was saved or sent."))
        self._review.listResults()
        self.refresh()

    def _retry(self):
        self._say("Sending what waits in the outbox…")
        self.workers.start("retry", ["outbox", "send", "--pacs", self._peers], self._retried)

    def _retried(self, _, error):
        self._say(error or "Everything that waited was sent.")
        self.refresh()

    def _showOutbox(self, result, error):
        self.ui.outboxLabel.text = error or texts.outbox_text(result["outbox"])
        self.ui.retryButton.visible = bool(error or result["outbox"])
