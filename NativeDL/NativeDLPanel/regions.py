"""Regions: lines around what was found on the displayed slice, red until they are validated, then green."""

from dataclasses import replace

import qt
import slicer

from NativeDLPanel import scene
from NativeDLPanel.worker import Workers, fit, say

_COLORS = {"proposed": (0.9, 0.1, 0.1), "validated": (0.1, 0.7, 0.2)}


class Regions:
    """The regions that were proposed for the result under review."""

    def __init__(self, ui, review, send, onChanged):
        self.ui, self._review, self._send, self._onChanged = ui, review, send, onChanged
        self.workers, self.folder, self._set, self.curves = Workers(onChanged), None, None, {}
        fit(ui.regionTable)
        ui.regionTable.connect("itemDoubleClicked(QTableWidgetItem*)", lambda _: self.decide("validated"))
        for button, key, status in (
            (ui.validateButton, "Return", "validated"),
            (ui.rejectButton, "Delete", "rejected"),
        ):
            decide = lambda status=status: self.decide(status)  # noqa: E731
            shortcut = qt.QShortcut(qt.QKeySequence(key), ui.regionTable)
            shortcut.setContext(qt.Qt.WidgetShortcut)
            shortcut.connect("activated()", decide)
            button.connect("clicked()", decide)
        ui.saveRegionsButton.connect("clicked()", self._store)
        ui.sendRegionsButton.connect("clicked()", lambda: self._store(ui.peerBox.currentText))

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
        with slicer.util.tryWithErrorDisplay("The regions could not be shown."):
            from NativeDLLib.regions.region import read_regions  # once there is a result there are the packages for it

            self._set = None if error else read_regions(self.folder.regions)
            self._show(error or ("" if self.rows else "Nothing was found on this slice."))

    @property
    def rows(self):
        """The regions that were not rejected."""
        return [region for region in (self._set.regions if self._set else ()) if region.status != "rejected"]

    def clear(self):
        self._set = None
        self._show("")

    def decide(self, status):
        """Validate or reject the selected regions; rejected ones are gone."""
        chosen = {self.rows[index.row()].id for index in self.ui.regionTable.selectionModel().selectedRows()}
        if chosen:
            with slicer.util.tryWithErrorDisplay("The decision could not be kept."):
                regions = (replace(r, status=status) if r.id in chosen else r for r in self._set.regions)
                decided = replace(self._set, regions=tuple(regions))
                from NativeDLLib.regions.region import write_regions

                write_regions(self.folder.regions, decided)
                self._set = decided
                self._show("")

    def _show(self, message):
        for name in set(self.curves) - {region.id for region in self.rows}:
            curve = self.curves.pop(name)
            if curve.GetScene() is not None:
                slicer.mrmlScene.RemoveNode(curve)
        self.ui.regionTable.rowCount = len(self.rows)
        for index, region in enumerate(self.rows):
            texts = region.segment.name, f"{region.area_mm2 / 100:.1f} cm²", region.status.capitalize()
            for column, text in enumerate(texts):
                self.ui.regionTable.setItem(index, column, qt.QTableWidgetItem(text))
            color = _COLORS[region.status]
            self.ui.regionTable.item(index, 0).setData(qt.Qt.DecorationRole, qt.QColor.fromRgbF(*color))
            if region.id not in self.curves:
                self.curves[region.id] = scene.addCurve(region.segment.name, region.points, self._review.node)
            self.curves[region.id].GetDisplayNode().SetSelectedColor(*color)
        say(self.ui.regionsMessage, message)
        self._onChanged()

    def _store(self, peer=None):
        command = self.folder.rtstruct_command(self.ui.reviewerEdit.text)
        self._send.store(command, self.folder.structure_set, self.ui.regionsMessage, peer)
