"""The input of the pipeline, a DICOM series or an image file."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from NativeDLLib.core.arrays import Array
from NativeDLLib.core.progress import Progress
from NativeDLLib.source import Grid

if TYPE_CHECKING:
    import SimpleITK as sitk


class Source(Protocol):
    """One volume to be segmented, in place in the patient."""

    @property
    def grid(self) -> Grid:
        """Where its voxels lie."""

    @property
    def warnings(self) -> Sequence[str]:
        """Remarks that do not stand in the way."""

    def text(self, keyword: str) -> str:
        """Return a DICOM attribute as text; empty where the source does not tell it."""

    def image(self, progress: Progress | None = None) -> "tuple[sitk.Image, list[str]]":
        """Read the voxels, int16 or float32, and return what was noticed with them."""

    def image_of(self, voxels: Array) -> "sitk.Image":
        """Return an array (z, y, x) on the source's grid as an image."""
