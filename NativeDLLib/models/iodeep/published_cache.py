"""Networks in the published layout, fetched from a peer by their UID: nothing else in them can be searched for."""

from __future__ import annotations

from pathlib import Path

from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.core.uids import is_uid
from NativeDLLib.models.iodeep.cache import staging
from NativeDLLib.models.iodeep.published import PublishedModel, read_published
from NativeDLLib.pacs.peers import Peer
from NativeDLLib.pacs.services import retrieve
from NativeDLLib.registry.load import pulled_registry


def pull_published(peer: Peer, uid: str, accept_unsigned: bool, progress: Progress) -> tuple[Path, PublishedModel]:
    """Fetch a network in the published layout, unless it is here, and read it.

    Parameters
    ----------
    peer
        Where it is.
    uid
        The one UID of its study, series and instance.
    accept_unsigned
        Whether the user agreed to it; this layout has no signature.

    Returns
    -------
    path, network
        The object in the cache, and what it holds.

    Raises
    ------
    ModelError
        Where it is not such a network, is damaged, holds more than tensors, or consent is missing.
    PacsError
        Where the peer cannot be reached, refuses, or has no such object.
    """
    if not is_uid(uid):
        raise UsageError(f"'{uid[:80]}' is no UID")
    path = pulled_registry().parent / "published" / f"{uid}.dcm"
    if path.is_file():
        return path, read_published(path)
    if not accept_unsigned:
        raise ModelError(
            f"network {uid} has no signature in this layout", hint="to use it all the same: --accept-unsigned"
        )
    with staging() as folder:
        with progress.stage("retrieve"):
            files = retrieve(peer, uid, uid, folder, progress)
        if len(files) != 1:
            raise ModelError(f"network {uid}: is in {len(files)} instances instead of one")
        with progress.stage("verify"):
            network = read_published(files[0])
        path.parent.mkdir(exist_ok=True)
        files[0].replace(path)
    return path, network
