"""NativeDL in 3D Slicer: a module that loads and says what it is and which models it has.

Target: Slicer 5.12 or later. Nothing heavy is imported here; the work is done by ``PythonSlicer -m NativeDLLib``.
"""

import sys
from pathlib import Path

import qt
from slicer.ScriptedLoadableModule import ScriptedLoadableModule, ScriptedLoadableModuleWidget

try:
    import NativeDLLib
except ImportError:
    # Loaded from a source checkout (--additional-module-paths): the library lies beside this folder.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import NativeDLLib


class NativeDL(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "NativeDL"
        parent.categories = ["Segmentation"]
        parent.dependencies = []
        parent.contributors = ["NativeDL contributors"]
        parent.helpText = (
            "Segments a DICOM series with a model of the registry and stores the result as a DICOM SEG on the PACS. "
            f"Version {NativeDLLib.__version__}. Not for clinical use."
        )
        parent.acknowledgementText = "Apache License 2.0."


class NativeDLWidget(ScriptedLoadableModuleWidget):
    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        label = qt.QLabel(
            f"NativeDL {NativeDLLib.__version__} is installed. Run it from a terminal:\n"
            "PythonSlicer -m NativeDLLib run --input FOLDER --output FOLDER"
        )
        label.wordWrap = True
        self.layout.addWidget(label)
        self.layout.addStretch(1)
