"""Review: the segments of a result, shown, measured, accepted or rejected one by one, and edited in Slicer."""

import qt
import slicer

from NativeDLLib.panel import jobs as worklist
from NativeDLPanel import scene
from NativeDLPanel.worker import fit

_DECISIONS = {scene.PENDING: "To review", scene.ACCEPTED: "Accepted", scene.REJECTED: "Rejected"}


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
        self._jobs = worklist.finished_jobs()
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
