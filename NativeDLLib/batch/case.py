"""The cases of a batch, and the parts of a source that are none."""

from collections import Counter
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

_MODALITIES = ("CT", "MR", "PT")


@dataclass(frozen=True)
class Case:
    """One series to segment."""

    name: str  # folder name of its result; unique in the cohort, and without patient data
    source: tuple[str, ...]  # arguments of ``nativedl run`` that name the series
    model: str | None = None  # registry id or ``auto``, where it is not that of the batch
    files: tuple[str, ...] = ()  # files for ``--files`` besides `source`; a command line would be too short for them


@dataclass
class Cohort:
    """The cases, and how many of what else was found and left out."""

    cases: list[Case] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        counted = [f"{count} {what}" for what, count in sorted(self.left_out.items())]
        return f"{len(self.cases)} cases" + (f"; left out: {', '.join(counted)}" if counted else "")


@dataclass(frozen=True)
class Wanted:
    """Filter of the series that are cases. ``modality`` is one, or None for CT, MR and PT; ``description`` is a pattern
    of the Series Description with ``*`` and ``?``, in any case of letters.
    """

    modality: str | None = None
    description: str | None = None

    def unfit(self, modality: str, description: str) -> str | None:
        """Heading under which a left-out series is counted, None for a case."""
        if modality not in ((self.modality,) if self.modality else _MODALITIES):
            return f"{modality or 'unknown'} series"
        if self.description is not None and not fnmatchcase(description.lower(), self.description.lower()):
            return "series of another description"
        return None
