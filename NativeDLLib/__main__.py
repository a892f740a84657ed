"""``python -m NativeDLLib`` is the same program as ``nativedl``."""

from NativeDLLib.cli import program

if __name__ == "__main__":
    program()
