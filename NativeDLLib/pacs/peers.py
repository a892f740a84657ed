"""The peers that the user configured in ``pacs.json``."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.jsonfile import check_schema, read_json
from NativeDLLib.core.places import kept


@dataclass(frozen=True)
class Timeouts:
    """How long to wait for the peer, in seconds."""

    connect: float = 10.0
    acse: float = 30.0
    dimse: float = 30.0
    network: float = 60.0


@dataclass(frozen=True)
class Tls:
    """The certificates of a connection over TLS."""

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    check_hostname: bool = True

    def client_context(self, name: str) -> ssl.SSLContext:
        """TLS context of our connections to the peer `name`; UsageError where a certificate or key cannot be used."""
        context = self._context(ssl.Purpose.SERVER_AUTH, name)
        context.check_hostname = self.check_hostname
        return context

    def server_context(self, name: str) -> ssl.SSLContext:
        """TLS context of connections from the peer `name`, whose certificate ``ca`` must vouch for."""
        context = self._context(ssl.Purpose.CLIENT_AUTH, name)
        context.verify_mode = ssl.CERT_REQUIRED
        return context

    def _context(self, purpose: ssl.Purpose, name: str) -> ssl.SSLContext:
        try:
            context = ssl.create_default_context(purpose, cafile=self.ca)
            if self.cert:
                context.load_cert_chain(self.cert, self.key)
        except OSError as error:
            files = ", ".join(str(file) for file in (self.ca, self.cert, self.key) if file)
            told = f"the TLS files of {name} ({files}) cannot be used: {error}; see tls in pacs.json"
            raise UsageError(told) from error
        return context


@dataclass(frozen=True)
class DicomWeb:
    """A DICOMweb service; secrets are named by environment variable, so that the file holds none."""

    url: str
    token_env: str | None = None
    headers_env: Mapping[str, str] = field(default_factory=dict)
    qido_prefix: str | None = None
    wado_prefix: str | None = None
    stow_prefix: str | None = None


@dataclass(frozen=True)
class Peer:
    """An application entity, or a DICOMweb service without AE title, host and port, to find, retrieve, store with."""

    name: str
    ae_title: str = ""
    host: str = ""
    port: int = 0
    calling_ae_title: str = "NATIVEDL"
    max_pdu: int = 65536
    retrieve: str = "get"  # or move or dicomweb; queries go the same way
    move_port: int | None = None
    move_from: tuple[str, ...] = ()  # hosts besides its own from which it sends after a C-MOVE
    store: str = "dimse"  # or dicomweb
    tls: Tls | None = None
    dicomweb: DicomWeb | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)

    def __str__(self) -> str:
        """Name and address, as they appear in messages."""
        if self.host:
            return f"{self.name} ({self.ae_title} at {self.host}:{self.port})"
        return f"{self.name} ({self.dicomweb.url if self.dicomweb else 'no address'})"


def load_peers(path: Path | None = None) -> dict[str, Peer]:
    """Configured peers by name, in the order of the file, by default ``~/.nativedl/pacs.json``. UsageError names the
    file, the entry and the field where it is not as ``Resources/pacs.schema.json`` asks.
    """
    file = path or kept("pacs.json")
    if not file.exists():
        example = '{"peers": [{"name": "PACS", "ae_title": "PACS", "host": "192.0.2.1", "port": 104}]}'
        raise UsageError(f"{file}: no such file; write one like {example}", hint="or name another with --pacs")
    document = read_json(file, UsageError)
    check_schema(document, "pacs.schema.json", file, UsageError, "peers")
    peers: dict[str, Peer] = {}
    for index, entry in enumerate(document["peers"]):
        if entry["name"] in peers:
            raise UsageError(f"{file}: peers[{index}] ({entry['name']}).name: another peer has this name already")
        peers[entry["name"]] = _peer(entry, file.resolve().parent)
    return peers


def find_peer(peers: Mapping[str, Peer], name: str) -> Peer:
    """Return the peer called `name`, or raise a `UsageError` that lists the known ones."""
    if name not in peers:
        known = ", ".join(peers) or "none"
        raise UsageError(f"no peer is called '{name}'; known are: {known}")
    return peers[name]


def _peer(entry: Mapping[str, Any], folder: Path) -> Peer:
    settings = dict(entry)
    if "tls" in settings:
        tls = settings["tls"]
        paths = {key: folder / Path(tls[key]).expanduser() for key in ("ca", "cert", "key") if key in tls}
        settings["tls"] = Tls(**paths, check_hostname=tls.get("check_hostname", True))
    if "dicomweb" in settings:
        settings["dicomweb"] = DicomWeb(**settings["dicomweb"])
    settings["move_from"] = tuple(settings.get("move_from", ()))
    settings["timeouts"] = Timeouts(**settings.get("timeouts", {}))
    return Peer(**settings)
