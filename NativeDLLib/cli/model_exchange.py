"""``nativedl models push``, ``pull`` and ``list --from``: models that live in the PACS."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from NativeDLLib.cli.models_add import add_answers, add_draft
from NativeDLLib.cli.options import add_command, add_pacs, peer_named
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.registry.load import pulled_registry
from NativeDLLib.registry.select import rank, select
from NativeDLLib.source import Series


def add_commands(commands: Any, listing: argparse.ArgumentParser) -> None:
    """Add ``push`` and ``pull`` to those of ``models``, and the peer to its ``list``."""
    listing.add_argument("--from", dest="source_peer", metavar="PEER", help="the models of this peer")
    add_pacs(listing)
    push = add_command(commands, "push", _push, "store a model on a PACS as a DICOM object")
    push.add_argument("id", metavar="ID")
    push.add_argument("--to", dest="target_peer", metavar="PEER", required=True)
    push.add_argument("--sign", type=Path, metavar="KEY", help="PEM file of an Ed25519 private key")
    add_pacs(push)
    about = "fetch and verify models from a PACS, to be used like bundled ones"
    pull = add_command(commands, "pull", _pull, about)
    pull.add_argument("ids", metavar="ID", nargs="*", help="models; without them all")
    pull.add_argument("--from", dest="source_peer", metavar="PEER", required=True)
    published = pull.add_argument_group("networks in the layout of IODeep's authors")
    published.add_argument("--published", metavar="UID", help="fetch this one instead, and add it with your answers")
    add_answers(published)
    pull.add_argument("--for", dest="images", nargs="+", type=Path, metavar="PATH", help="say which fits this series")
    pull.add_argument("--series", metavar="UID", help="with --for, where there is more than one")
    consent = "also those that are not signed, or by a key that is not in ~/.nativedl/trusted_keys"
    pull.add_argument("--accept-unsigned", action="store_true", help=consent)
    add_pacs(pull)


def list_of_peer(args: argparse.Namespace, progress: Progress) -> None:
    """List the models of a peer."""
    from NativeDLLib.models.iodeep.exchange import find_models

    progress.check()
    columns = ("id", "version", "modality", "body_part")
    rows = [
        {key: getattr(row, key) for key in columns} | {"series": row.series_uid, "here": row.is_here}
        for row in find_models(peer_named(args, args.source_peer))
    ]
    shown = [" ".join([f"{row[key]:<12}" for key in columns] + ["here" if row["here"] else "-"]) for row in rows]
    progress.result({"peer": args.source_peer, "models": rows}, *(shown or [f"{args.source_peer} has no model"]))


def _push(args: argparse.Namespace, progress: Progress) -> None:
    from NativeDLLib.models.iodeep.exchange import push

    uids = push(args.id, peer_named(args, args.target_peer), progress, signing_key=args.sign)
    done = f"stored as {len(uids)} instance(s) of the series {uids[0]}" if uids else "is there already"
    report = {"peer": args.target_peer, "model": args.id, "instances": uids}
    progress.result(report, f"{args.target_peer}: {args.id} {done}")


def _pull(args: argparse.Namespace, progress: Progress) -> None:
    from NativeDLLib.models.iodeep.exchange import pull

    if args.published:
        _pull_published(args, progress)
        return
    series = Series.read(args.images, args.series) if args.images else None
    modality = series.text("Modality") if series else None
    pulled = pull(peer_named(args, args.source_peer), args.ids, args.accept_unsigned, progress, modality=modality)
    rows = [
        {"id": row.model.id, "version": row.model.version, "signer": row.signer, "fetched": row.fetched}
        for row in pulled
    ]
    report: dict[str, Any] = {"peer": args.source_peer, "models": rows}
    if series:
        models = {row.model.id: row.model for row in pulled}
        best, reasons, notes = select(models, series)
        for note in notes:
            progress.warn(note)
        rest = [row for row in rank(models.values(), series) if row.model is not best]
        others = [{"id": row.model.id, "reason": "; ".join(row.reasons)} for row in rest]
        report["chosen"] = {"id": best.id, "reasons": reasons, "others": others}
    progress.result(report, *_lines(report))


def _pull_published(args: argparse.Namespace, progress: Progress) -> None:
    from NativeDLLib.models.iodeep.published import pulled_draft

    if args.ids or args.images:
        raise UsageError("models pull --published takes neither an ID nor --for")
    peer = peer_named(args, args.source_peer)
    with pulled_draft(peer, args.published, args.accept_unsigned, progress) as draft:
        add_draft(draft, pulled_registry(), args, progress)


def _lines(report: dict[str, Any]) -> Iterator[str]:
    for row in report["models"]:
        signer = f"signed by {row['signer']}" if row["signer"] else "accepted without a trusted signature"
        yield f"{row['id']} {row['version']}: {'verified' if row['fetched'] else 'was here'}, {signer}"
    if not report["models"]:
        yield f"{report['peer']} has no such model"
    if "chosen" in report:
        yield f"chosen: {report['chosen']['id']} ({'; '.join(report['chosen']['reasons'])})"
