"""A graph in a separate process, which ends at once when it is interrupted or needs too much.

ONNX Runtime computes without looking at signals. Here the main process waits for the answer, so
Ctrl-C and SIGTERM work, and a fault of the graph is an error and not the end of the program.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from threading import Lock, Thread
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import numpy as safetensors

MOST_BYTES = 8_000_000_000
"""The memory of the process, in bytes."""
_COMMAND = "from sequela.serving.isolated import work; work()"


class GraphError(Exception):
    """ONNX Runtime refused a graph in its process, or the process ended."""


class IsolatedSession:
    """An ``InferenceSession`` in another process: the part of its interface that is used here."""

    def __init__(self, model: bytes, threads: int = 1) -> None:
        self._lock = Lock()
        ours, theirs = socket.socketpair()
        with ours, theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this Python
                [sys.executable, "-P", "-c", _COMMAND, str(theirs.fileno()), str(threads)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
            self._link = Connection(os.dup(ours.fileno()))
        self._end = weakref.finalize(self, _ended, self._process)
        self._about = json.loads(self._answer(model))

    def get_inputs(self) -> list[SimpleNamespace]:
        """Return name, type and shape of each input."""
        return [SimpleNamespace(**each) for each in self._about["inputs"]]

    def get_outputs(self) -> list[SimpleNamespace]:
        """Return name, type and shape of each output."""
        return [SimpleNamespace(**each) for each in self._about["outputs"]]

    def get_modelmeta(self) -> SimpleNamespace:
        """Return the metadata of the file."""
        return SimpleNamespace(custom_metadata_map=self._about["metadata"])

    def run(self, _: Sequence[str], inputs: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
        """Compute the probabilities."""
        return [safetensors.load(self._answer(safetensors.save(dict(inputs))))["probabilities"]]

    def close(self) -> None:
        """End the process, also while it computes."""
        self._end()

    def _answer(self, request: bytes) -> bytes:
        """Send bytes, and wait for the answer; an interruption ends the process."""
        try:
            with self._lock:
                self._link.send_bytes(request)
                status, answer = self._link.recv_bytes(), self._link.recv_bytes()
        except (EOFError, OSError) as error:
            self.close()
            ended = self._process.returncode
            raise GraphError(f"its process ended with status {ended}") from error
        except BaseException:
            self.close()
            raise
        if status != b"ok":
            raise GraphError(answer.decode())
        return answer


def _ended(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def work() -> None:
    """Load the model that comes through the link, and compute until the link is closed."""
    import resource

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process ends this one
    Thread(target=_watch, args=(os.getppid(),), daemon=True).start()
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    most = MOST_BYTES if hard == resource.RLIM_INFINITY else min(MOST_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    link, session = Connection(int(sys.argv[1])), None
    while True:
        try:
            request = link.recv_bytes()
        except EOFError:
            return
        try:
            if session is None:
                session = session_of(request, int(sys.argv[2]))
                answer = json.dumps(_described(session)).encode()
            else:
                (found,) = session.run(["probabilities"], safetensors.load(request))
                answer = safetensors.save({"probabilities": np.ascontiguousarray(found)})
        except Exception as error:  # noqa: BLE001 - the main process raises it
            link.send_bytes(b"error")
            link.send_bytes(" ".join(str(error).split())[-200:].encode())
            continue
        link.send_bytes(b"ok")
        link.send_bytes(answer)


def session_of(model: bytes, threads: int) -> Any:
    """Open a model in this process."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # errors are raised
    onnxruntime.set_default_logger_severity(4)
    return onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], enable_fallback=0
    )


def _described(session: Any) -> dict[str, object]:
    def nodes(given: Sequence[Any]) -> list[dict[str, object]]:
        return [{name: getattr(each, name) for name in ("name", "type", "shape")} for each in given]

    return {
        "inputs": nodes(session.get_inputs()),
        "outputs": nodes(session.get_outputs()),
        "metadata": session.get_modelmeta().custom_metadata_map,
    }


def _watch(parent: int) -> None:
    """End this process soon after its parent ended."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
