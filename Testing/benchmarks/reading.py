"""Reading a series: headers, order, geometry and voxels, beside SimpleITK and dcm2niix, each in a fresh process."""

from __future__ import annotations

from functools import partial

from benchmarks.compare import Comparison, Result, Setting, in_turn
from benchmarks.inputs import phantom
from benchmarks.measure import Cost, run_process
from benchmarks.programs import find, fresh, task


def run(setting: Setting) -> Result:
    """Run the benchmark."""
    result, folder = Result(), setting.folder / "runs" / "reading"
    for slices in (10, 40) if setting.quick else (100, 300, 600):
        series = phantom(setting, slices).dicom

        def read(name: str, _: int, series=series) -> Cost:
            return task(name, series, folder=folder)

        def dcm2niix(_: int, series=series) -> Cost:
            program = find("dcm2niix", "pip install dcm2niix")
            command = [program, "-z", "n", "-b", "n", "-o", fresh(folder / "dcm2niix"), series]
            cost = run_process(command, folder / "dcm2niix.log")
            assert list((folder / "dcm2niix").glob("*.nii")), f"dcm2niix wrote nothing, see {folder}/dcm2niix.log"
            return cost

        peers = {"SimpleITK": partial(read, "read_simpleitk"), "dcm2niix": dcm2niix}
        own, theirs = in_turn(partial(read, "read_nativedl"), peers, setting.runs, result)
        for peer, costs in theirs.items():
            result.comparisons.append(Comparison(f"{slices} slices", peer, own, costs, time="seconds"))
        if "dcm2niix" in theirs:
            # It is a program, so ours with Python's start is shown beside it, too.
            result.comparisons.append(Comparison(f"{slices} slices, with start", "dcm2niix", own, theirs["dcm2niix"]))
    return result
