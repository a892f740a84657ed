"""Our sliding window beside MONAI's: the same network, size of patches, overlap and weights, in one process."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.compare import Comparison, MissingError, Result, Setting, in_turn
from benchmarks.measure import Cost, run_here
from benchmarks.networks import SMALL, TINY, network
from NativeDLLib.core.arrays import Floats
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.cpu_backend import fastest
from NativeDLLib.inference.network import Network
from NativeDLLib.inference.preprocess import Prepared
from NativeDLLib.inference.sliding_window import WindowSettings, sliding_window

Windowed = Callable[[Any, Floats, int], Any]


def run(setting: Setting, peer: Windowed | None = None) -> Result:
    """Run the benchmark; `peer` takes the place of MONAI."""
    size, classes, shape = (TINY, 5, (40, 64, 64)) if setting.quick else (SMALL, 25, (200, 256, 256))
    # Ours may lay out its weights anew.
    module, own_module = _Counting(network(size, classes)), network(size, classes)
    volume = np.random.default_rng(1).standard_normal((1, *shape), np.float32)
    memory = setting.folder / "runs" / "sliding_window"
    wrapped = _CountingNetwork(
        fastest(
            own_module, (1, 1, *(size.patch,) * 3), f"cpu ({torch.get_num_threads()} threads)", Path("network"), memory
        )
    )
    answers: dict[str, Any] = {}
    calls: dict[str, int] = {}

    def measured(name: str, compute: Callable[[], Any]) -> Cost:
        # What the last run gave is not part of the memory of this one.
        answers.clear()
        module.calls = wrapped.calls = 0
        cost = run_here(lambda: answers.update({name: compute()}))
        calls[name] = module.calls + wrapped.calls
        assert answers[name].shape == (classes + 1, *shape)
        return cost

    def ours(_: int) -> Cost:
        prepared = Prepared(volume, None, None, None, 0.0)
        planes = sliding_window(prepared, [wrapped], WindowSettings((size.patch,) * 3), Progress())
        return measured("ours", lambda: np.concatenate(list(planes), axis=1))

    def theirs(_: int) -> Cost:
        windowed = peer or _monai()
        return measured("MONAI", lambda: windowed(module, volume, size.patch))

    result = Result(facts={"threads": torch.get_num_threads(), "ours_by": wrapped.device})
    own, peers = in_turn(ours, {"MONAI": theirs}, setting.runs, result)
    case = " x ".join(str(n) for n in shape[::-1])
    for name, costs in peers.items():
        facts = {"windows_ours": calls["ours"], "windows_theirs": calls[name]}
        result.comparisons.append(Comparison(case, name, own, costs, time="seconds", facts=facts))
    return result


class _CountingNetwork:
    """A network behind the interface of ours that counts how often it is called."""

    def __init__(self, network: Network) -> None:
        self._network, self.device, self.concurrency = network, network.device, network.concurrency
        self.calls, self.to_device, self._lock = 0, network.to_device, threading.Lock()

    def __call__(self, batch: Floats) -> Floats:
        with self._lock:
            self.calls += 1
        return self._network(batch)


class _Counting(torch.nn.Module):
    """A network that counts how often it is called."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self.module = module
        self.calls = 0

    def forward(self, batch: Any) -> Any:
        self.calls += 1
        return self.module(batch)


def _monai() -> Windowed:
    if importlib.util.find_spec("monai") is None:
        raise MissingError("MONAI is not there (pip install monai)")
    from monai.inferers import SlidingWindowInferer

    def windowed(module: Any, volume: Floats, patch: int) -> Any:
        inferer = SlidingWindowInferer(roi_size=(patch,) * 3, sw_batch_size=1, overlap=0.5, mode="gaussian")
        with torch.inference_mode():
            return inferer(torch.from_numpy(volume)[None], module)[0].numpy()

    return windowed
