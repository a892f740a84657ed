"""``nativedl batch`` for ``Slicer --no-splash --no-main-window --python-script NativeDLBatch.py -- ARGUMENTS``."""

import sys
from pathlib import Path

import slicer.util


# Slicer takes every Python file beside a module for a module too.
class NativeDLBatch:
    def __init__(self, parent):
        parent.hidden = True
        parent.widgetRepresentationCreationEnabled = False


if __name__ == "__main__":
    code = 1
    try:
        sys.path.insert(0, str(Path(__file__).resolve().parent))
        import NativeDLPanel  # noqa: F401  finds the library

        from NativeDLLib.cli.main import main
        from NativeDLLib.worker.processes import slicer_python

        # Jobs are started with sys.executable, which is Slicer itself here.
        sys.executable = slicer_python()
        # Slicer takes away its own options, and from some versions on the "--" as well.
        code = main(["batch", *sys.argv[sys.argv.index("--") + 1 if "--" in sys.argv else 1 :]])
    except SystemExit as end:  # --help
        code = int(end.code or 0)
    except BaseException as error:  # whatever it is, Slicer must not stay behind and wait
        print(f"nativedl: error: {type(error).__name__}: {error}", file=sys.stderr)
    slicer.util.exit(code)
