"""Pictures of a trained model's findings in images without known labels, for its card."""

from pathlib import Path

from NativeDLLib.core.files import atomic_path
from NativeDLLib.core.progress import Progress
from NativeDLLib.registry import effective
from NativeDLLib.registry.entry import Model
from NativeDLLib.segment.pipeline import run_pipeline
from NativeDLLib.source import Series
from NativeDLLib.tools.machine import Machine
from NativeDLLib.training.config import Config
from NativeDLLib.volumes.preview import write_preview


def pictures_of(config: Config) -> dict[str, str]:
    """File names of a training's pictures, and the title of each."""
    rows = config.rows("pictures")
    return {f"{config.model.id}-{number}.png": row["name"] for number, row in enumerate(rows, 1)}


def take_pictures(model: Model, config: Config, device: str, folder: Path, progress: Progress) -> None:
    """Segment the series of the configuration's ``pictures`` and write a preview of each into a folder."""
    for row, name in zip(config.rows("pictures"), pictures_of(config), strict=True):
        series = Series.read([config.file(row["series"])], row.get("uid"))
        result = run_pipeline(model, series, effective(model), Machine(device), Progress(progress))
        with atomic_path(folder / name) as temporary:
            is_ct = series.text("Modality") == "CT"
            write_preview(temporary, result.image, result.labels, result.segments, is_ct=is_ct)
