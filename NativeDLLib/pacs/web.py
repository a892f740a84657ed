"""The same services through DICOMweb: QIDO-RS, WADO-RS and STOW-RS (PS3.18)."""

import contextlib
import io
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from dicomweb_client import DICOMwebClient
from pydicom import Dataset, dcmread, dcmwrite

from NativeDLLib.core.errors import NativeDLError, PacsError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.pacs.identity import read_identity
from NativeDLLib.pacs.inbox import Inbox
from NativeDLLib.pacs.keys import RETURN_KEYS, identifier
from NativeDLLib.pacs.outcome import DUPLICATE, AssociationLostError, RefusedError, StoreOutcome, explain_store
from NativeDLLib.pacs.peers import DicomWeb, Peer, Tls

# It logs each failed request whole, and a query names patients.
logging.getLogger("retrying").setLevel(logging.CRITICAL)
_AS_STORED = (("application/dicom", "*"),)


def echo(peer: Peer) -> float:
    """Verify by a QIDO-RS query for one study that the peer answers, and return how many seconds that took."""
    started = time.perf_counter()
    with _client(peer) as client:
        client.search_for_studies(limit=1)
    return time.perf_counter() - started


def find(peer: Peer, level: str, keys: Mapping[str, str]) -> list[Dataset]:
    """Matches at one level by QIDO-RS, as `association.find`; patients are found through their studies."""
    identifier(level, keys)  # for its checks alone
    fields = [*RETURN_KEYS[level], *(key for key, value in keys.items() if not value)]
    filters = {key: value for key, value in keys.items() if value}
    study = filters.pop("StudyInstanceUID", None)
    with _client(peer) as client:
        if level in ("PATIENT", "STUDY"):
            filters |= {"StudyInstanceUID": study} if study else {}
            search = client.search_for_studies
        elif level == "SERIES":
            search = partial(client.search_for_series, study)
        else:
            search = partial(client.search_for_instances, study, filters.pop("SeriesInstanceUID"))
        matches = _all_pages(partial(search, search_filters=filters, fields=fields))
    if level == "PATIENT":
        return list({str(match.get("PatientID", "")): match for match in matches}.values())
    return matches


def retrieve(peer: Peer, study_uid: str, series_uid: str | None, folder: Path, progress: Progress) -> list[Path]:
    """Retrieve all instances of a study or series by WADO-RS, or none; see `retrieve.retrieve`."""
    progress.check()
    with _client(peer) as client:
        listed = _all_pages(partial(client.search_for_instances, study_uid, series_uid, fields=["SOPInstanceUID"]))
        expected = [str(dataset.SOPInstanceUID) for dataset in listed]
        with Inbox(folder, study_uid, series_uid, expected, progress) as inbox:
            if expected:
                uids = (study_uid, series_uid) if series_uid else (study_uid,)
                each = client.iter_series if series_uid else client.iter_study
                for dataset in each(*uids, media_types=_AS_STORED):
                    progress.check()
                    content = io.BytesIO()
                    dcmwrite(content, dataset)
                    if inbox.take(content.getvalue()) != 0x0000 and (refusal := inbox.refusal(peer)):
                        raise refusal
            return inbox.finish(peer)


def store_each(peer: Peer, files: Sequence[Path]) -> Generator[StoreOutcome, None, None]:
    """Outcomes of objects sent as by `store.store_each`, each in a request of its own, whose answer is for it alone."""
    for file in files:
        uid = read_identity(file).sop_instance_uid
        try:
            with _client(peer) as client:
                answer = _stow(client, dcmread(file))
            yield _outcome(file, uid, answer)
        except AssociationLostError as error:
            yield StoreOutcome(file, uid, None, False, str(error), unclear=True)
        except (PacsError, UsageError) as error:
            yield StoreOutcome(file, uid, None, False, str(error))


def _all_pages(search: Callable[..., list[dict[str, Any]]]) -> list[Dataset]:
    """Ask for page after page until nothing new comes: a server may limit its answers, or ignore the offset."""
    found: list[dict[str, Any]] = []
    while (page := search(offset=len(found))) and page[0] not in found:
        found.extend(page)
    return [Dataset.from_json(answer) for answer in found]


def _stow(client: Any, dataset: Dataset) -> Any:
    try:
        return client.store_instances([dataset])
    except requests.HTTPError as error:
        # A refused object is told in the body of the error (PS3.18 section 10.5.3), if the server says anything.
        try:
            refused = Dataset.from_json(error.response.json()).FailedSOPSequence
        except Exception:
            raise error from None
        told = Dataset()
        told.FailedSOPSequence = refused
        return told


def _outcome(file: Path, uid: str, answer: Dataset) -> StoreOutcome:
    """Outcome for an object, of what an answer says of its UID."""
    for item in answer.get("FailedSOPSequence") or []:
        if item.get("ReferencedSOPInstanceUID", uid) == uid:
            status = int(item.get("FailureReason") or 0x0110)
            return StoreOutcome(file, uid, status, status == DUPLICATE, explain_store(status))
    for item in answer.get("ReferencedSOPSequence") or []:
        if item.get("ReferencedSOPInstanceUID") == uid:
            status = int(item.get("WarningReason") or 0x0000)
            return StoreOutcome.answered(file, uid, status)
    return StoreOutcome(file, uid, None, False, "the server's answer does not say whether it stored the object", True)


class _Session(requests.Session):
    """Session that follows no redirect to another host or out of TLS: objects and queries stay with the peer."""

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        target = super().get_redirect_target(resp)
        if target is not None:
            here, there = urlsplit(resp.url), urlsplit(urljoin(resp.url, target))
            place = (there.scheme, there.hostname, there.port)
            if place not in ((here.scheme, here.hostname, here.port), ("https", here.hostname, there.port)):
                raise PacsError(
                    f"{here.hostname} redirects to {there.scheme}://{there.hostname}, where nothing is sent; "
                    "if that is the service, write its address into pacs.json"
                )
        return target


@contextlib.contextmanager
def _client(peer: Peer) -> Iterator[Any]:
    """Give a client of the peer's DICOMweb service; what goes wrong in the block becomes a `PacsError`."""
    service = peer.dicomweb
    if service is None:
        raise UsageError(f"the peer {peer.name} has no dicomweb in pacs.json")
    with _Session() as session:
        session.headers.update(_headers(peer.name, service))
        if peer.tls:
            peer.tls.client_context(peer.name)  # for its checks alone: requests makes its own
            session.mount("https://", _OwnCertificates(peer.tls))
        prefixes = {f"{kind}_url_prefix": getattr(service, f"{kind}_prefix") for kind in ("qido", "wado", "stow")}
        timeout = (peer.timeouts.connect, peer.timeouts.network)
        client = DICOMwebClient(service.url, session=session, timeout=timeout, **prefixes)
        client.set_http_retry_params(retry=False)  # the outbox tries again, and with longer delays
        try:
            yield client
        except NativeDLError:
            raise
        except Exception as error:  # what a server sends can make the parsers raise nearly anything
            raise _fault(f"{peer.name} ({service.url})", error) from error


def _fault(place: str, error: Exception) -> PacsError:
    if isinstance(error, requests.HTTPError):
        return RefusedError(f"{place} answered HTTP {error.response.status_code} {error.response.reason}")
    # A ValueError of requests is about the content of an answer.
    if not isinstance(error, requests.RequestException) or isinstance(error, ValueError):
        return RefusedError(f"{place} sent an answer that is no DICOMweb: {error}")
    # Its own text can hold the query, which names patients; the cause behind it cannot.
    first = error.args[0] if error.args else type(error).__name__
    cause, early = getattr(first, "reason", first), (requests.ConnectTimeout, requests.exceptions.SSLError)
    if isinstance(error, early) or isinstance(cause, urllib3.exceptions.NewConnectionError):
        return PacsError(f"{place} cannot be reached: {cause}; check dicomweb.url and tls in pacs.json")
    return AssociationLostError(f"{place} did not answer: {cause}")


class _OwnCertificates(requests.adapters.HTTPAdapter):
    """Holds to a peer's certificates where requests would prefer those that the environment names."""

    def __init__(self, tls: Tls) -> None:
        self._tls = tls
        super().__init__()

    def init_poolmanager(self, *args: Any, **settings: Any) -> None:
        if not self._tls.check_hostname:
            settings["assert_hostname"] = False
        super().init_poolmanager(*args, **settings)

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:  # type: ignore[override]
        if self._tls.ca:
            settings["verify"] = str(self._tls.ca)
        if self._tls.cert:
            settings["cert"] = (str(self._tls.cert), str(self._tls.key))
        return super().send(request, **settings)


def _headers(name: str, service: DicomWeb) -> dict[str, str]:
    names = dict(service.headers_env) | ({"Authorization": service.token_env} if service.token_env else {})
    headers = {}
    for header, variable in names.items():
        value = os.environ.get(variable)
        if not value:
            raise UsageError(f"the peer {name} needs the environment variable {variable}, which is not set")
        headers[header] = f"Bearer {value}" if variable == service.token_env else value
    return headers
