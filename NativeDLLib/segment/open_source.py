"""Where the images of a job come from: files, Slicer's database, a PACS, or a volume without DICOM origin."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.pacs.delivery import fetch_series
from NativeDLLib.registry import Model, find_model
from NativeDLLib.source import ImageFile, Series
from NativeDLLib.source.file_list import local_files
from NativeDLLib.source.source import Source

if TYPE_CHECKING:
    from NativeDLLib.segment.run import Job


@contextmanager
def open_source(job: Job, models: Mapping[str, Model], progress: Progress) -> Iterator[Source]:
    """Find what is to be segmented; what comes from a PACS lives only as long as the block.

    Raises
    ------
    NativeDLError
        Where it is not there, or cannot be segmented.
    """
    if job.image is not None:
        with progress.stage("scan"):
            source = _image(job.image, job.modality, find_model(models, job.model))
        yield source
    elif job.source_peer is not None:
        if not job.study or not job.series:
            raise UsageError("--from needs --study and --series (nativedl find lists them)")
        with tempfile.TemporaryDirectory(prefix="nativedl-") as folder:
            with progress.stage("retrieve"):
                files = fetch_series(job.source_peer, job.pacs_file, job.study, job.series, Path(folder), progress)
            with progress.stage("scan"):
                series = Series.read(files, job.series)
            yield series
    else:
        with progress.stage("scan"):
            paths = local_files(job.inputs, job.file_list, job.database, job.series)
            series = Series.read(paths, job.series)
        yield series


def _image(path: Path, modality: str | None, model: Model) -> ImageFile:
    if modality is not None:
        return ImageFile.read(path, modality)
    taken = f"{path}: does not say its modality; it is taken to be {model.input.modality}, as {model.id} is for that"
    return ImageFile.read(path, model.input.modality, (f"{taken} (--modality)",))
