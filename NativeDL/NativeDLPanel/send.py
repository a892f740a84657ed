"""Send: the approved SEG written, put into Slicer's DICOM database, and sent through the outbox."""

import qt
import slicer

from NativeDLLib.core.places import kept
from NativeDLLib.panel import wording
from NativeDLPanel import scene
from NativeDLPanel.worker import say


class Send:
    """Where the approved result goes."""

    def __init__(self, ui, workers, review):
        self.ui, self._workers, self._review = ui, workers, review
        self.peers = kept("slicer-peers.json")
        ui.reviewerEdit.text = qt.QSettings().value("NativeDL/Reviewer") or ""
        ui.saveButton.connect("clicked()", self._export)
        ui.sendButton.connect("clicked()", lambda: self._export(ui.peerBox.currentText))
        ui.echoButton.connect("clicked()", self._echo)
        ui.retryButton.connect("clicked()", self._retry)

    def store(self, command, file, label, peer):
        """Run a command that stores a file; put that into Slicer's DICOM database, and say what became of it."""

        def end(result, error):
            saved = file.is_file()
            if saved and scene.database():
                scene.database().insert(str(file), True, False)
            say(label, wording.export_text(result, error, peer, saved))
            self.refresh()

        file.unlink(missing_ok=True)
        say(label, "Writing the DICOM object…")
        self._workers.start("export", [*command, *(["--to", peer, "--pacs", self.peers] if peer else [])], end)

    def refresh(self):
        """Read the results, the peers and the outbox anew."""
        from NativeDLLib.panel.slicer_servers import peers_for_panel

        self._review.listResults()
        value, chosen = qt.QSettings().value, self.ui.peerBox.currentText
        servers = [value(f"DICOM/ServerNodes/{n}") or "" for n in range(int(value("DICOM/ServerNodeCount") or 0))]
        names, self.ui.peerBox.toolTip, error = peers_for_panel(servers, self.peers)
        say(self.ui.sendMessage, error or self.ui.sendMessage.text)
        self.ui.peerBox.clear()
        self.ui.peerBox.addItems(names)
        self.ui.peerBox.currentIndex = max(self.ui.peerBox.findText(chosen), min(len(names), 1) - 1)
        self._workers.start("outbox", ["outbox", "list"], self._showOutbox)

    def _do(self, name, command, doing, done):
        def end(_, error):
            say(self.ui.sendMessage, error or done)
            self.refresh()

        say(self.ui.sendMessage, doing)
        self._workers.start(name, command, end)

    def _echo(self):
        peer = self.ui.peerBox.currentText
        self._do("echo", ["echo", peer, "--pacs", self.peers], f"Asking {peer}…", f"{peer} answers.")

    def _retry(self):
        self._do("retry", ["outbox", "send", "--pacs", self.peers], "Sending what waits…", "All that waited was sent.")

    def _export(self, peer=None):
        folder, reviewer = self._review.folder, self.ui.reviewerEdit.text
        qt.QSettings().setValue("NativeDL/Reviewer", reviewer)
        with slicer.util.tryWithErrorDisplay("The segmentation could not be saved.", waitCursor=True):
            scene.save(self._review.node, folder.edited)
            command = folder.approve_command(reviewer, unreviewed=self.ui.unreviewedCheck.checked)
            self.store(command, folder.approved_seg, self.ui.sendMessage, peer)

    def _showOutbox(self, result, error):
        self.ui.outboxLabel.text = error or wording.outbox_text(result["outbox"])
        self.ui.retryButton.visible = bool(error or result["outbox"])
