"""The second line: a call that loads a foreign file can neither write files nor start programs."""

import os
import pickle
import socket
import subprocess
import threading

import pytest

from NativeDLLib.inference import confined as confining
from NativeDLLib.inference.confined import confined

pytestmark = pytest.mark.skipif(not confining._version(), reason="this system has no Landlock")


class Payload:
    def __init__(self, call, *arguments):
        self.call = call, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "attack",
    [
        lambda folder: Payload(open, str(folder / "ran"), "w"),
        lambda folder: Payload(open, str(folder / "there"), "r+"),
        lambda folder: Payload(os.truncate, str(folder / "there"), 0),
        lambda folder: Payload(os.remove, str(folder / "there")),
        lambda folder: Payload(os.mkdir, str(folder / "ran")),
        lambda folder: Payload(os.symlink, "/etc", str(folder / "ran")),
        lambda folder: Payload(os.rename, str(folder / "there"), str(folder / "ran")),
        lambda folder: Payload(subprocess.check_call, ["/bin/touch", str(folder / "ran")]),
    ],
    ids=["make", "write", "truncate", "remove", "folder", "link", "rename", "program"],
)  # fmt: skip
def test_a_payload_that_runs_all_the_same_can_do_nothing(tmp_path, attack):
    (tmp_path / "there").write_text("content")
    hostile = pickle.dumps(attack(tmp_path))

    with pytest.raises((PermissionError, subprocess.CalledProcessError)):
        confined(pickle.loads, hostile)

    assert [path.name for path in tmp_path.iterdir()] == ["there"]
    assert (tmp_path / "there").read_text() == "content"


def test_a_shell_that_is_started_cannot_write_either(tmp_path):
    assert confined(os.system, f"touch {tmp_path / 'ran'}") != 0
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(confining._version() < 4, reason="this kernel confines no network")
def test_nothing_is_sent_anywhere():
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(PermissionError):
        confined(socket.create_connection, server.getsockname())


def test_reading_computing_and_what_comes_after_are_as_ever(tmp_path):
    (tmp_path / "there").write_text("content")

    assert confined((tmp_path / "there").read_text) == "content"
    assert confined(sorted, [2, 1], reverse=True) == [2, 1]
    with pytest.raises(ZeroDivisionError):
        confined(lambda: 1 / 0)
    (tmp_path / "after").write_text("written")
    assert threading.active_count() >= 1


def test_where_there_is_no_landlock_the_call_is_made_as_it_is(monkeypatch):
    monkeypatch.setattr(confining, "_version", lambda: 0)

    assert confined(threading.current_thread) is threading.current_thread()
