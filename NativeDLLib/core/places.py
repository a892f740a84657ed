"""Places on disk: the package's data files, and all that is kept for a user; the manual's tables are made from here."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Kept:
    """A file or folder that is kept for a user: a line for the manual, and the variable that names another place."""

    about: str
    variable: str = ""


KEPT: Mapping[str, Kept] = {
    "models": Kept(
        "fetched and pulled models; `_locks` holds the digests of fetched ones, `_forward` the fastest way to run each "
        "nnU-Net model on this computer",
        "NATIVEDL_MODELS",
    ),
    "outbox": Kept("objects that wait for a PACS", "NATIVEDL_OUTBOX"),
    "pacs.json": Kept("your peers ([fields](pacs.md))"),
    "registry.json": Kept("your own models ([fields](registry.md)); `weights/` beside it holds their files"),
    "results": Kept("results of the panel", "NATIVEDL_RESULTS"),
    "slicer-peers.json": Kept("the servers of Slicer's DICOM module and your peers, written by the panel"),
    "timings.json": Kept("time and memory of the last runs, for estimates"),
    "tokens.json": Kept('tokens of servers by their address: `{"https://host:8443": "token"}`'),
    "trusted_keys": Kept("public keys (`*.pem`) whose models are accepted from a PACS"),
    "watch.json": Kept("rules of automatic segmentation ([fields](watch.md))"),
}
VARIABLES: Mapping[str, str] = {
    "NATIVEDL_FORWARD": "`torch`: nnU-Net models on the processor run with torch, and no other way is timed",
    "NATIVEDL_REGISTRY": "registry files of the site, separated as in `PATH`",
    "NATIVEDL_SPARE": "`0`: no process waits in Slicer with a model's packages imported",
    "NATIVEDL_TOKEN": "token of a server as a device, in place of `~/.nativedl/tokens.json`",
}


def kept(name: str) -> Path:
    """Return the place of a user's file or folder, one of `KEPT`: in ``~/.nativedl``, or where its variable says."""
    chosen = os.environ.get(KEPT[name].variable)
    home = Path.home() / ".nativedl"
    # Patients' data lie in it: whatever the user's umask, nobody else may enter.
    with contextlib.suppress(OSError):
        if home.stat().st_mode & 0o077 and os.name == "posix":
            home.chmod(0o700)
    return Path(chosen).expanduser() if chosen else home / name


def resources_folder() -> Path:
    """Return the folder of registry, schemas and bundled models: beside the package, or inside it in a wheel."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "Resources"
    return inside if inside.is_dir() else package.parent / "Resources"
