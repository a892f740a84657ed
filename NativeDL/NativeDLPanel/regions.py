"""Regions: lines around what was found on the displayed slice, red until they are validated, then green."""

import numpy
import qt
import slicer

from NativeDLLib.panel import region_rows
from NativeDLPanel import scene, send
from NativeDLPanel.worker import Workers, say

_COLORS = {region_rows.PROPOSED: (0.9, 0.1, 0.1), region_rows.VALIDATED: (0.1, 0.7, 0.2)}
_WORDS = {region_rows.PROPOSED: "Proposed", region_rows.VALIDATED: "Validated"}


class Regions:
    """The regions that were proposed for the result under review."""

    def __init__(self, ui, review, peers, onChanged):
        self.ui, self._review, self._peers, self._onChanged = ui, review, peers, onChanged
        self.workers, self.folder, self.rows, self.curves = Workers(onChanged), None, [], {}
        ui.regionTable.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)
        ui.regionTable.connect("itemDoubleClicked(QTableWidgetItem*)", lambda _: self.decide(region_rows.VALIDATED))
        for button, key, status in (
            (ui.validateButton, "Return", region_rows.VALIDATED),
            (ui.rejectButton, "Delete", region_rows.REJECTED),
        ):
            decide = lambda status=status: self.decide(status)  # noqa: E731
            shortcut = qt.QShortcut(qt.QKeySequence(key), ui.regionTable)
            shortcut.setContext(qt.Qt.WidgetShortcut)
            shortcut.connect("activated()", decide)
            button.connect("clicked()", decide)
        ui.saveRegionsButton.connect("clicked()", self._store)
        ui.sendRegionsButton.connect("clicked()", lambda: self._store(ui.peerBox.currentText))
        say(ui.regionsMessage, "")

    def propose(self):
        """Propose regions on the slice that is displayed."""
        self.folder = self._review.folder
        place = scene.shownPlace(self._review.node.GetNodeReference("referenceImageGeometryRef"))
        absent = "No view shows a slice of the series; choose its orientation in one."
        say(self.ui.regionsMessage, "Looking for regions…" if place else absent)
        if place:
            self.workers.start("regions", self.folder.regions_command(place), self._proposed)

    def _proposed(self, _, error):
        self.clear()
        self.rows = [] if error else region_rows.read_rows(self.folder.regions)
        self._show(error or ("" if self.rows else "Nothing was found on this slice."))

    def clear(self):
        self.rows = []
        self._show("")

    def decide(self, status):
        """Validate or reject the selected regions; rejected ones are gone."""
        chosen = [self.rows[index.row()] for index in self.ui.regionTable.selectionModel().selectedRows()]
        for row in chosen:
            row["status"] = status
        region_rows.decide(self.folder.regions, {row["id"] for row in chosen}, status)
        self.rows = [row for row in self.rows if row["status"] != region_rows.REJECTED]
        self._show("")

    def _show(self, message):
        for name in set(self.curves) - {row["id"] for row in self.rows}:
            curve = self.curves.pop(name)
            if curve.GetScene() is not None:
                slicer.mrmlScene.RemoveNode(curve)
        self.ui.regionTable.rowCount = len(self.rows)
        for index, row in enumerate(self.rows):
            for column, text in enumerate((row["name"], f"{row['area_cm2']:.1f} cm²", _WORDS[row["status"]])):
                self.ui.regionTable.setItem(index, column, qt.QTableWidgetItem(text))
            color = qt.QColor.fromRgbF(*_COLORS[row["status"]])
            self.ui.regionTable.item(index, 0).setData(qt.Qt.DecorationRole, color)
            if row["id"] not in self.curves:
                self.curves[row["id"]] = scene.addCurve(row["name"], numpy.array(row["points"]), self._review.node)
            self.curves[row["id"]].GetDisplayNode().SetSelectedColor(*_COLORS[row["status"]])
        say(self.ui.regionsMessage, message)
        self._onChanged()

    def _store(self, peer=None):
        say(self.ui.regionsMessage, "Writing the RT Structure Set…")
        command = self.folder.rtstruct_command(self.ui.reviewerEdit.text)
        send.store(self.workers, command, self.folder.structure_set, self.ui.regionsMessage, peer, self._peers)
