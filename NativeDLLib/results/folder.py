"""The folder of a result: whole or not at all, sent to a peer if asked for, with the costs in its report."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from NativeDLLib.core.errors import PacsError, UsageError
from NativeDLLib.core.files import scratch, sync, write_json
from NativeDLLib.core.progress import Progress
from NativeDLLib.pacs.delivery import deliver
from NativeDLLib.pacs.peers import Peer


def check_output(output: Path, names: Sequence[str], overwrite: bool) -> None:
    """Check that a result can be put in a folder.

    Parameters
    ----------
    output
        The folder; it need not exist.
    names
        The files that a result may have.
    overwrite
        Whether they may be there already.

    Raises
    ------
    UsageError
        Where the folder is a file, or holds a result that may not be replaced.
    """
    if output.exists() and not output.is_dir():
        raise UsageError(f"{output}: is a file, where a folder is needed")
    there = [name for name in names if (output / name).exists()]
    if there and not overwrite:
        raise UsageError(
            f"{output}: already holds {', '.join(there)}; choose another folder",
            hint="or give --overwrite to replace it",
        )


@contextmanager
def staged(output: Path, names: Sequence[str]) -> Iterator[Path]:
    """Give a folder beside `output`; when the block ends without an error, its files replace those in `output`.

    Parameters
    ----------
    output
        The folder of the result; it is made.
    names
        The files that a result may have, the report last. One that was not written is removed from `output`, where it
        would belong to an earlier result.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with scratch(".nativedl-", output.parent) as partial:
        yield partial
        written = [name for name in names if (partial / name).exists()]
        for name in written:
            sync(partial / name)
        output.mkdir(exist_ok=True)
        for name in written:
            os.replace(partial / name, output / name)
        for name in set(names) - set(written):
            (output / name).unlink(missing_ok=True)


def send_result(
    files: Sequence[Path],
    report_file: Path,
    report: dict[str, Any],
    peer: Peer,
    started: float,
    progress: Progress,
) -> None:
    """Send the objects of a result through the outbox, and write in its report what became of it.

    Raises
    ------
    PacsError
        Where one could not be delivered: it waits in the outbox, and the result stays where it is.
    """
    report["sent"] = {"peer": peer.name, "delivered": False}
    try:
        with progress.stage("send"):
            deliver(files, peer, progress)
        report["sent"]["delivered"] = True
    except PacsError as error:
        report["sent"]["reason"] = str(error)
        raise PacsError(f"{error}; the result is in {report_file.parent}", hint=error.hint) from error
    finally:
        report |= costs(started, progress)
        write_json(report_file, report)


def uids_of(dataset: Dataset) -> dict[str, str]:
    """Return where an object of a result is found: its own UID and that of its series."""
    return {
        "sop_instance_uid": str(dataset.SOPInstanceUID),
        "series_instance_uid": str(dataset.SeriesInstanceUID),
    }


def costs(started: float, progress: Progress) -> dict[str, Any]:
    """Return time and memory of each stage since `started` (`time.perf_counter`)."""
    stages = [
        {"name": s.name, "seconds": round(s.seconds, 3), "peak_mib": round(s.peak_mib, 1)} for s in progress.stages
    ]
    peak = max((s.peak_mib for s in progress.stages), default=0.0)
    forward = {"forward_seconds": round(progress.forward.seconds, 3)} if progress.forward.seconds else {}
    return {"stages": stages, **forward, "seconds": round(time.perf_counter() - started, 3), "peak_mib": round(peak, 1)}
