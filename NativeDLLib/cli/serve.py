"""``nativedl serve``: models and predictions over HTTP, for programs on the hospital network."""

import argparse
import sys
from pathlib import Path
from typing import Any

import psutil

from NativeDLLib.cli.options import add_command, at_least
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.files import scratch
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.device import check_device, is_server

_OTHERS_MAY_READ = 0o077
# The least, the default and the unit of each.
_LIMITS = (
    ("jobs", 1, 1, "N", "predictions at a time (default 1)"),
    ("queue", 0, 8, "N", "that may wait (default 8)"),
    ("max-upload", 1, 1024, "MIB", "of one series (default 1024)"),
    ("max-parts", 1, 10_000, "N", "files of it (default 10000)"),
    ("max-memory", 1, None, "MIB", "of one prediction (default: its share of three quarters)"),
    ("timeout", 1, 3600, "S", "of one prediction (default 3600)"),
)


def add_commands(subparsers: Any) -> None:
    """Register the command."""
    parser = add_command(subparsers, "serve", run, "choose models and segment series over HTTP", __doc__)
    parser.add_argument("--host", default="127.0.0.1", metavar="ADDRESS", help="where to listen (default: loopback)")
    parser.add_argument("--port", type=int, default=8443, metavar="N", help="(default 8443; 0 for a free one)")
    parser.add_argument("--token-file", type=Path, metavar="FILE", help="the tokens of the clients, one a line")
    parser.add_argument("--cert", type=Path, metavar="FILE", help="certificate chain for TLS, PEM, with --key")
    parser.add_argument("--key", type=Path, metavar="FILE", help="its key, PEM, without a password")
    parser.add_argument("--device", default="auto", metavar="NAME", help="auto (default), cpu, cuda, cuda:N or mps")
    limits = parser.add_argument_group("limits")
    for name, least, default, metavar, about in _LIMITS:
        limits.add_argument(f"--{name}", type=at_least(least), default=default, metavar=metavar, help=about)


def run(args: argparse.Namespace, progress: Progress) -> None:
    """Serve until a signal comes."""
    try:
        from NativeDLLib.serve.limits import Settings, is_loopback, read_tokens
        from NativeDLLib.serve.server import check_certificate, listen, serve
    except ModuleNotFoundError as absent:
        raise UsageError(f"serve needs the package {absent.name}: pip install 'NativeDL[serve]'") from absent

    if is_server(check_device(args.device)):
        raise UsageError("--device: a server does not pass predictions on to another one")
    if (args.cert is None) != (args.key is None):
        raise UsageError("--cert and --key go together")
    if args.cert:
        check_certificate(args.cert, args.key)
    local = is_loopback(args.host)
    if not local and not (args.token_file and args.cert):
        raise UsageError(
            f"--host {args.host}: other computers can reach this, so give --token-file and --cert with --key; "
            "or listen on loopback, behind a proxy that has them"
        )
    tokens = read_tokens(args.token_file) if args.token_file else ()
    if args.token_file and sys.platform != "win32" and args.token_file.stat().st_mode & _OTHERS_MAY_READ:
        progress.warn(f"{args.token_file}: other users of this computer can read it (chmod 600)")
    share = psutil.virtual_memory().total * 3 // 4 // args.jobs
    with scratch("nativedl-serve-") as folder, listen(args.host, args.port) as listening:
        settings = Settings(
            folder=folder.resolve(),
            log=progress.show,
            device=args.device,
            jobs=args.jobs,
            queue=args.queue,
            max_upload=args.max_upload * 2**20,
            max_parts=args.max_parts,
            max_memory=args.max_memory * 2**20 if args.max_memory else share,
            certificate=args.cert,
            key=args.key,
            timeout=args.timeout,
            tokens=tokens,
            names=frozenset({"localhost", "127.0.0.1", "[::1]", args.host}) if local else frozenset(),
        )
        host = f"[{args.host}]" if ":" in args.host else args.host
        url = f"{'https' if args.cert else 'http'}://{host}:{listening.getsockname()[1]}"
        event = {"event": "listening", "url": url, "description": f"{url}/openapi.json"}
        serve(settings, listening, lambda: progress.show(event), progress)
