"""Writing a SEG over 300 slices, beside highdicom alone and dcmqi, each in a fresh process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from benchmarks.compare import Comparison, Result, Setting, in_turn
from benchmarks.inputs import kept, label_map, phantom
from benchmarks.measure import Cost, run_process
from benchmarks.programs import find, task
from benchmarks.segments import for_dcmqi


def run(setting: Setting) -> Result:
    """Run the benchmark."""
    result, folder = Result(), setting.folder / "runs" / "writing"
    series = phantom(setting, 40 if setting.quick else 300)
    folder.mkdir(parents=True, exist_ok=True)
    for count in (1, 5) if setting.quick else (1, 5, 25, 117):
        labels = _labels(setting, series.image, count)
        sizes: dict[str, int] = {}

        def write(name: str, labels=labels, sizes=sizes) -> Callable[[int], Cost]:
            def once(_: int) -> Cost:
                seg = folder / f"{name}.dcm"
                cost = task(name, series.dicom, labels / "labels.npy", seg, folder=folder)
                sizes[name] = seg.stat().st_size
                return cost

            return once

        def dcmqi(_: int, labels=labels, sizes=sizes) -> Cost:
            program, seg = find("itkimage2segimage", "pip install dcmqi"), folder / "dcmqi.dcm"
            seg.unlink(missing_ok=True)
            what = ["--inputImageList", labels / "labels.nrrd", "--inputDICOMDirectory", series.dicom]
            what += ["--inputMetadata", labels / "segments.json", "--outputDICOM", seg, "--skip", "1"]
            cost = run_process([program, *what], folder / "dcmqi.log")
            sizes["dcmqi"] = seg.stat().st_size
            return cost

        peers = {"highdicom": write("write_highdicom"), "dcmqi": dcmqi}
        own, theirs = in_turn(write("write_nativedl"), peers, setting.runs, result)
        for peer, costs in theirs.items():
            # dcmqi is a program that reads series and labels itself, as the process around our writer does.
            time = "process_seconds" if peer == "dcmqi" else "seconds"
            case = f"{count} segment{'s' * (count > 1)}"
            result.comparisons.append(Comparison(case, peer, own, costs, time=time, facts={"bytes": sizes}))
    return result


def _labels(setting: Setting, image: Path, count: int) -> Path:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(image))
    reader.ReadImageInformation()

    def make(folder: Path) -> None:
        labels = label_map(reader.GetSize()[::-1], count)
        np.save(folder / "labels.npy", labels)
        volume = sitk.GetImageFromArray(labels)
        volume.SetSpacing(reader.GetSpacing())
        volume.SetOrigin(reader.GetOrigin())
        volume.SetDirection(reader.GetDirection())
        sitk.WriteImage(volume, str(folder / "labels.nrrd"))
        for_dcmqi(count, folder / "segments.json")

    size = "x".join(str(n) for n in reader.GetSize())
    return kept(setting.folder / "inputs" / f"labels-{size}-{count}", make)
