"""Options that several commands share, and configuration files that people save some of them in."""

import argparse
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from NativeDLLib.core.errors import UsageError
from NativeDLLib.core.jsonfile import read_json
from NativeDLLib.pacs.peers import Peer, find_peer, load_peers

if TYPE_CHECKING:
    from NativeDLLib.source.where import Where

_PLACES: dict[str, dict[str, Any]] = {
    "--input": {"metavar": "PATH", "nargs": "+", "type": Path, "help": "files and folders, searched at any depth"},
    "--files": {"metavar": "LIST", "type": Path, "help": "a text file that names the files, one a line"},
    "--image": {"metavar": "FILE", "type": Path, "help": "a volume in NRRD, NIfTI or MetaImage, with --model"},
    "--database": {"metavar": "FILE", "type": Path, "help": "Slicer's ctkDICOM.sql"},
    "--from": {"metavar": "PEER", "dest": "source_peer", "help": "a peer, with --study and --series"},
}
_CONFIGURATION = {"model": str, "device": str, "segmentation": str, "parameters": dict, "volume": list}
_KINDS = {str: "text", dict: "an object", list: "a list"}


def add_command(subparsers: Any, name: str, run: Callable[..., int | None], about: str, description: str = "") -> Any:
    """Add a command and return its parser; `run` ends with nothing, or with an exit code other than 0."""
    parser = subparsers.add_parser(name, help=about, description=description or about)
    parser.set_defaults(run=run)
    return parser


def add_source(parser: argparse.ArgumentParser, series: str, *, image: bool = False) -> None:
    """Add the options that say where a series is; `source_of` reads them. The command also has ``--pacs``. `series` is
    the help of ``--series``; `image` lets it take an image file too.
    """
    group = parser.add_argument_group("source (one of)")
    places = {name: settings for name, settings in _PLACES.items() if image or name != "--image"}
    group.add_argument("paths", metavar="PATH", nargs="*", type=Path, help="the same as --input PATH")
    for name, settings in places.items():
        group.add_argument(name, **settings)
    parser.add_argument("--study", metavar="UID", help="Study Instance UID, with --from")
    parser.add_argument("--series", metavar="UID", help=series)
    if image:
        parser.add_argument("--modality", choices=["CT", "MR", "PT"], help="of --image (default: that of the model)")
    volume = "the volume of a series that is several, as in AcquisitionNumber=2; again for a second attribute"
    parser.add_argument("--volume", action="append", default=[], metavar="KEY=VALUE", help=volume)
    parser.set_defaults(image=None, modality=None)


def source_of(args: argparse.Namespace) -> "Where":
    """Place of the series in the options of `add_source`; an error where not exactly one is there."""
    # Commands that have no images need not wait for the libraries that read them.
    from NativeDLLib.source.where import Where

    where = Where(
        inputs=(*(args.input or ()), *args.paths),
        file_list=args.files,
        image=args.image,
        database=args.database,
        peer=peer_named(args, args.source_peer) if args.source_peer else None,
        study=args.study,
        series=args.series,
        modality=args.modality,
        volume=tuple(args.volume),
    )
    where.check()
    return where


def add_output(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the folder of a result."""
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help=f"folder for {what}")
    parser.add_argument("--overwrite", action="store_true", help=f"replace {what} in --output")


def add_peer(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the peer that a result is sent to."""
    parser.add_argument("--to", dest="target_peer", metavar="PEER", help=f"send {what} to this peer")
    add_pacs(parser)


def add_pacs(parser: argparse.ArgumentParser) -> None:
    """Add the file of the peers."""
    parser.add_argument("--pacs", type=Path, metavar="FILE", help="the peers, instead of ~/.nativedl/pacs.json")


def peer_named(args: argparse.Namespace, name: str) -> Peer:
    """Return the peer of that name; raise a `UsageError` where there is none."""
    return find_peer(load_peers(args.pacs), name)


def target_of(args: argparse.Namespace) -> Peer | None:
    """Return the peer that `add_peer` asks for."""
    return peer_named(args, args.target_peer) if args.target_peer else None


def add_kind(parser: argparse.ArgumentParser) -> None:
    """Add the kind of the DICOM SEG; None where nothing is given."""
    parser.add_argument("--segmentation", choices=["BINARY", "LABELMAP"], help="kind of DICOM SEG (default BINARY)")


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add the DICOM objects of a segmentation."""
    help_text = "DICOM objects to write: seg (default), or seg,rtstruct for an RT Structure Set too"
    parser.add_argument("--format", choices=["seg", "seg,rtstruct"], default="seg", help=help_text)


def at_least(least: float, kind: type[float] = int) -> Callable[[str], float]:
    """Return the `type` of an argument that is a number of at least that."""

    def number(text: str) -> float:
        value = kind(text)
        # So that NaN is none.
        if not value >= least:
            raise argparse.ArgumentTypeError(f"{text}: at least {least}")
        return value

    return number


def read_configuration(path: Path) -> dict[str, Any]:
    """Content of a configuration file; UsageError where anything in it is unknown or of the wrong kind."""
    data = read_json(path, UsageError)
    if not isinstance(data, dict):
        raise UsageError(f"{path}: must be an object with {', '.join(_CONFIGURATION)}")
    for key, value in data.items():
        if key not in _CONFIGURATION:
            raise UsageError(f"{path}: '{key[:64]}' is not known; there are {', '.join(_CONFIGURATION)}")
        if not isinstance(value, _CONFIGURATION[key]):
            raise UsageError(f"{path}: {key}: must be {_KINDS[_CONFIGURATION[key]]}")
    return data


def read_configuration_for(
    path: Path, models: Sequence[Mapping[str, Any]], current: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Content of a configuration file for one of the models that ``inspect`` reported, `current` where it names none.
    UsageError where it is wrong, or asks for a value that the model does not take.
    """
    # The panel is loaded where nothing that the registry needs is installed yet.
    from NativeDLLib.registry.entry import Parameter
    from NativeDLLib.registry.parameters import checked_layer

    data = read_configuration(path)
    if not models:
        return data
    data = {"model": current["id"] if current else ""} | data
    model = next((model for model in models if model["id"] == data["model"]), None)
    if model is None:
        ids = ", ".join(model["id"] for model in models)
        raise UsageError(f"{path}: model '{data['model'][:64]}' is not in the registry; there are {ids}")
    if "parameters" in data:
        parameters = [Parameter(**parameter) for parameter in model["parameters"]]
        data["parameters"] = checked_layer(model["id"], parameters, str(path), data["parameters"])
    return data
