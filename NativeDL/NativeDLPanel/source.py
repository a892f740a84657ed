"""The input: a loaded volume or a series of the DICOM database, who it is of, and which models are for it."""

from pathlib import Path

import qt
import slicer

from NativeDLLib.panel import jobs as worklist
from NativeDLLib.panel import wording as texts
from NativeDLPanel import scene
from NativeDLPanel.worker import Workers, say


class Source:
    """Input of a segmentation: ``files`` of a ``volume`` or ``series``, or the volume itself where there are none."""

    def __init__(self, ui, onInspected):
        self.ui, self._onInspected, self.workers = ui, onInspected, Workers()
        # Of a series that is several volumes: what each is taken by, what was taken, and the images of that.
        self._parts, self.taken, self.instances = [], [], []
        self.volume, self.series, self.files, self.noSegBecause = None, None, [], None
        ui.seriesTree.connect("itemSelectionChanged()", self.look)
        ui.seriesSearch.connect("textChanged(QString)", self._filter)
        ui.seriesRefreshButton.connect("clicked()", self.listSeries)
        ui.volumeRadio.connect("toggled(bool)", self.look)
        ui.volumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.look)
        ui.partBox.connect("currentIndexChanged(int)", self._take)

    def listSeries(self, *_):
        self.ui.seriesCount.text = "Slicer's DICOM database is not open; open the DICOM module once."
        if scene.database():
            self.ui.seriesCount.text = "Reading the list of series…"
            self.workers.start("list", ["database", scene.database().databaseFilename], self._listed)

    def _listed(self, result, error):
        chosen, tree = self.series, self.ui.seriesTree
        tree.clear()
        for row in result["series"] if result else []:
            item = qt.QTreeWidgetItem(row["columns"])
            item.setToolTip(0, row["columns"][0])
            item.setToolTip(2, row["tip"])
            item.setData(0, qt.Qt.UserRole, row["uid"])
            item.setData(1, qt.Qt.UserRole, row["words"])
            tree.addTopLevelItem(item)
            item.setSelected(row["uid"] == chosen)
        for column in range(tree.columnCount):
            tree.resizeColumnToContents(column)
        # One patient has many series: the name is cut, not what tells them apart.
        enough = max(tree.columnWidth(2), 16 * tree.fontMetrics().averageCharWidth())
        tree.setColumnWidth(0, min(tree.columnWidth(0), enough))
        tree.setColumnWidth(2, max(map(tree.columnWidth, range(tree.columnCount))))
        self._filter()
        self.ui.seriesCount.text = error or self.ui.seriesCount.text

    def _filter(self, *_):
        words, tree = self.ui.seriesSearch.text.lower().split(), self.ui.seriesTree
        items = [tree.topLevelItem(index) for index in range(tree.topLevelItemCount)]
        for item in items:
            item.setHidden(not all(word in item.data(1, qt.Qt.UserRole) for word in words))
        self.ui.seriesCount.text = f"{sum(not item.isHidden() for item in items)} of {len(items)} series"

    def look(self, *_):
        """Find out what is selected and which models are for it."""
        self.volume, self.series, self.files, self.noSegBecause = None, None, [], None
        chosen = self.ui.seriesTree.selectedItems()
        if self.ui.volumeRadio.checked:
            node = self.ui.volumeSelector.currentNode()
            self.volume = node if node is not None and node.GetImageData() is not None else None
            self.files = scene.dicomFiles(self.volume) if self.volume is not None else []
        elif chosen and scene.database():
            self.series = chosen[0].data(0, qt.Qt.UserRole)
            self.files = list(scene.database().filesForSeries(self.series))
        self.workers.stop("inspect")
        self._list([])
        if self.volume is None and not self.files:
            self._show(None, "Choose a loaded volume, or a series of the DICOM database.")
            return
        self._inspect()

    def _inspect(self):
        geometry = None if self.volume is None else scene.geometry(self.volume)
        regularized, folder = scene.isRegularized(self.volume), Path(slicer.app.temporaryPath)
        self._show(None, "Looking at the images…")
        command = worklist.inspect_command(geometry, self.files, regularized, folder, self.taken)
        self.workers.start("inspect", command, self._inspected)

    def _list(self, parts):
        """Offer the volumes of a series that is several; none is taken by itself."""
        self._parts, self.taken, self.instances = parts, [], []
        self.ui.partBox.blockSignals(True)
        self.ui.partBox.clear()
        for text in ("Choose one of its volumes", *(texts.part_text(part) for part in parts)):
            self.ui.partBox.addItem(text)
        self.ui.partBox.blockSignals(False)
        self.ui.partBox.visible = bool(parts)

    def _take(self, index):
        self.taken = self._parts[index - 1]["volume"] if index > 0 else []
        self.workers.stop("inspect")
        self._inspect()

    def _inspected(self, result, error):
        if result and result["volumes"] and not self._parts:
            self._list(result["volumes"])
        self.instances = result["instances"] if result else []
        self.noSegBecause = result and result["no_seg_because"]
        self.files = [] if self.noSegBecause else self.files
        self._show(result, f"This cannot be segmented: {error}" if error else texts.inspection_text(result))

    def _show(self, inspection, message):
        facts = inspection["facts"] if inspection else {}
        say(self.ui.factsLabel, texts.facts_html(facts))
        self.ui.factsLabel.toolTip = "\n".join(f"{name}: {facts[name]}" for name in facts if name.endswith("UID"))
        say(self.ui.inputMessage, message)
        self._onInspected(inspection["models"] if inspection else [])
