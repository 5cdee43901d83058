"""Queues of requests, each with a process that answers them and can be ended at any time."""

import asyncio
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sequela.web.answers import Answers, Job, Reply

Replies = list[Reply | None]
_TOGETHER = 1_000_000  # most bytes of requests that are answered together
_TOO_LARGE = 413
if sys.platform == "win32":
    _context = multiprocessing.get_context("spawn")
else:
    _context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([__name__, "onnxruntime"])


class Process:
    """A process with answers, which starts when it is needed."""

    def __init__(self, answers: Answers, memory: int) -> None:
        self._answers, self._memory = answers, memory
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection

    def exchange(self, jobs: Sequence[Job]) -> Replies:
        """Return the replies to requests; ``None`` for each if the process ends before."""
        try:
            # A process that was killed for its memory is replaced at the next request.
            if self._process is None or not self._process.is_alive():
                self._pipe, theirs = _context.Pipe()
                arguments = (theirs, self._answers, self._memory)
                process = _context.Process(target=_work, args=arguments, daemon=True)
                process.start()
                self._process = process
                theirs.close()
            self._pipe.send(jobs)
            replies: Replies = self._pipe.recv()
        except (EOFError, OSError):
            self.end()
            return [None for _ in jobs]
        return replies

    def end(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.join()


def _work(pipe: Connection, answers: Answers, memory: int) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):  # all processes may get them: the server ends it
        signal.signal(number, signal.SIG_IGN)
    if not answers.small and hasattr(os, "nice"):
        # The process for large requests leaves the processor to small ones.
        os.nice(5)
    with suppress(ImportError, OSError):  # where the system has no such limit
        import resource

        data = int(Path("/proc/self/statm").read_text("ascii").split()[5])
        # The limit comes on top of the process's own size, most of which is the model.
        most = data * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    with suppress(EOFError, OSError):  # the server has ended
        while True:
            pipe.send(answers.replies(pipe.recv()))


class Lane:
    """Sends waiting requests to a process, several at a time.

    Requests gather while the process works, so a busy server has large batches and a quiet one no
    delay. No waiting time has to be set. If nobody waits for the replies, the process is ended.

    Args:
        most: Most requests at a time.
        seconds: Most seconds of the process.
    """

    def __init__(self, process: Process, most: int, seconds: float | None) -> None:
        self._process, self._most, self._seconds = process, most, seconds
        self._waiting: asyncio.Queue[tuple[Job, asyncio.Future[Reply | None]]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._work: asyncio.Future[Replies]  # in a thread, which cannot be cancelled

    def __len__(self) -> int:
        return self._waiting.qsize()

    async def answer(self, job: Job) -> Reply | None:
        """Return the reply to a request; ``None`` if the process does not give one."""
        reply: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((job, reply))
        return await reply

    def start(self) -> None:
        """Start to process requests."""
        # An empty exchange starts the process, so that the first request does not wait for it.
        self._task = asyncio.create_task(self._run(self._exchange(())))

    async def stop(self) -> None:
        """Stop, and end the process."""
        if self._task is not None:
            self._task.cancel()
            self._process.end()
            await asyncio.gather(self._task, self._work, return_exceptions=True)
            self._process.end()  # it had just started

    def _exchange(self, jobs: Sequence[Job]) -> asyncio.Future[Replies]:
        self._work = asyncio.ensure_future(asyncio.to_thread(self._process.exchange, jobs))
        return asyncio.shield(self._work)

    async def _run(self, started: asyncio.Future[Replies]) -> None:
        await started
        while True:
            batch = [await self._waiting.get()]
            size = len(batch[0][0].body)
            while not self._waiting.empty() and len(batch) < self._most and size < _TOGETHER:
                batch.append(self._waiting.get_nowait())
                size += len(batch[-1][0].body)
            batch = [waiting for waiting in batch if not waiting[1].done()]  # others were cancelled
            if not batch:
                continue
            jobs, answers = zip(*batch, strict=True)
            work = self._exchange(jobs)
            awaited: asyncio.Future[Any] = asyncio.gather(*answers, return_exceptions=True)
            first: set[asyncio.Future[Any]] = {work, awaited}
            await asyncio.wait(first, timeout=self._seconds, return_when=asyncio.FIRST_COMPLETED)
            # Either the time is over, or all clients have gone: nobody would read the reply.
            if not work.done():
                self._process.end()
            for answer, reply in zip(answers, await work, strict=True):
                if not answer.done():
                    answer.set_result(reply)
                if reply is not None and reply.status == _TOO_LARGE:  # its memory is in pieces
                    self._process.end()
