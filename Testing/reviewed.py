"""A real result of a model with three segments, of which two are found, ready to be edited."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import factories
import highdicom as hd
import numpy as np
import pytest
import scene
import SimpleITK as sitk
from tools import dcmqi, nativedl

from NativeDLLib.source import Series

OBLIQUE = ((0.8660254, 0.5, 0.0), (-0.4698463, 0.8137977, 0.3420201))


@dataclass
class Reviewed:
    """A result on disk, and the segmentation of it in Slicer."""

    folder: Path
    slicer: scene.Scene
    node: Any

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def edited(self) -> Path:
        return self.folder / "edited.seg.nrrd"

    @property
    def image(self) -> sitk.Image:
        return sitk.ReadImage(str(self.out / "segmentation.nii.gz"))

    @property
    def labels(self) -> Any:
        return sitk.GetArrayFromImage(self.image)

    @property
    def approved(self) -> dict[str, Any]:
        return json.loads((self.folder / "approved" / "approved.json").read_text())

    @property
    def rows(self) -> dict[str, Any]:
        return {row["name"]: SimpleNamespace(**row) for row in self.approved["segments"]}

    @property
    def path(self) -> Path:
        return self.folder / "approved" / "approved.dcm"

    @property
    def seg(self) -> hd.seg.Segmentation:
        return hd.seg.segread(self.path)

    @property
    def described(self) -> list[tuple[int, str, str]]:
        return [(s.SegmentNumber, s.SegmentLabel, s.SegmentAlgorithmType) for s in self.seg.SegmentSequence]

    @property
    def masks(self) -> Any:
        """Masks (z, y, x, segment) of the approved SEG on the slices of the source, as highdicom reads them."""
        series = Series.read([self.folder / "series"])
        uids = [instance.text("SOPInstanceUID") for instance in series.instances]
        return self.seg.get_pixels_by_source_instance(uids, assert_missing_frames_are_empty=True).astype(bool)

    def by_dcmqi(self) -> list[Any]:
        """Return the masks (z, y, x) that dcmqi reads, on the grid of the source."""
        folder = self.folder / "dcmqi"
        folder.mkdir()
        command = [dcmqi("segimage2itkimage"), "--inputDICOM", self.path, "--outputDirectory", folder]
        subprocess.run(command, check=True, capture_output=True)
        read = [sitk.ReadImage(str(file)) for file in sorted(folder.glob("*.nrrd"))]
        near = sitk.sitkNearestNeighbor
        return [sitk.GetArrayFromImage(sitk.Resample(i, self.image, sitk.Transform(), near, 0)) > 0 for i in read]

    def decide(self, **decisions: str) -> None:
        for name, decision in decisions.items():
            scene.segments(self.node)[name].SetTag("NativeDL.Review", decision)

    def command(self, *more: Any, reviewer: str = "Doe^Jane") -> list[Any]:
        base = ["approve", "--result", self.out, "--edited", self.edited, "--reviewer", reviewer]
        source = [] if "--database" in more or "--files" in more else ["--input", self.folder / "series"]
        return [*base, *source, "--output", self.folder / "approved", *more]

    def approve(self, *more: Any, crop: bool = True, **settings: Any) -> int:
        self.slicer.save(self.node, self.edited, crop)
        return nativedl(*self.command(*more, **settings))

    def refused(self, capsys: pytest.CaptureFixture[str], *more: Any, code: int = 3, **settings: Any) -> str:
        """Return the one line with which the edited file, as it lies there, is refused."""
        assert nativedl(*self.command(*more, **settings)) == code
        *_, line = capsys.readouterr().err.strip().splitlines()
        assert not (self.folder / "approved").exists()
        assert not [path for path in self.folder.iterdir() if path.name.startswith(".")]
        return line


def three_class_network(path: Path) -> Path:
    """Write a network that finds values above 150 HU, above 350 HU, and nothing."""
    return factories.pointwise_onnx(path, [0.0, 1.0, 2.0, 0.0], [0.0, -1.5, -5.0, -100.0])


@pytest.fixture(scope="session")
def _result(tmp_path_factory):
    """Run the model once; tests get copies."""
    folder = tmp_path_factory.mktemp("result")
    (folder / "registry").mkdir()
    weights = three_class_network(folder / "registry" / "three.onnx")
    entry = factories.entry(weights={"file": weights.name, "sha256": factories.digest(weights)})
    (liver,) = entry["output"]["segments"]
    kidney = {"value": "64033007", "scheme": "SCT", "meaning": "Kidney"}
    right = {"value": "24028007", "scheme": "SCT", "meaning": "Right"}
    spleen = {"value": "78961009", "scheme": "SCT", "meaning": "Spleen"}
    entry["output"] = {
        "channels": 4,
        "segments": [
            liver,
            liver | {"label": 2, "name": "Kidney", "type": kidney, "type_modifier": right, "color": [185, 102, 83]},
            liver | {"label": 3, "name": "Spleen", "type": spleen, "color": [157, 108, 162]},
        ],
    }
    voxels = factories.block((9, 32, 40))
    voxels[2:7, 20:28, 24:34] = 500
    factories.ct_series(folder / "series", voxels, axes=OBLIQUE, spacing=(1.0, 1.25, 2.0))
    registry = factories.registry(folder / "registry", entry)
    with mock.patch.dict("os.environ", {"HOME": str(folder)}):
        code = nativedl("run", "--input", folder / "series", "--output", folder / "out", registry=registry)
    assert code == 0
    assert set(np.unique(sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "out" / "segmentation.nii.gz"))))) == {
        0,
        1,
        2,
    }
    return folder


@pytest.fixture
def reviewed(_result, tmp_path):
    """A copy of the result, and its segmentation opened in Slicer, with nothing decided."""
    for name in ("series", "out"):
        shutil.copytree(_result / name, tmp_path / name)
    slicer = scene.Scene()
    return Reviewed(tmp_path, slicer, slicer.load(tmp_path / "out" / "segmentation.seg.nrrd"))


@pytest.fixture
def accepted(reviewed):
    reviewed.decide(Liver="accepted", Kidney="accepted")
    reviewed.slicer.save(reviewed.node, reviewed.edited, True)
    return reviewed
