"""Request for one segmentation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from NativeDLLib.results.folder import Destination
from NativeDLLib.source.where import Where
from NativeDLLib.tools.machine import Machine
from NativeDLLib.tools.tool import Storage


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
    storage
        How the result is stored.
    """

    where: Where
    destination: Destination
    model: str = "auto"
    machine: Machine = field(default_factory=Machine)
    parameters: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    storage: Storage = field(default_factory=Storage)
