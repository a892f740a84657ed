"""A training from its configuration to its registry entry."""

import os
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch

from NativeDLLib import __version__
from NativeDLLib.core.errors import ModelError, UsageError
from NativeDLLib.core.files import sha256, write_json
from NativeDLLib.core.progress import Progress
from NativeDLLib.core.versions import versions
from NativeDLLib.inference.device import is_server, torch_device
from NativeDLLib.registry.entry import Model
from NativeDLLib.results.folder import check_output
from NativeDLLib.results.report import costs
from NativeDLLib.training.cases import read_cases
from NativeDLLib.training.config import FORMATS, Config, check_patch
from NativeDLLib.training.entry import REGISTRY, evaluate, pictures_of, publish, summary, take_pictures, write_entry
from NativeDLLib.training.export import FILES, FOLDER, SUFFIXES, export, write_results_folder
from NativeDLLib.training.loop import CHECKPOINT, LOG, fingerprint, load_checkpoint, train
from NativeDLLib.training.unet import Architecture, load_weights, start_weights

REPORT = "report.json"


def run_session(
    config: Config,
    output: Path,
    progress: Progress,
    *,
    start: Model | None,
    resume: bool,
    overwrite: bool,
    device: str,
    registry: Path | None,
) -> dict[str, Any]:
    """Train, export, evaluate, write the registry entry, and return the report as in ``report.json``. `start` is the
    model to start from, None for new weights; `resume` goes on from the checkpoint in the folder `output`; the model is
    also put into the file `registry`. NativeDLError says what is missing or wrong; cancelled in the training itself, a
    checkpoint is written.
    """
    started = time.perf_counter()
    if is_server(device):
        raise UsageError(f"device {device}: a server does not train; use auto, cpu or cuda")
    check_output(output, (CHECKPOINT, REGISTRY, REPORT), overwrite or resume)
    output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(config.threads)
    chosen, description, notes = torch_device(device)
    for note in notes:
        progress.warn(note)
    if config.schedule.minutes != float("inf"):
        progress.warn("schedule.minutes makes the result depend on this computer's speed; it cannot be repeated")
    architecture, network, digest = _network(config, start, progress)
    training = fingerprint(config, architecture, digest)
    if resume:
        load_checkpoint(output, training)
    with progress.stage("data"):
        cases, odds = read_cases(config, progress)
    if not resume:
        # No file shall lie beside those of another training.
        for name in (CHECKPOINT, REPORT, *_files(config, FORMATS)):
            (output / name).unlink(missing_ok=True)
    with progress.stage("train"):
        network = train(
            network, cases, odds, config, training=training, folder=output, resume=resume, device=chosen,
            progress=progress,
        )  # fmt: skip
    differences = {}  # of the logits of each file to the network's
    with progress.stage("export"):
        for kind in config.outputs:
            if kind == "nnunetv2":
                write_results_folder(network, architecture, config, len(cases), output / FOLDER)
            else:
                differences[kind] = export(network, config.patch, output / f"{config.model.id}{SUFFIXES[kind]}")
        model = write_entry(config, output)
    with progress.stage("evaluate"):
        measured = evaluate(model, config, device, progress)
        take_pictures(model, config, device, output, progress)
        rows = summary(measured)
        model = write_entry(config, output, rows)
    if registry is not None:
        publish(model, registry, pictures_of(config))
    report = {
        "nativedl": __version__,
        "model": {"id": model.id, "version": model.version, "runtime": model.runtime},
        "started_from": None if start is None else start.tool_name,
        "device": description,
        "cases": len(cases),
        "parameters": sum(value.numel() for value in network.parameters()),
        "differences": differences,
        "evaluation": rows,
        "validation": measured,
        "files": {name: sha256(output / name) for name in _files(config, config.outputs)},
        "output": os.fspath(output),
        "registry": None if registry is None else os.fspath(registry),
        "warnings": list(progress.warnings),
        "versions": versions(),
        **costs(started, progress),
    }
    write_json(output / REPORT, report)
    return report


def _network(config: Config, start: Model | None, progress: Progress) -> tuple[Architecture, torch.nn.Module, str]:
    torch.manual_seed(config.schedule.seed)
    if start is None:
        architecture = config.architecture or Architecture()
        check_patch(config, architecture)
        return architecture, architecture.build(len(config.classes) + 1), ""
    weights, digest = start_weights(start)
    try:
        architecture = Architecture.of(weights)
        network = architecture.build(len(config.classes) + 1)
        kept = load_weights(network, weights)
    except ModelError as error:
        message = f"model {start.id}: training cannot start from it: {error}"
        raise ModelError(message, hint=error.hint) from error
    if config.architecture is not None and config.architecture != architecture:
        raise UsageError(f"{config.path}: network: is not that of model {start.id}; leave it out")
    check_patch(config, architecture)
    if any(name.startswith(f"decoder.seg_layers.{len(architecture.features) - 2}.") for name in kept):
        progress.warn(f"the last layer of {start.id} is for other classes; a new one is trained")
    return architecture, network, digest


def _files(config: Config, formats: Collection[str]) -> list[str]:
    files = [f"{config.model.id}{SUFFIXES[kind]}" for kind in formats if kind in SUFFIXES]
    files += [f"{FOLDER}/{name}" for name in FILES] if "nnunetv2" in formats else []
    return [*files, REGISTRY, f"{config.model.id}.md", *pictures_of(config), LOG]
