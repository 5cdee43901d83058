"""A fit in several processes of this machine, which train one model together over gloo."""

import os
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import Any

import torch
from accelerate.state import AcceleratorState, GradientState
from torch import distributed, nn
from torch.multiprocessing.spawn import ProcessException, start_processes

from sequela.errors import RunError, SequelaError, SettingError
from sequela.files import temporary
from sequela.training.checkpoint import Checkpoint
from sequela.training.history import History

Fit = Callable[[Callable[[History], None]], History]
"""A call of ``fit`` that still needs ``on_epoch``, with a checkpoint."""

_KILLED = -9  # by SIGKILL, which Windows has no name for


def check_processes(count: int, batch_size: int, model: str, *, is_network: bool) -> None:
    """Check that this many processes can share each batch."""
    if count < 1:
        raise SettingError(f"--processes is {count}; expected 1 or more")
    if not is_network:
        raise SettingError(
            f"--processes is for networks, but {model} is a baseline model: leave it out"
        )
    if batch_size % count:
        raise SettingError(
            f"--processes {count} cannot share batches of {batch_size} equally: choose a divisor "
            f"of {batch_size}, or another --batch-size"
        )
    if count > 1 and (torch.cuda.is_available() or "fork" not in get_all_start_methods()):
        raise SettingError(
            "--processes is for processors of Linux and macOS: leave it out here; on several GPUs "
            "start your own script with torchrun"
        )


def fit_together(
    fit: Fit, count: int, model: nn.Module, checkpoint: Path, on_epoch: Callable[[History], None]
) -> History:
    """Call ``fit`` in forked processes, which share the memory of the data, and read its result."""
    reader, writer = get_context("fork").Pipe(duplex=False)
    with temporary() as folder:
        args = (fit, count, folder / "store", writer)
        context: Any = start_processes(_learn, args, count, join=False, start_method="fork")
        writer.close()
        try:
            with suppress(EOFError):
                while True:
                    message = reader.recv()
                    if isinstance(message, Exception):
                        raise message
                    on_epoch(message)
            while not context.join():
                pass
        except ProcessException as error:
            # The others fail when one is killed, and may be noticed first.
            if all(process.exitcode != _KILLED for process in context.processes):
                raise
            raise RunError(
                "a training process was killed, probably because memory was short: run the same "
                "command again with --resume and fewer --processes"
            ) from error
        finally:
            for process in context.processes:
                process.terminate()
                process.join()
    saved = Checkpoint.load(checkpoint)
    model.load_state_dict(saved.best)
    model.eval()
    return saved.history


def _learn(rank: int, fit: Fit, count: int, store: Path, writer: Any) -> None:
    numbers = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
    os.environ.update({name: str(number) for name, number in numbers.items()})
    os.environ |= {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    AcceleratorState._reset_state(reset_partial_state=True)  # noqa: SLF001 # of an earlier fit
    GradientState._reset_state()  # noqa: SLF001
    distributed.init_process_group("gloo", init_method=store.as_uri(), rank=rank, world_size=count)
    if rank:
        writer.close()  # so that the end of the first process is noticed
    try:
        fit(writer.send if rank == 0 else lambda _: None)
    except (SequelaError, OSError) as error:
        writer.send(error)
