"""Finding the series in folders and lists of files, whatever else lies among them."""

import hashlib
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.uid import UID

from NativeDLLib.core.deflated import meta_end
from NativeDLLib.core.errors import InputError
from NativeDLLib.source.header import IMAGE_CLASSES, DamagedFileError, Instance, read_header, text

_DICOMDIR = "1.2.840.10008.1.3.10"
# Files of which the waiting for storage is measured, from which time on one is worth threads, and how many of these.
_PROBED, _SLOW_S, _THREADS = 16, 0.001, 8


@dataclass
class Scan:
    """Content of folders: instances by series, damaged files by their series, and files that were set aside."""

    series: dict[str, list[Instance]] = field(default_factory=dict)
    other_objects: list[Instance] = field(default_factory=list)
    no_dicom: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)
    no_files: list[Path] = field(default_factory=list)
    damaged: list[InputError] = field(default_factory=list)
    faults: dict[str, list[DamagedFileError]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def choose(self, uid: str | None, where: str) -> list[Instance]:
        """Instances of the series `uid`, or of the only series there is. InputError where there is no such series,
        several to choose from, or a damaged file that may belong to it.
        """
        if uid is not None and uid not in self.series and uid not in self.faults:
            raise InputError(f"{where}: holds no image series {uid}; {self._listing()}")
        if uid is None and not self.series:
            for error in [*self.damaged, *(error for errors in self.faults.values() for error in errors)]:
                raise error
            if any(other.sop_class == _DICOMDIR or other.path.name == "DICOMDIR" for other in self.other_objects):
                where += " (a DICOMDIR is the index of a disc: give the folder that it lies in)"
            kinds = sorted({UID(other.sop_class).name or "unknown" for other in self.other_objects})
            held = f" ({', '.join(kinds[:5])})" if kinds else ""
            raise InputError(
                f"{where}: holds no CT, MR or PET image ({len(self.other_objects)} other DICOM objects{held}, "
                f"{len(self.no_dicom)} other files, {len(self.links + self.no_files)} links that are not followed)"
            )
        if uid is None and len(self.series) > 1:
            message = f"{where}: holds {len(self.series)} image series, choose one; {self._listing()}"
            raise InputError(message, hint="name it with --series UID")
        chosen = uid if uid is not None else next(iter(self.series))
        # Left out, a damaged file would cut an end off a patient, or a slice out of the middle.
        if errors := self.faults.get(chosen):
            more = f" (and {len(errors) - 1} more such files)" if len(errors) > 1 else ""
            raise InputError(f"{errors[0]}{more}")
        if self.damaged:
            self.warnings.append(
                f"{len(self.damaged)} damaged file(s) do not say what they are of and were passed over: "
                f"{_shown([str(error).partition(': ')[0] for error in self.damaged])}; compare the number of slices"
            )
        strangers = []
        for other in self.other_objects:
            kind = UID(other.sop_class).name or "object of unknown class"
            if chosen and other.text("SeriesInstanceUID") == chosen:
                self.warnings.append(f"{other.path} is of the series but no CT, MR or PET image ({kind}): left out")
            else:
                strangers.append(f"{other.path.name} ({kind})")
        of_others = [error.path.name for uid, errors in self.faults.items() if uid != chosen for error in errors]
        passed = {
            "other DICOM object(s)": strangers,
            "damaged file(s) of other series": of_others,
            "file(s) that are no DICOM": [path.name for path in self.no_dicom],
            "link(s) to folders": [path.name for path in self.links],
            "broken link(s), pipe(s) or device(s)": [path.name for path in self.no_files],
        }
        some = [(what, names) for what, names in passed.items() if names]
        self.warnings += [f"passed over: {len(names)} {what}: {_shown(names)}" for what, names in some]
        return self.series[chosen]

    def _listing(self) -> str:
        rows = [
            f"{uid} ({found[0].text('Modality')} '{found[0].text('SeriesDescription')}', {len(found)} instances)"
            for uid, found in sorted(self.series.items())
        ]
        return "it holds " + (", ".join(rows[:10]) + (" ..." if len(rows) > 10 else "") if rows else "none")


def scan(paths: Iterable[Path]) -> Scan:
    """Read the headers of files, and of all files below folders without following links out of them, and group the
    image instances by series. InputError where a path does not exist, or two different files claim to be the same
    instance.
    """
    result = Scan()
    files = list(dict.fromkeys(_files(paths, result)))
    seen: dict[str, Instance] = {}
    # Filters of warnings are the process's, not a thread's: they are set around the threads.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path, outcome in zip(files, _headers(files), strict=True):
            if isinstance(outcome, DamagedFileError) and outcome.series_uid:
                result.faults.setdefault(outcome.series_uid, []).append(outcome)
            elif isinstance(outcome, InputError):
                result.damaged.append(outcome)
            elif outcome is None:
                result.no_dicom.append(path)
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


def _files(paths: Iterable[Path], result: Scan) -> Iterable[Path]:
    for path in paths:
        if path.is_dir():
            for _, files, links, no_files in walk(path, _refuse):
                result.links += links
                result.no_files += no_files
                yield from files
        elif path.is_file():
            yield path
        else:
            raise InputError(f"{path}: does not exist")


def walk(root: Path, refuse: Callable[[OSError], None]) -> Iterator[tuple[Path, list[Path], list[Path], list[Path]]]:
    """Each folder from `root` downwards, its files, its links to folders, which are not followed, and what is neither:
    broken links, pipes, devices. `refuse` is given the error of a folder that cannot be opened.
    """
    for folder, subfolders, names in os.walk(root, onerror=refuse):
        subfolders.sort()
        links = [link for name in subfolders if os.path.islink(link := Path(folder, name))]
        paths = [Path(folder, name) for name in sorted(names)]
        # Unlike pathlib's, these answer for paths that are too long as well.
        files = [path for path in paths if os.path.isfile(path)]
        yield Path(folder), files, links, [path for path in paths if not os.path.isfile(path)]


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be searched ({error.strerror})")


def _try_header(path: Path) -> Instance | InputError | None:
    try:
        instance = read_header(path)
    except InputError as error:
        return error
    return None if instance is None else _fault_of(instance) or instance


def _fault_of(instance: Instance) -> DamagedFileError | None:
    """Return the fault of what may be an image of a series but can no longer be told from other objects."""
    stored, declared = instance.sop_class, text(instance.dataset.file_meta, "MediaStorageSOPClassUID")
    if stored == declared and stored in IMAGE_CLASSES and instance.pixel_bytes != 0:
        return None
    if instance.pixel_bytes == 0 and ({stored, declared} & IMAGE_CLASSES or not (stored or declared)):
        message = "is a damaged DICOM file (it ends before its pixel data); repair or remove it"
    elif not UID(stored or declared or "1.2").is_valid:
        message = f"is damaged: its SOP class is '{(stored or declared)[:64]}', which is no UID"
    elif stored and declared and (stored in IMAGE_CLASSES) != (declared in IMAGE_CLASSES):
        message = f"is damaged: its file header says SOP class {declared}, its data set {stored}"
    else:
        return None
    return DamagedFileError(instance.path, message, instance.text("SeriesInstanceUID"))


def _is_image(instance: Instance) -> bool:
    # De-identification may have emptied the class; such an image is kept so that it can be refused by name.
    sop_class = instance.sop_class or text(instance.dataset.file_meta, "MediaStorageSOPClassUID")
    return sop_class in IMAGE_CLASSES or (not sop_class and "ImagePositionPatient" in instance.dataset)


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")


def _is_copy(instance: Instance, seen: dict[str, Instance], result: Scan) -> bool:
    uid = instance.text("SOPInstanceUID")
    if not uid:
        return False
    first = seen.setdefault(uid, instance)
    if first is instance:
        return False
    if _content(first.path) == _content(instance.path):
        result.warnings.append(f"{instance.path} is a copy of {first.path} and was left out")
        return True
    message = f"has the SOP Instance UID {uid} of {first.path} but other content; remove the wrong one"
    # Which of the two is the right one, nobody can tell: it is a fault of the series of either.
    for series in dict.fromkeys(one.text("SeriesInstanceUID") for one in (first, instance)):
        result.faults.setdefault(series, []).append(DamagedFileError(instance.path, message, series))
    return True


def _content(path: Path) -> bytes:
    """Return the digest of a file without its file meta information, in which each writer names itself."""
    content = path.read_bytes()
    return hashlib.sha256(content[meta_end(content) :]).digest()
