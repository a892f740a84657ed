"""Main memory of this process: how much it has, and how much is left."""

import contextlib
import math
from pathlib import Path

import psutil

from NativeDLLib.core.errors import InputError

MIB = 2**20
_PROCESS = psutil.Process()
# By the name of the controller in /proc/self/cgroup: folder, limit, what is used, and what of that is only a cache.
_CGROUPS = {
    "": ("", "memory.max", "memory.current", "inactive_file"),
    "memory": ("memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}


def resident() -> int:
    """Return the bytes of memory that this process has."""
    return int(_PROCESS.memory_info().rss)


def available() -> int:
    """Return how many more bytes this process can have: what the computer, or its control group on Linux, has left."""
    return int(min(psutil.virtual_memory().available, left_in_groups()))


def left_in_groups(groups: Path = Path("/proc/self/cgroup"), mounted: Path = Path("/sys/fs/cgroup")) -> float:
    """Bytes that the control groups of this process, version 1 or 2, have left; infinity without a limit. `groups`
    lists the groups of the process, and each is a folder below `mounted`.
    """
    left = math.inf
    # Without such files there is no limit, and a line in another form is none of a group that we know.
    with contextlib.suppress(OSError, ValueError):
        for line in groups.read_text().splitlines():
            _, controller, path = line.split(":", 2)
            # Controllers of version 1 may share a hierarchy.
            for name, *files in [_CGROUPS[one] for one in controller.split(",") if one in _CGROUPS]:
                group = Path(path.strip("/"))
                # Those above limit it, too. Inside a container only the outermost may be there.
                left = min(left, *(_left(mounted / name / each, *files) for each in (group, *group.parents)))
    return left


def _left(folder: Path, most: str, used: str, cache: str) -> float:
    with contextlib.suppress(OSError, ValueError, KeyError):
        statistics = dict(line.split(" ", 1) for line in (folder / "memory.stat").read_text().splitlines())
        return max(0, int((folder / most).read_text()) - int((folder / used).read_text()) + int(statistics[cache]))
    return math.inf


def too_much(what: str, limit: int) -> InputError:
    """Return the error of `what`, which ends with a number of MiB, where that exceeds the `limit` in bytes."""
    return InputError(
        f"{what} MiB of memory, more than the allowed {limit // MIB} MiB; take a model with larger voxels or a "
        "computer with more memory",
        hint="or allow it more with --max-memory",
    )
