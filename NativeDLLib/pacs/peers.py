"""The peers that the user configured in ``pacs.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from NativeDLLib.errors import UsageError
from NativeDLLib.resources import resources_folder


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
    """One application entity, or DICOMweb service, to find, retrieve and store with.

    ``retrieve`` is ``get``, ``move`` or ``dicomweb`` and also decides how to query; ``store`` is ``dimse`` or
    ``dicomweb``. A peer used through DICOMweb alone has no AE title, host and port.
    """

    name: str
    ae_title: str = ""
    host: str = ""
    port: int = 0
    calling_ae_title: str = "NATIVEDL"
    max_pdu: int = 65536
    retrieve: str = "get"
    move_port: int | None = None
    store: str = "dimse"
    tls: Tls | None = None
    dicomweb: DicomWeb | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)

    def __str__(self) -> str:
        """Name and address, as they appear in messages."""
        if self.host:
            return f"{self.name} ({self.ae_title} at {self.host}:{self.port})"
        return f"{self.name} ({self.dicomweb.url if self.dicomweb else 'no address'})"


def default_pacs_file() -> Path:
    """Return the file in which the user's peers are kept."""
    return Path.home() / ".nativedl" / "pacs.json"


def load_peers(path: Path | None = None) -> dict[str, Peer]:
    """Read and validate the configured peers.

    Parameters
    ----------
    path
        The JSON file; without it ``~/.nativedl/pacs.json``.

    Returns
    -------
    dict
        The peers by name, in the order of the file.

    Raises
    ------
    UsageError
        When the file is missing, not JSON, or not what ``Resources/pacs.schema.json`` asks for; the message names
        the file, the entry and the field.
    """
    file = path or default_pacs_file()
    document = _read(file)
    _validate(document, file)
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


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        example = '{"peers": [{"name": "PACS", "ae_title": "PACS", "host": "192.0.2.1", "port": 104}]}'
        raise UsageError(
            f"{file}: there is no such file; write one like {example}, or name another with --pacs"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: cannot be read: {error}") from error
    except (json.JSONDecodeError, RecursionError) as error:
        raise UsageError(f"{file}: is not JSON: {error}") from error


def _validate(document: Any, file: Path) -> None:
    import jsonschema

    schema = json.loads((resources_folder() / "pacs.schema.json").read_text(encoding="utf-8"))
    errors = jsonschema.Draft202012Validator(schema).iter_errors(document)
    error = min(errors, key=lambda found: [str(part) for part in found.absolute_path], default=None)
    if error is not None:
        raise UsageError(f"{file}: {_place(document, list(error.absolute_path))}{error.message}")


def _place(document: Any, path: list[str | int]) -> str:
    """Write where in the file an error is, e.g. ``peers[1] (MAIN).port: ``."""
    text, node = "", document
    for part in path:
        node = node[part]
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
        if isinstance(part, int) and isinstance(node, dict) and isinstance(node.get("name"), str):
            text += f" ({node['name']})"
    return f"{text.lstrip('.')}: " if text else ""


def _peer(entry: Mapping[str, Any], folder: Path) -> Peer:
    settings = dict(entry)
    if "tls" in settings:
        tls = settings["tls"]
        paths = {key: folder / Path(tls[key]).expanduser() for key in ("ca", "cert", "key") if key in tls}
        settings["tls"] = Tls(**paths, check_hostname=tls.get("check_hostname", True))
    if "dicomweb" in settings:
        settings["dicomweb"] = DicomWeb(**settings["dicomweb"])
    settings["timeouts"] = Timeouts(**settings.get("timeouts", {}))
    return Peer(**settings)
