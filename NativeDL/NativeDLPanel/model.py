"""Model: the registry's models with their reasons, the device, and the settings that the registry entry describes."""

from pathlib import Path

import qt
import slicer

from NativeDLLib.cli.options import read_configuration_for
from NativeDLLib.core.files import write_json
from NativeDLLib.panel import wording as texts
from NativeDLPanel import scene
from NativeDLPanel.worker import Workers, say


class Model:
    """Which model runs, on which device, with which settings."""

    def __init__(self, ui, onChanged):
        self.ui, self._onChanged, self.workers = ui, onChanged, Workers()
        self._models, self._widgets, self._wanted = [], {}, {}
        ui.deviceBox.addItem("Automatic", "auto")
        ui.modelBox.connect("currentIndexChanged(int)", self._chosen)
        ui.defaultsButton.connect("clicked()", lambda: (self._wanted.clear(), self._setValues({})))
        ui.saveConfigButton.connect("clicked()", self._save)
        ui.loadConfigButton.connect("clicked()", self._load)
        ui.cardButton.connect("clicked()", lambda: scene.openFile(self.current["card"]))

    def listDevices(self):
        self.workers.start("devices", ["devices"], self._listed)

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
            self.ui.modelBox.addItem(model["title"] + ("" if model["fits"] else state))
        ids, wanted = [model["id"] for model in models], self._wanted.get("model")
        self.ui.modelBox.currentIndex = ids.index(wanted) if wanted in ids else min(len(ids), 1) - 1
        self._chosen()

    def _chosen(self, *_):
        model, form = self.current, self.ui.settingsForm.layout()
        while form.rowCount():
            form.removeRow(0)
        self._widgets = {}
        for parameter in model["parameters"] if model else []:
            self._widgets[parameter["name"]] = widget, _ = _editor(parameter)
            widget.toolTip = parameter["help"]
            form.addRow(parameter["label"], widget)
        wanted = self._wanted if model and model["id"] == self._wanted.get("model") else {}
        self._setValues(wanted.get("parameters", {}))
        self.ui.settingsGroup.visible = bool(self._widgets)
        self.ui.cardButton.enabled = bool(model and model["card"])
        say(self.ui.modelReason, texts.model_text(model) if model else "")
        self._onChanged()

    def _setValues(self, values):
        for parameter in self.current["parameters"] if self.current else []:
            widget, key = self._widgets[parameter["name"]]
            setattr(widget, key, values.get(parameter["name"], parameter["default"]))

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
