"""The devices that are offered, on this machine as it is, and on machines that it is not."""

import os
import sys

import pytest

from NativeDLLib.inference.device import available_devices, check_device, torch_device


def test_every_device_that_is_offered_can_be_had():
    devices = available_devices()

    assert list(devices)[-1] == "cpu"
    for word, what in devices.items():
        device, description, _ = torch_device(check_device(word))
        assert description.startswith(word)
        assert device.type == word.split(":")[0]
        assert what


def test_the_first_one_offered_is_what_automatic_takes():
    word = next(iter(available_devices()))

    assert torch_device("auto")[1].split(" ")[0] == word


def test_without_torch_there_is_the_processor(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)

    assert available_devices() == {"cpu": f"processor, {os.cpu_count()} cores"}


def test_with_a_torch_whose_libraries_are_broken_there_is_the_processor(monkeypatch, tmp_path):
    (tmp_path / "torch.py").write_text("raise OSError(126, 'The specified module could not be found')")
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.syspath_prepend(tmp_path)

    assert list(available_devices()) == ["cpu"]


def test_gpus_come_first_with_their_names(monkeypatch):
    # No machine has both; torch itself is asked in the first two tests.
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"GPU {index}")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)

    assert list(available_devices().items())[:3] == [("cuda:0", "GPU 0"), ("cuda:1", "GPU 1"), ("mps", "Apple GPU")]
