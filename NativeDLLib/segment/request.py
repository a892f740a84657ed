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
    """Request for one segmentation."""

    where: Where
    destination: Destination  # folder of the result, and the peer to send to
    model: str = "auto"  # registry id or ``auto``
    machine: Machine = field(default_factory=Machine)
    # Layers over the entry's defaults: the origin of each, and its values.
    parameters: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    storage: Storage = field(default_factory=Storage)
