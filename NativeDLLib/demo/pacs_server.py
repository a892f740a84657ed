"""A small PACS of our own for the demonstration and the tests: it stores, finds (PS3.4 C.2.2.2), and gives back."""

import contextlib
import fnmatch
import io
import itertools
import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom import DataElement, Dataset, dcmread
from pydicom.multival import MultiValue
from pynetdicom import AE, evt, sop_class

from NativeDLLib.core.errors import PacsError
from NativeDLLib.core.files import atomic_path
from NativeDLLib.core.uids import is_uid
from NativeDLLib.pacs.association import no_delay
from NativeDLLib.pacs.retrieve import storage_support

_STUDY, _SERIES, _IMAGE = "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"
UNIQUE_KEYS = {"PATIENT": "PatientID", "STUDY": _STUDY, "SERIES": _SERIES, "IMAGE": _IMAGE}
_RANGE_VRS = ("DA", "TM", "DT")
_TEXT_VRS = ("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT")
_COUNTS = {
    **{"NumberOfPatientRelatedStudies": _STUDY, "NumberOfPatientRelatedSeries": _SERIES},
    **{"NumberOfPatientRelatedInstances": _IMAGE, "NumberOfStudyRelatedSeries": _SERIES},
    **{"NumberOfStudyRelatedInstances": _IMAGE, "NumberOfSeriesRelatedInstances": _IMAGE},
}


def search(headers: Iterable[Dataset], query: Dataset) -> list[Dataset]:
    """Matches of a C-FIND identifier, one data set an entity of its level; KeyError where the level is unknown."""
    unique = UNIQUE_KEYS[str(query.get("QueryRetrieveLevel", ""))]
    entities: dict[str, list[Dataset]] = {}
    for header in headers:
        entities.setdefault(str(header.get(unique, "")), []).append(header)
    answers = (_summary(members, query) for members in entities.values())
    return [answer for answer in answers if all(_matches(key, answer) for key in query)]


def select(headers: Iterable[Dataset], query: Dataset) -> list[Dataset]:
    """Return the headers of the instances that a C-GET identifier names by its unique keys."""
    keys = [element for element in query if element.keyword in UNIQUE_KEYS.values() and element.value]
    return [header for header in headers if keys and all(_matches(key, header) for key in keys)]


def _summary(members: list[Dataset], query: Dataset) -> Dataset:
    """Fill in what the query asks for about one entity, from the instances that belong to it."""
    answer = Dataset()
    for key in query:
        if key.keyword in _COUNTS:
            value: object = str(len({header.get(_COUNTS[key.keyword]) for header in members}))
        elif key.keyword == "ModalitiesInStudy":
            value = sorted({str(header.get("Modality", "")) for header in members} - {""})
        elif key.keyword == "QueryRetrieveLevel":
            value = key.value
        else:
            value = members[0][key.tag].value if key.tag in members[0] else None
        answer.add(DataElement(key.tag, key.VR, value))
    if "SpecificCharacterSet" in members[0]:
        answer.SpecificCharacterSet = members[0].SpecificCharacterSet
    return answer


def _matches(key: DataElement, candidate: Dataset) -> bool:
    if key.keyword in ("QueryRetrieveLevel", "SpecificCharacterSet", *_COUNTS) or key.VR == "SQ" or not key.value:
        return True
    found = _strings(candidate[key.tag].value) if key.tag in candidate else []
    return any(_value_matches(key.VR, wanted, value) for wanted in _strings(key.value) for value in found)


def _value_matches(vr: str, wanted: str, value: str) -> bool:
    if vr in _RANGE_VRS and "-" in wanted:
        first, _, last = wanted.partition("-")
        return bool(value) and (not first or value >= first) and (not last or value[: len(last)] <= last)
    if vr in _TEXT_VRS:
        if vr == "PN":
            wanted, value = wanted.casefold(), value.casefold()
        return fnmatch.fnmatchcase(value, wanted.replace("[", "[[]"))
    return value == wanted


def _strings(value: object) -> list[str]:
    values = value if isinstance(value, list | tuple | MultiValue) else [value]
    return [str(item) for item in values if item is not None]


@dataclass
class EmbeddedPacs:
    """A Storage and Query/Retrieve SCP on loopback, as a context manager. Objects in `folder`, each named by its SOP
    Instance UID, are served too.
    """

    folder: Path
    port: int = 0  # 0 is any free one, which this tells then
    ae_title: str = "NATIVEDL-PACS"
    tls: ssl.SSLContext | None = None
    # By SOP Instance UID. Threads share it: each use is one step of a dict, which no other thread comes into.
    _headers: dict[str, Dataset] = field(default_factory=dict, init=False, repr=False)

    def __enter__(self) -> "EmbeddedPacs":
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in sorted(self.folder.glob("*.dcm")):
            with contextlib.suppress(Exception):  # a damaged file can make the parser raise nearly anything
                header = dcmread(file, stop_before_pixels=True)
                self._headers[str(header.SOPInstanceUID)] = header
        self._entity = AE(self.ae_title)
        self._entity.supported_contexts = storage_support()
        for context in self._entity.supported_contexts:
            context.scu_role = context.scp_role = True  # C-GET sends objects to whom opened the association
        self._entity.add_supported_context(sop_class.Verification)
        for root, service in itertools.product(("Patient", "Study"), ("Find", "Get")):
            name = f"{root}RootQueryRetrieveInformationModel{service}"
            self._entity.add_supported_context(getattr(sop_class, name))
        handlers = [(evt.EVT_CONN_OPEN, no_delay), (evt.EVT_C_STORE, self._store), (evt.EVT_C_FIND, self._find)]
        handlers.append((evt.EVT_C_GET, self._get))
        try:
            here = ("127.0.0.1", self.port)
            server = self._entity.start_server(here, block=False, ssl_context=self.tls, evt_handlers=handlers)
        except OSError as error:
            reason = error.strerror or error
            raise PacsError(f"the embedded PACS cannot listen on port {self.port}: {reason}; choose another") from error
        self.port = server.socket.getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._entity.shutdown()

    def _file(self, uid: str) -> Path:
        return self.folder / f"{uid}.dcm"

    def _store(self, event: Any) -> int:
        content = event.encoded_dataset()
        try:
            header = dcmread(io.BytesIO(content), stop_before_pixels=True)
            uid = str(header.SOPInstanceUID)
            complete = all(key in header for key in (_STUDY, _SERIES))
        except Exception:  # a damaged object can make the parser raise nearly anything
            return 0xC000
        if not is_uid(uid) or not complete:
            return 0xA900
        try:
            with atomic_path(self._file(uid)) as temporary:
                temporary.write_bytes(content)
        except OSError:
            return 0xA700
        self._headers[uid] = header
        return 0x0000

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        if query.get("QueryRetrieveLevel") not in UNIQUE_KEYS:
            yield 0xA900, None
            return
        for answer in search(list(self._headers.values()), query):
            if event.is_cancelled:
                yield 0xFE00, None
                return
            answer.RetrieveAETitle = self.ae_title
            yield 0xFF00, answer

    def _get(self, event: Any) -> Iterator[Any]:
        chosen = select(list(self._headers.values()), event.identifier)
        yield len(chosen)
        for header in chosen:
            if event.is_cancelled:
                yield 0xFE00, None
                return
            yield 0xFF00, dcmread(self._file(str(header.SOPInstanceUID)))
