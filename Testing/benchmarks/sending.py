"""Sending 300 CT slices to Orthanc on this computer, beside DCMTK's dcmsend and storescu; a fresh Orthanc each time."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial

from servers import LOOPBACK, Orthanc

from benchmarks.compare import Comparison, Result, Setting, in_turn
from benchmarks.inputs import phantom
from benchmarks.measure import Cost, run_process
from benchmarks.programs import debian, fresh, nativedl, task


def run(setting: Setting) -> Result:
    """Run the benchmark.

    Raises
    ------
    MissingError
        Where Orthanc is not there.
    """
    debian("/usr/sbin/Orthanc", "orthanc")
    result, folder = Result(), setting.folder / "runs" / "sending"
    slices = 40 if setting.quick else 300
    series = phantom(setting, slices).dicom

    def received(send: Callable[[Orthanc], Cost], _: int) -> Cost:
        # It leaves to the system when files reach the disk, or the disk would be all that is measured.
        with Orthanc(fresh(folder / "orthanc"), SyncStorageArea=False) as server:
            cost = send(server)
            assert server.count() == slices, f"Orthanc has {server.count()} of {slices} instances"
        return cost

    def command(server: Orthanc) -> Cost:
        pacs = fresh(folder / "ours") / "pacs.json"
        peer = {"name": "BENCH", "ae_title": server.ae_title, "host": LOOPBACK, "port": server.port}
        pacs.write_text(json.dumps({"peers": [peer]}))
        return nativedl("send", "BENCH", series, "--pacs", pacs, folder=folder / "ours")

    def sender(server: Orthanc) -> Cost:
        return task("send_nativedl", series, server.port, folder=folder)

    def dcmtk(name: str, *options: str) -> Callable[[Orthanc], Cost]:
        def send(server: Orthanc) -> Cost:
            program = debian(f"/usr/bin/{name}", "dcmtk")
            address = ["-aec", server.ae_title, *options, LOOPBACK, server.port]
            return run_process([program, *address, series], folder / f"{name}.log")

        return send

    # The sender alone has its turn among the others, so that it, too, is measured beside them.
    senders = {"dcmsend": dcmtk("dcmsend", "+sd"), "storescu": dcmtk("storescu", "+sd"), "sender": sender}
    peers = {name: partial(received, send) for name, send in senders.items()}
    own, theirs = in_turn(partial(received, command), peers, setting.runs, result)
    alone = theirs.pop("sender", None)
    for peer, costs in theirs.items():
        result.comparisons.append(Comparison(f"nativedl send, {slices} slices", peer, own, costs))
        if alone is not None:
            result.comparisons.append(Comparison(f"sender alone, {slices} slices", peer, alone, costs, time="seconds"))
    return result
