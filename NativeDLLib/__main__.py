"""``python -m NativeDLLib`` is the program ``nativedl``; so is this file, started by its path as `worker` does."""

import sys
from pathlib import Path

if __name__ == "__main__":
    if not __package__:
        # The package's own place is needed to find the package, and for nothing that lies beside it.
        sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
        import NativeDLLib  # noqa: F401

        del sys.path[0]
    from NativeDLLib.cli.main import program

    program()
