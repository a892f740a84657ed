"""Tasks that are measured in a process of their own: ``python -m benchmarks.tasks TOLD NAME ARGUMENT...``.

What is imported or read before the task begins is not part of its seconds, which are written to the file TOLD.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def read_nativedl(series: str) -> Callable[[], object]:
    """Read a series' voxels with our reader."""
    import NativeDLLib.source.pixels  # noqa: F401  (Series imports it, and SimpleITK, when it reads voxels)
    from NativeDLLib.source import Series

    return lambda: Series.read([Path(series)]).image()


def read_simpleitk(series: str) -> Callable[[], object]:
    """Read a series' voxels with SimpleITK's reader."""
    import SimpleITK as sitk

    def read() -> object:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(series))
        return reader.Execute()

    return read


def write_nativedl(series: str, labels: str, seg: str) -> Callable[[], object]:
    """Write a label map as a SEG of a series with our writer."""
    from benchmarks.segments import of_registry
    from NativeDLLib.dicom.derived import save
    from NativeDLLib.dicom.seg import Algorithm, make_segmentation
    from NativeDLLib.source import Series

    values, source = np.load(labels), Series.read([Path(series)])
    segments = of_registry(int(values.max()))
    algorithm = Algorithm("bench", "1", "Benchmark", "NativeDL", "1")
    return lambda: save(make_segmentation(source, values, segments, algorithm, buffered=True), Path(seg))


def write_highdicom(series: str, labels: str, seg: str) -> Callable[[], object]:
    """Write a label map as a SEG of a series with highdicom alone."""
    from pydicom import dcmread

    from benchmarks.segments import plain_highdicom

    headers = [dcmread(path, stop_before_pixels=True) for path in Path(series).iterdir()]
    headers.sort(key=lambda header: header.ImagePositionPatient[2])
    values = np.load(labels)
    return lambda: plain_highdicom(headers, values).save_as(seg)


def send_nativedl(series: str, port: str) -> Callable[[], object]:
    """Send a series by C-STORE with our sender, without the outbox before it."""
    from NativeDLLib.pacs.peers import Peer
    from NativeDLLib.pacs.store import store_each

    peer = Peer("BENCH", "ORTHANC", "127.0.0.1", int(port))
    files = sorted(Path(series).iterdir())

    def send() -> None:
        failed = [outcome for outcome in store_each(peer, files) if not outcome.ok]
        assert not failed, failed[0].message

    return send


_TASKS: dict[str, Callable[..., Callable[[], object]]] = {
    function.__name__: function
    for function in (read_nativedl, read_simpleitk, write_nativedl, write_highdicom, send_nativedl)
}


def main(told: str, name: str, *arguments: str) -> None:
    """Prepare a task, do it, and write how long it took."""
    todo = _TASKS[name](*arguments)
    started = time.perf_counter()
    result: Any = todo()
    seconds = time.perf_counter() - started
    del result
    Path(told).write_text(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main(*sys.argv[1:])
