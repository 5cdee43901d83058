"""A stand-in for a pool of processes."""

from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Executor, Future
from functools import partial
from typing import Any

import pytest

from sequela.runs import pool

Futures = set["Future[Any]"]


class InThisThread(Executor):
    """Runs jobs in this thread, one each time that somebody waits for them.

    To start another process takes longer than most jobs. Nor do threads stand in for it: training
    traces its memory, and ``tracemalloc.stop`` may crash other threads (python/cpython#128679).
    """

    def __init__(self) -> None:
        """Begin with no jobs."""
        self.jobs: deque[tuple[Future[Any], Callable[[], Any]]] = deque()

    def submit(self, job: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        """Keep a job for later."""
        future = Future[Any]()
        self.jobs.append((future, partial(job, *arguments, **options)))
        return future

    def wait(self, futures: Collection["Future[Any]"], **_: Any) -> tuple[Futures, Futures]:
        """Run the next job; return the future of it, and the others."""
        future, job = self.jobs.popleft()
        future.set_result(job())  # an error is raised here, not by the future
        return {future}, {*futures} - {future}


def run_in_this_thread(patch: pytest.MonkeyPatch) -> None:
    """Let studies train their runs without other processes."""

    def executor(*_: Any, **__: Any) -> InThisThread:
        in_this_thread = InThisThread()
        patch.setattr(pool, "wait", in_this_thread.wait)
        return in_this_thread

    patch.setattr(pool, "ProcessPoolExecutor", executor)
