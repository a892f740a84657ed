"""Queries by C-FIND, in the Patient Root and Study Root models (PS3.4 annex C)."""

from collections.abc import Mapping
from typing import Any

from pydicom import Dataset
from pynetdicom import build_context, sop_class

from NativeDLLib.core.errors import PacsError
from NativeDLLib.pacs.association import associate, check_answer
from NativeDLLib.pacs.keys import identifier
from NativeDLLib.pacs.outcome import RefusedError
from NativeDLLib.pacs.peers import Peer

PENDING = (0xFF00, 0xFF01)


def find(peer: Peer, level: str, keys: Mapping[str, str]) -> list[Dataset]:
    """Matches at one level (``PATIENT``, ``STUDY``, ``SERIES`` or ``IMAGE``), one data set each. `keys` are matching
    keys by DICOM keyword; wildcards, lists of UIDs and date ranges as in PS3.4 C.2.2.2. The usual return keys of the
    level are added. UsageError where a key is no DICOM keyword, or series or images are asked for outside a study;
    PacsError where the peer cannot be reached or refuses the query.
    """
    query, model = identifier(level, keys), _model(level)
    with associate(peer, [build_context(model)]) as association:
        return _ask(peer, association, query, model)


def inventory(peer: Peer, study_uid: str, series_uid: str | None) -> dict[str, str] | None:
    """SOP Class UID by SOP Instance UID of a study or series; None where the peer answers no queries at IMAGE level."""
    found: dict[str, str] = {}
    model = _model("IMAGE")
    with associate(peer, [build_context(model)]) as association:
        try:
            series = [series_uid] if series_uid else []
            if not series_uid:
                query = identifier("SERIES", {"StudyInstanceUID": study_uid})
                series = [str(match.SeriesInstanceUID) for match in _ask(peer, association, query, model)]
            for uid in series:
                query = identifier("IMAGE", {"StudyInstanceUID": study_uid, "SeriesInstanceUID": uid})
                for match in _ask(peer, association, query, model):
                    found[str(match.SOPInstanceUID)] = str(match.SOPClassUID)
        except (RefusedError, AttributeError):
            return None
    return found if all(found.values()) else None


def _model(level: str) -> Any:
    if level == "PATIENT":
        return sop_class.PatientRootQueryRetrieveInformationModelFind
    return sop_class.StudyRootQueryRetrieveInformationModelFind


def _ask(peer: Peer, association: Any, query: Dataset, model: Any) -> list[Dataset]:
    matches: list[Dataset] = []
    for response, match in association.send_c_find(query, model):
        if response.get("Status") not in PENDING:
            check_answer(peer, "C-FIND", response)
        elif match is None:
            raise PacsError(f"{peer} sent a C-FIND answer that cannot be decoded")
        else:
            matches.append(match)
    return matches
