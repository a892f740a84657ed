"""The demonstration: the whole way from a PACS to a segmentation and back, with nothing but what is in this package."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.demo.pacs_server import EmbeddedPacs
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.pacs.services import find
from NativeDLLib.pacs.store import store_each
from NativeDLLib.phantom.ct_series import write_ct_series
from NativeDLLib.phantom.torso import LABELS, make_phantom
from NativeDLLib.results import names
from NativeDLLib.results.folder import Destination
from NativeDLLib.results.report import Report
from NativeDLLib.segment.run import Request, run_request
from NativeDLLib.source.where import Where
from NativeDLLib.tools.tool import Machine

_SIZE, _SPACING_MM = (512, 512, 60), (0.78, 0.78, 5.0)


def demonstrate(folder: Path, progress: Progress, *, model: str, device: str, seed: int) -> Report:
    """Segment a phantom that comes from a PACS, and send the result back there; all files are in `folder`, empty or
    absent. The report has the steps before and after the run too, and the Dice coefficient with the phantom's truth.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: is not empty; choose another folder", hint="name it with --output")
    folder.mkdir(parents=True, exist_ok=True)
    steps: dict[str, str] = {}
    started = time.perf_counter()
    with progress.stage("phantom"):
        image, truth = make_phantom(seed, _SIZE, _SPACING_MM)
        files = write_ct_series(
            image,
            folder / "series",
            patient_name="Phantom^Demo",
            patient_id=f"PHANTOM-{seed}",
            study_description="Phantom of NativeDL",
            series_description="Liver portal venous, phantom",
        )
    steps["phantom"] = f"{len(files)} CT slices in {folder / 'series'}"
    with EmbeddedPacs(folder / "pacs") as server, _private_outbox(folder / "outbox"):
        peer = Peer("DEMO", server.ae_title, "127.0.0.1", server.port)
        with progress.stage("store"):
            stored = 0
            for count, outcome in enumerate(store_each(peer, files), 1):
                stored += outcome.ok
                progress.update("store", count / len(files))
                progress.check()
        steps["store"] = f"{stored} of {len(files)} instances stored on the embedded PACS"
        with progress.stage("find"):
            (study,) = find(peer, "STUDY", {"PatientID": f"PHANTOM-{seed}"})
            (found,) = find(peer, "SERIES", {"StudyInstanceUID": str(study.StudyInstanceUID), "Modality": "CT"})
        steps["find"] = f"found series {found.SeriesInstanceUID}"
        where = Where(peer=peer, study=str(study.StudyInstanceUID), series=str(found.SeriesInstanceUID))
        report = run_request(Request(where, Destination(folder / "result", peer), model, Machine(device)), progress)
        with progress.stage("confirm"):
            segs = find(peer, "SERIES", {"StudyInstanceUID": str(study.StudyInstanceUID), "Modality": "SEG"})
        steps["confirm"] = f"the study on the PACS now holds {len(segs)} SEG series"
    dice = _dice(folder / "result" / names.LABELS, truth, [row["name"] for row in report.segments])
    report.details |= {"steps": steps, "dice": dice, "total_seconds": round(time.perf_counter() - started, 2)}
    return report


@contextmanager
def _private_outbox(folder: Path) -> Iterator[None]:
    """Keep the demonstration's objects out of the user's own outbox."""
    before = {name: value for name, value in os.environ.items() if name == "NATIVEDL_OUTBOX"}
    os.environ["NATIVEDL_OUTBOX"] = str(folder)
    try:
        yield
    finally:
        del os.environ["NATIVEDL_OUTBOX"]
        os.environ.update(before)


def _dice(result: Path, truth: sitk.Image, names: list[str]) -> dict[str, float]:
    """Compare segments with the phantom's structures of the same name; a stored series runs from feet to head too."""
    labels, expected = sitk.GetArrayFromImage(sitk.ReadImage(str(result))), sitk.GetArrayFromImage(truth)
    values = {name: value for value, name in LABELS.items()}
    dice = {}
    for number, name in enumerate(names, 1):
        if name.lower() in values:
            found, true = labels == number, expected == values[name.lower()]
            dice[name] = round(2 * float(np.sum(found & true)) / max(1.0, float(found.sum() + true.sum())), 3)
    return dice
