"""Results as tables for a person."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from benchmarks.compare import Comparison, Cost, Quantity, Result

_COLUMNS = (
    "case", "peer", "ours s", "peer s", "ratio min", "median", "max", "cpu ratio", "ours MiB", "peer MiB", "ratio",
)  # fmt: skip


def show(name: str, result: Result) -> str:
    """Return all tables of a benchmark's result as text."""
    parts = [name]
    if result.comparisons:
        parts.append(aligned(_COLUMNS, [_row(comparison) for comparison in result.comparisons]))
    parts += [f"{title}\n{aligned(columns, rows)}" for title, columns, rows in result.tables]
    parts += [f"not compared: {reason}" for reason in result.missing]
    return "\n\n".join(parts) + "\n"


def aligned(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a table with aligned columns; numbers stand to the right."""
    cells = [list(columns), *([_text(value) for value in row] for row in rows)]
    widths = [max(len(row[index]) for row in cells) for index in range(len(columns))]
    right = [bool(rows) and all(isinstance(row[i], (int, float)) for row in rows) for i in range(len(columns))]
    lines = [
        "  ".join(
            cell.rjust(width) if end else cell.ljust(width) for cell, width, end in zip(row, widths, right, strict=True)
        )
        for row in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


def median(costs: Sequence[Cost], quantity: Quantity) -> float:
    """Return the median of what runs took."""
    return statistics.median(getattr(cost, quantity) for cost in costs)


def _row(comparison: Comparison) -> list[object]:
    time, memory = comparison.ratio(comparison.time), comparison.ratio("peak_mib")
    sides = (comparison.ours, comparison.theirs)
    return [
        comparison.case,
        comparison.peer,
        *(median(side, comparison.time) for side in sides),
        time.minimum,
        time.median,
        time.maximum,
        comparison.ratio("cpu_seconds").median,
        *(round(median(side, "peak_mib")) for side in sides),
        memory.median,
    ]


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"
    return str(value)
