"""Where the images are: files, a list of files, an image file, Slicer's DICOM database, or a peer."""

import codecs
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from NativeDLLib.core.errors import InputError, UsageError
from NativeDLLib.core.files import scratch
from NativeDLLib.core.progress import Progress
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.pacs.services import retrieve
from NativeDLLib.source import Series, Source
from NativeDLLib.source.database import series_files

if TYPE_CHECKING:
    from NativeDLLib.registry import Model
    from NativeDLLib.source.volume_file import ImageFile

_LONGEST_LIST = 64 * 2**20


@dataclass(frozen=True)
class Where:
    """Where a series or an image is; exactly one of the first five attributes says it."""

    inputs: tuple[Path, ...] = ()  # files and folders, which are searched at any depth
    file_list: Path | None = None  # text file that names the files, one a line
    image: Path | None = None  # volume without DICOM origin: NRRD, NIfTI or MetaImage
    database: Path | None = None  # Slicer's ``ctkDICOM.sql`` or its folder; `series` is needed too
    peer: Peer | None = None  # is asked for `study` and `series`
    study: str | None = None  # Study Instance UID
    series: str | None = None  # Series Instance UID; needed where there is more than one
    modality: str | None = None  # of `image`; by default that of the model
    volume: tuple[str, ...] = ()  # ``KEY=VALUE`` that tell one volume of a series that is several

    @property
    def kinds(self) -> list[str]:
        """Kinds of place that are named: ``input``, ``files``, ``image``, ``database``, ``peer``."""
        places = [("input", self.inputs or None), ("files", self.file_list), ("image", self.image)]
        return [kind for kind, place in [*places, ("database", self.database), ("peer", self.peer)] if place]

    def check(self) -> None:
        """Check that exactly one place is named, and that it is there; UsageError or InputError where not."""
        if len(self.kinds) != 1:
            hint = "give --input PATH..., --files LIST, --database FILE, --from PEER or, to some, --image FILE"
            raise UsageError("name one source", hint=hint)
        for path in self.inputs:
            if not path.exists():
                raise InputError(f"{path}: does not exist")
        if self.modality is not None and self.image is None:
            raise UsageError("a modality is named for an image file only; a DICOM series says its own")
        if self.volume and self.image is not None:
            raise UsageError("a volume is chosen of a DICOM series only; an image file is one")

    @contextmanager
    def open(self, progress: Progress, model: "Model | None" = None) -> Iterator[Source]:
        """Give the source; files from a peer live only as long as the block. `model` is the one that an image is for,
        and says its modality where nothing else does. NativeDLError where the source is not there, or cannot be
        segmented.
        """
        if self.image is None:
            with self.open_series(progress) as series:
                yield series
        else:
            with progress.stage("scan"):
                image = self._read_image(self.image, model, progress)
            yield image

    @contextmanager
    def open_series(self, progress: Progress) -> Iterator[Series]:
        """Give the DICOM series, as `open` does."""
        self.check()
        if self.peer is None:
            with progress.stage("scan"):
                series = Series.read(self._files(), self.series, self.volume)
            yield series
            return
        if not self.study or not self.series:
            message = "a series of a peer is asked for by its Study and Series Instance UID; both are needed"
            raise UsageError(message, hint="give --study and --series, which nativedl find lists")
        with scratch("nativedl-") as folder:
            with progress.stage("retrieve"):
                files = retrieve(self.peer, self.study, self.series, folder, progress)
            with progress.stage("scan"):
                series = Series.read(files, self.series, self.volume)
            yield series

    def _files(self) -> list[Path]:
        if self.file_list is not None:
            return read_list(self.file_list)
        if self.database is None:
            return list(self.inputs)
        if not self.series:
            raise UsageError("which series of the database is not said", hint="name it with --series UID")
        return series_files(self.database, self.series)

    def _read_image(self, path: Path, model: "Model | None", progress: Progress) -> "ImageFile":
        from NativeDLLib.source.volume_file import ImageFile

        if self.modality is not None:
            return ImageFile.read(path, self.modality)
        if model is None:
            raise UsageError(f"{path}: does not say its modality", hint="name it with --modality")
        modality = model.input.modality
        taken = f"{path}: does not say its modality; it is taken to be {modality}, as {model.id} is for that"
        progress.warn(taken, hint="name another one with --modality")
        return ImageFile.read(path, modality)


def read_list(path: Path) -> list[Path]:
    """Files that a text file names, one a line: a command line has a limited length. Names are relative to the current
    folder, as they would be on the command line. InputError where the list cannot be read, is empty, or names a file
    that is not there.
    """
    try:
        if path.stat().st_size > _LONGEST_LIST:
            raise InputError(f"{path}: is larger than {_LONGEST_LIST // 2**20} MiB; a list names one file a line")
        lines = path.read_bytes().removeprefix(codecs.BOM_UTF8).splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    # A name is what the folder has, whatever encoding that was made in.
    named = [(number, Path(os.fsdecode(line.strip()))) for number, line in enumerate(lines, 1) if line.strip()]
    if not named:
        raise InputError(f"{path}: names no file; a list names one file a line")
    for number, file in named:
        if not file.exists():
            raise InputError(f"{path}: line {number}: {file}: does not exist; a list names one file a line")
    return [file for _, file in named]
