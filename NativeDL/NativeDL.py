"""NativeDL in 3D Slicer 5.12 or later: the module and its panel. ``PythonSlicer -m NativeDLLib`` does the work."""

import qt
import slicer
from NativeDLPanel import choice, install, review, scene, send, watch
from NativeDLPanel.worker import Workers, say
from slicer.parameterNodeWrapper import parameterNodeWrapper
from slicer.ScriptedLoadableModule import *
from slicer.util import VTKObservationMixin

from NativeDLLib.core.places import resources_folder
from NativeDLLib.panel import jobs, wording


class NativeDL(ScriptedLoadableModule):
    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "NativeDL"
        parent.categories = ["Segmentation"]
        parent.dependencies = ["DICOM", "Segmentations", "SegmentEditor"]
        parent.contributors = ["NativeDL contributors"]
        parent.icon = qt.QIcon(str(resources_folder() / "Icons" / "NativeDL.png"))
        parent.helpText = wording.HELP
        parent.acknowledgementText = "Apache License 2.0."


@parameterNodeWrapper
class NativeDLParameterNode:
    volume: slicer.vtkMRMLScalarVolumeNode


class NativeDLLogic(ScriptedLoadableModuleLogic):
    """Runs one job at a time in a worker process."""

    def __init__(self, onChanged=lambda: None):
        ScriptedLoadableModuleLogic.__init__(self)
        self.workers, self._folder = Workers(onChanged), None

    @property
    def busy(self):
        return "run" in self.workers.running

    def start(self, configuration, onDone, files=(), volume=None, noSegBecause=None, onEvent=lambda *_: None):
        """Segment DICOM files, or without any a volume; ``onDone(folder, error)`` is called at the end."""
        self._folder = folder = jobs.new_job(configuration, files, noSegBecause)
        if not files:
            scene.save(volume, folder.volume)

        def done(_, error):
            if error:
                folder.remove()
            onDone(folder, error)

        onEvent("stage", {"stage": "start"}, "")
        self.workers.start("run", folder.run_command(), done, onEvent)

    def stop(self):
        """End the job at once and leave nothing of it."""
        if self.busy:
            self.workers.stop("run")
            self._folder.remove()


class NativeDLWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    def __init__(self, parent=None):
        self._shown = False
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        # As Slicer's own DICOM module does: as its start-up module this one is set up before there is a database.
        slicer.modules.DICOMInstance.performPostModuleDiscoveryTasks()
        uiWidget = slicer.util.loadUI(str(resources_folder() / "UI" / "NativeDL.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.logic = NativeDLLogic(self._update)
        workers = self.logic.workers
        # A package that a process has loaded cannot be replaced on Windows.
        self.install = install.Install(self.ui, self._ready, workers.spare.stop)
        self.model = choice.Model(self.ui, workers, self._update)
        self.review = review.Review(self.ui, self._update)
        self.send = send.Send(self.ui, workers, self.review)
        self.regions = review.Regions(self.ui, workers, self.review, self.send, self._update)
        self.source = choice.Source(self.ui, workers, self.model.show)
        self.watch = watch.Watch(self.ui, self.logic, self._ended, self._event)
        self.ui.runButton.connect("clicked()", self._run)
        proposed = self.regions.propose
        self.ui.roiButton.connect("clicked()", lambda: self._run(proposed) if self.review.node is None else proposed())
        self.ui.cancelButton.connect("clicked()", lambda: workers.cancel("run"))
        self.ui.reviewerEdit.connect("textChanged(QString)", self._update)
        self.ui.unreviewedCheck.connect("toggled(bool)", self._update)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._sceneCloses)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self._connectParameterNode)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.NodeRemovedEvent, self._nodeRemoved)
        self.install.check()
        self._connectParameterNode()
        self._ended("")

    def enter(self):
        if self.install.ready:
            self.send.refresh()
            self.review.show()
        self._shown = True
        self._update()

    def exit(self):
        self._shown = False
        self.logic.workers.spare.stop()

    def cleanup(self):
        self.exit()
        self.logic.stop()
        self.watch.stop()
        self.logic.workers.stop()
        self._sceneCloses()
        self.removeObservers()

    def _connectParameterNode(self, *_):
        self._parameterNode = NativeDLParameterNode(self.logic.getParameterNode())
        self._guiTag = self._parameterNode.connectGui(self.ui)

    def _sceneCloses(self, *_):
        self.review.close()
        self._parameterNode.disconnectGui(self._guiTag)

    def _nodeRemoved(self, *_):
        if self.review.node is not None and self.review.node.GetScene() is None:
            self.review.close()

    def _ready(self):
        self.model.listDevices()
        self.source.listSeries()
        self.source.look()
        self.send.refresh()

    def _update(self, *_):
        """Enable what can be done now, and say what stands in the way of the rest."""
        ui, chosen, result = self.ui, self.model.current, self.review
        if chosen and chosen["problem"]:
            self.install.need(chosen["runtime"])
        ui.runButton.enabled = bool(chosen and not chosen["problem"] and self.install.ready and not self.logic.busy)
        ui.cancelButton.enabled = ui.progressBar.visible = self.logic.busy
        if ui.runButton.enabled and self._shown:
            self.logic.workers.spare.prepare(chosen["id"])
        pending = [] if ui.unreviewedCheck.checked else result.pending()
        hint = wording.send_hint(result.report, pending, not any(result.volumes.values()), ui.reviewerEdit.text)
        say(ui.reviewWarning, "\n".join(result.report["warnings"]) if result.report else "")
        say(ui.sendHint, hint)
        idle = "export" not in self.logic.workers.running
        ui.saveButton.enabled = idle and not hint
        ui.sendButton.enabled = ui.saveButton.enabled and ui.peerBox.count > 0
        ui.echoButton.enabled = ui.peerBox.count > 0
        if self.regions.rows and self.regions.folder != result.folder:
            self.regions.clear()
        noRegions = wording.regions_hint(result.report, [r.status for r in self.regions.rows], ui.reviewerEdit.text)
        ui.roiButton.enabled = ui.runButton.enabled or bool(result.report and not result.report["no_seg_because"])
        ui.validateButton.enabled = ui.rejectButton.enabled = bool(self.regions.rows)
        ui.saveRegionsButton.enabled = idle and not noRegions and "regions" not in self.logic.workers.running
        ui.sendRegionsButton.enabled = ui.saveRegionsButton.enabled and ui.peerBox.count > 0
        ui.acceptAllButton.enabled = ui.editButton.enabled = ui.show3dCheck.enabled = result.node is not None

    def _run(self, afterwards=lambda: None):
        images, found = self.source, self.source.inspection

        def done(folder, error):
            if error or volume is None or volume.GetScene() is None:
                self._ended(error or "Finished. The scene was closed meanwhile: choose the result under Review.")
                return
            self._ended("Finished: review the result below.")
            with slicer.util.tryWithErrorDisplay("The result could not be shown; it waits under Review."):
                self.review.open(folder, volume)
                afterwards()

        with slicer.util.tryWithErrorDisplay("The segmentation could not be started.", waitCursor=True):
            # Now, so that the images can be looked at while the model runs, and nothing stalls when it has ended.
            volume = images.volume or scene.volumeOfSeries(images.series, found["instances"])
            configuration = self.model.configuration | ({"volume": images.taken} if images.taken else {})
            files = [] if found["no_seg_because"] else images.files
            self.logic.start(configuration, done, files, volume, found["no_seg_because"], self._event)

    def _event(self, kind, event, log):
        if kind in ("stage", "progress"):
            say(self.ui.runMessage, wording.progress_text(kind, event))
            self.ui.progressBar.setRange(0, 100 if kind == "progress" else 0)
            self.ui.progressBar.value = int(100 * event.get("fraction", 0))
        self.ui.logText.plainText = log

    def _ended(self, message):
        say(self.ui.runMessage, message)
        self.review.listResults()
        self._update()


class NativeDLTest(ScriptedLoadableModuleTest):
    def runTest(self):
        from NativeDLLib.phantom.torso import phantom_volume

        slicer.mrmlScene.Clear()
        volume = slicer.util.addVolumeFromArray(*phantom_volume())
        ended = []
        NativeDLLogic().start({"model": "liver-ct-demo"}, lambda *end: ended.extend(end), volume=volume)
        while not ended:
            slicer.app.processEvents()
        self.assertIsNone(ended[1])
        node = scene.loadResult(ended[0].latest, "test", volume)
        self.assertGreater(scene.volumeMl(node, node.GetSegmentation().GetNthSegmentID(0)), 100)
        ended[0].remove()
