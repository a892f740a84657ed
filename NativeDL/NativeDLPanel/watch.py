"""Automatic segmentation: series that arrive in the DICOM database and match a rule, one at a time, for review."""

import qt
import slicer
from NativeDLLib import watch
from NativeDLLib.errors import NativeDLError

from NativeDLPanel import say, scene

# A series counts as complete when no image has come for so long.
_QUIET_MS = 3000


class Watch:
    """Runs the rules; ``run(files, configuration, onError)`` returns False while another job runs."""

    def __init__(self, ui, run):
        self.ui, self._run, self._arrivals, self._queue = ui, run, watch.Arrivals(), []
        self._timer = qt.QTimer()
        self._timer.setInterval(_QUIET_MS)
        self._timer.connect("timeout()", self._tick)
        ui.watchCheck.connect("clicked(bool)", self._switch)
        ui.watchRulesButton.connect("clicked()", self._edit)
        if slicer.dicomDatabase is not None:
            slicer.dicomDatabase.connect("seriesAdded(QString)", self._added)
        self._rules()

    def stop(self):
        self._timer.stop()
        if slicer.dicomDatabase is not None:
            slicer.dicomDatabase.disconnect("seriesAdded(QString)", self._added)

    def _rules(self, text=""):
        """Read the rules anew, and say how things stand."""
        try:
            rules = watch.load_rules()
        except NativeDLError as error:
            rules, text = [], str(error)
        self.ui.watchCheck.checked = bool(rules)
        say(self.ui.watchLabel, (f"{len(self._queue)} series wait. " if self._queue else "") + text)
        return rules

    def _switch(self, on):
        with slicer.util.tryWithErrorDisplay("The rules could not be switched."):
            watch.set_enabled(on)
        self._rules()

    def _edit(self):
        if not watch.rules_file().exists():
            watch.set_enabled(False)
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(watch.rules_file())))

    def _added(self, series):
        self._arrivals.add(series)
        self._timer.start()

    def _tick(self):
        rules, database = self._rules(), scene.database()
        for _, files in self._arrivals.complete(database.filesForSeries) if database else ():
            attributes = {name: database.fileValue(files[0], tag) for name, tag in watch.tags(rules).items()}
            rule = watch.match(rules, attributes)
            self._queue += [(files, rule)] if rule is not None else []
        if self._queue:
            files, rule = self._queue[0]
            configuration = {"model": rule.model, "parameters": dict(rule.parameters)}
            if self._run(files, configuration, lambda error: self._rules(f"{rule.name}: {error}")):
                del self._queue[0]
                self._rules(f"Runs {rule.name}.")
        elif not self._arrivals:
            self._timer.stop()
