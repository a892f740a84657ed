"""Choice of the input, with who it is of, and of a model for it, with its device and settings."""

from pathlib import Path

import qt
import slicer

from NativeDLLib.cli.options import read_configuration_for
from NativeDLLib.core.files import write_json
from NativeDLLib.panel import jobs, wording
from NativeDLPanel import scene
from NativeDLPanel.worker import say


class Source:
    """Input of a segmentation: ``files`` of a ``volume`` or ``series``, or the volume itself where there are none."""

    def __init__(self, ui, workers, onInspected):
        self.ui, self._workers, self._onInspected = ui, workers, onInspected
        # Of a series that is several volumes: what each is taken by, and what was taken.
        self._parts, self.taken = [], []
        self.volume = self.series = self.inspection = None
        ui.seriesTree.connect("itemSelectionChanged()", self.look)
        ui.seriesSearch.connect("textChanged(QString)", self._filter)
        ui.seriesRefreshButton.connect("clicked()", self.listSeries)
        ui.volumeRadio.connect("toggled(bool)", self.look)
        ui.volumeSelector.connect("currentNodeChanged(vtkMRMLNode*)", self.look)
        ui.partBox.connect("activated(int)", self._take)

    def listSeries(self, *_):
        self.ui.seriesCount.text = "Slicer's DICOM database is not open; open the DICOM module once."
        if scene.database():
            self.ui.seriesCount.text = "Reading the list of series…"
            self._workers.start("list", ["database", scene.database().databaseFilename], self._listed)

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
        self.volume, self.series, self.files = None, None, []
        chosen = self.ui.seriesTree.selectedItems()
        if self.ui.volumeRadio.checked:
            node = self.ui.volumeSelector.currentNode()
            self.volume = node if node is not None and node.GetImageData() is not None else None
            self.files = scene.dicomFiles(self.volume) if self.volume is not None else []
        elif chosen and scene.database():
            self.series = chosen[0].data(0, qt.Qt.UserRole)
            self.files = list(scene.database().filesForSeries(self.series))
        self._workers.stop("inspect")
        self._list([])
        if self.volume is not None or self.files:
            self._inspect()
        else:
            self._show(None, "Choose a loaded volume, or a series of the DICOM database.")

    def _inspect(self):
        geometry = None if self.volume is None else scene.geometry(self.volume)
        regularized, folder = scene.isRegularized(self.volume), Path(slicer.app.temporaryPath)
        self._show(None, "Looking at the images…")
        command = jobs.inspect_command(geometry, self.files, regularized, folder, self.taken)
        self._workers.start("inspect", command, self._inspected)

    def _list(self, parts):
        """Offer the volumes of a series that is several; none is taken by itself."""
        self._parts, self.taken = parts, []
        self.ui.partBox.clear()
        self.ui.partBox.addItems(["Choose one of its volumes", *map(wording.part_text, parts)])
        self.ui.partBox.visible = bool(parts)

    def _take(self, index):
        self.taken = self._parts[index - 1]["volume"] if index else []
        self._inspect()

    def _inspected(self, result, error):
        if result and result["volumes"] and not self._parts:
            self._list(result["volumes"])
        self._show(result, f"This cannot be segmented: {error}" if error else wording.inspection_text(result))

    def _show(self, inspection, message):
        self.inspection = inspection
        facts = inspection["facts"] if inspection else {}
        say(self.ui.factsLabel, wording.facts_html(facts))
        self.ui.factsLabel.toolTip = "\n".join(f"{name}: {facts[name]}" for name in facts if name.endswith("UID"))
        say(self.ui.inputMessage, message)
        self._onInspected(inspection["models"] if inspection else [])


class Model:
    """Which model runs, on which device, with which settings."""

    def __init__(self, ui, workers, onChanged):
        self.ui, self._workers, self._onChanged = ui, workers, onChanged
        self._models, self._widgets, self._wanted = [], {}, {}
        ui.deviceBox.addItem("Automatic", "auto")
        ui.modelBox.connect("currentIndexChanged(int)", self._chosen)
        ui.defaultsButton.connect("clicked()", lambda: (self._wanted.clear(), self._chosen()))
        ui.saveConfigButton.connect("clicked()", self._save)
        ui.loadConfigButton.connect("clicked()", self._load)
        ui.cardButton.connect("clicked()", lambda: scene.openFile(self.current["card"]))

    def listDevices(self):
        self._workers.start("devices", ["devices"], self._listed)

    def _listed(self, result, error):
        for word, what in (result["devices"] if result else {}).items():
            if self.ui.deviceBox.findData(word) < 0:
                self.ui.deviceBox.addItem(f"{word} ({what})", word)

    @property
    def current(self):
        """The chosen model as ``inspect`` described it, or None."""
        index = self.ui.modelBox.currentIndex
        return self._models[index] if 0 <= index < len(self._models) else None

    @property
    def configuration(self):
        values = {name: getattr(widget, key) for name, (widget, key) in self._widgets.items()}
        device = self.ui.deviceBox.itemData(self.ui.deviceBox.currentIndex)
        return {"model": self.current["id"], "device": device, "parameters": values}

    def show(self, models):
        """List the models, the best first; one that a loaded configuration asked for is chosen all the same."""
        self.ui.modelBox.clear()
        self._models = models
        for model in models:
            state = " (to be fetched)" if model["to_be_fetched"] else " (not sure to fit)"
            self.ui.modelBox.addItem(model["title"] + ("" if model["fits"] else state), model["id"])
        self.ui.modelBox.currentIndex = max(self.ui.modelBox.findData(self._wanted.get("model", "")), 0)
        self._chosen()

    def _chosen(self, *_):
        model, form = self.current, self.ui.settingsForm.layout()
        while form.rowCount():
            form.removeRow(0)
        self._widgets = {}
        wanted = self._wanted.get("parameters", {}) if model and model["id"] == self._wanted.get("model") else {}
        for parameter in model["parameters"] if model else []:
            name = parameter["name"]
            self._widgets[name] = widget, key = _editor(parameter)
            setattr(widget, key, wanted.get(name, parameter["default"]))
            widget.toolTip = parameter["help"]
            form.addRow(parameter["label"], widget)
        self.ui.settingsGroup.visible = bool(self._widgets)
        self.ui.cardButton.enabled = bool(model and model["card"])
        say(self.ui.modelReason, wording.model_text(model) if model else "")
        self._onChanged()

    def _save(self):
        name = qt.QFileDialog.getSaveFileName(None, "Save settings", "", "Settings (*.json)")
        with slicer.util.tryWithErrorDisplay("The settings could not be saved."):
            if name:
                write_json(Path(name), self.configuration)

    def _load(self):
        name = qt.QFileDialog.getOpenFileName(None, "Load settings", "", "Settings (*.json)")
        with slicer.util.tryWithErrorDisplay("The settings could not be loaded."):
            if name:
                self._wanted = read_configuration_for(Path(name), self._models, self.current)
                self.ui.deviceBox.currentIndex = max(self.ui.deviceBox.findData(self._wanted.get("device", "auto")), 0)
                self.show(self._models)


def _editor(parameter):
    """The widget for a parameter, and the name of the property that holds its value."""
    if parameter["type"] == "boolean":
        return qt.QCheckBox(), "checked"
    if parameter["type"] == "choice":
        box = qt.QComboBox()
        box.addItems(list(parameter["choices"]))
        return box, "currentText"
    spin = qt.QSpinBox() if parameter["type"] == "integer" else qt.QDoubleSpinBox()
    spin.minimum, spin.maximum = parameter["minimum"], parameter["maximum"]
    spin.suffix = f" {parameter['unit']}".rstrip()
    if parameter["type"] == "number" and parameter["maximum"] - parameter["minimum"] <= 10:
        spin.singleStep = 0.05
    return spin, "value"
