"""Finding a model's weights and making sure that they are the ones the registry means, before anything reads them."""

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from NativeDLLib.core.errors import ModelError
from NativeDLLib.core.files import sha256
from NativeDLLib.core.jsonfile import read_json
from NativeDLLib.core.places import kept
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.runtimes import RUNTIMES

Content = TypeVar("Content")


@dataclass(frozen=True)
class Fetched:
    """A download: URL, SHA-256 and size in bytes of its file, and the SHA-256 of each unpacked file in use."""

    url: str
    sha256: str
    size: int
    files: Mapping[str, str]


def lock_file(model_id: str) -> Path:
    """Return the file of a model's `Fetched`, which outlives the weights: the next download must be the same."""
    # No model's id begins with an underscore, so that none has this folder for its downloads.
    return models_folder() / "_locks" / f"{model_id}.json"


def read_lock(model_id: str) -> Fetched | None:
    """Record of a model's download, None where there is none; ModelError where it is damaged."""
    path = lock_file(model_id)
    if not path.exists():
        return None
    row = read_json(path, ModelError)
    try:
        files = {str(name): str(digest) for name, digest in row["files"].items()}
        return Fetched(str(row["url"]), str(row["sha256"]), int(row["size"]), files)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        told = f"{path}: is damaged, so nothing says what the weights of {model_id} should be"
        hint = f"if you know it, nativedl models remove {model_id} --forget, and fetch them again"
        raise ModelError(told, hint=hint) from error


def models_folder() -> Path:
    """Return the cache of downloaded models: ``NATIVEDL_MODELS`` or ``~/.nativedl/models``."""
    return kept("models")


def to_be_fetched(model: Model) -> bool:
    """Tell whether a model's weights are at a URL and have not been fetched yet."""
    return bool(model.weights.url) and not _path(model).exists()


def find_weights(model: Model) -> Path:
    """Place of a model's weights, unchecked; ModelError where they are not there, or lie outside their root."""
    path, root = _path(model), _root(model)
    if not _is_inside(path, root):
        raise ModelError(f"model {model.id}: its weights {path} lead out of {root}")
    if to_be_fetched(model):
        raise ModelError(f"model {model.id}: its weights are to be fetched first", hint=fetch_hint(model))
    if not path.exists():
        raise ModelError(f"model {model.id}: its weights {path} are not there")
    return path


def check_there(model: Model) -> None:
    """Raise ModelError where weights or runtime of a model, or of its coarse one, are not there; nothing is read."""
    for needed in model.needed:
        find_weights(needed)
        check_runtime(needed)


def check_runtime(model: Model) -> None:
    """Raise ModelError where the runtime of a model is not there."""
    runtime = RUNTIMES[model.runtime]
    if runtime.problem:
        hint = f"install it with: pip install 'NativeDL[{runtime.extra}]'"
        raise ModelError(f"model {model.id}: {runtime.problem}, which is not installed", hint=hint)


def fetch_hint(model: Model) -> str:
    """Return the command that fetches a model's weights, as a hint."""
    return f"fetch them with: nativedl models fetch {model.id}"


class Weights:
    """The weights of a model: a file or nnU-Net's results folder, of which nothing is given out unchecked. They lie at
    `path`, by default where the entry says. ModelError where they are not there, or lie outside their root.
    """

    def __init__(self, model: Model, path: Path | None = None) -> None:
        self.path = path or find_weights(model)
        self._model, self._found = model, dict[str, str]()
        self._wanted: dict[str, str | None] = {"": model.weights.sha256}
        if model.weights.is_folder:
            if not self.path.is_dir():
                raise ModelError(f"model {model.id}: {self.path} is not a folder")
            declared, checkpoints = model.weights.files, self.path.glob(f"*/{model.weights.checkpoint}")
            used = (f"{file.parent.name}/{file.name}" for file in checkpoints)
            self._wanted = {name: declared.get(name) for name in ("plans.json", "dataset.json", *declared, *used)}
        self._another = "is not the file that the registry means{}; restore it or correct the entry"
        self._again = ""
        if path is None and model.weights.url and None in self._wanted.values():
            self._wanted = self._fetched(model, self._wanted)

    def read(self, name: str = "") -> bytes:
        """Content of the file, or of one in the folder: the very bytes whose SHA-256 was found right. ModelError where
        it is not there, or not what the registry says or what was fetched.
        """
        content = self._read(name, Path.read_bytes)
        self._check(name, hashlib.sha256(content).hexdigest())
        return content

    @property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each file that is used, by its path in the folder, after checking those that were not read."""
        for name in sorted(self._wanted.keys() - self._found.keys()):
            self._check(name, self._read(name, sha256))
        return dict(sorted(self._found.items()))

    @property
    def digest(self) -> str:
        """SHA-256 of the file; of a folder, that of the list of its plans' and checkpoints' digests."""
        if "" in self._wanted:
            return self.digests[""]
        listed = "\n".join(f"{name} {digest}" for name, digest in self.digests.items())
        return hashlib.sha256(listed.encode()).hexdigest()

    def _fetched(self, model: Model, names: Mapping[str, str | None]) -> dict[str, str | None]:
        """Digests that were recorded when the folder was fetched."""
        fetched = read_lock(model.id)
        again = fetch_hint(model)
        if fetched is None:
            raise ModelError(f"model {model.id}: there is no record of what was fetched into {self.path}", hint=again)
        if fetched.url != model.weights.url:
            told = f"model {model.id}: was fetched from {fetched.url}, which the registry no longer names"
            raise ModelError(told, hint=again)
        self._another, self._again = "is not what was fetched", again
        if added := sorted(names.keys() ^ fetched.files.keys()):
            raise ModelError(f"model {model.id}: {self.path / added[0]} {self._another}", hint=again)
        return {name: names[name] or digest for name, digest in fetched.files.items()}

    def _read(self, name: str, read: Callable[[Path], Content]) -> Content:
        """Content of a file that is where it may be, and as large as it should be, or its digest."""
        path = self.path / name
        if name not in self._wanted or not _is_inside(path, self.path):
            raise ModelError(f"model {self._model.id}: {path} leads out of {self.path}")
        if not path.is_file():
            raise ModelError(f"model {self._model.id}: {path} is not there")
        size = self._model.weights.size if not name else None
        if size is not None and path.stat().st_size != size:
            raise ModelError(f"model {self._model.id}: {path} has {path.stat().st_size} bytes instead of {size}")
        try:
            return read(path)
        except OSError as error:
            raise ModelError(f"model {self._model.id}: {path} cannot be read ({error.strerror})") from error

    def _check(self, name: str, digest: str) -> None:
        wanted = self._wanted[name] or self._found.get(name, digest)
        if digest != wanted:
            digests = f" (SHA-256 {digest[:12]}... instead of {wanted[:12]}...)"
            message = f"model {self._model.id}: {self.path / name} {self._another.format(digests)}"
            raise ModelError(message, hint=self._again)
        self._found[name] = digest


def verified_weights(model: Model) -> tuple[Path, str]:
    """Place and digest of a model's weights, all of which are read and checked; see `Weights`."""
    weights = Weights(model)
    return weights.path, weights.digest


def _root(model: Model) -> Path:
    return models_folder() / model.id if model.weights.url else model.registry.parent


def _path(model: Model) -> Path:
    return _root(model) / model.weights.place


def _is_inside(path: Path, root: Path) -> bool:
    # Path.resolve raises RuntimeError at a link to itself, which then is simply not there.
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root))
