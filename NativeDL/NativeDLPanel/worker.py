"""The worker process: the command that a person would type in a terminal, its events, its end."""

import shutil
import sys
from pathlib import Path

import NativeDLLib
import qt
from NativeDLLib.processes import EventReader, kill_tree

# Commands end within this time when asked to; after it the whole process tree is killed.
_PATIENCE_MS = 3000


class Workers:
    """The processes of one part of the panel, each under a name; a new one takes the place of an older of its name."""

    def __init__(self, onChanged=lambda: None):
        self._workers, self._onChanged = {}, onChanged

    def start(self, name, arguments, onDone, onEvent=None):
        def done(result, error):
            del self._workers[name]
            onDone(result, error)
            self._onChanged()

        self.stop(name)
        self._workers[name] = Worker(arguments, done, onEvent)
        self._onChanged()

    def get(self, name):
        """The running process of a name, or None."""
        return self._workers.get(name)

    def stop(self, *names):
        """End those of some names, or all, at once and without a word."""
        for name in names or list(self._workers):
            if name in self._workers:
                self._workers.pop(name).stop()


class Worker:
    """Runs ``NativeDLLib ARGUMENTS --events``: ``onEvent(kind, event)`` gets each event, ``onDone(result, error)`` the
    end, with what the command reported or one line that says why it failed. After `stop` neither is called.
    """

    def __init__(self, arguments, onDone, onEvent=None):
        self._onDone, self._onEvent = onDone, onEvent
        self._reader, self._stopped = EventReader(), False
        self.process = qt.QProcess()
        # `-m` finds the library in the folder that the process starts in, wherever this module was loaded from.
        self.process.setWorkingDirectory(str(Path(NativeDLLib.__file__).resolve().parent.parent))
        self.process.connect("readyReadStandardOutput()", self._read)
        self.process.connect("readyReadStandardError()", self._readLog)
        self.process.connect("finished(int,QProcess::ExitStatus)", self._finished)
        self.process.connect("errorOccurred(QProcess::ProcessError)", self._failed)
        python = shutil.which("PythonSlicer") or sys.executable
        self.process.start(python, ["-m", "NativeDLLib", *(str(a) for a in arguments), "--events"])

    @property
    def log(self):
        return "\n".join(self._reader.log)

    def cancel(self):
        """Ask the command to stop: it removes what it has half written and says that it was cancelled."""
        self.process.terminate()
        qt.QTimer.singleShot(_PATIENCE_MS, self._kill)

    def stop(self):
        """End at once and say nothing more."""
        self._stopped = True
        self._kill()
        self.process.waitForFinished(1000)

    def _kill(self):
        if self.process.state() != qt.QProcess.NotRunning:
            kill_tree(self.process.processId())

    def _read(self):
        for kind, event in self._reader.feed(bytes(self.process.readAllStandardOutput().data())):
            if self._onEvent is not None and not self._stopped:
                self._onEvent(kind, event)

    def _readLog(self):
        self._reader.feed_log(bytes(self.process.readAllStandardError().data()))

    def _failed(self, problem):
        if problem == qt.QProcess.FailedToStart:
            self._reader.error = f"The process could not be started: {self.process.errorString()}"
            self._end()

    def _finished(self, code, status):
        self._read()
        self._readLog()
        self._reader.end(code, crashed=status != qt.QProcess.NormalExit)
        self._end()

    def _end(self):
        # Held until the signal that called this is over: whoever started the process may let go of it now.
        qt.QTimer.singleShot(0, lambda: self)
        if not self._stopped:
            self._stopped = True
            self._onDone(None if self._reader.error else self._reader.result or {}, self._reader.error)
