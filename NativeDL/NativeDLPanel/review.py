"""Review: the segments of a result, and regions on one slice of it, shown and accepted or rejected one by one."""

from dataclasses import replace

import qt
import slicer

from NativeDLLib.panel import jobs
from NativeDLPanel import scene
from NativeDLPanel.worker import fit, say

_DECISIONS = {scene.PENDING: "To review", scene.ACCEPTED: "Accepted", scene.REJECTED: "Rejected"}
_COLORS = {"proposed": (0.9, 0.1, 0.1), "validated": (0.1, 0.7, 0.2)}


class Review:
    """The result under review, if any: its ``folder``, ``report``, segmentation ``node``, and ``volumes`` in mL."""

    def __init__(self, ui, onChanged):
        self.ui, self._onChanged = ui, onChanged
        self.folder = self.report = self.node = None
        self._jobs, self._tags, self.volumes = [], [], {}
        # Editing tells of every stroke; the table follows when the hand rests.
        self._rest = qt.QTimer()
        self._rest.setSingleShot(True)
        self._rest.connect("timeout()", self.show)
        fit(ui.segmentTable)
        ui.segmentTable.connect("itemChanged(QTableWidgetItem*)", self._toggled)
        ui.resultBox.connect("activated(int)", self._chosen)
        ui.acceptAllButton.connect("clicked()", self._acceptAll)
        ui.editButton.connect("clicked()", self._edit)
        ui.show3dCheck.connect("toggled(bool)", self._show3d)

    def listResults(self):
        """List the results on this computer, the newest first."""
        self._jobs = jobs.finished_jobs()
        self.ui.resultBox.clear()
        self.ui.resultBox.addItem("Choose a result…" if self._jobs else "None yet")
        for _, report, line in self._jobs:
            self.ui.resultBox.addItem(" · ".join(filter(None, (scene.patientName(report["series"]), line))))
        self.ui.resultBox.currentIndex = 1 + next((i for i, j in enumerate(self._jobs) if j[0] == self.folder), -1)

    def _chosen(self, index):
        with slicer.util.tryWithErrorDisplay("The result could not be loaded.", waitCursor=True):
            self.open(self._jobs[index - 1][0]) if index else self.close()

    def open(self, folder, volume=None):
        """Show a result over its volume, as it was left; what is not in the scene is loaded."""
        self.close()
        report, nodes = folder.report(), slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        # With all that was decided and edited, where it is in the scene already.
        node = next((node for node in nodes if node.GetAttribute(scene.RESULT) == folder.path.name), None)
        if node is None:
            volume = volume or scene.volumeOfSeries(report["series"])
            if volume is None and folder.volume.is_file():
                volume = slicer.util.loadVolume(str(folder.volume))
            node = scene.loadResult(folder.latest, f"{report['model']} result", volume)
            node.SetAttribute(scene.RESULT, folder.path.name)
        self.folder, self.report, self.node = folder, report, node
        for name in ("SegmentAdded", "SegmentRemoved", "SegmentModified", "SourceRepresentationModified"):
            event, later = getattr(slicer.vtkSegmentation, name), lambda *_: self._rest.start(300)
            self._tags.append(self.node.GetSegmentation().AddObserver(event, later))
        self.listResults()
        self.show()

    def close(self):
        """Let go of the result; its node stays in the scene."""
        for tag in self._tags:
            self.node.GetSegmentation().RemoveObserver(tag)
        self._rest.stop()
        self._tags, self.folder, self.report, self.node = [], None, None, None
        self.ui.show3dCheck.checked = self.ui.unreviewedCheck.checked = False
        self.show()

    def segments(self):
        segmentation = self.node.GetSegmentation() if self.node is not None else slicer.vtkSegmentation()
        return {segmentId: segmentation.GetSegment(segmentId) for segmentId in segmentation.GetSegmentIDs()}

    def pending(self):
        """Names of the segments that are there and were neither accepted nor rejected."""
        there = (segment for name, segment in self.segments().items() if self.volumes.get(name))
        return [segment.GetName() for segment in there if scene.review(segment) == scene.PENDING]

    def show(self):
        table, segments = self.ui.segmentTable, self.segments()
        self.volumes = {segmentId: scene.volumeMl(self.node, segmentId) for segmentId in segments}
        table.blockSignals(True)
        table.rowCount = len(segments)
        for row, (segmentId, segment) in enumerate(segments.items()):
            name = qt.QTableWidgetItem(segment.GetName())
            shown = self.node.GetDisplayNode().GetSegmentVisibility(segmentId)
            name.setCheckState(qt.Qt.Checked if shown else qt.Qt.Unchecked)
            name.setData(qt.Qt.UserRole, segmentId)
            name.setData(qt.Qt.DecorationRole, qt.QColor.fromRgbF(*segment.GetColor()))
            box = qt.QComboBox()
            box.addItems(list(_DECISIONS.values()))
            box.currentIndex = list(_DECISIONS).index(scene.review(segment))
            box.connect("activated(int)", lambda index, s=segment: s.SetTag(scene.REVIEW, list(_DECISIONS)[index]))
            toCheck = "\n".join(text for about, text in self.report["quality"] if about == segment.GetName())
            volume = qt.QTableWidgetItem(f"{self.volumes[segmentId]:.1f} mL{' ⚠' if toCheck else ''}")
            for column, item in enumerate((name, volume)):
                item.setToolTip(toCheck)
                table.setItem(row, column, item)
            table.setCellWidget(row, 2, box)
        table.blockSignals(False)
        self._onChanged()

    def _acceptAll(self):
        for segment in self.segments().values():
            if scene.review(segment) == scene.PENDING:
                segment.SetTag(scene.REVIEW, scene.ACCEPTED)
        self.show()

    def _toggled(self, item):
        if item.column() == 0:
            shown, name = item.checkState() == qt.Qt.Checked, item.data(qt.Qt.UserRole)
            self.node.GetDisplayNode().SetSegmentVisibility(name, shown)

    def _show3d(self, shown):
        with slicer.util.tryWithErrorDisplay("The surfaces could not be made.", waitCursor=True):
            if shown:
                self.node.CreateClosedSurfaceRepresentation()
            if self.node is not None:
                self.node.GetDisplayNode().SetVisibility3D(shown)

    def _edit(self):
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.modules.SegmentEditorWidget.editor
        editor.setSegmentationNode(self.node)
        editor.setSourceVolumeNode(self.node.GetNodeReference("referenceImageGeometryRef"))


class Regions:
    """Lines around what was found on the displayed slice, red until they are validated, then green."""

    def __init__(self, ui, workers, review, send, onChanged):
        self.ui, self._workers, self._review, self._send, self._onChanged = ui, workers, review, send, onChanged
        self.folder, self._set, self.curves = None, None, {}
        fit(ui.regionTable)
        ui.regionTable.connect("itemDoubleClicked(QTableWidgetItem*)", lambda _: self.decide("validated"))
        keys = (ui.validateButton, "Return", "validated"), (ui.rejectButton, "Delete", "rejected")
        for button, key, status in keys:
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
            self._workers.start("regions", self.folder.regions_command(place), self._proposed)

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
                from NativeDLLib.regions.region import write_regions

                regions = tuple(replace(r, status=status) if r.id in chosen else r for r in self._set.regions)
                decided = replace(self._set, regions=regions)
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
