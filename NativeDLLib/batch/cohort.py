"""Finding the cases in folders, in Slicer's DICOM database and on a PACS."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pydicom.uid import UID

from NativeDLLib.batch.case import Case, Cohort, Wanted
from NativeDLLib.dicom.database import all_series, series_files
from NativeDLLib.dicom.header import Instance, read_header
from NativeDLLib.dicom.scan import scan
from NativeDLLib.errors import InputError
from NativeDLLib.events import Cancel, Reporter
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.pacs.services import find
from NativeDLLib.uids import is_uid


def from_folders(folders: Sequence[Path], wanted: Wanted, reporter: Reporter, cancel: Cancel) -> Cohort:
    """Make a case of every image series below some folders.

    What cannot be read is a case too, whose job will say why: it must not go unnoticed, nor stop the others.

    Raises
    ------
    InputError
        Where one of the folders does not exist.
    """
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder}: is not a folder")
    cohort, found, where = Cohort(), dict[str, list[Instance]](), dict[str, list[str]]()
    tree = list(dict.fromkeys(entry for folder in folders for entry in _walk(folder.resolve())))
    for index, (folder, files) in enumerate(tree):
        cancel.check()
        inputs = [str(folder)] if _is_leaf(folder, files) else [str(file) for file in files]
        try:
            here = scan(files)
        except InputError:
            cohort.cases.append(_unreadable(folder, inputs))
            continue
        for uid, instances in here.series.items():
            found.setdefault(uid, []).extend(instances)
            where.setdefault(uid, []).extend(inputs)
        if here.damaged and not here.series:
            cohort.cases.append(_unreadable(folder, inputs))
        cohort.left_out.update(f"{UID(other.text('SOPClassUID')).name} objects" for other in here.other_objects)
        cohort.left_out.update({"other files": here.other_files} if here.other_files else {})
        reporter.progress("scan", (index + 1) / len(tree))
    for uid, instances in sorted(found.items()):
        first = instances[0]
        unfit = wanted.unfit(first.text("Modality"), first.text("SeriesDescription"))
        if unfit is None and all(_is_localizer(instance) for instance in instances):
            unfit = "localizers"
        if unfit is not None:
            cohort.left_out[unfit] += 1
        else:
            cohort.cases.append(_series_case(uid, where[uid]))
    return cohort


def from_database(database: Path, wanted: Wanted) -> Cohort:
    """Make a case of every series of Slicer's DICOM database; see `series_files` for what it raises."""
    cohort, path = Cohort(), str(database.resolve())
    for uid, modality, description in all_series(database):
        unfit = wanted.unfit(modality, description)
        if unfit is None and _starts_with_localizer(database, uid):
            unfit = "localizers"
        if unfit is not None:
            cohort.left_out[unfit] += 1
        else:
            cohort.cases.append(Case(_name("series", uid), ("--database", path, "--series", uid)))
    return cohort


def from_peer(peer: Peer, keys: Mapping[str, str], wanted: Wanted, reporter: Reporter, cancel: Cancel) -> Cohort:
    """Make a case of every series of the studies that a peer finds.

    Parameters
    ----------
    peer
        Whom to ask, by C-FIND or QIDO-RS.
    keys
        Matching keys of the studies, by DICOM keyword.

    Raises
    ------
    PacsError
        Where the peer cannot be reached or refuses the query.
    """
    cohort = Cohort()
    modality = {"ModalitiesInStudy": wanted.modality} if wanted.modality else {}
    studies = find(peer, "STUDY", {**keys, **modality})
    for index, study in enumerate(studies):
        cancel.check()
        # Series are asked for study by study: many archives answer no other query at this level.
        study_uid = str(study.get("StudyInstanceUID", ""))
        for series in find(peer, "SERIES", {"StudyInstanceUID": study_uid}):
            unfit = wanted.unfit(str(series.get("Modality", "")), str(series.get("SeriesDescription", "")))
            if unfit is not None:
                cohort.left_out[unfit] += 1
                continue
            uid = str(series.get("SeriesInstanceUID", ""))
            source = ("--from", peer.name, "--study", study_uid, "--series", uid)
            cohort.cases.append(Case(_name("series", uid), source))
        reporter.progress("find", (index + 1) / len(studies))
    return cohort


def digest_name(kind: str, text: str) -> str:
    """Return a name for what may not be named itself, such as a path with a patient's name in it."""
    return f"{kind}-{hashlib.sha256(text.encode(errors='surrogateescape')).hexdigest()[:12]}"


def _walk(root: Path) -> Iterable[tuple[Path, tuple[Path, ...]]]:
    unreadable: list[OSError] = []
    for folder, subfolders, names in os.walk(root, onerror=unreadable.append):
        subfolders.sort()
        files = tuple(path for name in sorted(names) if (path := Path(folder, name)).is_file())
        if files:
            yield Path(folder), files
    # The folder itself in place of its files: to look for it is to fail with the reason.
    yield from ((Path(str(error.filename)), (Path(str(error.filename)),)) for error in unreadable)


def _is_leaf(folder: Path, files: Sequence[Path]) -> bool:
    try:
        return sum(1 for _ in os.scandir(folder)) == len(files)
    except OSError:
        return True


def _unreadable(folder: Path, inputs: Sequence[str]) -> Case:
    return Case(digest_name("unreadable", str(folder)), ("--input", *inputs))


def _series_case(uid: str, inputs: Sequence[str]) -> Case:
    # What has no proper UID cannot be asked for by it; its job finds it alone in its folder, and says what is wrong.
    series = ("--series", uid) if is_uid(uid) else ()
    name = uid if is_uid(uid) else digest_name("series", uid + "\n".join(inputs))
    return Case(name, ("--input", *dict.fromkeys(inputs), *series))


def _name(kind: str, uid: str) -> str:
    return uid if is_uid(uid) else digest_name(kind, uid)


def _is_localizer(instance: Instance) -> bool:
    return "LOCALIZER" in instance.text("ImageType").upper().split("\\")


def _starts_with_localizer(database: Path, uid: str) -> bool:
    try:
        first = read_header(series_files(database, uid)[0])
    except InputError:
        return False
    return first is not None and _is_localizer(first)
