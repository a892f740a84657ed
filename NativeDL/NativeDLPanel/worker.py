"""The worker processes: commands that a person would type in a terminal, their events, their end."""

import os

import qt

from NativeDLLib.worker.processes import EventReader, kill_tree, spare_command, spare_line, worker_command


def say(label, text):
    """Show a text in a label, which takes no room while there is none."""
    label.text, label.visible = text, bool(text)


def fit(table):
    """Give the first column of a table the room that the others leave, which are as wide as what they hold."""
    table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
    table.horizontalHeader().setSectionResizeMode(0, qt.QHeaderView.Stretch)


class Workers:
    """The panel's processes, each under a name; a new one takes the place of an older one of its name."""

    def __init__(self, onChanged):
        self.running, self.spare, self._onChanged, self._cancelled = {}, Spare(), onChanged, None

    def start(self, name, arguments, onDone, onEvent=lambda *_: None):
        """Run a command: ``onEvent(kind, event, log)`` gets its events, ``onDone(result, error)`` its outcome."""
        self.stop(name)
        spare = self.spare.take() if name == "run" else None
        process, reader = spare or qt.QProcess(), EventReader()
        self.running[name] = process

        def read():
            reader.feed_log(bytes(process.readAllStandardError().data()))
            for kind, event in reader.feed(bytes(process.readAllStandardOutput().data())):
                onEvent(kind, event, "\n".join(reader.log))

        def end(code=None, status=qt.QProcess.NormalExit):
            read()
            crashed, cancelled = status != qt.QProcess.NormalExit, self._cancelled is process
            reader.end(code, crashed=crashed, cancelled=cancelled, program=process.program())
            # The process must outlive the signal that it is sending.
            qt.QTimer.singleShot(0, lambda: process)
            if self.running.get(name) is process:
                del self.running[name]
                onDone(None if reader.error else reader.result or {}, reader.error)
                self._onChanged()

        process.connect("readyReadStandardOutput()", lambda: self.running.get(name) is process and read())
        process.connect("finished(int,QProcess::ExitStatus)", end)
        process.connect("errorOccurred(QProcess::ProcessError)", lambda e: e == qt.QProcess.FailedToStart and end())
        if spare:
            process.write(spare_line(arguments))
        else:
            _start(process, worker_command(arguments))
        self._onChanged()

    def cancel(self, name):
        """Ask a command to stop and remove what it has half written; kill it where it has not in three seconds."""
        self._cancelled = process = self.running[name]
        process.closeWriteChannel()
        qt.QTimer.singleShot(3000, lambda: self.running.get(name) is process and _kill(process))

    def stop(self, *names):
        """End those of some names, or all, at once and without a word."""
        for process in [self.running.pop(name) for name in names or list(self.running) if name in self.running]:
            _kill(process, 1000)


class Spare:
    """One process ahead of its time: it has imported what a model needs, and waits to be told what to run."""

    def __init__(self):
        self._process, self._model, self._made = None, None, None

    def prepare(self, model):
        """See that there is one for a model; ``NATIVEDL_SPARE=0`` says that there shall be none."""
        if os.environ.get("NATIVEDL_SPARE") != "0" and not self._isReady(model):
            self.stop()
            self._process, self._model, self._made = qt.QProcess(), model, (spare_command(model), dict(os.environ))
            _start(self._process, spare_command(model))

    def take(self):
        """Return it, or None where there is none that a new process would not differ from."""
        if not self._isReady(self._model):
            self.stop()
        process, self._process = self._process, None
        return process

    def stop(self):
        """End it at once."""
        process, self._process = self._process, None
        if process is not None:
            _kill(process, 1000)

    def _isReady(self, model):
        process, made = self._process, (spare_command(model), dict(os.environ))
        # What has just died is found out only by looking.
        return process is not None and self._made == made and not process.waitForFinished(0) and process.processId() > 0


def _start(process, command):
    process.setWorkingDirectory(command[2])
    process.start(*command[:2])


def _kill(process, wait=0):
    if process.state() != qt.QProcess.NotRunning:
        kill_tree(process.processId())
    process.waitForFinished(wait)
