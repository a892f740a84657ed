"""The worker processes: commands that a person would type in a terminal, their events, their end."""

import qt

from NativeDLLib.processes import EventReader, kill_tree, worker_command


def say(label, text):
    """Show a text in a label, which takes no room while there is none."""
    label.text, label.visible = text, bool(text)


class Workers:
    """The processes of one part of the panel, each under a name; a new one takes the place of an older of its name."""

    def __init__(self, onChanged=lambda: None):
        self.running, self.log, self._onChanged = {}, "", onChanged

    def start(self, name, arguments, onDone, onEvent=lambda *_: None):
        """Run a command: ``onEvent(kind, event)`` gets its events, ``onDone(result, error)`` what came out of it."""
        self.stop(name)
        process, reader = qt.QProcess(), EventReader()
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
        program, arguments, folder = worker_command(arguments)
        process.setWorkingDirectory(folder)
        process.start(program, arguments)
        self._onChanged()

    def cancel(self, name):
        """Ask a command to stop and remove what it has half written; kill it where it has not in three seconds."""
        process = self.running[name]
        process.closeWriteChannel()
        qt.QTimer.singleShot(3000, lambda: self.running.get(name) is process and self._kill(process))

    def stop(self, *names):
        """End those of some names, or all, at once and without a word."""
        for process in [self.running.pop(name) for name in names or list(self.running) if name in self.running]:
            self._kill(process)
            process.waitForFinished(1000)

    def _kill(self, process):
        if process.state() != qt.QProcess.NotRunning:
            kill_tree(process.processId())
