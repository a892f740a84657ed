"""Sentences for people, made of what the commands report; the panel shows them."""

from collections.abc import Collection, Mapping, Sequence
from html import escape
from subprocess import CalledProcessError
from typing import TYPE_CHECKING, Any

from NativeDLLib import __version__

if TYPE_CHECKING:
    from NativeDLLib.panel.requirements import Requirement

HELP = (
    "Segments a DICOM series with a model of the registry, lets you review and correct the result, and stores it as a "
    f"DICOM SEG on the PACS. Version {__version__}. Not for clinical use."
)

_STAGES = {
    "start": "Starting",
    "scan": "Reading the headers",
    "retrieve": "Fetching the images",
    "read": "Reading the images",
    "coarse": "Looking for the place",
    "load": "Loading the model",
    "preprocess": "Preparing the images",
    "infer": "Segmenting",
    "restore": "Mapping back to the images",
    "postprocess": "Cleaning up",
    "write": "Saving",
    "send": "Sending",
}


def facts_html(facts: Mapping[str, str]) -> str:
    """Return facts as an HTML table without empty ones and UIDs, which make it too wide; empty where none is left."""
    rows = "".join(
        f"<tr><td><font color='gray'>{escape(name)}&nbsp;</font></td><td>{escape(value)}</td></tr>"
        for name, value in facts.items()
        if value and not name.endswith("UID")
    )
    return f"<table>{rows}</table>" if rows else ""


def shown_name(name: str) -> str:
    """Person Name (PS3.5 6.2.1) as Slicer shows it: ``Doe, Jane Mary, Dr.``, then its other forms in parentheses."""
    groups = []
    for group in name.split("="):
        family, given, middle, *titles = (*(part.strip() for part in group.split("^")), "", "", "")
        parts = (family, f"{given} {middle}".strip(), *titles)
        groups.append(", ".join(filter(None, parts)))
    first, *others = list(filter(None, groups)) or [""]
    return f"{first} ({', '.join(others)})" if others else first


def model_text(model: Mapping[str, Any]) -> str:
    """Reasons why a model of ``inspect`` fits or not, and its estimate, one line each."""
    lines = [f"Cannot run yet: {model['problem']}"] if model["problem"] else []
    verdict = "fits" if model["fits"] else "may not fit"
    lines.append(f"{verdict}: {'; '.join(model['reasons'])}".replace("BodyPartExamined", "body part"))
    expected = model["expected"]
    if expected:
        memory = f" and {expected['peak_mib'] / 1024:.1f} GB of memory" if expected["peak_mib"] else ""
        lines.append(f"Takes about {duration(expected['seconds'])}{memory} ({expected['basis']})")
    else:
        lines.append("What it takes is known after its first run on this computer")
    return "\n".join(line[:1].upper() + line[1:] for line in lines)


def progress_text(kind: str, event: Mapping[str, Any]) -> str:
    """A ``stage`` or ``progress`` event in words, with the time that remains."""
    name = str(event["stage"])
    text = _STAGES.get(name, name)
    remaining = event.get("remaining_s")
    return f"{text}: about {duration(remaining)} left" if kind == "progress" and remaining else f"{text}…"


def duration(seconds: float) -> str:
    """Return a time span in the unit in which people say it."""
    if seconds >= 100 * 60:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 60:.0f} min" if seconds >= 100 else f"{max(seconds, 1):.0f} s"


def outbox_text(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return how many objects wait in the outbox, and why the last one does."""
    if not entries:
        return "Nothing waits in the outbox."
    peers = ", ".join(sorted({str(entry["peer"]) for entry in entries}))
    reason = str(entries[-1]["reason"])
    return f"{len(entries)} waiting for {peers}" + (f": {reason}" if reason else "")


def missing_text(missing: "Sequence[Requirement]") -> str:
    """Packages that Slicer's Python lacks, one line each with size and purpose."""
    return "\n".join(f"• {r.name} ({', '.join(filter(None, (r.purpose, r.size)))})" for r in missing)


def consent_text(missing: "Sequence[Requirement]") -> str:
    """Return the question whether what is missing may be installed."""
    text = "This will be downloaded and added to Slicer's Python; it can take some minutes."
    return f"{text}\n\n{missing_text(missing)}"


def install_failure(error: ImportError | CalledProcessError) -> str:
    """Last words of pip, or the cause that kept packages from being installed."""
    if isinstance(error, ImportError):
        return 'Install the extension "PyTorch" in the Extensions Manager and start Slicer again.'
    output = error.stderr or error.output or ""
    text = output.decode(errors="replace") if isinstance(output, bytes) else str(output)
    last = "\n".join(text.strip().splitlines()[-12:])
    said = f"pip's last lines:\n{last}" if last else "What pip said is in Slicer's log (Help, Report a Bug)."
    return f"The installation failed (pip ended with {error.returncode}); Slicer works as before. {said}"


def part_text(part: Mapping[str, Any]) -> str:
    """Volume of a series that is several, with the number of its slices."""
    return f"{', '.join(attribute.replace('=', ' ', 1) for attribute in part['volume'])} ({part['slices']} slices)"


def inspection_text(inspection: Mapping[str, Any]) -> str:
    """Remarks of ``inspect``, one line each; empty where there are none."""
    reason = inspection["no_seg_because"]
    note = [f"The result cannot be stored as DICOM SEG. {reason}"] if reason else []
    return "\n".join([*note, *inspection["warnings"]])


def export_text(result: Mapping[str, Any] | None, error: str | None, peer: str | None, saved: bool) -> str:
    """Outcome of ``approve`` in words, of `result` and `error`, the target `peer`, and whether the SEG is `saved`."""
    if error:
        # Where only the sending failed it waits in the outbox, which says why.
        return "Saved, but not sent: it waits in the outbox." if saved else error
    if not saved:
        return "Every segment was rejected: nothing was saved or sent."
    return f"Saved and sent to {peer}." if peer else "Saved in Slicer's DICOM database."


def send_hint(report: Mapping[str, Any] | None, pending: Sequence[str], is_empty: bool, reviewer: str) -> str:
    """Obstacle to saving and sending a result, in words; empty where there is none. `report` is that of the result
    under review, `pending` the undecided segments, `is_empty` whether no segment has a voxel.
    """
    if report is None:
        return "Choose a result under Review first."
    if report["no_seg_because"]:
        return f"This result cannot be stored as DICOM SEG: {report['no_seg_because']}"
    if is_empty:
        return "Nothing was found, so there is nothing to review or to save."
    if pending:
        return f"Accept or reject first: {', '.join(pending)}"
    return "" if reviewer.strip() else "Enter the name of the reviewer."


def regions_hint(report: Mapping[str, Any] | None, statuses: Collection[str], reviewer: str) -> str:
    """Obstacle to storing regions of some statuses, in words; empty where there is none."""
    if report is None or "validated" not in statuses:
        return "Validate a region first."
    return "" if reviewer.strip() else "Enter the name of the reviewer under Send."
