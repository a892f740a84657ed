"""The panel as a person uses it: choosing, pressing, waiting for what it says."""

from __future__ import annotations

import io
import json
import urllib.request
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pydicom

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "NativeDL" / "NativeDL.py"


class Panel:
    """The panel of a loaded module, with the actions of a user."""

    def __init__(self, app: Any, module: Path = MODULE) -> None:
        self.app = app
        self.widget = app.load(module)
        self.settle()

    @property
    def ui(self) -> Any:
        return self.widget.ui

    def settle(self) -> None:
        """Wait until no short command runs any more; the list of devices, which takes longest, may come later."""
        long = {"run", "devices"}
        running = self.widget.logic.workers.running
        self.app.wait_until(lambda: running.keys() <= long, 60, "the panel's commands")

    def choose_volume(self, node: Any) -> None:
        self.ui.volumeRadio.checked = True
        self.ui.volumeSelector.setCurrentNode(node)
        self.settle()

    def choose_series(self, text: str) -> None:
        """Search the database's series and choose the first that is left."""
        self.ui.databaseRadio.checked = True
        self.widget.source.listSeries()
        self.settle()
        self.ui.seriesSearch.text = text
        tree = self.ui.seriesTree
        items = [tree.topLevelItem(index) for index in range(tree.topLevelItemCount)]
        shown = [item for item in items if not item.isHidden()]
        assert shown, f"no series is found by '{text}': {self.ui.seriesCount.text}"
        tree.setCurrentItem(shown[0])
        self.settle()

    def choose_model(self, model_id: str) -> None:
        ids = [model["id"] for model in self.widget.model._models]
        self.ui.modelBox.currentIndex = ids.index(model_id)

    def run(self) -> str:
        """Press Segment, wait for the end, and return what the panel says then."""
        self.start()
        return self.finish()

    def start(self) -> None:
        assert self.ui.runButton.enabled, f"Segment cannot be pressed: {self.ui.modelReason.text}"
        self.ui.runButton.click()

    def finish(self, seconds: float = 120) -> str:
        self.app.wait_until(lambda: not self.widget.logic.busy, seconds, "the end of the run")
        self.settle()
        return str(self.ui.runMessage.text)

    def press_all(self, but: Collection[str]) -> set[str]:
        """Press every button but some, and return the names of those that were pressed."""
        names = {name for name, widget in vars(self.ui).items() if widget.inherits("QAbstractButton")}
        names -= {name for name in names if getattr(self.ui, name).inherits("ctkCollapsibleButton")} | set(but)
        for name in names:
            getattr(self.ui, name).click()
            self.settle()
        return names

    def settings(self) -> dict[str, Any]:
        """Return the widgets of the model's settings by their labels."""
        import qt

        form, role = self.ui.settingsForm.layout(), qt.QFormLayout
        rows = [
            (form.itemAt(i, role.LabelRole).widget(), form.itemAt(i, role.FieldRole).widget())
            for i in range(form.rowCount())
        ]
        return {label.text: widget for label, widget in rows}

    def report(self) -> dict[str, Any]:
        """Return the report of the automatic result under review."""
        return json.loads((self.widget.review.folder.automatic / "report.json").read_text())

    def approved(self) -> Any:
        """Return the approved SEG of the result under review."""
        return pydicom.dcmread(self.widget.review.folder.approved_seg)

    def accept_all(self) -> None:
        self.ui.acceptAllButton.click()
        self.ui.reviewerEdit.text = "Doe^Jane"

    def rows(self) -> list[tuple[str, str, str]]:
        """Return name, volume and decision of each segment, as the table shows them."""
        table = self.ui.segmentTable
        return [
            (table.item(row, 0).text(), table.item(row, 1).text(), table.cellWidget(row, 2).currentText)
            for row in range(table.rowCount)
        ]

    def decide(self, row: int, decision: str) -> None:
        """Choose a decision in the table, as with the mouse."""
        box = self.ui.segmentTable.cellWidget(row, 2)
        box.currentIndex = box.findText(decision)
        box.activated.emit(box.currentIndex)
        self.app.wait_until(lambda: not self.widget.review._rest.active, 5, "the table")

    def choose_result(self, index: int) -> None:
        """Choose a result in the list, the first being 1."""
        self.ui.resultBox.currentIndex = index
        self.ui.resultBox.activated.emit(index)
        self.settle()

    def press(self, button: Any) -> str:
        """Press a button of the section Send, wait, and return what the panel says then."""
        assert button.enabled, f"{button.text} cannot be pressed: {self.ui.sendHint.text}"
        button.click()
        self.settle()
        return str(self.ui.sendMessage.text)


def phantom(app: Any, folder: Path) -> str:
    """Put the phantom of a patient with a liver into the application's database; return its Series Instance UID."""
    from NativeDLLib.phantom.ct_series import write_ct_series
    from NativeDLLib.phantom.torso import make_phantom

    image, _ = make_phantom(7, (192, 192, 40), (2.0, 2.0, 7.0))
    return add(
        app,
        write_ct_series(
            image,
            folder / "phantom",
            patient_name="Miller^Anna",
            patient_id="4711",
            study_description="CT abdomen",
            series_description="Liver portal venous",
        ),
    )


def slice_picture(volume: Any, index: int, path: Path) -> None:
    """Draw an axial slice of a volume and the scene's closed curves, each in its colour, as a slice view shows them."""
    import numpy as np
    import slicer
    import vtk
    from PIL import Image, ImageDraw

    zoom, pixels = 8, slicer.util.arrayFromVolume(volume)[index].astype(float)
    grey = np.clip((pixels + 160) / 400, 0, 1) * 255  # an abdominal window
    image = Image.fromarray(grey.astype(np.uint8)).convert("RGB").resize([zoom * n for n in pixels.shape[::-1]])
    to_voxels = vtk.vtkMatrix4x4()
    volume.GetRASToIJKMatrix(to_voxels)
    for curve in slicer.util.getNodesByClass("vtkMRMLMarkupsClosedCurveNode"):
        points = slicer.util.arrayFromMarkupsControlPoints(curve, world=True)
        corners = [to_voxels.MultiplyPoint((*point, 1))[:2] for point in [*points, points[0]]]
        color = tuple(round(255 * value) for value in curve.GetDisplayNode().GetSelectedColor())
        ImageDraw.Draw(image).line([(zoom * (x + 0.5), zoom * (y + 0.5)) for x, y in corners], fill=color, width=3)
    image.save(path)


def add(app: Any, files: list[Path]) -> str:
    """Import a series into the application's database, and return its Series Instance UID."""
    for file in files:
        app.slicer.dicomDatabase.insert(str(file), True, False)
    return str(pydicom.dcmread(files[0], stop_before_pixels=True).SeriesInstanceUID)


def load(app: Any, series: str) -> Any:
    """Load a series of the database as Slicer's DICOM module does, and return its volume."""
    from DICOMLib import DICOMUtils

    (node_id,) = DICOMUtils.loadSeriesByUID([series])
    return app.slicer.mrmlScene.GetNodeByID(node_id)


def configure_server(peer: Any) -> None:
    """Enter a DICOM server in Slicer's own settings, as its DICOM module stores it."""
    import qt

    row = {
        "Name": peer.name,
        "CheckState": 2,
        "QueryRetrieveCheckState": 2,
        "StorageCheckState": 2,
        "Calling AETitle": "SLICER",
        "Called AETitle": peer.ae_title,
        "Address": peer.host,
        "Port": str(peer.port),
        "Timeout": "10",
        "Retrieve Protocol": "CGET",
    }
    qt.QSettings().setValue("DICOM/ServerNodes/0", json.dumps(row))
    qt.QSettings().setValue("DICOM/ServerNodeCount", 1)


def stored_segmentations(orthanc: Any) -> list[Any]:
    """Return the SEG that an Orthanc holds."""
    return stored(orthanc, "SEG")


def stored(orthanc: Any, modality: str) -> list[Any]:
    """Return the instances of a modality that an Orthanc holds."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    found = []
    for instance in orthanc.get("/instances"):
        with opener.open(f"{orthanc.url}/instances/{instance}/file") as answer:
            found.append(pydicom.dcmread(io.BytesIO(answer.read())))
    return [dataset for dataset in found if dataset.Modality == modality]


def paint(node: Any, segment_id: str, volume: Any, change: Any) -> None:
    """Change a segment with Slicer's own functions, as an effect of the Segment Editor does."""
    import slicer

    mask = slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, volume).copy()
    change(mask)
    slicer.util.updateSegmentBinaryLabelmapFromArray(mask, node, segment_id, volume)
