"""Slicer's own list of DICOM servers, joined with the user's peers into one ``pacs.json`` for the commands.

Slicer keeps its servers in its settings: ``DICOM/ServerNodeCount``, and under ``DICOM/ServerNodes/<row>`` the JSON of
each row of the table in its DICOM module (CTK's ctkDICOMServerNodeWidget2).
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import NativeDLError, UsageError
from NativeDLLib.core.files import atomic_path
from NativeDLLib.core.jsonfile import check_schema, read_json
from NativeDLLib.core.places import kept
from NativeDLLib.pacs.peers import load_peers

_CHECK_STATES = ("CheckState", "QueryRetrieveCheckState", "StorageCheckState")
_LONGEST_NAME = 64
_LONGEST_TIMEOUT_S = 86400


def merge_peers(slicer_rows: Sequence[Any], target: Path) -> tuple[list[str], list[str]]:
    """Write one file, readable by the user alone, with the peers of ``pacs.json`` and Slicer's servers. The latter's
    rows are JSON as text or as a ``QByteArray``, or a map from before Slicer wrote JSON. Returns all names, and a
    warning for each changed server. Servers that are switched off in Slicer, and those whose name one of the user's
    peers has, are left out. UsageError where ``pacs.json`` is wrong.
    """
    peers, warnings = _own_peers(), []
    own_names, slicer_names = {peer["name"] for peer in peers}, set()
    for number, row in enumerate(slicer_rows, start=1):
        where = f"Slicer's DICOM server {number}"
        try:
            settings = _settings(row, where)
            # One that is neither for queries nor for storage is switched off, as Slicer's example servers are.
            states = [settings[key] for key in _CHECK_STATES if key in settings]
            if states and all(str(state) == "0" for state in states):
                continue
            peer = _peer(settings, where)
        except UsageError as error:
            warnings.append(f"{error}; it is left out")
            continue
        name, protocol = peer["name"], _text(settings, "Retrieve Protocol")
        if name in slicer_names:
            warnings.append(f"{where}: another one is called '{name}' too; it is left out")
        elif name not in own_names:
            peers.append(peer)
            slicer_names.add(name)
            if protocol not in ("", "CGET"):
                remedy = "to retrieve otherwise, add it to pacs.json"
                warnings.append(f"{where} ({name}): is retrieved from by C-GET instead of {protocol}; {remedy}")
    with atomic_path(target, mode=0o600) as temporary:
        temporary.write_text(json.dumps({"peers": peers}, indent=2) + "\n", encoding="utf-8")
    return [peer["name"] for peer in peers], warnings


def peers_for_panel(slicer_rows: Sequence[str], target: Path) -> tuple[list[str], str, str]:
    """Names of all peers of `merge_peers`, remarks, and the reason why there are none, whatever is wrong with them."""
    try:
        names, warnings = merge_peers(slicer_rows, target)
    except (NativeDLError, OSError) as error:
        return [], "", f"The DICOM servers could not be read. {error}"
    return names, "\n".join(["DICOM servers of Slicer and of NativeDL", *warnings]), ""


def _own_peers() -> list[dict[str, Any]]:
    file = kept("pacs.json")
    if not file.exists():
        return []
    load_peers(file)  # for its checks alone
    peers: list[dict[str, Any]] = read_json(file, UsageError)["peers"]
    for tls in (peer["tls"] for peer in peers if "tls" in peer):
        for key in {"ca", "cert", "key"} & set(tls):
            tls[key] = str(file.resolve().parent / Path(tls[key]).expanduser())
    return peers


def _settings(row: Any, where: str) -> dict[str, Any]:
    try:
        content = row.data() if hasattr(row, "data") else row
        settings = content if isinstance(content, dict) else json.loads(content)
        # Half a character that was escaped: pacs.json may not hold it.
        json.dumps(settings, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        raise UsageError(f"{where}: its settings cannot be read")
    return settings


def _peer(settings: dict[str, Any], where: str) -> dict[str, Any]:
    called, calling = _text(settings, "Called AETitle"), _text(settings, "Calling AETitle")
    name = " ".join((_text(settings, "Name") or called).split())
    port, seconds = _number(settings, "Port"), _number(settings, "Timeout")
    peer: dict[str, Any] = {"name": name[:_LONGEST_NAME].strip(), "ae_title": called}
    peer |= {"host": _text(settings, "Address"), "port": port}
    if calling:
        peer["calling_ae_title"] = calling
    if isinstance(seconds, int) and 0 < seconds <= _LONGEST_TIMEOUT_S:
        peer["timeouts"] = {"connect": seconds, "acse": seconds}
    try:
        check_schema({"peers": [peer]}, "pacs.schema.json", Path(where), UsageError, "peers")
    except UsageError as error:
        # The place within this one row says less than where the row is.
        raise UsageError(str(error).replace(": peers[0]", "", 1)) from error
    return peer


def _text(settings: dict[str, Any], key: str) -> str:
    return str(settings.get(key) or "").strip()


def _number(settings: dict[str, Any], key: str) -> int | str:
    """Return a whole number, which Slicer may have stored as text, or the text that is none."""
    text = _text(settings, key)
    return int(text) if text.isdecimal() and len(text) < 10 else text
