"""The training loop: AdamW on a cosine schedule, its loss (Isensee et al. 2021), log and checkpoint."""

import copy
import hashlib
import json
import math
import os
import pickle
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import get_ema_multi_avg_fn

from NativeDLLib.core.errors import CancelledError, InputError, ModelError, UsageError
from NativeDLLib.core.files import atomic_path, write_text
from NativeDLLib.core.progress import Progress
from NativeDLLib.training.augment import batches
from NativeDLLib.training.cases import Case
from NativeDLLib.training.config import SETTINGS, Config
from NativeDLLib.training.unet import Architecture

CHECKPOINT, LOG = "checkpoint.pt", "log.csv"
# On smaller patches oneDNN's bfloat16 gradients of the deepest layer read memory that nobody wrote.
_SMALLEST_FOR_BFLOAT16 = 48


def deep_supervision(outputs: Sequence[Tensor], target: Tensor) -> Tensor:
    """Weighted loss of the outputs of all resolutions. Outputs are logits (N, classes, z, y, x), the finest first; each
    counts half as much as the one before it, the coarsest of several not at all. `target` is int64 (N, z, y, x);
    coarser outputs learn from every n-th voxel of it.
    """
    weights = [0.5**index for index in range(max(1, len(outputs) - 1))]
    losses = []
    for output, weight in zip(outputs, weights, strict=False):
        step = [n // m for n, m in zip(target.shape[1:], output.shape[2:], strict=True)]
        part = target[:, :: step[0], :: step[1], :: step[2]]
        losses.append(weight * dice_and_cross_entropy(output.float(), part))
    return torch.stack(losses).sum() / sum(weights)


def dice_and_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Voxel-wise cross-entropy plus soft Dice loss over a batch, the mean of all classes but the background. `logits`
    is (N, classes, z, y, x), `target` int64 (N, z, y, x).
    """
    # Written out and not torch's own: on CUDA that one adds in an order of its own.
    truth = functional.one_hot(target, logits.shape[1]).movedim(-1, 1).to(logits.dtype)
    logarithm = functional.log_softmax(logits, dim=1)
    entropy = -(truth * logarithm).sum(dim=1).mean()
    probability, truth = logarithm.exp()[:, 1:], truth[:, 1:]
    axes = (0, 2, 3, 4)  # over the batch, so that a patch without the structure does not dominate
    overlap, size = (probability * truth).sum(axes), probability.sum(axes) + truth.sum(axes)
    return entropy + 1 - ((2 * overlap + 1) / (size + 1)).mean()


def fingerprint(config: Config, architecture: Architecture, start: str) -> str:
    """SHA-256 of everything that influences the result of a training. The allowed minutes are no part of it. `start` is
    the digest of the weights to start from, empty for new ones.
    """
    data = config.data
    schedule = [value for key, value in sorted(vars(config.schedule).items()) if "minutes" not in key]
    parts = [data["entry"]["input"], data["classes"], data["data"]["train"], schedule, config.mirror]
    parts += [{name: data[name] for name in SETTINGS if name in data}]
    text = json.dumps([*parts, repr(architecture), start], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def load_checkpoint(folder: Path, training: str) -> dict[str, Any]:
    """State in a folder's checkpoint; InputError for none or a damaged one, UsageError of another `training`."""
    path = folder / CHECKPOINT
    if not path.is_file():
        raise InputError(f"{path}: is not there, so there is nothing to resume", hint="leave out --resume")
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        other = state["training"]
    except (pickle.UnpicklingError, RuntimeError, KeyError, TypeError, ValueError, EOFError, OSError) as error:
        raise InputError(f"{path}: is not a checkpoint of a training, or is damaged") from error
    if other != training:
        raise UsageError(
            f"{path}: is of a training with other data, network or schedule; undo the change, or start "
            "again in another folder",
            hint="without --resume",
        )
    return state


def _open_log(path: Path, step: int) -> TextIO:
    # What it says of steps after this one belonged to work that was lost.
    kept = path.read_text(encoding="utf-8").splitlines()[1 : step + 1] if step and path.exists() else []
    write_text(path, "\n".join(["step,loss,learning_rate,seconds", *kept]) + "\n")
    return path.open("a", newline="", encoding="utf-8", buffering=1)


def train(
    network: nn.Module,
    cases: Sequence[Case],
    odds: Sequence[float],
    config: Config,
    *,
    training: str,
    folder: Path,
    resume: bool = False,
    device: torch.device | None = None,
    progress: Progress | None = None,
) -> nn.Module:
    """Network trained on random patches, with averaged weights, on the CPU, in evaluation mode. A patch comes from a
    case with the probability in `odds`; `training` is the fingerprint. The checkpoint, from which `resume` goes on, and
    ``log.csv`` are in `folder`. CancelledError where the work was cancelled: the checkpoint then holds the state.
    ModelError where the loss is no longer a number.
    """
    device, progress = device or torch.device("cpu"), progress or Progress()
    schedule = config.schedule
    if device.type == "cuda":
        # cuBLAS looks at it when it is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
    network = network.to(device, memory_format=torch.channels_last_3d).train()
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.learning_rate, weight_decay=1e-2)
    parts: dict[str, Any] = {"network": network, "average": average, "optimiser": optimiser}
    step, before = 0, 0.0
    if resume:
        state = load_checkpoint(folder, training)
        step, before = int(state["step"]), float(state["seconds"])
        for name, part in parts.items():
            part.load_state_dict(state[name])
    started = saved = time.monotonic()

    def keep() -> None:
        state = {"training": training, "step": step, "seconds": before + time.monotonic() - started}
        with atomic_path(folder / CHECKPOINT) as temporary:
            torch.save(state | {name: part.state_dict() for name, part in parts.items()}, temporary)

    # The CPU has the network to train, too.
    workers = config.threads if device.type == "cuda" else max(1, config.threads // 4)
    source = batches(cases, odds, config, first=step, workers=workers)
    with _open_log(folder / LOG, step) as log:
        for images, targets in source:
            seconds = before + time.monotonic() - started
            done = max(step / schedule.steps, seconds / 60 / schedule.minutes)
            if done >= 1:
                break
            if progress.is_cancelled:
                source.close()  # type: ignore[attr-defined]
                keep()
                hint = "the same command with --resume goes on there"
                raise CancelledError(f"cancelled after step {step}", hint=hint)
            rate = schedule.rate(step, done)
            for group in optimiser.param_groups:
                group["lr"] = rate
            loss = _loss(network, images.to(device), targets.to(device), config)
            value = float(loss.detach())
            if not math.isfinite(value):
                advice = "lower schedule.learning_rate, or look at the images"
                raise ModelError(f"the loss of step {step + 1} is not a number; {advice}")
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            follow = get_ema_multi_avg_fn(min(schedule.ema, step / (step + 10)))
            follow(list(average.parameters()), list(network.parameters()), None)
            step += 1
            log.write(f"{step},{value!r},{rate:.3g},{before + time.monotonic() - started:.1f}\n")
            progress.update("train", max(step / schedule.steps, seconds / 60 / schedule.minutes))
            if time.monotonic() - saved >= 60 * schedule.checkpoint_minutes:
                keep()
                saved = time.monotonic()
    keep()
    return average.to("cpu", memory_format=torch.contiguous_format).eval()


def _loss(network: nn.Module, images: Tensor, targets: Tensor, config: Config) -> Tensor:
    device = images.device.type
    if device == "cpu":
        lower = min(config.patch) >= _SMALLEST_FOR_BFLOAT16
    else:
        lower = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    with torch.autocast(device, torch.bfloat16, enabled=lower):
        outputs = network(images.to(memory_format=torch.channels_last_3d))
    return deep_supervision(outputs if config.schedule.deep_supervision else outputs[:1], targets)
