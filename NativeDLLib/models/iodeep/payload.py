"""A model's weights as one file that can be cut into pieces, and safely back again."""

import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import sha256
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.weights import verified_weights

LARGEST_WEIGHTS = 2**32 - 2
"""In bytes; the size of the weights is an unsigned 32-bit number (VR UL) and even."""

_CHUNK = 2**20
# As the registry's schema has paths: no empty, hidden or upward step, no drive, no backslash.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*(/[A-Za-z0-9_][A-Za-z0-9_. -]*)*")


def pack(model: Model, folder: Path) -> tuple[dict[str, Any], str, Path | None]:
    """One file of a model's weights, after their digests are checked.

    Returns
    -------
    entry, form, file
        Registry entry as it travels, with the digest of every file. Form ``FILE`` (the file is the weights), ``TAR``
        (an archive of nnU-Net's results folder) or ``URI`` (no file; the entry says where the weights are).

    Raises
    ------
    ModelError
        Where the weights are missing or not those of the registry, or are far away without a digest.
    """
    # The model card lies beside the registry and is not part of what is signed and run.
    entry = {key: value for key, value in model.data.items() if key != "card"}
    weights = dict(entry["weights"])
    if "url" in weights:
        if "sha256" not in weights and not weights.get("files"):
            raise ModelError(f"model {model.id}: its weights are at a URL without a SHA-256 in the entry; add it there")
        return entry, "URI", None
    path, digest = verified_weights(model)
    if "file" in weights:
        size = path.stat().st_size
        if size > LARGEST_WEIGHTS:
            raise ModelError(f"model {model.id}: its weights have {size} bytes, a DICOM object takes {LARGEST_WEIGHTS}")
        entry["weights"] = {"file": path.name, "sha256": digest, "size": size}
        return entry, "FILE", path
    archive = folder / "weights.tar"
    weights["files"] = _archive(model, path, archive)
    entry["weights"] = weights | {"folder": "results"}
    return entry, "TAR", archive


def unpack(archive: Path, folder: Path, declared: Mapping[str, str], what: str) -> None:
    """Write the declared files of an untrusted archive into a new folder, whole, and nothing else.

    `declared` has the SHA-256 by name. ModelError where a member is no plain file, would leave the folder, is not
    declared, is there twice or is another one.
    """
    try:
        with archive.open("rb") as source:
            # Block by block, as Python believes the sizes and names in extensions of the format.
            while (header := source.read(tarfile.BLOCKSIZE)).strip(b"\0"):
                member = tarfile.TarInfo.frombuf(header, "ascii", "strict")
                path = folder / member.name
                if member.type != tarfile.REGTYPE or not _NAME.fullmatch(member.name) or member.name not in declared:
                    raise ModelError(
                        f"{what}: its archive holds '{member.name[:80]}', which its entry does not declare"
                    )
                if path.exists() or not 0 <= member.size <= archive.stat().st_size:
                    raise ModelError(f"{what}: '{member.name[:80]}' in its archive is there twice or too large")
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("xb") as target:
                    _copy(source, target, member.size)
                source.seek(-member.size % tarfile.BLOCKSIZE, 1)
    except (tarfile.TarError, OSError, ValueError) as error:
        raise ModelError(f"{what}: its archive cannot be unpacked ({error})") from error
    for name, digest in declared.items():
        if not (folder / name).is_file() or sha256(folder / name) != digest:
            raise ModelError(f"{what}: {name} in its archive is not the file that its entry declares")


def _copy(source: IO[bytes], target: IO[bytes], size: int) -> None:
    while size and (chunk := source.read(min(size, _CHUNK))):
        target.write(chunk)
        size -= len(chunk)


def _archive(model: Model, root: Path, archive: Path) -> dict[str, str]:
    """Write what nnU-Net needs of a results folder, the same bytes every time, and return the digests."""
    names = {"plans.json", "dataset.json", *model.weights.files}
    names |= {f"{file.parent.name}/{file.name}" for file in root.glob(f"*/{model.weights.checkpoint}")}
    size = sum((root / name).stat().st_size for name in names)
    if size > LARGEST_WEIGHTS - 2**20:
        raise ModelError(f"model {model.id}: its weights have {size} bytes, a DICOM object takes {LARGEST_WEIGHTS}")
    with tarfile.open(archive, "w", format=tarfile.USTAR_FORMAT) as target:
        for name in sorted(names):
            member = tarfile.TarInfo(name)
            member.size = (root / name).stat().st_size
            with (root / name).open("rb") as content:
                target.addfile(member, content)
    return {name: sha256(root / name) for name in sorted(names)}
