"""The results on this computer: one folder for each job, from the automatic result to the approved one.

A folder holds ``settings.json`` (the configuration that ran), ``source.txt`` (the DICOM files, one a line) or
``volume.nrrd`` and why no SEG can be made of it, ``automatic/`` (what ``run`` wrote, never touched again) and, once it
was reviewed, ``edited.seg.nrrd`` (the segmentation as it was approved) and ``approved/``. Where regions were proposed
on a slice, ``regions.json`` holds them with the decisions about them, and ``structures/`` those that were stored.
"""

import shutil
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import InputError
from NativeDLLib.core.files import write_json, write_names, write_text
from NativeDLLib.core.places import kept
from NativeDLLib.results import names

_TIME = "%Y%m%d-%H%M%S"


@dataclass
class JobFolder:
    """Folder of one job; each attribute is the path of a file or folder in it."""

    path: Path

    def __post_init__(self) -> None:
        self.settings, self.regions = self.path / "settings.json", self.path / "regions.json"
        self.source, self.volume = self.path / "source.txt", self.path / "volume.nrrd"
        self.automatic, self.approved = self.path / "automatic", self.path / "approved"
        self.edited, self.approved_seg = self.path / "edited.seg.nrrd", self.approved / names.APPROVED
        self.structure_set = self.path / "structures" / names.RTSTRUCT
        self.no_seg_because = self.path / "no_seg_because.txt"

    @property
    def latest(self) -> Path:
        """Segmentation as it was last saved: at approval, or by the model."""
        return self.edited if self.edited.is_file() else self.automatic / names.SLICER

    def report(self) -> dict[str, Any]:
        """Report of the automatic result, with the reason why there can be no SEG; InputError where there is none."""
        # Only where there are results are there the packages that tell of them.
        from NativeDLLib.results.report import Report

        path = self.automatic / names.REPORT
        report = Report.read(path, check=False)
        if report.model is None or report.series is None:
            raise InputError(f"{path}: is not the report of a run")
        try:
            reason = self.no_seg_because.read_text(encoding="utf-8") if self.no_seg_because.is_file() else None
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{self.no_seg_because}: cannot be read") from error
        told = reason or report.details.get("no_seg_because")
        return {
            "model": str(report.model.id),
            "series": str(report.series.series_instance_uid or ""),
            "warnings": report.warnings,
            "quality": [(str(finding.segment), str(finding.message)) for finding in report.quality],
            "no_seg_because": str(told) if told and not self.source.is_file() else None,
        }

    def run_command(self) -> list[str]:
        """Return the arguments with which the job runs."""
        source = ["--files", self.source] if self.source.is_file() else ["--image", self.volume]
        return [str(a) for a in ("run", *source, "--config", self.settings, "--output", self.automatic)]

    def approve_command(self, reviewer: str, *, unreviewed: bool) -> list[str]:
        """Return the arguments that make a SEG of what was approved; one of an earlier review is replaced."""
        given = ("--result", self.automatic, "--edited", self.edited, "--files", self.source, "--reviewer", reviewer)
        options = ["--unreviewed"] if unreviewed else []
        return [str(a) for a in ("approve", *given, "--output", self.approved, "--overwrite", *options)]

    def regions_command(self, place: str) -> list[str]:
        """Return the arguments that propose regions on the slice at a place."""
        given = ("--result", self.automatic, "--files", self.source, "--slice=" + place)
        return [str(a) for a in ("regions", *given, "--output", self.regions)]

    def rtstruct_command(self, reviewer: str) -> list[str]:
        """Return the arguments that store the validated regions; those of an earlier time are replaced."""
        given = ("--regions", self.regions, "--files", self.source, "--reviewer", reviewer)
        return [str(a) for a in ("rtstruct", *given, "--output", self.structure_set.parent, "--overwrite")]

    def remove(self) -> None:
        """Remove the folder of a job that came to nothing."""
        shutil.rmtree(self.path, ignore_errors=True)


def results_folder() -> Path:
    """Return where results are kept: ``NATIVEDL_RESULTS`` or ``~/.nativedl/results``."""
    # The processes that work there start in a folder of their own.
    return kept("results").absolute()


def new_job(configuration: Mapping[str, Any], files: Sequence[str], no_seg_because: str | None) -> JobFolder:
    """Folder of a new job with its configuration (model, device, parameters) and its DICOM files. Without files the
    volume is still to be written, and `no_seg_because` says why no SEG can be made of it.
    """
    name = f"{datetime.now():{_TIME}}-{configuration['model']}-{uuid.uuid4().hex[:6]}"
    folder = JobFolder(results_folder() / name)
    write_json(folder.settings, dict(configuration))
    for place in (folder.path.parent, folder.path):
        place.chmod(0o700)
    kept("results")  # closes what holds it
    if files:
        write_names(folder.source, files)
    elif no_seg_because:
        write_text(folder.no_seg_because, no_seg_because)
    return folder


def inspect_command(
    volume: str | None, files: Sequence[str], regularized: bool, folder: Path, taken: Sequence[str] = ()
) -> list[str]:
    """Arguments that look at a volume, at DICOM files, or at a volume and the files that it came from. `volume` is its
    geometry, as ``inspect --loaded`` takes it; `regularized` tells that loading made it regular; `folder` gets the list
    of the files; `taken` tells one volume of a series that is several.
    """
    command = ["inspect", *(["--loaded", volume] if volume else [])]
    if files:
        write_names(folder / "nativedl-files.txt", files)
        command += ["--files", str(folder / "nativedl-files.txt"), *(["--regularized"] if regularized else [])]
    return [*command, *(f"--volume={attribute}" for attribute in taken)]


def finished_jobs() -> list[tuple[JobFolder, dict[str, Any], str]]:
    """Return the finished jobs, the newest first: folder, report, and a line with model, time and state."""
    found = []
    for file in sorted(results_folder().glob(f"*/automatic/{names.REPORT}"), reverse=True):
        folder = JobFolder(file.parent.parent)
        try:
            # A ValueError tells that this is not a job's folder.
            report, started = folder.report(), datetime.strptime(folder.path.name[:15], _TIME)
            state = "approved" if (folder.approved / names.APPROVED_REPORT).is_file() else "to review"
        except (InputError, OSError, ValueError):
            continue
        found.append((folder, report, f"{report['model']} · {started:%Y-%m-%d %H:%M} · {state}"))
    return found
