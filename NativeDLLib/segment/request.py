"""Request for one segmentation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from NativeDLLib.results.folder import Destination
from NativeDLLib.segment.machine import Machine
from NativeDLLib.source.where import Where

if TYPE_CHECKING:
    from NativeDLLib.dicom.seg import Kind


@dataclass(frozen=True)
class Request:
    """Request for one segmentation.

    Attributes
    ----------
    where
        Series or image to segment.
    destination
        Folder of the result, and the peer to send to.
    model
        Registry id or ``auto``.
    machine
        Device, memory and turn of the run.
    parameters
        Layers of parameters over the entry's defaults: the origin of each, and its values.
    kind
        BINARY or LABELMAP.
    keep_empty
        Whether to store a SEG in which nothing was found.
    structures
        Whether to write an RT Structure Set too, where something was found.
    """

    where: Where
    destination: Destination
    model: str = "auto"
    machine: Machine = field(default_factory=Machine)
    parameters: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    kind: Kind = "BINARY"
    keep_empty: bool = False
    structures: bool = False
