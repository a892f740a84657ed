"""Errors that the user can act on. Each class carries the exit code with which the command line ends."""


class NativeDLError(Exception):
    """Base of all errors whose message is meant for the user: what is wrong, where, and what to do. The `message` is
    for everybody: it names no option and no command. The `hint` is the remedy on the command line; only the terminal
    shows it. Both are one line each; line breaks that came in with foreign text are folded.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(" ".join(message.split()))
        self.hint = " ".join(hint.split())


class UsageError(NativeDLError):
    """A wrong command line, parameter value or configuration file."""

    exit_code = 2


class InputError(NativeDLError):
    """A file, series or study that is missing, damaged or cannot be segmented truthfully."""

    exit_code = 3


class ModelError(NativeDLError):
    """A registry, weights file, runtime or device that cannot be used."""

    exit_code = 4


class PacsError(NativeDLError):
    """A peer that cannot be reached or refuses; what was to be sent is kept in the outbox."""

    exit_code = 5


class CancelledError(NativeDLError):
    """The user, or the program that started this one, cancelled the work."""

    exit_code = 6


class CasesFailedError(NativeDLError):
    """A batch that ran to its end, but not every case of it succeeded."""

    exit_code = 7
