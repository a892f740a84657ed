"""NativeDL in 3D Slicer: deep-learning segmentation from the DICOM database, reviewed, and stored on the PACS.

Target: Slicer 5.12 or later. Nothing heavy is imported here; the work is done by ``PythonSlicer -m NativeDLLib``.
"""

import sys
from pathlib import Path

import qt
import slicer
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

try:
    import NativeDLLib
except ImportError:
    # Loaded from a source checkout (--additional-module-paths): the library lies beside this folder.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import NativeDLLib
from NativeDLLib import texts, worklist
from NativeDLLib.resources import resources_folder

from NativeDLPanel import say, scene
from NativeDLPanel.input import Input
from NativeDLPanel.install import Install
from NativeDLPanel.model import Model
from NativeDLPanel.review import Review
from NativeDLPanel.send import Send
from NativeDLPanel.watch import Watch
from NativeDLPanel.worker import Workers


class NativeDL(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "NativeDL"
        parent.categories = ["Segmentation"]
        parent.dependencies = ["DICOM", "Segmentations", "SegmentEditor"]
        parent.contributors = ["NativeDL contributors"]
        parent.icon = qt.QIcon(str(resources_folder() / "Icons" / "NativeDL.png"))
        parent.helpText = (
            "Segments a DICOM series with a model of the registry, lets you review and correct the result, and stores "
            f"it as a DICOM SEG on the PACS. Version {NativeDLLib.__version__}. Not for clinical use."
        )
        parent.acknowledgementText = "Apache License 2.0."


@parameterNodeWrapper
class NativeDLParameterNode:
    """What the panel keeps with the scene."""

    volume: slicer.vtkMRMLScalarVolumeNode
    unreviewed: bool = False


class NativeDLLogic(ScriptedLoadableModuleLogic):
    """Runs one job at a time in a worker process."""

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.workers, self._folder = Workers(), None

    def getParameterNode(self):
        return NativeDLParameterNode(super().getParameterNode())

    @property
    def job(self):
        """The process of the running job, or None."""
        return self.workers.get("run")

    def start(self, configuration, onDone, files=(), volume=None, noSegBecause=None, onEvent=None):
        """Segment DICOM files, or without any a volume; ``onDone(folder, error)`` is called at the end."""
        self._folder = folder = worklist.new_job(configuration, files, noSegBecause)
        if not files:
            scene.save(volume, folder.volume)

        def done(_, error):
            if error:
                folder.remove()
            onDone(folder, error)

        source = ["--files", folder.source] if files else ["--image", folder.volume]
        target = ["--config", folder.settings, "--output", folder.automatic]
        self.workers.start("run", ["run", *source, *target], done, onEvent)

    def cancel(self):
        self.job.cancel()

    def stop(self):
        """End the job at once and leave nothing of it."""
        if self.job is not None:
            self.workers.stop()
            self._folder.remove()


class NativeDLWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self._parameterNode = self._guiTag = None
        self._scenes = 0

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        uiWidget = slicer.util.loadUI(str(resources_folder() / "UI" / "NativeDL.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = NativeDLLogic()
        self.install = Install(self.ui, self._ready)
        self.model = Model(self.ui, self._update)
        self.review = Review(self.ui, self._update)
        self.send = Send(self.ui, self.review, self._update)
        self.input = Input(self.ui, self._inspected)
        self.watch = Watch(self.ui, self._runRule)
        self.ui.runButton.connect("clicked()", self._run)
        self.ui.cancelButton.connect("clicked()", self.logic.cancel)
        self.ui.reviewerEdit.connect("textChanged(QString)", self._update)
        self.ui.unreviewedCheck.connect("toggled(bool)", self._update)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._sceneCloses)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self._sceneClosed)
        self.install.check()
        self._connectParameterNode()
        self._ended("")

    def enter(self):
        self._connectParameterNode()
        if self.install.ready:
            self.send.refresh()
            self.review.show()

    def exit(self):
        self._disconnectParameterNode()

    def cleanup(self):
        self.logic.stop()
        self.watch.stop()
        for part in (self.input, self.model, self.send):
            part.workers.stop()
        self.review.close()
        self._disconnectParameterNode()
        self.removeObservers()

    def _connectParameterNode(self):
        if self._parameterNode is None:
            self._parameterNode = self.logic.getParameterNode()
            self._guiTag = self._parameterNode.connectGui(self.ui)

    def _disconnectParameterNode(self):
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._guiTag)
            self._parameterNode = None

    def _sceneCloses(self, *_):
        self._scenes += 1
        self.review.close()
        self._disconnectParameterNode()

    def _sceneClosed(self, *_):
        self._connectParameterNode()
        self.input.look()

    def _ready(self):
        self.model.listDevices()
        self.input.listSeries()
        self.input.look()
        self.review.listResults()
        self.send.refresh()

    def _inspected(self, inspection):
        self.model.show(inspection["models"] if inspection else [])

    def _update(self, *_):
        """Enable what can be done now, and say what stands in the way of the rest."""
        ui, model, review = self.ui, self.model.current, self.review
        if model and model["problem"]:
            self.install.check(model["runtime"])
        runnable = model and not model["problem"] and self.install.ready
        ui.runButton.enabled = bool(runnable and self.logic.job is None)
        ui.cancelButton.enabled = ui.progressBar.visible = self.logic.job is not None
        pending = [] if ui.unreviewedCheck.checked else review.pending()
        hint = texts.send_hint(review.report, pending, ui.reviewerEdit.text)
        say(ui.reviewWarning, "\n".join(review.report["warnings"]) if review.report else "")
        say(ui.sendHint, hint)
        ui.saveButton.enabled = not hint and self.send.workers.get("export") is None
        ui.sendButton.enabled = ui.saveButton.enabled and ui.peerBox.count > 0
        ui.echoButton.enabled = ui.peerBox.count > 0
        for widget in (ui.acceptAllButton, ui.editButton, ui.show3dCheck):
            widget.enabled = review.node is not None

    def _run(self):
        source, scenes = self.input, self._scenes

        def done(folder, error):
            if error or scenes != self._scenes:
                self._ended(error or "Finished. The scene was closed meanwhile: choose the result under Review.")
                return
            with slicer.util.tryWithErrorDisplay("The result could not be shown; it waits under Review."):
                self.review.open(folder, volume)
            self._ended("Finished: review the result below.")

        with slicer.util.tryWithErrorDisplay("The segmentation could not be started.", waitCursor=True):
            # Now, so that the images can be looked at while the model runs, and nothing stalls when it has ended.
            volume = source.volume or scene.volumeOfSeries(source.series)
            self.logic.start(self.model.configuration, done, source.files, volume, source.noSegBecause, self._event)
        self._update()

    def _runRule(self, files, configuration, onError):
        def done(_, error):
            self._ended(error or "A rule has segmented a new series: it waits under Review.")
            if error:
                onError(error)

        if self.logic.job is None:
            self.logic.start(configuration, done, files, onEvent=self._event)
            self._update()
            return True
        return False

    def _event(self, kind, event):
        if kind in ("stage", "progress"):
            say(self.ui.runMessage, texts.progress_text(kind, event))
            self.ui.progressBar.setRange(0, 100 if kind == "progress" else 0)
            self.ui.progressBar.value = int(100 * event.get("fraction", 0))
        self.ui.logText.plainText = self.logic.job.log

    def _ended(self, message):
        say(self.ui.runMessage, message)
        self.review.listResults()
        self._update()


class NativeDLTest(ScriptedLoadableModuleTest):
    """Segments a phantom with a bundled model, in this Slicer."""

    def runTest(self):
        slicer.mrmlScene.Clear()
        self.test_a_volume_is_segmented()

    def test_a_volume_is_segmented(self):
        from NativeDLLib.demo.ct_series import phantom_volume

        voxels, spacing = phantom_volume()
        volume = slicer.util.addVolumeFromArray(voxels)
        volume.SetSpacing(*spacing)
        ended = []
        NativeDLLogic().start({"model": "liver-ct-demo"}, lambda *end: ended.append(end), volume=volume)
        while not ended:
            slicer.app.processEvents()
        folder, error = ended[0]
        self.assertIsNone(error)
        node = scene.loadResult(folder.automatic / "segmentation.seg.nrrd", "test", volume)
        self.assertGreater(scene.volumeMl(node.GetSegmentation().GetNthSegment(0)), 100)
        folder.remove()
