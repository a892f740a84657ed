"""Finding the cases in folders, in Slicer's DICOM database and on a PACS."""

import hashlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from pydicom.uid import UID

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.progress import Progress
from NativeDLLib.core.uids import is_uid
from NativeDLLib.models.iodeep.elements import STUDY_DESCRIPTION as MODELS
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.pacs.services import find
from NativeDLLib.source.database import list_series, series_files
from NativeDLLib.source.header import Instance, read_header
from NativeDLLib.source.scan import Scan, scan, walk
from NativeDLLib.source.volumes import SeveralVolumesError
from NativeDLLib.source.where import Where

_MODALITIES = ("CT", "MR", "PT")


@dataclass(frozen=True)
class Case:
    """One series to segment."""

    name: str  # folder name of its result; unique in the cohort, and without patient data
    source: tuple[str, ...]  # arguments of ``nativedl run`` that name the series
    model: str | None = None  # registry id or ``auto``, where it is not that of the batch
    files: tuple[str, ...] = ()  # files for ``--files`` besides `source`; a command line would be too short for them


@dataclass
class Cohort:
    """The cases, and how many of what else was found and left out."""

    cases: list[Case] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def take(self, case: Case, unfit: str | None) -> None:
        """Add a case, or count what is none under its heading."""
        if unfit is None:
            self.cases.append(case)
        else:
            self.left_out[unfit] += 1

    def __str__(self) -> str:
        counted = [f"{count} {what}" for what, count in sorted(self.left_out.items())]
        return f"{len(self.cases)} cases" + (f"; left out: {', '.join(counted)}" if counted else "")


@dataclass(frozen=True)
class Wanted:
    """Filter of the series that are cases."""

    modality: str | None = None  # None for CT, MR and PT
    description: str | None = None  # pattern of the Series Description with * and ?, in any case of letters

    def unfit(self, modality: str, description: str) -> str | None:
        """Heading under which a left-out series is counted, None for a case."""
        if modality not in ((self.modality,) if self.modality else _MODALITIES):
            return f"{modality or 'unknown'} series"
        if self.description is not None and not fnmatchcase(description.lower(), self.description.lower()):
            return "series of another description"
        return None


def from_folders(folders: Sequence[Path], wanted: Wanted, progress: Progress) -> Cohort:
    """A case of every image series below some folders. A damaged series is a case too, whose job will say why: it must
    not go unnoticed, nor stop the others. InputError where a folder does not exist.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: is not a folder")
    cohort = Cohort()
    found: dict[str, _Found] = {}
    unreadable: list[Path] = []
    closed: list[OSError] = []
    tree: dict[Path, list[Path]] = {}
    for root in folders:
        for folder, files, links, no_files in walk(root.resolve(), closed.append):
            tree |= {folder: files} if files else {}
            cohort.left_out["links to folders"] += len(links)
            cohort.left_out["broken links, pipes or devices"] += len(no_files)
    # A folder that cannot be opened stands in place of its files: to look for them is to fail with the reason.
    tree |= {path: [path] for path in (Path(str(error.filename)) for error in closed)}
    for index, (folder, files) in enumerate(tree.items()):
        progress.check()
        progress.update("cohort", (index + 1) / len(tree))
        try:
            here = scan(files)
        except InputError:
            unreadable.append(folder)
            continue
        # A damaged file cannot say which series it is of: it goes with each of its folder.
        spoilt = _strangers(files, here) if here.damaged or here.faults else []
        for uid, instances in here.series.items():
            found.setdefault(uid, _Found(instances[0])).add(instances, spoilt)
        unreadable += [folder] if here.damaged else []
        for uid in here.faults.keys() - here.series.keys():
            cohort.cases.append(_series_case(uid, [error.path for error in here.faults[uid]]))
        kinds = (UID(other.text("SOPClassUID")).name or "unknown" for other in here.other_objects)
        cohort.left_out.update(f"{kind} objects" for kind in kinds)
        cohort.left_out["other files"] += len(here.no_dicom)
    read: set[Path] = set()
    for uid, series in sorted(found.items()):
        unfit = wanted.unfit(series.modality, series.description)
        if unfit is None and series.only_localizers:
            unfit = "localizers"
        cohort.take(_series_case(uid, series.files), unfit)
        read.update(path.parent for path in series.files if unfit is None)
    for folder in unreadable:
        if folder not in read:
            name = digest_name("unreadable", str(folder))
            cohort.cases.append(Case(name, (), files=tuple(map(str, tree[folder]))))
    cohort.left_out = +cohort.left_out
    return cohort


def from_database(database: Path, wanted: Wanted) -> Cohort:
    """Make a case of every series of Slicer's DICOM database; see `series_files` for what it raises."""
    cohort, path = Cohort(), str(database.resolve())
    for row in list_series(database):
        uid = row["SeriesInstanceUID"]
        unfit = wanted.unfit(row["Modality"], row["SeriesDescription"])
        if unfit is None and _starts_with_localizer(database, uid):
            unfit = "localizers"
        cohort.take(Case(_name(uid), ("--database", path, "--series", uid)), unfit)
    return cohort


def from_peer(peer: Peer, keys: Mapping[str, str], wanted: Wanted, progress: Progress) -> Cohort:
    """A case of every series of the studies that a peer finds by matching keys, by C-FIND or QIDO-RS."""
    cohort = Cohort()
    modality = {"ModalitiesInStudy": wanted.modality} if wanted.modality else {}
    studies = find(peer, "STUDY", {**keys, **modality})
    for index, study in enumerate(studies):
        progress.check()
        # Series are asked for study by study: many archives answer no other query at this level.
        study_uid = str(study.get("StudyInstanceUID", ""))
        if str(study.get("StudyDescription", "")) == MODELS:
            cohort.left_out["models"] += 1
            continue
        for series in find(peer, "SERIES", {"StudyInstanceUID": study_uid}):
            unfit = wanted.unfit(str(series.get("Modality", "")), str(series.get("SeriesDescription", "")))
            uid = str(series.get("SeriesInstanceUID", ""))
            cohort.take(Case(_name(uid), ("--from", peer.name, "--study", study_uid, "--series", uid)), unfit)
        progress.update("cohort", (index + 1) / len(studies))
    return cohort


def volumes_of(case: Case, progress: Progress) -> list[Case]:
    """Return a case of each volume where a series is several; else the case itself, also if its job will fail."""
    progress.check()
    told = dict(zip(case.source[::2], case.source[1::2], strict=True))
    try:
        where = Where(tuple(map(Path, case.files)) or ((Path(told["--input"]),) if "--input" in told else ()))
        database = Path(told["--database"]) if "--database" in told else None
        with replace(where, database=database, series=told.get("--series")).open_series(Progress()):
            return [case]
    except SeveralVolumesError as error:
        parts = {re.sub(r"[^A-Za-z0-9.]+", "-", "_".join(volume))[:64]: volume for volume, _ in error.volumes}
        if len(parts) < len(error.volumes):
            parts = {digest_name("volume", "\n".join(volume)): volume for volume, _ in error.volumes}
        return [
            replace(case, name=f"{case.name}_{name}", source=(*case.source, *(f"--volume={part}" for part in volume)))
            for name, volume in parts.items()
        ]
    except InputError:
        return [case]


def digest_name(kind: str, text: str) -> str:
    """Return a name for what may not be named itself, such as a path with a patient's name in it."""
    return f"{kind}-{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:12]}"


class _Found:
    """The few attributes that are kept of a series; all headers of a cohort would fill the memory."""

    def __init__(self, first: Instance) -> None:
        self.modality, self.description = first.text("Modality"), first.text("SeriesDescription")
        self.only_localizers = True
        self.files: list[Path] = []

    def add(self, instances: Sequence[Instance], spoilt: Sequence[Path]) -> None:
        self.files += [*(instance.path for instance in instances), *spoilt]
        self.only_localizers &= all(instance.is_localizer for instance in instances)


def _strangers(files: Sequence[Path], here: Scan) -> list[Path]:
    known = {instance.path for instances in here.series.values() for instance in instances}
    known |= {other.path for other in here.other_objects}
    return [file for file in files if file not in known]


def _series_case(uid: str, paths: Sequence[Path]) -> Case:
    files = tuple(map(str, paths))
    if is_uid(uid):
        return Case(uid, ("--series", uid), files=files)
    # What has no proper UID cannot be asked for by it; its job says what is wrong.
    return Case(digest_name("series", "\n".join([uid, *files])), (), files=files)


def _name(uid: str) -> str:
    return uid if is_uid(uid) else digest_name("series", uid)


def _starts_with_localizer(database: Path, uid: str) -> bool:
    try:
        first = read_header(series_files(database, uid)[0])
    except InputError:
        return False
    return first is not None and first.is_localizer
