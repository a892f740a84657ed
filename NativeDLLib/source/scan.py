"""Finding the series in folders and lists of files, whatever else lies among them."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.uid import UID

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.files import sha256
from NativeDLLib.source.header import Instance, read_header, text
from NativeDLLib.source.sop_classes import IMAGE_CLASSES

# Files of which the waiting for storage is measured, from which time on one is worth threads, and how many of these.
_PROBED, _SLOW_S, _THREADS = 16, 0.001, 8


@dataclass
class Scan:
    """What lies in a folder: image instances by series, and what was set aside."""

    series: dict[str, list[Instance]] = field(default_factory=dict)
    other_objects: list[Instance] = field(default_factory=list)
    other_files: int = 0
    damaged: list[InputError] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def choose(self, uid: str | None, where: str) -> list[Instance]:
        """Return the instances of the series `uid`, or of the only series there is.

        Raises
        ------
        InputError
            Where there is no such series, more than one to choose from, or a damaged file that might belong to it.
        """
        if uid is not None and uid not in self.series:
            raise InputError(f"{where}: holds no image series {uid}; {self._listing()}")
        if not self.series and not self.damaged:
            raise InputError(
                f"{where}: holds no CT, MR or PET image ({len(self.other_objects)} other DICOM objects, "
                f"{self.other_files} other files)"
            )
        # A damaged file cannot say which series it is of: leaving it out could cut an end off a patient unnoticed.
        if self.damaged:
            more = f" (and {len(self.damaged) - 1} more such files)" if len(self.damaged) > 1 else ""
            raise InputError(f"{self.damaged[0]}{more}")
        if uid is None and len(self.series) > 1:
            raise InputError(
                f"{where}: holds {len(self.series)} image series, choose one; {self._listing()}",
                hint="name it with --series UID",
            )
        chosen = uid if uid is not None else next(iter(self.series))
        for other in self.other_objects:
            if chosen and other.text("SeriesInstanceUID") == chosen:
                kind = UID(other.text("SOPClassUID")).name
                self.warnings.append(
                    f"{other.path} is of the series but no CT, MR or PET image ({kind}): it was left out"
                )
        return self.series[chosen]

    def _listing(self) -> str:
        rows = [
            f"{uid} ({found[0].text('Modality')} '{found[0].text('SeriesDescription')}', {len(found)} instances)"
            for uid, found in sorted(self.series.items())
        ]
        return "it holds " + (", ".join(rows[:10]) + (" ..." if len(rows) > 10 else "") if rows else "none")


def scan(paths: Iterable[Path]) -> Scan:
    """Read the headers of files and group the image instances by series.

    Parameters
    ----------
    paths
        Files, and folders that are searched at any depth without following links out of them.

    Raises
    ------
    InputError
        Where a path does not exist, or two different files claim to be the same instance.
    """
    files = list(dict.fromkeys(_files(paths)))
    result = Scan()
    seen: dict[str, Path] = {}
    # Filters of warnings are the process's, not a thread's: they are set around the threads.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for outcome in _headers(files):
            if isinstance(outcome, InputError):
                result.damaged.append(outcome)
            elif outcome is None:
                result.other_files += 1
            elif not _is_image(outcome):
                result.other_objects.append(outcome)
            elif not _is_copy(outcome, seen, result):
                result.series.setdefault(outcome.text("SeriesInstanceUID"), []).append(outcome)
    return result


def _headers(files: Sequence[Path]) -> Iterator[Instance | InputError | None]:
    """Read headers in their order; in threads only where the storage is slow, as Python parses one at a time anyway."""
    waited_s = 0.0
    for path in files[:_PROBED]:
        began, worked = time.perf_counter(), time.thread_time()
        outcome = _try_header(path)
        waited_s += time.perf_counter() - began - (time.thread_time() - worked)
        yield outcome
    if waited_s < _SLOW_S * len(files[:_PROBED]):
        yield from map(_try_header, files[_PROBED:])
        return
    with ThreadPoolExecutor(_THREADS) as pool:
        yield from pool.map(_try_header, files[_PROBED:])


def _files(paths: Iterable[Path]) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            for folder, subfolders, names in os.walk(path, onerror=_refuse):
                subfolders.sort()
                yield from (file for name in sorted(names) if (file := Path(folder, name)).is_file())
        elif path.is_file():
            yield path
        else:
            raise InputError(f"{path}: does not exist")


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be searched ({error.strerror})")


def _try_header(path: Path) -> Instance | InputError | None:
    try:
        instance = read_header(path)
        if instance is not None:
            _check_whole(instance)
    except InputError as error:
        return error
    return instance


def _check_whole(instance: Instance) -> None:
    """Refuse what may be an image of a series but can no longer be told from other objects."""
    stored, declared = instance.text("SOPClassUID"), text(instance.dataset.file_meta, "MediaStorageSOPClassUID")
    if instance.pixel_bytes == 0 and ({stored, declared} & IMAGE_CLASSES.keys() or not (stored or declared)):
        raise instance.error("is a damaged DICOM file (it ends before its pixel data); repair or remove it")
    if not UID(stored or declared or "1.2").is_valid:
        raise instance.error(f"is damaged: its SOP class is '{(stored or declared)[:64]}', which is no UID")
    if stored and declared and (stored in IMAGE_CLASSES) != (declared in IMAGE_CLASSES):
        raise instance.error(f"is damaged: its file header says SOP class {declared}, its data set {stored}")


def _is_image(instance: Instance) -> bool:
    # De-identification may have emptied the class; such an image is kept so that it can be refused by name.
    sop_class = instance.text("SOPClassUID") or text(instance.dataset.file_meta, "MediaStorageSOPClassUID")
    return sop_class in IMAGE_CLASSES or (not sop_class and "ImagePositionPatient" in instance.dataset)


def _is_copy(instance: Instance, seen: dict[str, Path], result: Scan) -> bool:
    uid = instance.text("SOPInstanceUID")
    if not uid:
        return False
    first = seen.setdefault(uid, instance.path)
    if first is instance.path:
        return False
    if sha256(first) != sha256(instance.path):
        raise InputError(
            f"{instance.path}: has the SOP Instance UID {uid} of {first} but other content; remove the wrong one"
        )
    result.warnings.append(f"{instance.path} is a copy of {first} and was left out")
    return True
