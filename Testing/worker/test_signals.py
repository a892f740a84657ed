"""Ctrl-C and SIGTERM end a process whatever its network does, and leave nothing behind."""

import json
import os
import signal
import subprocess
import threading

import factories
import onnx
import own_models
import pytest
from servers import wait_until
from tools import nativedl

from NativeDLLib.core.progress import Progress
from NativeDLLib.worker.processes import environment, python_command
from NativeDLLib.worker.signals import cancelled_by_signals

helper = onnx.helper
pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")


def endless(path):
    """Write a network that never returns: a loop of 2^62 rounds, each a copy."""
    kind, value = onnx.TensorProto, helper.make_tensor_value_info
    taken = [value("n", kind.INT64, []), value("c", kind.BOOL, []), value("v", kind.FLOAT, None)]
    same = [helper.make_node("Identity", ["c"], ["c2"]), helper.make_node("Identity", ["v"], ["v2"])]
    body = helper.make_graph(same, "body", taken, [value("c2", kind.BOOL, []), value("v2", kind.FLOAT, None)])
    nodes = [
        helper.make_node("Loop", ["rounds", "yes", "image"], ["looped"], body=body),
        helper.make_node("Concat", ["looped", "looped"], ["logits"], axis=1),
    ]
    rounds, yes = (
        helper.make_tensor("rounds", kind.INT64, [], [2**62]),
        helper.make_tensor("yes", kind.BOOL, [], [True]),
    )
    image, logits = (
        value(name, kind.FLOAT, ["n", size, "z", "y", "x"]) for name, size in (("image", 1), ("logits", 2))
    )
    graph = helper.make_graph(nodes, "endless", [image], [logits], [rounds, yes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


@pytest.fixture
def started(tmp_path):
    """Start a command on its own, until its stage of a name has begun."""
    running = []

    def start(stage, *arguments, **variables):
        process = subprocess.Popen(
            python_command(*arguments, "--events"), env=environment() | variables, cwd=tmp_path,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        for line in process.stdout:
            if json.loads(line) | {"event": "stage", "stage": stage} == json.loads(line):
                return process
        raise AssertionError(f"{stage} never began")

    yield start
    for process in running:
        with process:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_ends_a_run_whose_network_never_returns(tmp_path, started, series, number):
    network = endless(tmp_path / "endless.onnx")
    weights = {"file": network.name, "sha256": factories.digest(network)}
    registry = factories.registry(tmp_path, factories.entry(weights=weights))
    before = set(tmp_path.iterdir())
    process = started("infer", "run", "--input", series, "--output", tmp_path / "out", NATIVEDL_REGISTRY=str(registry))

    process.send_signal(number)
    said = [json.loads(line) for line in process.stdout]

    assert process.wait(30) == 6
    assert [row["message"] for row in said if row["event"] == "error"] == [
        "cancelled: nothing was written or sent after that moment"
    ]
    assert set(tmp_path.iterdir()) == before


def test_one_signal_ends_the_adding_of_a_network_that_never_returns(tmp_path, started):
    network, answers = endless(tmp_path / "endless.onnx"), tmp_path / "answers.json"
    answers.write_text(json.dumps(own_models.answers()))
    home = tmp_path / "home"
    home.mkdir()
    process = started("try", "models", "add", network, "--answers", answers, HOME=str(home))

    process.send_signal(signal.SIGTERM)

    assert process.wait(30) == 6
    assert not [path for path in home.rglob("*") if path.is_file()]


def test_closing_its_input_ends_a_command_whose_network_never_returns(tmp_path, started, series):
    network = endless(tmp_path / "endless.onnx")
    weights = {"file": network.name, "sha256": factories.digest(network)}
    registry = factories.registry(tmp_path, factories.entry(weights=weights))
    before = set(tmp_path.iterdir())
    arguments = ("run", "--input", series, "--output", tmp_path / "out", "--with-parent")
    process = started("infer", *arguments, NATIVEDL_REGISTRY=str(registry))

    process.stdin.close()

    assert process.wait(30) == 6
    assert set(tmp_path.iterdir()) == before


def test_handlers_are_put_back_and_no_thread_is_left(capsys):
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    threads = threading.active_count()

    assert nativedl("devices") == 0

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    assert threading.active_count() == threads
    assert signal.set_wakeup_fd(-1) == -1


def test_work_that_hears_the_wish_ends_in_its_own_way():
    progress = Progress()
    with cancelled_by_signals(progress):
        os.kill(os.getpid(), signal.SIGINT)
        wait_until(lambda: progress.is_cancelled, "the wish arrives")

    assert progress.is_cancelled
