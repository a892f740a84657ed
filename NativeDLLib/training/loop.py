"""The training loop: AdamW on a cosine schedule, and the average of the weights as the result."""

import copy
import math
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from NativeDLLib.core.errors import CancelledError, ModelError
from NativeDLLib.core.progress import Progress
from NativeDLLib.training.cases import Case
from NativeDLLib.training.checkpoint import load_checkpoint, save_checkpoint
from NativeDLLib.training.config import Config
from NativeDLLib.training.log import Log
from NativeDLLib.training.losses import deep_supervision
from NativeDLLib.training.patches import batches

# On smaller patches oneDNN's bfloat16 gradients of the deepest layer read memory that nobody wrote.
_SMALLEST_FOR_BFLOAT16 = 48


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
    """Train a network on random patches.

    Parameters
    ----------
    network
        Network with the weights to start from.
    cases, odds
        Training cases, and the probability with which a patch comes from each.
    training
        Fingerprint of the training, for the checkpoint.
    folder
        Folder of the checkpoint and of ``log.csv``.
    resume
        Whether to go on from the checkpoint.

    Returns
    -------
    Module
        Network with averaged weights, on the CPU, in evaluation mode.

    Raises
    ------
    CancelledError
        Where the work was cancelled; the checkpoint then holds the state.
    ModelError
        Where the loss is no longer a number.
    """
    device, progress = device or torch.device("cpu"), progress or Progress()
    schedule = config.schedule
    _repeatable(device)
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
        seconds = before + time.monotonic() - started
        states = {name: part.state_dict() for name, part in parts.items()}
        save_checkpoint(folder, {"training": training, "step": step, "seconds": seconds, **states})

    source = batches(cases, odds, config, first=step, workers=_workers(config, device))
    with Log(folder, step) as log:
        for images, targets in source:
            seconds = before + time.monotonic() - started
            done = max(step / schedule.steps, seconds / 60 / schedule.minutes)
            if done >= 1:
                break
            if progress.is_cancelled:
                source.close()  # type: ignore[attr-defined]
                keep()
                raise CancelledError(
                    f"cancelled after step {step}", hint="the same command with --resume goes on from there"
                )
            rate = schedule.rate(step, done)
            for group in optimiser.param_groups:
                group["lr"] = rate
            loss = _loss(network, images.to(device), targets.to(device), config)
            value = float(loss.detach())
            if not math.isfinite(value):
                raise ModelError(
                    f"the loss of step {step + 1} is not a number; lower schedule.learning_rate, or look at the images"
                )
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
            follow(average, network, min(schedule.ema, step / (step + 10)))
            step += 1
            log.add(step, value, rate, before + time.monotonic() - started)
            progress.update("train", max(step / schedule.steps, seconds / 60 / schedule.minutes))
            if time.monotonic() - saved >= 60 * schedule.checkpoint_minutes:
                keep()
                saved = time.monotonic()
    keep()
    return average.to("cpu", memory_format=torch.contiguous_format).eval()


def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move averaged weights towards those of a network."""
    with torch.no_grad():
        for mean, current in zip(average.parameters(), network.parameters(), strict=True):
            mean.lerp_(current, 1 - decay)


def _loss(network: nn.Module, images: Tensor, targets: Tensor, config: Config) -> Tensor:
    device = images.device.type
    if device == "cpu":
        lower = min(config.patch) >= _SMALLEST_FOR_BFLOAT16
    else:
        lower = device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    with torch.autocast(device, torch.bfloat16, enabled=lower):
        outputs = network(images.to(memory_format=torch.channels_last_3d))
    return deep_supervision(outputs if config.schedule.deep_supervision else outputs[:1], targets)


def _workers(config: Config, device: torch.device) -> int:
    # The CPU has the network to train, too.
    return config.threads if device.type == "cuda" else max(1, config.threads // 4)


def _repeatable(device: torch.device) -> None:
    if device.type == "cuda":
        # cuBLAS looks at it when it is first used.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
