"""A process that imports a model's packages, and then waits for its command.

One line on standard input is the command, a JSON list of its arguments. From then on nothing is different from ``python
-m NativeDLLib`` with these arguments. The process ends where standard input is closed before.
"""

import contextlib
import json
import os
import sys


def _import(model_id: str) -> None:
    # Whatever is wrong here, the command meets it too, and says it.
    with contextlib.suppress(Exception):
        from NativeDLLib.cli import run  # noqa: F401
        from NativeDLLib.inference.engine import import_ahead
        from NativeDLLib.registry import load_models

        # To its end: a thread that waits for input can keep others from loading libraries on Windows.
        # A GPU is left alone: what waits shall hold none of its memory.
        import_ahead(load_models()[model_id], "cpu").join()


def _line() -> bytes:
    """Return the line from standard input, or nothing where that was closed before."""
    line = b""
    while not line.endswith(b"\n"):
        part = os.read(0, 65536)
        if not part:
            return b""
        line += part
    return line


def wait(model_id: str) -> list[str]:
    """Import what a model needs and return the arguments of the command, once they are there."""
    _import(model_id)
    command = _line()
    if not command:
        sys.exit()
    return [str(argument) for argument in json.loads(command)]
