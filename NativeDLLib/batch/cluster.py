"""Doing the cases on the workers of a Dask scheduler (https://distributed.dask.org), one case a worker at a time."""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from NativeDLLib.batch.manifest import CANCELLED, FAILED
from NativeDLLib.batch.work import Happening, Outcome, Task, perform
from NativeDLLib.core.errors import NativeDLError, UsageError
from NativeDLLib.core.progress import Progress
from NativeDLLib.inference.network import require

_CONNECT_S, _POLL_S, _LOOK_S = 10, 0.1, 1.0
_ATTEMPTS = 3


def run_on_dask(tasks: Sequence[Task], address: str, output: str, progress: Progress) -> Iterator[Happening]:
    """Outcomes of tasks on the workers of a Dask scheduler (``tcp://host:8786``), also on those that come later; each
    has one task at a time, and where it dies another one gets it, three times at most. They reach `output`, the folder
    of the batch, and the series under the same paths. UsageError where a package is missing here or there.
    """
    client = _connect(address)
    try:
        _end_jobs(client, output)
        yield from _Round(client, address, tasks, progress).run(progress)
        if progress.is_cancelled:
            _end_jobs(client, output)
    # The connection may break at any call, also while an outcome is fetched.
    except OSError as error:
        raise _gone(address) from error
    finally:
        client.close(timeout=2)


class _Round:
    def __init__(self, client: Any, address: str, tasks: Sequence[Task], progress: Progress) -> None:
        self._client, self._address, self._progress = client, address, progress
        self._waiting = deque(tasks)
        self._running: dict[str, tuple[Task, Any]] = {}
        self._attempts: Counter[str] = Counter()
        self._looked_at = 0.0
        self._workers: set[str] = set()

    def run(self, progress: Progress) -> Iterator[Happening]:
        while (self._waiting or self._running) and not progress.is_cancelled:
            self._look()
            for worker in sorted(self._workers - self._running.keys()):
                if self._waiting:
                    yield self._start(self._waiting.popleft(), worker)
            for worker, (task, future) in list(self._running.items()):
                if future.done() or worker not in self._workers:
                    del self._running[worker]
                    yield from self._finish(task, worker, future)
            time.sleep(_POLL_S)
        for worker, (task, future) in self._running.items():
            future.cancel()
            yield Happening(task.name, worker, Outcome(CANCELLED, {"reason": "cancelled"}))

    def _start(self, task: Task, worker: str) -> Happening:
        self._attempts[task.name] += 1
        # The key is new each time: what became of an earlier attempt is of no interest any more.
        options = {"workers": [worker], "allow_other_workers": False, "pure": False, "retries": 0}
        future = self._client.submit(_DO, asdict(task), **options)
        self._running[worker] = (task, future)
        return Happening(task.name, worker)

    def _finish(self, task: Task, worker: str, future: Any) -> Iterator[Happening]:
        if future.status == "finished":
            outcome = Outcome(*future.result())
        elif future.status == "error" and worker in self._workers:
            error = future.exception()
            if isinstance(error, ImportError):
                raise _not_installed(error)
            outcome = Outcome(FAILED, {"code": 1, "reason": f"worker {worker}: {_line(error)}"})
        elif self._attempts[task.name] < _ATTEMPTS:
            future.cancel()
            self._look(now=True)
            self._waiting.appendleft(task)
            return
        else:
            reason = f"the worker died over this case {_ATTEMPTS} time(s), perhaps because memory ran out"
            outcome = Outcome(FAILED, {"code": 1, "reason": reason})
        yield Happening(task.name, worker, outcome)

    def _look(self, *, now: bool = False) -> None:
        """See which workers there are."""
        # What a client that lost its connection had submitted is forgotten, even if it finds the scheduler again.
        if self._client.status != "running":
            raise _gone(self._address)
        if not now and time.monotonic() - self._looked_at < _LOOK_S:
            return
        try:
            self._workers = set(self._client.nthreads())
        # It may be a closed connection, a time-out or whatever else the library meets on the way.
        except Exception as error:
            raise _gone(self._address) from error
        self._looked_at = time.monotonic()
        if not self._workers:
            self._progress.warn(f"{self._address}: the Dask scheduler has no workers; waiting for some")


def perform_on_worker(task: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Do a task in a worker process, as long as that one is part of the cluster; everything is plain JSON values."""
    from distributed import get_worker

    worker = get_worker()
    outcome = perform(Task(**task), lambda: worker.status.name != "running")
    return outcome.state, outcome.facts


def _by_value() -> tuple[Callable[..., Any], Callable[..., None]]:
    """Functions for the workers that Dask sends with their code. A function sent by name has to be importable on the
    scheduler too, which needs none of this program.
    """

    def do(task: dict[str, Any]) -> Any:
        from NativeDLLib.batch.cluster import perform_on_worker

        return perform_on_worker(task)

    def end(output: str) -> None:
        from NativeDLLib.batch.work import end_jobs

        end_jobs(output)

    return do, end


def _connect(address: str) -> Any:
    distributed = require("distributed", "dask", "a Dask scheduler", UsageError)
    for name in ("distributed", "distributed.client", "distributed.core", "tornado.application"):
        # What matters of it is told in one line of ours.
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        return distributed.Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise UsageError(f"{address}: no Dask scheduler answers there ({_line(error)})") from error


def _end_jobs(client: Any, output: str) -> None:
    """End what a batch that was killed, or is cancelled, left running on the workers."""
    try:
        client.run(_END, output)
    except ImportError as error:
        raise _not_installed(error) from error
    # A worker may die or the scheduler go at this very moment; whoever needs them next will say so.
    except Exception as error:
        logging.getLogger(__name__).info("jobs on workers: %s", _line(error))


def _gone(address: str) -> NativeDLError:
    return NativeDLError(f"{address}: the Dask scheduler is gone; start the same command again when it is back")


def _not_installed(error: Exception) -> UsageError:
    return UsageError(f"the Dask workers lack this program or a part of it; install it there ({_line(error)})")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


_DO, _END = _by_value()
