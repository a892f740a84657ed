"""No run speaks to anybody, whatever library it loads: the system ends a process that connects or sends."""

import os
import platform
import signal
import subprocess
import sys

import factories
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

# connect, sendto, sendmsg and sendmmsg of the system. A socket alone is no word: urllib3 makes one as it is imported.
_CALLS = {"x86_64": (42, 44, 46, 307), "aarch64": (203, 206, 211, 269)}.get(platform.machine(), ())
pytestmark = pytest.mark.skipif(sys.platform != "linux" or not _CALLS, reason="seccomp is Linux's")
# A filter of seccomp(2): it kills the process at these calls, also where C or C++ makes them.
GUARD = f"""
import ctypes, struct, sys
def rule(code, value, yes=0, no=0): return struct.pack("<HBBI", code, yes, no, value)
calls = {_CALLS}
rules = [rule(0x20, 0), *(rule(0x15, call, len(calls) - place) for place, call in enumerate(calls))]
rules += [rule(0x06, 0x7FFF0000), rule(0x06, 0x80000000)]
code = ctypes.create_string_buffer(b"".join(rules))
program = struct.pack("<H6xQ", len(rules), ctypes.addressof(code))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.c_char_p(program)) == 0
"""
RUN = "from NativeDLLib.cli.main import program; program()"


def guarded(code, *arguments, **variables):
    """Run Python code in a process that has no network, and return it ended."""
    command = [sys.executable, "-c", GUARD + code, *map(str, arguments)]
    return subprocess.run(command, env=os.environ | variables, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "code",
    [
        "import socket; socket.getaddrinfo('example.org', 80)",
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 9))",
        "libc.connect(libc.socket(2, 1, 0), b'x' * 16, 16)",
        "import threading; t = threading.Thread(target=libc.connect, args=(0, b'x', 1)); t.start(); t.join()",
    ],
)
def test_a_process_that_connects_or_sends_is_ended(code):
    assert guarded(code).returncode == -signal.SIGSYS


def onnx(folder):
    path = factories.threshold_onnx(folder / "network.onnx", 150.0)
    return factories.entry(weights={"file": path.name, "sha256": factories.digest(path)})


def pt2(folder):
    path = factories.threshold_pt2(folder / "network.pt2", 150.0)
    return factories.entry(runtime="torch", weights={"file": path.name, "sha256": factories.digest(path)})


def described(folder):
    state = factories.threshold_module(150.0).state_dict()
    torch.save({f"layers.0.{name}": value for name, value in state.items()}, folder / "network.pth")
    layer = {"type": "convolution", "filters": 2, "kernel_size": 1}
    description = {"schema_version": "1.0", "input_shape": [1, 16, 16, 16], "architecture": [layer]}
    weights = {"file": "network.pth", "sha256": factories.digest(folder / "network.pth")}
    return factories.entry(runtime="torch", architecture=description, weights=weights)


def nnunet(folder):
    pytest.importorskip("nnunetv2")
    import nnunet_folder  # imports nnunetv2

    nnunet_folder.write(folder / "results")
    row = factories.entry(
        runtime="nnunetv2", weights={"folder": "results"},
        input={"modality": "CT", "orientation": "LPS", "channels": [{"name": "CT"}]},
        sliding_window={}, postprocessing=[], parameters=[],
    )  # fmt: skip
    row["output"].pop("channels")
    return row


@pytest.mark.parametrize("make", [onnx, pt2, described, nnunet])
def test_no_runtime_speaks_to_anybody_or_leaves_anything_in_the_home_folder(tmp_path, series, make):
    (tmp_path / "models").mkdir()
    registry = factories.registry(tmp_path / "models", make(tmp_path / "models"))
    home = tmp_path / "home"
    home.mkdir()
    arguments = ("run", "--input", series, "--model", "bright", "--output", tmp_path / "out", "--keep-empty")

    ended = guarded(RUN, *arguments, HOME=str(home), TMPDIR=str(home), NATIVEDL_REGISTRY=str(registry))

    assert ended.returncode == 0, ended.stderr
    assert {path.name for path in home.iterdir()} <= {".nativedl", ".config", ".cache"}
    assert not (home / ".cache" / "Microsoft").exists()
