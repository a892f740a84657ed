"""The forms in which a result can be had, and which of them a request wants."""

import os
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from NativeDLLib.core.files import write_json
from NativeDLLib.results.names import REPORT, SEG, STRUCTURES
from NativeDLLib.results.report import Report
from NativeDLLib.serve.answers import ServeError

# Where the files that a client sends lie in the folder of its request.
FILES = "files"
REGIONS = "regions.json"
WITH_STRUCTURES = ("--format=seg,rtstruct",)


@dataclass(frozen=True)
class Format:
    """A form of a result."""

    name: str  # this and the next are its names in a request
    media_type: str
    make: Callable[[Path], Path]  # gives the file to be sent, from the folder of a run
    options: tuple[str, ...] = ()  # options of ``nativedl run`` that the form needs
    with_regions: bool = False  # whether ``nativedl regions`` follows


def without_places(message: str, folder: Path) -> str:
    """Return a message without the folder of the request, so that a file is called by its number among the parts."""
    return message.replace(f"{folder / FILES}{os.sep}", "").replace(f"{folder}{os.sep}", "")


def _json(folder: Path) -> Path:
    """File with the report of a result, without what concerns only this computer."""
    report = Report.read(folder / REPORT, check=False)
    report.warnings = [without_places(warning, folder.parent) for warning in report.warnings]
    rows = {key: value for key, value in report.to_json().items() if key not in ("files", "source", "sent")}
    for part in (rows, rows.get("coarse") or {}):
        part.get("model", {}).pop("registry", None)
    path = folder.parent / REPORT
    write_json(path, rows)
    return path


def _bundle(folder: Path) -> Path:
    path = folder.parent / "result.zip"
    with zipfile.ZipFile(path, "w") as archive:  # stored, as all that is large in it is packed already
        archive.write(_json(folder), REPORT)
        for file in sorted(folder.iterdir()):
            if file.name != REPORT:
                archive.write(file, file.name)
    return path


# The first of a media type is the one that Accept means.
FORMATS = {
    form.name: form
    for form in (
        Format("seg", "application/dicom", lambda folder: folder / SEG),
        Format("json", "application/json", _json),
        Format("rtstruct", "application/dicom", lambda folder: folder / STRUCTURES, WITH_STRUCTURES),
        Format("regions", "application/json", lambda folder: folder.parent / REGIONS, with_regions=True),
        Format("zip", "application/zip", _bundle),
    )
}


def choose_format(name: str | None, accept: str) -> Format:
    """Form that ``format``, or else Accept (RFC 9110 12.5.1; empty for any), asks for; ServeError for none."""
    if name is not None:
        return FORMATS[name]
    wanted = _weights(accept or "*/*")

    def weight(form: Format) -> float:
        names = (form.media_type, f"{form.media_type.partition('/')[0]}/*", "*/*")
        return next((wanted[name] for name in names if name in wanted), 0.0)

    form = max(FORMATS.values(), key=weight)
    if weight(form) <= 0:
        types = ", ".join(dict.fromkeys(form.media_type for form in FORMATS.values()))
        raise ServeError(406, "not_acceptable", f"a result can be had as {types}")
    return form


def _weights(accept: str) -> dict[str, float]:
    weights = {}
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            weights[name] = float(quality)
        except ValueError:
            weights[name] = 0.0
    return weights
