"""``python -m NativeDLLib`` is the same program as ``nativedl``."""

from NativeDLLib.cli.main import program

if __name__ == "__main__":
    program()
