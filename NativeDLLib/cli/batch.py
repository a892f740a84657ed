"""``nativedl batch``: many series, each in a process of its own; started again it goes on where it was ended."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from NativeDLLib.batch.cohort import Cohort, Wanted, from_database, from_folders, from_peer, volumes_of
from NativeDLLib.batch.run import Settings, run_batch
from NativeDLLib.batch.table import COLUMNS, from_csv
from NativeDLLib.cli.options import add_command, at_least, peer_named, target_of
from NativeDLLib.cli.pacs import add_study_filters, keys_of
from NativeDLLib.cli.run import add_options, given_options
from NativeDLLib.core.errors import CancelledError, CasesFailedError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.device import check_device, is_server
from NativeDLLib.registry import effective, find_model, load_models
from NativeDLLib.registry.weights import check_there

_SHOWN = 50


def add_commands(subparsers: Any) -> None:
    """Register the command."""
    parser = add_command(subparsers, "batch", run, "segment many series and store the results", __doc__)
    source = parser.add_argument_group("source (one of; --database or --from also say where the series of a --csv are)")
    source.add_argument("paths", nargs="*", type=Path, metavar="FOLDER", help="the same as --input FOLDER")
    source.add_argument("--input", nargs="+", type=Path, metavar="FOLDER", help="every image series below these")
    source.add_argument("--csv", type=Path, metavar="FILE", help=f"a table with columns {', '.join(COLUMNS)}")
    source.add_argument("--database", type=Path, metavar="FILE", help="Slicer's ctkDICOM.sql")
    source.add_argument("--from", dest="source_peer", metavar="PEER", help="what a peer finds")
    chosen = parser.add_argument_group("which series (default: every CT, MR and PT series)")
    chosen.add_argument("--modality", choices=["CT", "MR", "PT"], help="only those of this modality")
    chosen.add_argument("--description", metavar="PATTERN", help="only those whose description fits: '*portal*'")
    studies = parser.add_argument_group("which studies, with --from")
    add_study_filters(studies)
    studies.add_argument("--study", metavar="UID")
    add_options(parser)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="for cases and a manifest")
    parser.add_argument("--jobs", type=at_least(1), default=1, metavar="N", help="how many at once, on --device a,b")
    parser.add_argument("--no-overlap", action="store_true", help="saves memory: no case is read while a network runs")
    parser.add_argument("--every-volume", action="store_true", help="each volume is a case of its own; not with --from")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler whose workers see the same files")
    parser.add_argument("--retry-failed", action="store_true", help="try again what failed at an earlier start")
    parser.add_argument("--again", action="store_true", help="do every case anew and replace its result")


def run(args: argparse.Namespace, progress: Progress) -> None:
    """Find the cohort, do it, and say what became of it."""
    chosen = given_options(args)
    settings = _settings(args, chosen)
    with progress.stage("cohort"):
        cohort = _cohort(args, progress)
        if args.every_volume:
            cohort.cases = [part for case in cohort.cases for part in volumes_of(case, progress)]
    here = not args.scheduler and not all(map(is_server, str(chosen["device"]).split(",")))
    _check_models(cohort, chosen, here=here)
    if cohort.left_out:
        progress.warn(str(cohort))
    report = run_batch(cohort, settings, progress)
    progress.result(report, *_lines(report))
    counts = f"{report['done']} of {report['total']} cases are done"
    if report["cancelled"]:
        raise CancelledError(f"cancelled: {counts}", hint=f"the same command goes on with the other {report['left']}")
    if report["failed"]:
        raise CasesFailedError(f"{counts}, {len(report['failed'])} failed", hint="--retry-failed tries those again")


def _settings(args: argparse.Namespace, chosen: dict[str, Any]) -> Settings:
    devices = tuple(check_device(word) for word in str(chosen["device"]).split(","))
    if args.scheduler and (args.jobs > 1 or len(devices) > 1):
        raise UsageError("--jobs and several devices are for this machine; with --scheduler each worker does one case")
    peer = target_of(args)
    target = None if peer is None else peer.name
    # In plain words, so that a configuration file may change or be out of reach while the batch runs.
    values = {name: str(value) for _, layer in chosen["parameters"] for name, value in layer.items()}
    arguments = ["--model", chosen["model"], "--segmentation", chosen["kind"]]
    arguments += ["--device", devices[0]] if len(devices) == 1 else []
    arguments += [f"--max-memory={args.max_memory}"] if args.max_memory else []
    arguments += [f"--set={name}={value}" for name, value in values.items()]
    arguments += ["--keep-empty"] if chosen["keep_empty"] else []
    arguments += ["--to", target] if target else []
    arguments += [f"--volume={attribute}" for attribute in chosen["volume"]]
    pacs = ("--pacs", str(args.pacs.resolve())) if args.pacs else ()
    kept = {"model": chosen["model"], "parameters": values, "segmentation": chosen["kind"]}
    kept |= {"keep-empty": chosen["keep_empty"], "to": target, "volume": chosen["volume"] or None}
    return Settings(
        output=args.output.resolve(),
        arguments=(*arguments, *pacs),
        options=kept,
        send=(target, *pacs) if target else (),
        jobs=args.jobs,
        devices=devices if len(devices) > 1 else (),
        # A server has a queue of its own.
        overlap=not (args.no_overlap or any(map(is_server, devices))),
        scheduler=args.scheduler,
        again=args.again,
        retry_failed=args.retry_failed,
    )


def _cohort(args: argparse.Namespace, progress: Progress) -> Cohort:
    args.input = [*(args.input or ()), *args.paths]
    places = [name for name in ("database", "source_peer") if getattr(args, name)]
    others = [name for name in ("input", "csv") if getattr(args, name)]
    if len(others) > 1 or len(places) > 1 or not (others or places) or (args.input and places):
        raise UsageError("name one source", hint="give --input FOLDER..., --csv FILE, --database FILE, or --from PEER")
    keys, wanted = keys_of(args), Wanted(args.modality, args.description)
    if keys and (args.csv or not args.source_peer):
        raise UsageError("studies are chosen by patient, date, accession number or UID only with --from, without --csv")
    if args.csv and wanted != Wanted():
        raise UsageError("--modality and --description choose series, which a --csv has done already")
    if args.every_volume and args.source_peer:
        raise UsageError("a PACS does not tell the volumes of a series", hint="retrieve it, and use --input")
    if args.input:
        return from_folders(args.input, wanted, progress)
    if args.csv:
        place = ("--database", str(args.database.resolve())) if args.database else ("--from", args.source_peer)
        return from_csv(args.csv, place if places else ())
    if args.database:
        return from_database(args.database, wanted)
    return from_peer(peer_named(args, args.source_peer), keys, wanted, progress)


def _check_models(cohort: Cohort, chosen: dict[str, Any], *, here: bool) -> None:
    """Refuse at once what every case would fail with."""
    models = load_models()
    for name in {chosen["model"], *(case.model for case in cohort.cases if case.model)} - {"auto"}:
        effective(model := find_model(models, name), *chosen["parameters"])
        if here:
            check_there(model)


def _lines(report: dict[str, Any]) -> Iterator[str]:
    failed = report["failed"]
    states = f"{report['done']} done, {len(failed)} failed, {report['left']} left"
    yield f"{states} of {report['total']} cases ({report['seconds']:.0f} s)"
    yield from (f"  {row['case']}: {row['reason']}" for row in failed[:_SHOWN])
    if len(failed) > _SHOWN:
        yield f"  and {len(failed) - _SHOWN} more"
    yield f"manifest: {report['manifest']}"
