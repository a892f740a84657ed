"""The panel of NativeDL, one file for each thing that it does. Everything that computes runs in a worker process."""

import sys
from pathlib import Path

# Installed, the library lies beside this folder; in a source checkout (--additional-module-paths) beside its parent.
sys.path += [str(f) for f in Path(__file__).resolve().parents[1:3] if (f / "NativeDLLib").is_dir()]
