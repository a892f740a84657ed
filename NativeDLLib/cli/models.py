"""``nativedl models``: what the registry holds, whether a registry file is right, and which model fits a series."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from NativeDLLib.cli import models_add
from NativeDLLib.cli.options import add_command, add_pacs, peer_named
from NativeDLLib.cli.show_progress import write_line
from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.places import kept, resources_folder
from NativeDLLib.core.progress import Progress
from NativeDLLib.models.add.install import take_back
from NativeDLLib.models.fetch.fetch import fetch
from NativeDLLib.registry import Model, find_model, load_models, load_registry, rank, select
from NativeDLLib.registry.load import pulled_registry
from NativeDLLib.registry.weights import to_be_fetched, verified_weights
from NativeDLLib.source import Series


def add_commands(subparsers: Any) -> None:
    """Register the command and its own."""
    parser = add_command(subparsers, "models", _list, "list, show and check models", __doc__)
    commands = parser.add_subparsers(metavar="COMMAND")
    listing = add_command(commands, "list", _list, "list the models in force (default), or those of a peer")
    _add_exchange(commands, listing)
    models_add.add_commands(commands)
    show = add_command(commands, "show", _show, "show one model")
    show.add_argument("id", metavar="ID")
    check = add_command(commands, "check", _check, "check a registry file and the weights it names")
    check.add_argument("file", type=Path, metavar="FILE")
    fetching = add_command(commands, "fetch", _fetch, "download, check and keep the weights of a model")
    fetching.add_argument("id", metavar="ID")
    fetching.add_argument("--from-file", type=Path, metavar="FILE", help="what is at its URL, brought here by hand")
    fetching.add_argument("--yes", action="store_true", help="agree to record the SHA-256 where none is known yet")
    removing = add_command(commands, "remove", _remove, "take back what add, pull or fetch brought of a model")
    removing.add_argument("id", metavar="ID")
    removing.add_argument("--forget", action="store_true", help="also the recorded SHA-256: another may come next")
    fit = add_command(commands, "fit", _fit, "rank the models for a series, with reasons")
    fit.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="the same as --input PATH")
    fit.add_argument("--input", nargs="+", type=Path, default=[], metavar="PATH", help="files and folders")
    fit.add_argument("--series", metavar="UID")


def _list(args: argparse.Namespace, progress: Progress) -> None:
    if getattr(args, "source_peer", None):
        _list_of_peer(args, progress)
        return
    rows, lines = [_summary(model) for model in load_models().values()], []
    width = max((len(row["id"]) for row in rows), default=0)
    for row in rows:
        told = f"{row['id']:<{width}}  {row['version']:<8} {row['modality']:<3} {row['runtime']:<9} {row['title']}"
        lines.append(f"{told}  ({row['origin']}{', to be fetched' if row['to_be_fetched'] else ''})")
    progress.result({"models": rows}, *lines)


def _show(args: argparse.Namespace, progress: Progress) -> None:
    model = find_model(load_models(), args.id)
    shown = json.dumps(model.data, indent=2).splitlines()
    progress.result({"registry": str(model.registry), "model": dict(model.data)}, *shown)


def _check(args: argparse.Namespace, progress: Progress) -> None:
    models = load_registry(args.file)
    # Weights that are still to be fetched are no fault of the file.
    states = {m.id: "to be fetched" if to_be_fetched(m) else f"weights {verified_weights(m)[1][:12]}" for m in models}
    rows = (f"{model_id}: right ({state})" for model_id, state in states.items())
    report = {"file": str(args.file), "models": states}
    progress.result(report, *rows, f"{args.file}: {len(models)} model(s), no errors")


def _fit(args: argparse.Namespace, progress: Progress) -> None:
    if not (files := [*args.input, *args.paths]):
        raise UsageError("name the files of a series", hint="nativedl models fit PATH")
    series = Series.read(files, args.series)
    ranking = rank(load_models().values(), series)
    rows = (f"{c.model.id}: {'fits' if c.fits else 'does not fit'}: {'; '.join(c.reasons)}" for c in ranking)
    progress.result({"series": series.uid, "ranking": [candidate.as_json() for candidate in ranking]}, *rows)


def _summary(model: Model) -> dict[str, Any]:
    told = {key: getattr(model, key) for key in ("id", "version", "title", "runtime")}
    known = {pulled_registry(): "pulled", kept("registry.json"): "yours"}
    known[resources_folder() / "registry.json"] = "bundled"
    place = {"registry": str(model.registry), "origin": known.get(model.registry, str(model.registry))}
    return {**told, "modality": model.input.modality, "to_be_fetched": to_be_fetched(model), **place}


def _fetch(args: argparse.Namespace, progress: Progress) -> None:
    model = find_model(load_models(), args.id)
    path, fetched = fetch(model, args.from_file, lambda question: args.yes or _asked(question, args), progress)
    digest = fetched.sha256 if fetched else None
    report = {"model": model.id, "path": str(path), "fetched": fetched is not None, "sha256": digest}
    progress.result(report, f"{model.id}: {f'fetched, SHA-256 {digest}' if fetched else 'is here already, and right'}")


def _remove(args: argparse.Namespace, progress: Progress) -> None:
    model = find_model(load_models(), args.id)
    removed = take_back(model, args.forget)
    told = f"removed: {', '.join(removed)}" if removed else "there is nothing to remove"
    progress.result({"model": model.id, "removed": removed}, f"{model.id}: {told}")


def _asked(question: str, args: argparse.Namespace) -> bool:
    if args.events or not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody is there to answer", hint="if you agree, add --yes")
    write_line(sys.stderr, f"{question} [y/N]")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _add_exchange(commands: Any, listing: argparse.ArgumentParser) -> None:
    """Add ``push`` and ``pull`` to those of ``models``, and the peer to its ``list``."""
    listing.add_argument("--from", dest="source_peer", metavar="PEER", help="the models of this peer")
    add_pacs(listing)
    push = add_command(commands, "push", _push, "store a model on a PACS as a DICOM object")
    push.add_argument("id", metavar="ID")
    push.add_argument("--to", dest="target_peer", metavar="PEER", required=True)
    push.add_argument("--sign", type=Path, metavar="KEY", help="PEM file of an Ed25519 private key")
    add_pacs(push)
    pull = add_command(commands, "pull", _pull, "fetch and verify models from a PACS, to be used like bundled ones")
    pull.add_argument("ids", metavar="ID", nargs="*", help="models; without them all")
    pull.add_argument("--from", dest="source_peer", metavar="PEER", required=True)
    published = pull.add_argument_group("networks in the layout of IODeep's authors")
    published.add_argument("--published", metavar="UID", help="fetch this one instead, and add it with your answers")
    models_add.add_answers(published)
    pull.add_argument("--for", dest="images", nargs="+", type=Path, metavar="PATH", help="say which fits this series")
    pull.add_argument("--series", metavar="UID", help="with --for, where there is more than one")
    consent = "also those that are not signed, or by a key that is not in ~/.nativedl/trusted_keys"
    pull.add_argument("--accept-unsigned", action="store_true", help=consent)
    add_pacs(pull)


def _list_of_peer(args: argparse.Namespace, progress: Progress) -> None:
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
    progress.result(report, *_pulled_lines(report))


def _pull_published(args: argparse.Namespace, progress: Progress) -> None:
    from NativeDLLib.models.iodeep.published import pulled_draft

    if args.ids or args.images:
        raise UsageError("models pull --published takes neither an ID nor --for")
    peer = peer_named(args, args.source_peer)
    with pulled_draft(peer, args.published, args.accept_unsigned, progress) as draft:
        models_add.add_draft(draft, pulled_registry(), args, progress)


def _pulled_lines(report: dict[str, Any]) -> Iterator[str]:
    for row in report["models"]:
        signer = f"signed by {row['signer']}" if row["signer"] else "accepted without a trusted signature"
        yield f"{row['id']} {row['version']}: {'verified' if row['fetched'] else 'was here'}, {signer}"
    if not report["models"]:
        yield f"{report['peer']} has no such model"
    if "chosen" in report:
        yield f"chosen: {report['chosen']['id']} ({'; '.join(report['chosen']['reasons'])})"
