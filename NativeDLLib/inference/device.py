"""Devices: the words for them, and finding the one that is in fact there. Nothing falls back silently."""

import os
import re
import shutil
import sys
from typing import TYPE_CHECKING

from NativeDLLib.core.errors import ModelError, UsageError

if TYPE_CHECKING:
    import torch

_WORDS = re.compile(r"auto|cpu|mps|cuda(:\d{1,2})?")
_SERVER = re.compile(r"https?://[^/?#@\s]+/?")


def check_device(word: str) -> str:
    """Word for a device as it is given; UsageError for what is none and no server's ``https://HOST``."""
    if not _WORDS.fullmatch(word) and not is_server(word):
        raise UsageError(f"device {word}: write auto, cpu, cuda, cuda:N, mps or https://HOST:PORT of a NativeDL server")
    return word


def is_server(word: str) -> bool:
    """Tell whether a device is a computer that runs ``nativedl serve``."""
    return _SERVER.fullmatch(word) is not None


def torch_device(word: str) -> "tuple[torch.device, str, list[str]]":
    """Torch's device of a word, its hardware in words such as ``cuda:0 (NVIDIA H200)``, and warnings. ModelError where
    the device that was asked for is not there.
    """
    import torch

    # CUDA takes time and memory to start: it is left alone where only the processor is asked for.
    there = {} if check_device(word) == "cpu" else available_devices()
    warnings = []
    if word == "auto":
        word = next(iter(there))
        if not word.startswith("cuda") and has_nvidia_gpu():
            warnings.append(
                f"an NVIDIA GPU is here but this torch ({torch.__version__}) cannot use it: running on the CPU; "
                "install a CUDA build of torch that fits the driver"
            )
    if word == "cpu":
        return torch.device("cpu"), f"cpu ({torch.get_num_threads()} threads)", warnings
    found = f"cuda:{int(word[5:] or 0)}" if word.startswith("cuda") else word
    if found not in there:
        seen = f"torch {torch.__version__} sees only {', '.join(there)}"
        raise ModelError(f"device {word} was asked for, but {seen}; use auto or cpu")
    return torch.device(found), f"{found} ({there[found]})", warnings


def available_devices() -> dict[str, str]:
    """Return the devices that are here, the fastest first: the word for each, and what it is."""
    processor = {"cpu": f"processor, {os.cpu_count()} cores"}
    try:
        import torch
    # It is not there, or a library that it needs is not.
    except (ImportError, OSError):
        return processor
    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    devices = {f"cuda:{index}": str(torch.cuda.get_device_name(index)) for index in range(cuda)}
    return devices | ({"mps": "Apple GPU"} if torch.backends.mps.is_available() else {}) | processor


def give_back_memory() -> None:
    """Give the memory of GPUs that torch keeps for later, but does not use, to other processes."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def has_nvidia_gpu() -> bool:
    """Tell whether NVIDIA's driver is installed, whatever the runtimes make of it."""
    return shutil.which("nvidia-smi") is not None
