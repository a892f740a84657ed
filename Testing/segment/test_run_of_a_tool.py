"""Tools of any kind go through the same run: chosen by a registry entry, reported, and stored in a folder."""

import json
import sys
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import factories
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.uid import ExplicitVRLittleEndian
from tools import nativedl

from NativeDLLib.dicom.derived import SourceHeader, derived_instance
from NativeDLLib.dicom.provenance import Algorithm
from NativeDLLib.results.names import OBJECT
from NativeDLLib.tools.tool import TOOLS, Verdict

RAW_DATA = "1.2.840.10008.5.1.4.1.1.66"


@dataclass
class MeanTool:
    model: Any
    machine: Any
    storage: Any

    def can_process_image(self, source):
        return Verdict(True, "every image has a mean")

    def description(self):
        return "Measures the mean value."

    def version_id(self):
        return "mean 1"

    def process(self, source, parameters, progress):
        image, _ = source.image(progress)
        return Mean(source, round(float(sitk.GetArrayViewFromImage(image).mean()), 3))


@dataclass
class Mean:
    source: Any
    value: float
    tool_name = "mean 1"

    @property
    def metadata(self):
        return {"outcome": "measured", "mean": self.value}

    def to_dicom(self):
        header, made_by = SourceHeader(self.source), Algorithm("mean", "1", "Mean", "test", "0", {})
        dataset = derived_instance(
            header, made_by,
            sop_class=RAW_DATA, modality="OT", title=f"Mean {self.value}", transfer_syntax=ExplicitVRLittleEndian,
        )  # fmt: skip
        header.finish(dataset)
        return [dataset]

    def save(self, folder, progress):
        (dataset,) = self.to_dicom()
        folder.save(OBJECT, dataset)


def test_a_tool_of_ten_lines_is_run_reported_and_stored_like_any_other(tmp_path, registry, monkeypatch):
    monkeypatch.setitem(sys.modules, "a_tool", SimpleNamespace(MeanTool=MeanTool))
    monkeypatch.setitem(TOOLS, "segmentation", "a_tool:MeanTool")
    voxels = np.random.default_rng(0).integers(-100, 300, (4, 8, 8)).astype(np.int16)
    factories.ct_series(tmp_path / "series", voxels)
    out = tmp_path / "out"

    assert nativedl("run", "--input", tmp_path / "series", "--output", out, registry=registry) == 0

    report = json.loads((out / "report.json").read_text())
    assert (report["outcome"], report["mean"]) == ("measured", round(float(voxels.mean()), 3))
    assert report["series"]["modality"] == "CT"
    assert "write" in [stage["name"] for stage in report["stages"]]
    assert sorted(path.name for path in out.iterdir()) == ["report.json", OBJECT]
    dataset = pydicom.dcmread(out / OBJECT)
    source = pydicom.dcmread(next((tmp_path / "series").iterdir()))
    assert dataset.StudyInstanceUID == source.StudyInstanceUID
    assert dataset.SeriesDescription == f"Mean {report['mean']}"
