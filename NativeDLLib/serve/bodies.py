"""Bodies that clients send: attributes as JSON (PS3.18 F.2), files as a multipart (RFC 2046, 7578; PS3.18 8.6.1)."""

import asyncio
import errno
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from pydicom.datadict import keyword_for_tag
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from NativeDLLib.core.jsonfile import words_of
from NativeDLLib.serve.answers import ServeError
from NativeDLLib.serve.limits import Settings

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

RELATED, FORM = "multipart/related", "multipart/form-data"
DICOM = "application/dicom"
_IDLE_S = 30.0
_LONGEST_BOUNDARY = 70
_LONGEST_HEADER = 8192
_LARGEST_JSON = 2**20
_LONGEST_JSON_S = 30.0
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_TEXT = {"type": ["string", "number", "null"]}
_ELEMENT = {"type": "object", "properties": {"vr": {"type": "string"}, "Value": {"type": "array"}}}
_BY_TAG = {"type": "object", "patternProperties": {"^[0-9A-Fa-f]{8}$": _ELEMENT}}
# Schema of each type of attributes, which the description tells and the check holds to.
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
        async with asyncio.timeout(_LONGEST_JSON_S):
            async for chunk in request.stream():
                body += chunk
                if len(body) > _LARGEST_JSON:
                    raise ServeError(413, "too_large", f"the body may have {_LARGEST_JSON // 2**20} MiB")
    except TimeoutError:
        raise ServeError(408, "too_slow", f"the body took longer than {_LONGEST_JSON_S:g} s") from None
    try:
        values = json.loads(body)
        problem = best_match(Draft202012Validator(SCHEMAS[kind]).iter_errors(values))
    except (ValueError, RecursionError):
        raise ServeError(400, "body", "the body is not JSON, or nested too deeply") from None
    if problem is not None:
        place = ".".join(str(step)[:64] for step in problem.absolute_path) or "the body"
        raise ServeError(422, "usage", f"{place}: {words_of(problem)}")
    return Attributes(values)


async def receive_files(request: Request, folder: Path, settings: Settings) -> list[Path]:
    """Write the parts of a request's body into a new folder, under names of our own. ServeError where the body is of
    another type, too large, too slow, damaged, or holds no file.
    """
    kind, boundary = _content_type(request)
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > settings.max_upload:
        raise _too_large(settings)
    folder.mkdir()
    parts = _Parts(folder, kind, settings.max_parts)
    parser = MultipartParser(boundary, parts.callbacks())
    size = 0
    try:
        async with asyncio.timeout(settings.timeout):
            async for chunk in _chunks(request):
                size += len(chunk)
                if size > settings.max_upload:
                    raise _too_large(settings)
                parser.write(chunk)
    except TimeoutError:
        raise ServeError(408, "too_slow", f"the body took longer than {settings.timeout:g} s") from None
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full() from None
        raise
    except FormParserError:
        raise ServeError(400, "body", "the body is not the multipart that its Content-Type announces") from None
    finally:
        parts.close()
    if not parts.complete:
        raise ServeError(400, "body", "the body ends before its last boundary: it was cut off")
    if not parts.files:
        raise ServeError(400, "body", "the body holds no file; send each instance as a part of its own")
    return parts.files


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    """Give the body as it arrives, and do not wait for ever for more of it."""
    stream = aiter(request.stream())
    while True:
        try:
            yield await asyncio.wait_for(anext(stream), _IDLE_S)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise ServeError(408, "too_slow", f"nothing of the body came for {_IDLE_S:g} s") from None


def _content_type(request: Request) -> tuple[str, bytes]:
    kind, options = parse_options_header(request.headers.get("content-type"))
    name = kind.decode("latin-1")
    if name not in (RELATED, FORM):
        raise ServeError(415, "media_type", f'send the instances as {RELATED}; type="{DICOM}", or as {FORM}')
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ServeError(415, "media_type", "send the body as it is, without Content-Encoding")
    inner = options.get(b"type", DICOM.encode()).decode("latin-1").lower()
    if name == RELATED and inner != DICOM:
        raise ServeError(415, "media_type", f'send {RELATED}; type="{DICOM}"')
    boundary = options.get(b"boundary", b"")
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY:
        raise ServeError(400, "body", f"Content-Type: {name} needs a boundary of 1 to {_LONGEST_BOUNDARY} characters")
    return name, boundary


def disk_full() -> ServeError:
    """Error that tells a client that there is no room for its files."""
    return ServeError(507, "storage", "the server's temporary disk is full; try again later")


def _too_large(settings: Settings) -> ServeError:
    return ServeError(413, "too_large", f"the body may have {settings.max_upload / 2**20:g} MiB")


class _Parts:
    """Writes each part into a file of its own, as the parser finds it."""

    def __init__(self, folder: Path, kind: str, most: int) -> None:
        self.files: list[Path] = []
        self.complete = False
        self._folder, self._kind, self._most = folder, kind, most
        self._stream: BinaryIO | None = None
        self._name = self._value = b""
        self._headers: dict[bytes, bytes] = {}

    def callbacks(self) -> "MultipartCallbacks":
        """Callbacks for the parser."""
        return {
            "on_part_begin": self._headers.clear,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._begin,
            "on_part_data": self._data,
            "on_part_end": self.close,
            "on_end": self._end,
        }

    def close(self) -> None:
        """Close the file of the last part."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        if len(self._name) + len(self._value) > _LONGEST_HEADER:
            raise ServeError(400, "body", "a header of a part is too long")

    def _header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name = self._value = b""

    def _begin(self) -> None:
        kind = parse_options_header(self._headers.get(b"content-type"))[0].decode("latin-1")
        if self._kind == RELATED and kind not in ("", DICOM):
            raise ServeError(415, "media_type", f"part {len(self.files) + 1} is not {DICOM}")
        if self._kind == FORM:
            options = parse_options_header(self._headers.get(b"content-disposition"))[1]
            if b"filename" not in options or options.get(b"name") != b"files":
                raise ServeError(400, "body", "the form may hold only files, called 'files'; parameters are in the URL")
        if len(self.files) == self._most:
            raise ServeError(413, "too_large", f"the body may have {self._most} parts")
        self.files.append(self._folder / f"part-{len(self.files) + 1:05}")
        self._stream = self.files[-1].open("wb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._stream is not None:
            self._stream.write(data[start:end])

    def _end(self) -> None:
        self.complete = True
