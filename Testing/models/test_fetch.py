"""``models fetch`` and ``remove``: consent, what is recorded, and what is left where something comes between."""

import json
import os
import signal
import subprocess
import sys
import threading

import factories
import own_models
import pytest
from own_models import TWO_LABELS as ANSWERS
from remote_model import RESULTS, digest_of, fetch, left, model_of
from servers import wait_until
from tools import nativedl

from NativeDLLib.inference import cpu_backend
from NativeDLLib.registry.weights import verified_weights


def test_what_is_fetched_is_recorded_and_runs(tmp_path, registry, site, cache, capsys):
    factories.ct_series(tmp_path / "series")

    assert nativedl("models", "fetch", "remote", "--yes", registry=registry) == 0
    assert nativedl("run", "--input", tmp_path / "series", "--model", "remote", "--output", tmp_path / "out",
                    "--keep-empty", registry=registry) == 0  # fmt: skip

    digest = digest_of(site.content)
    assert f"remote: fetched, SHA-256 {digest}" in capsys.readouterr().out
    lock = json.loads((cache / "_locks" / "remote.json").read_text())
    assert (lock["url"], lock["sha256"], lock["size"]) == (f"{site.address}/model.zip", digest, len(site.content))
    assert sorted(lock["files"]) == ["dataset.json", "fold_0/checkpoint_final.pth", "plans.json"]
    assert left(cache)[0] == "_locks/remote.json"
    assert {name.split("/")[0] for name in left(cache)} == {"_locks", "remote"}


def test_no_network_is_timed_before_it_segments_a_series(tmp_path, registry, cache, monkeypatch):
    monkeypatch.delenv("NATIVEDL_FORWARD")
    timed = []
    measure = cpu_backend._measure
    monkeypatch.setattr(cpu_backend, "_measure", lambda *arguments: timed.append(1) or measure(*arguments))
    factories.ct_series(tmp_path / "series")

    fetch(registry, "--yes")
    own_models.add_model(cache / "remote" / RESULTS, ANSWERS | {"id": "added"}, tmp_path / "own.json")
    assert timed == []

    assert nativedl("run", "--input", tmp_path / "series", "--model", "remote", "--output", tmp_path / "out",
                    "--keep-empty", registry=registry) == 0  # fmt: skip
    assert timed == [1]


def test_what_is_here_and_right_is_not_fetched_again(registry, site, capsys):
    fetch(registry, "--yes")
    fetch(registry)

    assert "remote: is here already, and right" in capsys.readouterr().out
    assert len(site.requests) == 1


def answer(monkeypatch, text):
    """Give the process a terminal at which somebody types."""
    keyboard, terminal = os.openpty()
    os.write(keyboard, text.encode())
    monkeypatch.setattr(sys, "stdin", os.fdopen(terminal, "r"))
    return keyboard


def test_the_first_fetch_asks_before_it_downloads(registry, site, monkeypatch, capsys):
    keyboard = answer(monkeypatch, "n\n")

    error = fetch(registry, code=2, capsys=capsys)

    assert "The registry knows no SHA-256 of Bright block (license: Apache-2.0)" in error
    assert f"{site.address}/model.zip" in error
    assert "model remote: nothing was fetched" in error
    assert site.requests == []
    os.close(keyboard)


def test_who_agrees_gets_it(registry, cache, monkeypatch):
    keyboard = answer(monkeypatch, "yes\n")

    fetch(registry)

    assert (cache / "remote").is_dir()
    os.close(keyboard)


def test_where_nobody_can_answer_the_option_is_named(registry, site, capsys):
    assert "if you agree, add --yes" in fetch(registry, code=2, capsys=capsys)
    fetch(registry, "--events", code=2)
    assert "add --yes" in json.loads(capsys.readouterr().out.splitlines()[-1])["hint"]
    assert site.requests == []


def test_an_archive_brought_by_hand_needs_no_network(registry, site, tmp_path, cache):
    (tmp_path / "model.zip").write_bytes(site.content)

    fetch(registry, "--from-file", tmp_path / "model.zip", "--yes")

    assert site.requests == []
    assert verified_weights(model_of(registry))
    assert (tmp_path / "model.zip").is_file()


def test_a_file_that_is_not_there_is_named(registry, tmp_path, capsys):
    error = fetch(registry, "--from-file", tmp_path / "no.zip", "--yes", code=3, capsys=capsys)

    assert f"{tmp_path / 'no.zip'}: is not a file" in error


def test_a_single_file_is_fetched_as_well(tmp_path, site, cache):
    pytest.importorskip("onnxruntime")
    weights = factories.threshold_onnx(tmp_path / "b.onnx", 1.5)
    site.content = weights.read_bytes()
    where = {"file": "w/b.onnx", "sha256": factories.digest(weights), "url": f"{site.address}/b.onnx"}
    registry = factories.registry(tmp_path / "registry", factories.entry(id="remote", weights=where))

    fetch(registry)

    assert left(cache) == ["_locks/remote.json", "remote/w/b.onnx"]


def test_a_process_that_is_killed_leaves_only_the_part_from_which_the_next_goes_on(registry, site, cache):
    site.breaks, site.hold = [200_000], threading.Event()
    command = [sys.executable, "-m", "NativeDLLib", "models", "fetch", "remote", "--yes"]
    process = subprocess.Popen(command, env=os.environ | {"NATIVEDL_REGISTRY": str(registry)})
    part = cache / "_downloads" / "remote" / "download.part"
    wait_until(lambda: part.exists() and part.stat().st_size == 196_608, "all whole blocks")
    process.send_signal(signal.SIGKILL)
    process.wait()
    site.hold.set()
    site.hold = None

    assert left(cache) == ["_downloads/remote/download.part", "_downloads/remote/download.part.json"]
    (cache / "_downloads" / "remote" / ".partial-unpacked").mkdir()
    fetch(registry, "--yes")
    assert site.offsets[-1] == "bytes=196608-"
    assert not (cache / "_downloads" / "remote" / ".partial-unpacked").exists()
    assert verified_weights(model_of(registry))


def test_two_processes_do_not_fetch_the_same_model_at_once(registry, site, cache, capsys):
    site.breaks, site.hold = [200_000], threading.Event()
    codes = []
    first = threading.Thread(target=lambda: codes.append(nativedl("models", "fetch", "remote", "--yes")))
    os.environ["NATIVEDL_REGISTRY"] = str(registry)
    try:
        first.start()
        assert site.asked.wait(30)
        assert "another process fetches it; wait for that one" in fetch(registry, "--yes", code=2, capsys=capsys)
        assert nativedl("models", "remove", "remote") == 2
        site.hold.set()
        first.join(60)
    finally:
        del os.environ["NATIVEDL_REGISTRY"]

    assert codes == [0]
    assert site.offsets == [None, "bytes=196608-"]


def test_what_is_removed_is_gone_but_its_digest_is_remembered(registry, cache, capsys):
    fetch(registry, "--yes")

    assert nativedl("models", "remove", "remote", registry=registry) == 0
    assert left(cache) == ["_locks/remote.json"]
    assert nativedl("models", "remove", "remote", registry=registry) == 0

    assert "remote: there is nothing to remove" in capsys.readouterr().out
    fetch(registry)


@pytest.mark.parametrize("command", ["fetch", "remove"])
def test_a_bundled_model_is_neither_fetched_nor_removed(command, capsys):
    assert nativedl("models", command, "liver-ct-demo") == 2

    assert "liver-ct-demo: its weights are not downloaded; they belong to" in capsys.readouterr().err


def test_programs_get_events(registry, site, capsys):
    fetch(registry, "--yes", "--events")

    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [e["stage"] for e in events if e["event"] == "stage"] == ["download", "verify", "unpack", "check"]
    assert events[-1] | {"path": ""} == {
        "event": "result",
        "model": "remote",
        "path": "",
        "fetched": True,
        "sha256": digest_of(site.content),
    }
