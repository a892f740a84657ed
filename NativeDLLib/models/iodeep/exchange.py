"""Models on a peer: which there are, bringing one there, and fetching them so that they are models like any other."""

import contextlib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import scratch
from NativeDLLib.core.progress import Progress
from NativeDLLib.core.uids import is_uid
from NativeDLLib.models.iodeep.cache import install, known, newest, objections
from NativeDLLib.models.iodeep.elements import STUDY_DESCRIPTION
from NativeDLLib.models.iodeep.object_reader import read_model
from NativeDLLib.models.iodeep.object_writer import CHUNK_SIZE, write_model
from NativeDLLib.models.iodeep.signing import judge
from NativeDLLib.pacs.delivery import deliver
from NativeDLLib.pacs.outcome import AssociationLostError, NoneAcceptedError, RefusedError
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.pacs.services import find, retrieve
from NativeDLLib.registry import Model, find_model, load_models
from NativeDLLib.registry.load import pulled_registry
from NativeDLLib.source.header import text

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Stored:
    """A model on a peer, as the peer's answers describe it: nothing of it is verified yet."""

    study_uid: str
    series_uid: str
    id: str
    version: str
    modality: str
    body_part: str
    mark: str
    created: str
    instances: int | None

    @property
    def is_here(self) -> bool:
        """Whether it was pulled before and is in force."""
        return known(self.series_uid, self.mark) is not None


@dataclass(frozen=True)
class Pulled:
    """A model that is in force now; the signer is None where the user agreed to do without one that is trusted."""

    model: Model
    signer: str | None
    fetched: bool


def find_models(peer: Peer) -> list[Stored]:
    """Models on a peer by id, the newest version first, then the latest copy."""
    found = []
    for study in find(peer, "STUDY", {"StudyDescription": STUDY_DESCRIPTION, "StudyID": ""}):
        uid = _text(study, "StudyInstanceUID")
        # A peer that cannot match by description answers with everything that it has.
        if _text(study, "StudyDescription") != STUDY_DESCRIPTION or not is_uid(uid):
            continue
        series = find(peer, "SERIES", {"StudyInstanceUID": uid, "ProtocolName": ""})
        rows = (_stored(study, one) for one in series)
        found += [row for row in rows if is_uid(row.series_uid) and _ID.fullmatch(row.id)]
    found.sort(key=lambda row: (newest(row.version), row.created, row.series_uid), reverse=True)
    return sorted(found, key=lambda row: row.id)


def push(
    model_id: str, peer: Peer, progress: Progress, *, signing_key: Path | None = None, chunk_size: int = CHUNK_SIZE
) -> list[str]:
    """Store a model of the registry on a peer, through the outbox. Returns the SOP Instance UIDs of the new copy; none
    where the peer has the same content by the same signer already.
    """
    model = find_model(load_models(), model_id)
    with scratch("nativedl-push-") as folder:
        with progress.stage("write"):
            files = write_model(model, folder, signing_key=signing_key, chunk_size=chunk_size)
        mark = str(dcmread(files[0], specific_tags=["StudyID"]).StudyID)
        # A peer that only stores cannot say what it has.
        with contextlib.suppress(AssociationLostError, NoneAcceptedError, RefusedError):
            if any(row.mark == mark and row.instances in (None, len(files)) for row in find_models(peer)):
                return []
        progress.check()
        with progress.stage("send"):
            deliver(files, peer, progress)
        return [file.stem for file in files]


def pull(
    peer: Peer, ids: Collection[str], accept_unsigned: bool, progress: Progress, *, modality: str | None = None
) -> list[Pulled]:
    """Fetch models, verify them and put them into force; a model that is here already is not fetched again. Without
    `ids` all models come, with `modality` only those for it. Returns the newest version of each id on the peer. A
    version that cannot be used is passed over with a warning. A model that is older than the one here, of another
    signer, or has a bundled model's id comes only where `ids` names it. ModelError names the models of which no version
    can be used; the others are in force then.
    """
    versions: dict[str, dict[str, list[Stored]]] = {}
    for found in find_models(peer):
        if (not ids or found.id in ids) and modality in (None, found.modality):
            versions.setdefault(found.id, {}).setdefault(found.version, []).append(found)
    missing = sorted(set(ids) - set(versions))
    if missing:
        raise ModelError(f"{peer} has no model '{missing[0]}'", hint=f"see: nativedl models list --from {peer.name}")
    pulled, refusals = [], []
    for model_id, copies in versions.items():
        problems: list[ModelError] = []
        for rows in copies.values():
            try:
                # What was asked for by its name is the newest; an older one in its stead was not.
                asked = model_id in ids and not problems
                pulled.append(_pull_one(peer, rows, accept_unsigned, asked, progress))
            except ModelError as error:
                problems.append(error)
                continue
            if problems:
                progress.warn(f"{problems[0]}; {pulled[-1].model.tool_name} is used instead")
            break
        else:
            refusals.append(problems[0])
    in_force = load_models()
    for row in pulled:
        winner = in_force[row.model.id].registry
        if winner != row.model.registry:
            progress.warn(f"{row.model.id} is in {winner} too, which wins over what was pulled")
    if refusals:
        raise ModelError(" | ".join(map(str, refusals)), hint=refusals[0].hint)
    return pulled


def _pull_one(peer: Peer, rows: Sequence[Stored], accept_unsigned: bool, asked: bool, progress: Progress) -> Pulled:
    """Pull the first copy of a version that can be used; one may be damaged or unsigned and another not."""
    # What is here under a version stays: content that changes without a new version is not taken.
    here = next(filter(None, (known(row.series_uid, row.mark) for row in rows)), None)
    if here is not None:
        return Pulled(*here, fetched=False)
    problems = []
    for row in rows:
        progress.check()
        try:
            return _fetch(peer, row, accept_unsigned, asked, progress)
        except ModelError as error:
            problems.append(error)
    raise problems[0]


def _fetch(peer: Peer, row: Stored, accept_unsigned: bool, asked: bool, progress: Progress) -> Pulled:
    cache = pulled_registry().parent
    cache.mkdir(parents=True, exist_ok=True)
    with scratch(".partial-", cache) as folder:
        with progress.stage("retrieve"):
            files = retrieve(peer, row.study_uid, row.series_uid, folder / "objects", progress)
        with progress.stage("verify"):
            received = read_model(files, folder / "model")
            if (received.model.id, received.model.version) != (row.id, row.version):
                raise ModelError(f"{peer} lists {row.id} {row.version}, but holds {received.model.tool_name} there")
            signer = judge(received, accept_unsigned)
            if found := objections(received.model, signer):
                told = f"model {received.model.tool_name} {' and '.join(found)}"
                if not asked:
                    hint = f"to take it all the same: nativedl models pull {row.id} --from {peer.name}"
                    raise ModelError(f"{told}; it was not taken", hint=hint)
                progress.warn(f"{told}; it was taken, as it was asked for by name")
        return Pulled(install(received, folder / "model", row.series_uid, signer, peer.name), signer, fetched=True)


def _stored(study: Dataset, series: Dataset) -> Stored:
    count = _text(series, "NumberOfSeriesRelatedInstances")
    return Stored(
        study_uid=_text(study, "StudyInstanceUID"),
        series_uid=_text(series, "SeriesInstanceUID"),
        id=_text(series, "SeriesDescription"),
        version=_text(series, "ProtocolName"),
        modality=_text(series, "Modality"),
        body_part=_text(series, "BodyPartExamined"),
        mark=_text(study, "StudyID"),
        created=f"{_text(study, 'StudyDate')}{_text(study, 'StudyTime')}",
        instances=int(count) if count.isdecimal() else None,
    )


def _text(dataset: Dataset, keyword: str) -> str:
    # Made printable, so that a peer's answer cannot steer the terminal.
    return "".join(character for character in text(dataset, keyword) if character.isprintable())
