"""DICOM attributes as a client sends them: by keyword, or in the DICOM JSON model (PS3.18 section F.2)."""

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from pydicom.datadict import keyword_for_tag
from starlette.requests import Request

from NativeDLLib.serve.errors import ServeError

_LARGEST = 2**20
_LONGEST_S = 30.0
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_TEXT = {"type": ["string", "number", "null"]}
_ELEMENT = {"type": "object", "properties": {"vr": {"type": "string"}, "Value": {"type": "array"}}}
_BY_TAG = {"type": "object", "patternProperties": {"^[0-9A-Fa-f]{8}$": _ELEMENT}}
# Of each type, what the description says and the check holds to.
SCHEMAS: dict[str, dict[str, Any]] = {
    "application/json": {
        **_BY_TAG,
        "description": "Attributes by keyword, or as in the DICOM JSON model. The choice looks at some of them only.",
        "additionalProperties": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]},
        "example": {"Modality": "CT", "BodyPartExamined": "ABDOMEN"},
    },
    "application/dicom+json": {
        **_BY_TAG,
        "description": "Attributes in the DICOM JSON model.",
        "additionalProperties": False,
        "example": {"00080060": {"vr": "CS", "Value": ["CT"]}, "00180015": {"vr": "CS", "Value": ["ABDOMEN"]}},
    },
}


class Attributes:
    """Attributes of a series by which a model is chosen; see `registry.select.Described`."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._texts: dict[str, str] = {}
        for key, value in values.items():
            tag = _TAG.fullmatch(key)
            given = value.get("Value", []) if tag else value
            items = given if isinstance(given, list) else [given]
            # Sequences and names have objects as values; no choice is made by those.
            texts = [str(item).strip() for item in items if isinstance(item, str | int | float)]
            self._texts[keyword_for_tag(int(key, 16)) if tag else key] = "\\".join(texts)

    def text(self, keyword: str) -> str:
        """Return an attribute as text, empty where it is absent."""
        return self._texts.get(keyword, "")


async def read_attributes(request: Request) -> Attributes:
    """Attributes in a request's body; ServeError where it is of another type, too large, or no JSON object of them."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in SCHEMAS:
        raise ServeError(415, "media_type", f"send the attributes as {' or '.join(SCHEMAS)}")
    body = b""
    try:
        async with asyncio.timeout(_LONGEST_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _LARGEST:
                    raise ServeError(413, "too_large", f"the body may have {_LARGEST // 2**20} MiB")
    except TimeoutError:
        raise ServeError(408, "too_slow", f"the body took longer than {_LONGEST_S:g} s") from None
    try:
        values = json.loads(body)
        problem = best_match(Draft202012Validator(SCHEMAS[kind]).iter_errors(values))
    except (ValueError, RecursionError):
        raise ServeError(400, "body", "the body is not JSON, or nested too deeply") from None
    if problem is not None:
        place = ".".join(str(step)[:64] for step in problem.absolute_path) or "the body"
        raise ServeError(422, "usage", f"{place}: {problem.message[:200]}")
    return Attributes(values)
