"""The worker processes: commands that a person would type in a terminal, their events, their end."""

import os

import qt

from NativeDLLib.worker.processes import EventReader, kill_tree, spare_command, spare_line, worker_command


def say(label, text):
    """Show a text in a label, which takes no room while there is none."""
    label.text, label.visible = text, bool(text)


class Workers:
    """The processes of one part of the panel, each under a name; a new one takes the place of an older of its name."""

    def __init__(self, onChanged=lambda: None, spare=None):
        self.running, self.log, self._onChanged, self._spare = {}, "", onChanged, spare

    def start(self, name, arguments, onDone, onEvent=lambda *_: None):
        """Run a command: ``onEvent(kind, event)`` gets its events, ``onDone(result, error)`` what came out of it."""
        self.stop(name)
        spare = self._spare.take() if self._spare else None
        process, reader = spare or qt.QProcess(), EventReader()
        self.running[name] = process

        def read():
            reader.feed_log(bytes(process.readAllStandardError().data()))
            for kind, event in reader.feed(bytes(process.readAllStandardOutput().data())):
                onEvent(kind, event)
            self.log = "\n".join(reader.log)

        def end(code=1, status=qt.QProcess.CrashExit):
            read()
            reader.end(code, crashed=status != qt.QProcess.NormalExit)
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
        process = self.running[name]
        process.closeWriteChannel()
        qt.QTimer.singleShot(3000, lambda: self.running.get(name) is process and _kill(process))

    def stop(self, *names):
        """End those of some names, or all, at once and without a word."""
        for process in [self.running.pop(name) for name in names or list(self.running) if name in self.running]:
            _kill(process, 1000)


class Spare:
    """One process ahead of its time: it has imported what a model needs, and waits to be told what to run."""

    def __init__(self):
        self._process, self._model, self._fits = None, None, None

    def prepare(self, model):
        """See that there is one for a model; ``NATIVEDL_SPARE=0`` says that there shall be none."""
        if (self._model == model and self._isReady()) or os.environ.get("NATIVEDL_SPARE") == "0":
            return
        self.stop()
        self._process, self._model, self._fits = qt.QProcess(), model, _surroundings()
        _start(self._process, spare_command(model))

    def take(self):
        """Return it, or None where there is none that a new process would not differ from."""
        if not self._isReady():
            self.stop()
        process, self._process = self._process, None
        return process

    def stop(self):
        """End it at once."""
        process, self._process = self._process, None
        if process is not None:
            _kill(process, 1000)

    def _isReady(self):
        process = self._process
        if process is None or self._fits != _surroundings():
            return False
        # What has just died is found out only by looking.
        process.waitForFinished(0)
        return process.state() != qt.QProcess.NotRunning


def _surroundings():
    """All but its arguments that a new process would start with."""
    program, _, folder = worker_command([])
    return program, folder, dict(os.environ)


def _start(process, command):
    program, arguments, folder = command
    process.setWorkingDirectory(folder)
    process.start(program, arguments)


def _kill(process, wait=0):
    if process.state() != qt.QProcess.NotRunning:
        kill_tree(process.processId())
    process.waitForFinished(wait)
