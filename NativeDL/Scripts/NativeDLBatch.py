"""``nativedl batch`` for ``Slicer --no-splash --no-main-window --python-script NativeDLBatch.py -- ARGUMENTS``.

Not beside the module: Slicer takes every Python file there for a module of its own.
"""

import shutil
import sys
from pathlib import Path

import slicer.util


def main() -> int:
    # Installed, the library lies beside the module; in a source checkout beside the module's folder.
    for folder in Path(__file__).resolve().parents[1:3]:
        if (folder / "NativeDLLib").is_dir():
            sys.path.insert(0, str(folder))
            break
    # Jobs are started with sys.executable, which may be Slicer itself here.
    sys.executable = shutil.which("PythonSlicer") or sys.executable
    # Slicer takes away its own options, and from some versions on the "--" as well.
    arguments = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]
    from NativeDLLib.cli import main as nativedl

    return nativedl(["batch", *arguments])


if __name__ == "__main__":
    code = 1
    try:
        code = main()
    except SystemExit as end:  # --help and --version
        code = int(end.code or 0)
    except BaseException as error:  # whatever it is, Slicer must not stay behind and wait
        print(f"nativedl: error: {type(error).__name__}: {error}", file=sys.stderr)
    slicer.util.exit(code)
