"""Fetching a model's weights into the cache: whole, as declared, able to run, or not at all."""

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from io import BufferedReader
from pathlib import Path

from NativeDLLib.core.errors import InputError, ModelError, UsageError
from NativeDLLib.core.files import scratch, write_json
from NativeDLLib.core.locking import hold
from NativeDLLib.core.progress import Progress
from NativeDLLib.models.fetch.archive import check_space, unpack_zip
from NativeDLLib.models.fetch.download import download, forget_part
from NativeDLLib.registry import weights as registered
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.weights import Fetched, models_folder


def fetch(
    model: Model, file: Path | None, agrees: Callable[[str], bool], progress: Progress
) -> tuple[Path, Fetched | None]:
    """Put weights that are at a URL, or were brought from there in `file`, into the cache; their place, and the record
    of the fetch, None where they were there and right. `agrees` is asked whether to take and record a SHA-256 that
    nobody has stated. UsageError where there is nothing to fetch, the user does not agree or another process fetches
    the model; InputError where `file` does not exist; ModelError where it cannot be downloaded, is another file or
    cannot run.
    """
    if file is not None and not file.is_file():
        raise InputError(f"{file}: is not a file")
    with _downloads(model, "wait for that one") as place:
        if not registered.to_be_fetched(model):
            try:
                return registered.verified_weights(model)[0], None
            except ModelError as error:
                progress.warn(f"{error}; it is fetched again")
        registered.check_runtime(model)
        known = registered.read_lock(model.id)
        recorded = known.sha256 if known is not None and known.url == model.weights.url else None
        wanted = model.weights.sha256 or recorded
        if wanted is None:
            source = f"in {file}" if file else f"at {model.weights.url}"
            told = f"The registry knows no SHA-256 of {model.title} (license: {model.license}). Take what is {source}"
            if not agrees(f"{told}, and record its SHA-256, so that only the same is taken from now on?"):
                raise UsageError(f"model {model.id}: nothing was fetched")
        part = place / "download.part"
        if file is None:
            with progress.stage("download"):
                download(model.weights.url, part, model.weights.size, progress)
        try:
            # What is opened here is checked and unpacked, whatever has its name by then.
            with (file or part).open("rb") as archive:
                fetched = _install(model, archive, wanted, place, progress)
        except ModelError:
            # What is not right now will not be right the next time.
            forget_part(part)
            raise
        forget_part(part)
    return registered.verified_weights(model)[0], fetched


def remove(model: Model, forget: bool) -> bool:
    """Remove a model's fetched weights from the cache; False where there were none. `forget` allows another SHA-256 to
    be recorded the next time. UsageError where they are not from a URL, or are being fetched.
    """
    folder, lock = models_folder() / model.id, registered.lock_file(model.id)
    with _downloads(model, "end that one first") as place:
        found = any(path.exists() for path in (folder, place / "download.part", *([lock] if forget else [])))
        forget_part(place / "download.part")
        if folder.exists():
            # First out of sight, so that no run finds half a model.
            with scratch(".partial-", place) as staged:
                folder.rename(staged / model.id)
        if forget:
            lock.unlink(missing_ok=True)
    return found


def _install(model: Model, archive: BufferedReader, wanted: str | None, place: Path, progress: Progress) -> Fetched:
    """Check what was downloaded, unpack it, see whether it runs, record it and put it in place."""
    weights = model.weights
    with progress.stage("verify"):
        digest, size = hashlib.file_digest(archive, "sha256").hexdigest(), archive.tell()
        if wanted not in (None, digest) or weights.size not in (None, size):
            source = "the registry says" if weights.sha256 else "was recorded the first time"
            raise ModelError(
                f"model {model.id}: {Path(archive.name).name} has SHA-256 {digest} and {size} bytes, and is not the "
                f"file that {source} ({wanted}); nothing was installed"
            )
        progress.check()
    with scratch(".partial-", place) as staged:
        content = staged / model.id
        content.mkdir()
        with progress.stage("unpack"):
            if weights.is_folder:
                unpack_zip(archive, content, progress)
            else:
                check_space(staged, size)
                (content / weights.place).parent.mkdir(parents=True, exist_ok=True)
                archive.seek(0)
                with (content / weights.place).open("xb") as file:
                    shutil.copyfileobj(archive, file)
        path = content / weights.place
        with progress.stage("check"):
            if not path.exists():
                raise ModelError(f"model {model.id}: what was fetched holds no {weights.place}")
            # Imported where it is used: listing models needs no runtime.
            from NativeDLLib.inference.engine import load_engine

            loaded = registered.Weights(model, path)
            load_engine(model, loaded, "cpu", measure=False)
            fetched = Fetched(weights.url, digest, size, loaded.digests if weights.is_folder else {})
        progress.check()
        # Recorded first: weights without a record are never run, a record without weights does no harm.
        write_json(registered.lock_file(model.id), asdict(fetched))
        target = models_folder() / model.id
        if target.exists():
            target.rename(staged / ".old")
        content.rename(target)
    return fetched


@contextmanager
def _downloads(model: Model, else_do: str) -> Iterator[Path]:
    """Give the folder of a model's downloads, which no other process has and killed ones left nothing in."""
    if not model.weights.url:
        raise UsageError(f"model {model.id}: its weights are not downloaded; they belong to {model.registry}")
    # No model's id begins with an underscore, so that none has this folder for its weights.
    place = models_folder() / "_downloads" / model.id
    with hold(place, f"model {model.id}: another process fetches it; {else_do}"):
        for left in place.glob(".partial-*"):
            shutil.rmtree(left, ignore_errors=True)
        yield place
