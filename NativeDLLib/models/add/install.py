"""Putting a model in force, its weights checked where they will lie, its entry written into a registry; and back."""

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from NativeDLLib.core.errors import ModelError, NativeDLError, UsageError
from NativeDLLib.core.files import scratch, sha256, write_text
from NativeDLLib.core.jsonfile import problem_of, read_json
from NativeDLLib.core.places import kept
from NativeDLLib.core.progress import Progress
from NativeDLLib.models.add.draft import Draft
from NativeDLLib.models.fetch.archive import check_space, write_stream
from NativeDLLib.models.fetch.fetch import remove
from NativeDLLib.registry import effective
from NativeDLLib.registry.entry import Model
from NativeDLLib.registry.load import load_models, load_registry, make_model, models_of, pulled_registry
from NativeDLLib.registry.weights import Weights, models_folder

_FOLDER = "weights"


def user_registry() -> Path:
    """Return the user's own registry, ``~/.nativedl/registry.json``."""
    return kept("registry.json")


def check_free(model_id: Any, registry: Path, replace: bool) -> None:
    """Raise UsageError where an id is none, or a model of the registry or in force has it and may not be replaced."""
    problem = problem_of(model_id, "registry.schema.json", "/$defs/model/properties/id")
    if problem:
        raise UsageError(f"id: {problem}")
    models = load_models()
    models |= {model.id: model for model in load_registry(registry)} if registry.is_file() else {}
    if model_id in models and not replace:
        place = models[model_id].registry
        hint = "choose another --id, or replace it with --replace"
        raise UsageError(f"there is a model '{model_id}' in {place}", hint=hint)


def install(draft: Draft, registry: Path, *, replace: bool = False, progress: Progress | None = None) -> Model:
    """Check a complete draft as registries are checked, run its network once on the CPU, and put it in force. Weights
    below the registry's folder stay where they are, others are copied to ``weights/ID`` in it. `replace` allows an
    entry of the same id, whose copied weights are removed. After an error nothing is left behind.
    """
    progress = progress or Progress()
    check_free(draft.entry.get("id"), registry, replace)
    with progress.stage("hash"):
        content = draft.content and hashlib.sha256(draft.content).hexdigest()
        digests = {name: content or sha256(path) for name, path in draft.files.items()}
    mark = hashlib.sha256(json.dumps(digests, sort_keys=True).encode()).hexdigest()[:16]
    place, name = _beneath(draft, registry.parent), "" if draft.folder else f"/{next(iter(draft.files))}"
    before = load_registry(registry) if registry.is_file() else []
    target = place or f"{_FOLDER}/{draft.entry['id']}/{mark}{name}"
    entry = draft.entry | {"weights": _weights(draft, target, digests)}
    models_of(_with(registry, entry), registry)
    source = draft.folder or next(iter(draft.files.values()))
    if place:
        _prove(make_model(entry, registry), source, progress)
        _write(registry, _with(registry, entry))
    else:
        registry.parent.mkdir(parents=True, exist_ok=True)
        with scratch(".partial-", registry.parent) as folder:
            staged = folder / "new"
            _copy(draft, staged, progress)
            weights = _weights(draft, f"{folder.name}/{staged.name}{name}", digests)
            _prove(make_model(entry | {"weights": weights}, registry), source, progress)
            progress.check()
            _place(staged, registry.parent / _FOLDER / entry["id"] / mark, registry, entry)
    for model in before:
        if model.id == entry["id"]:
            remove_copy(model, target)
    return next(model for model in load_registry(registry) if model.id == entry["id"])


def _weights(draft: Draft, target: str, digests: Mapping[str, str]) -> dict[str, Any]:
    if draft.folder is not None:
        return {"folder": target, "files": dict(digests), **draft.entry["weights"]}
    ((name, digest),) = digests.items()
    return {"file": target, "sha256": digest, "size": len(draft.content) or draft.files[name].stat().st_size}


def _beneath(draft: Draft, root: Path) -> str | None:
    """Return where the weights lie below a folder, None where they do not, or by a name that entries cannot have."""
    source = draft.folder or next(iter(draft.files.values()))
    real, base = Path(os.path.realpath(source)), Path(os.path.realpath(root))
    files = [Path(os.path.realpath(file)) for file in draft.files.values()]
    if draft.content or not real.is_relative_to(base) or not all(file.is_relative_to(real) for file in files):
        return None
    relative = real.relative_to(base).as_posix()
    return None if problem_of(relative, "registry.schema.json", "/$defs/path") else relative


def _with(registry: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """Content of a registry file, read anew, with an entry."""
    data: dict[str, Any] = {"schema_version": "1.0", "models": []}
    data = read_json(registry, ModelError) if registry.is_file() else data
    models = {row["id"]: row for row in data["models"]} | {entry["id"]: entry}
    return {**data, "models": list(models.values())}


def _write(registry: Path, data: dict[str, Any]) -> None:
    text = json.dumps(data, indent=2, ensure_ascii=False, allow_nan=False)
    write_text(Path(os.path.realpath(registry)), f"{text}\n")


def _copy(draft: Draft, folder: Path, progress: Progress) -> None:
    size = len(draft.content) or sum(path.stat().st_size for path in draft.files.values())
    check_space(folder.parents[1], size)
    done = 0
    with progress.stage("copy"):
        for name, path in draft.files.items():
            with io.BytesIO(draft.content) if draft.content else path.open("rb") as source:
                for count in write_stream(source, folder / name, progress):
                    done += count
                    progress.update("copy", done / size)


def _prove(model: Model, source: Path, progress: Progress) -> None:
    """Run a model on a small image as a run does, from the weights that will be used; `source` is the user's file."""
    from NativeDLLib.inference.engine import load_engine, window_settings
    from NativeDLLib.inference.sliding_window import sliding_window
    from NativeDLLib.postprocess.state import State, postprocess

    image, parameters = _sample(model), effective(model)
    try:
        with progress.stage("try"):
            engine = load_engine(model, Weights(model), "cpu", measure=False)
            progress.check()
            # One patch, looked at once: more of them are more of the same.
            settings = replace(window_settings(model, engine, parameters), step=1.0, mirror_axes=())
            prepared = engine.prepare(image)
            labels = engine.restore(sliding_window(prepared, engine.networks, settings, progress), prepared)
            postprocess(State(image, labels, model.segments), model.postprocessing, parameters)
    except ModelError as error:
        place = str(model.registry.parent / model.weights.place)
        raise ModelError(str(error).replace(place, str(source)), hint=error.hint) from error
    except NativeDLError:
        raise
    # Plans are free-form: anything that they name may fail in nnU-Net.
    except Exception as error:
        raise ModelError(f"{source}: cannot be run on an image: a setting of it is wrong or not known") from error


def _sample(model: Model) -> Any:
    """Noise of odd sizes and uneven spacing that lies within one patch."""
    import SimpleITK as sitk

    patch, spacing = model.input.patch_size or (64, 64, 64), model.input.spacing or (1.0, 1.0, 1.0)
    extent = 0.8 * min(count * mm for count, mm in zip(patch, spacing, strict=True) if count > 1 or max(patch) == 1)
    image = sitk.GetImageFromArray(np.random.default_rng(0).normal(40, 300, (5, 11, 13)).astype(np.float32))
    image.SetSpacing((extent / 13, extent / 11, min(extent / 5, 2 * max(spacing))))
    return image


def _place(staged: Path, target: Path, registry: Path, entry: dict[str, Any]) -> None:
    """Move staged weights to where the entry says, and write the entry; what was there comes back where that fails."""
    before = staged.with_name("before")
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.replace(before)
    try:
        staged.replace(target)
        _write(registry, _with(registry, entry))
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        if before.exists():
            before.replace(target)
        with contextlib.suppress(OSError):
            target.parent.rmdir()
            target.parents[1].rmdir()
        raise


def take_back(model: Model, forget: bool) -> list[str]:
    """Remove fetched weights, and the entry of a model that was added or pulled with the weights that came with it.
    `forget` allows another SHA-256 to be recorded at the next fetch. Returns what was removed. UsageError where the
    model came in none of these ways, or another one needs it.
    """
    is_fetched, is_pulled = bool(model.weights.url), model.registry == pulled_registry()
    is_added = model.registry == kept("registry.json") and not is_fetched
    users = [other.id for other in load_models().values() if other.coarse and other.coarse.model.id == model.id]
    if users and (is_pulled or is_added):
        raise UsageError(f"model {model.id}: is the coarse model of {', '.join(users)}; remove that first")
    removed = []
    # What came in no way is refused there.
    if (is_fetched or not (is_pulled or is_added)) and remove(model, forget):
        removed.append("weights")
    if is_pulled or is_added:
        # The index of what was pulled keeps the signer, whose the id remains.
        data = read_json(model.registry, ModelError)
        _write(model.registry, {**data, "models": [row for row in data["models"] if row["id"] != model.id]})
        remove_copy(model)
        with contextlib.suppress(OSError):
            (model.registry.parent / _FOLDER / model.id).rmdir()
        removed.append("entry")
    timings = models_folder() / "_forward"
    if removed and model.runtime == "nnunetv2" and timings.is_dir():
        # They are named for networks, not for models: those of others are measured again.
        shutil.rmtree(timings)
        removed.append("timings")
    return removed


def remove_copy(model: Model, target: str = "") -> None:
    """Remove the weights that were copied or pulled for an entry, unless they are those of what took its place."""
    path = "" if model.weights.url else model.weights.place
    pulled = "|[0-9a-f]{32}" if model.registry == pulled_registry() else ""
    folder = re.match(rf"({_FOLDER}/{re.escape(model.id)}/[0-9a-f]{{16}}{pulled})(?=/|$)", path)
    if folder and not target.startswith(folder.group()):
        shutil.rmtree(model.registry.parent / folder.group(), ignore_errors=True)
