"""Downloading one file over HTTP(S), from where it was broken off, through the proxy that the environment names."""

import json
import os
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import write_json
from NativeDLLib.core.progress import Progress
from NativeDLLib.models.fetch.archive import LARGEST, check_space

_TRIES = 5
_FIRST_WAIT_S = 1.0
_TIMEOUT_S = (20, 30)
_MOST_REDIRECTS = 10
# What came of a piece that was not whole is lost.
_CHUNK = 2**16
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class _BrokenError(Exception):
    """A failure that another try may not meet."""


def download(url: str, part: Path, size: int | None, progress: Progress) -> None:
    """Download a file from ``https://``, or ``http://`` on this computer, or the rest of it. After an error the next
    download goes on with `part`, if the server still has the same file. ModelError where the server refuses, cannot
    prove its name, breaks off again and again, or sends another size; NativeDLError where the disk has no room.
    """
    failures = 0
    while True:
        had = _size(part)
        try:
            with requests.Session() as session:
                _attempt(session, url, part, size, progress)
            return
        except requests.exceptions.SSLError as error:
            raise ModelError(
                f"{url}: the certificate of the server, or of a proxy on the way, is not trusted; if your site has an "
                "authority of its own, name its file in SSL_CERT_FILE"
            ) from error
        # Their own texts are long, and name signed addresses and proxies with their passwords.
        except requests.exceptions.ProxyError:
            cause = "the proxy cannot be reached or refuses"
        except requests.Timeout:
            cause = "the server does not answer"
        except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
            cause = "the connection fails or breaks off"
        except _BrokenError as error:
            cause = str(error)
        except requests.RequestException as error:
            raise ModelError(f"{url}: cannot be downloaded") from error
        # A line that breaks every minute still brings everything in the end.
        failures = 1 if _size(part) > had else failures + 1
        if failures >= _TRIES:
            raise ModelError(f"{url}: {cause}; what came is kept, the same command goes on from there")
        end = time.monotonic() + _FIRST_WAIT_S * 2 ** (failures - 1)
        while (left := end - time.monotonic()) > 0:
            progress.check()
            time.sleep(min(left, 0.1))


def forget_part(part: Path) -> None:
    """Remove what was downloaded."""
    part.unlink(missing_ok=True)
    _notes(part).unlink(missing_ok=True)


def _attempt(session: requests.Session, url: str, part: Path, size: int | None, progress: Progress) -> None:
    notes = _read_notes(part)
    done = _size(part) if notes.get("url") == url and notes.get("validator") else 0
    if done and done == notes.get("size"):
        return
    # Compressed on the way, a range would be one of the compressed bytes.
    headers = {"Accept-Encoding": "identity"}
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": notes["validator"]}
    with closing(_open(session, url, headers)) as response:
        total = _start(response, url, part, done)
        done = done if response.status_code == 206 else 0
        if total is not None:
            if total > LARGEST or (size is not None and total != size):
                raise ModelError(f"{url}: has {total} bytes; {size or f'{LARGEST} at most'} are expected")
            check_space(part.parent, total - done)
        if not done:
            part.unlink(missing_ok=True)
            # With it the server tells this file from another one at the same address, if it has one.
            tag = response.headers.get("ETag", "")
            validator = tag if tag.startswith('"') else response.headers.get("Last-Modified")
            write_json(_notes(part), {"url": url, "validator": validator, "size": total})
        with part.open("ab") as target:
            for data in response.iter_content(_CHUNK):
                progress.check()
                target.write(data)
                done += len(data)
                if done > (total or size or LARGEST):
                    raise ModelError(f"{url}: sends more bytes than it may")
                if total:
                    progress.update("download", done / total)
        if total is not None and done != total:
            raise _BrokenError("the connection breaks off")


def _open(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    """Ask for a URL, following redirects to nothing that is less safe."""
    here, secure = url, False
    get = partial(session.get, headers=headers, stream=True, timeout=_TIMEOUT_S, allow_redirects=False)
    for _ in range(_MOST_REDIRECTS):
        parts = urlsplit(here)
        secure = secure or parts.scheme == "https"
        if parts.scheme != "https" and (secure or parts.scheme != "http" or parts.hostname not in _LOOPBACK):
            raise ModelError(f"{url}: leads to an address without TLS, from which nothing is downloaded")
        response = get(here, verify=os.environ.get("SSL_CERT_FILE") or True)
        if not response.is_redirect:
            return response
        here = urljoin(here, response.headers["Location"])
        response.close()
    raise ModelError(f"{url}: is redirected more than {_MOST_REDIRECTS} times")


def _start(response: requests.Response, url: str, part: Path, done: int) -> int | None:
    """Check how a server answers, and return the size of the whole file, None where it does not say."""
    status = response.status_code
    if status == 206 and done:
        start, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
        if start.partition("-")[0] == str(done) and total.isdecimal():
            return int(total)
    if status in (206, 416):
        forget_part(part)
        raise _BrokenError("the server answers with another part than was asked for")
    if status in (408, 429) or status >= 500:
        raise _BrokenError(f"the server answers {status} {response.reason}")
    if status != 200:
        raise ModelError(f"{url}: the server answers {status} {response.reason}")
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def _notes(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_notes(part: Path) -> dict[str, Any]:
    try:
        notes = json.loads(_notes(part).read_text(encoding="utf-8"))
        return notes if isinstance(notes, dict) else {}
    except (OSError, ValueError):
        return {}


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0
