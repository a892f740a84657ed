"""Adding a model in one call, for programs; the command ``nativedl models add`` asks a person in between."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from NativeDLLib.core.errors import UsageError
from NativeDLLib.models.add.draft import Draft, shown
from NativeDLLib.models.add.install import install, user_registry
from NativeDLLib.models.add.model_files import read_source
from NativeDLLib.models.add.questions import questions
from NativeDLLib.registry.entry import Model


def add_model(
    source: Path,
    answers: Mapping[str, Any],
    registry: Path | None = None,
    *,
    architecture: Path | None = None,
    replace: bool = False,
) -> Model:
    """Make a registry entry from a network and put it in force. `answers` are the fields of the entry that the files do
    not tell; `registry` is by default the user's own file; the other arguments as in `read_source` and `install`.
    ModelError or UsageError where the files are refused, a field is missing or wrong, or the network cannot be run.
    """
    draft = read_source(source, architecture=architecture)
    draft.merge(dict(answers), "answers")
    require_complete(draft)
    return install(draft, registry or user_registry(), replace=replace)


def require_complete(draft: Draft) -> None:
    """Raise UsageError with all missing fields, if there are any."""
    missing = [shown(question.place) for question in questions(draft)]
    if missing:
        raise UsageError(
            f"missing: {', '.join(missing)}",
            hint="answer on a terminal, or write what is missing to a file with --template FILE, complete it, and give "
            "it with --answers FILE",
        )
