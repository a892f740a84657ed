"""DICOM attributes as a client sends them: by keyword, or in the DICOM JSON model (PS3.18 section F.2)."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydicom.datadict import keyword_for_tag
from starlette.requests import Request

from NativeDLLib.serve.errors import ServeError

TYPES = ("application/json", "application/dicom+json")
_LARGEST = 2**20
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_VALUE = {"oneOf": [{"type": "string"}, {"type": "number"}, {"type": "array", "items": {"type": ["string", "number"]}}]}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Attributes by keyword. Those that the choice does not look at are left out of account.",
    "properties": {
        name: {"type": "string"}
        for name in ("Modality", "BodyPartExamined", "SeriesDescription", "StudyDescription", "ProtocolName")
    },
    "additionalProperties": _VALUE,
    "example": {"Modality": "CT", "BodyPartExamined": "ABDOMEN"},
}
DICOM_SCHEMA: dict[str, Any] = {
    "type": "object",
    "description": "Attributes in the DICOM JSON model.",
    "patternProperties": {
        "^[0-9A-Fa-f]{8}$": {
            "type": "object",
            "properties": {"vr": {"type": "string"}, "Value": {"type": "array"}},
        }
    },
    "additionalProperties": False,
    "example": {"00080060": {"vr": "CS", "Value": ["CT"]}, "00180015": {"vr": "CS", "Value": ["ABDOMEN"]}},
}


SCHEMAS = (SCHEMA, DICOM_SCHEMA)


class Attributes:
    """What of a series a model is chosen by; see `registry.select.Described`."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._texts: dict[str, str] = {}
        for key, value in values.items():
            if _TAG.fullmatch(key):
                items = value.get("Value", []) if isinstance(value, dict) else None
                key = keyword_for_tag(int(key, 16)) or key
                # Sequences and names have objects as values; no choice is made by those.
                items = [item for item in items if not isinstance(item, dict | list)] if items else items
            else:
                items = value if isinstance(value, list) else [value]
            if not isinstance(items, list) or not all(isinstance(i, str | int | float | None) for i in items):
                raise ServeError(422, "usage", f"{key[:64]}: is neither text, a number, a list of them nor DICOM JSON")
            self._texts[key] = "\\".join("" if item is None else str(item).strip() for item in items)

    def text(self, keyword: str) -> str:
        """Return an attribute as text, empty where it is absent."""
        return self._texts.get(keyword, "")


async def read_attributes(request: Request) -> Attributes:
    """Read attributes from the body of a request.

    Raises
    ------
    ServeError
        Where it is of another type, too large, or no JSON object of attributes.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() not in TYPES:
        raise ServeError(415, "media_type", f"send the attributes as {' or '.join(TYPES)}")
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST:
            raise ServeError(413, "too_large", f"the body may have {_LARGEST // 2**20} MiB")
    try:
        values = json.loads(body)
    except (ValueError, RecursionError):
        raise ServeError(400, "body", "the body is not JSON") from None
    if not isinstance(values, dict):
        raise ServeError(422, "usage", "the body is no JSON object of DICOM attributes")
    return Attributes(values)
