"""Automatic segmentation: series that arrive in the DICOM database and match a rule, one at a time, for review."""

import qt
import slicer

from NativeDLLib.panel import watch_rules as watch
from NativeDLPanel import scene
from NativeDLPanel.worker import say


class Watch:
    """Runs the rules whenever no other job runs."""

    def __init__(self, ui, logic, onEnded, onEvent):
        self.ui, self._logic, self._onEnded, self._onEvent = ui, logic, onEnded, onEvent
        self._arrivals = watch.Arrivals()
        # A series counts as complete when no image has come for three seconds.
        self._timer = qt.QTimer()
        self._timer.setInterval(3000)
        self._timer.connect("timeout()", self._tick)
        ui.watchCheck.connect("clicked(bool)", self._switch)
        ui.watchRulesButton.connect("clicked()", lambda: scene.openFile(watch.written_rules_file()))
        self._database = getattr(slicer, "dicomDatabase", None)
        if self._database:
            self._database.connect("seriesAdded(QString)", self._added)
        self._rules()

    def stop(self):
        self._timer.stop()
        if self._database:
            self._database.disconnect("seriesAdded(QString)", self._added)

    def _rules(self):
        rules, error = watch.rules_for_panel()
        self.ui.watchCheck.checked, waiting = bool(rules), len(self._arrivals.queue)
        say(self.ui.watchLabel, error or (f"{waiting} series wait." if waiting else ""))
        return rules

    def _switch(self, on):
        self.ui.watchCheck.checked = not on  # until it is so
        with slicer.util.tryWithErrorDisplay("The rules could not be switched."):
            watch.set_enabled(on)
        self._rules()

    def _added(self, series):
        self._arrivals.add(series)
        self._timer.start()

    def _tick(self):
        rules, database, queue = self._rules(), scene.database(), self._arrivals.queue
        if database:
            self._arrivals.enqueue(rules, database.filesForSeries, database.fileValue)
        if queue and not self._logic.busy:
            files, configuration = queue.pop(0)
            ended = "A rule has segmented a new series: it waits under Review."
            with slicer.util.tryWithErrorDisplay("A rule could not be followed."):
                self._logic.start(configuration, lambda _, e: self._onEnded(e or ended), files, onEvent=self._onEvent)
        elif not queue and not self._arrivals:
            self._timer.stop()
