"""``python -m NativeDLLib`` is the same program as ``nativedl``."""

import sys

from NativeDLLib.cli import main

if __name__ == "__main__":
    sys.exit(main())
