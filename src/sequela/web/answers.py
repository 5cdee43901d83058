"""Answers to requests: bodies are read and the model is run, in a separate process."""

import io
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sequela.errors import SequelaError
from sequela.serving.served import ServedModel
from sequela.web import occlusion
from sequela.web.batching import predicted
from sequela.web.bodies import JSON, PARQUET, Bodies, Examples, only
from sequela.web.guards import Limits, to_json
from sequela.web.problems import PROBLEM, Refusal, document

T = TypeVar("T")
_METHOD = "occlusion: each part is removed alone, and the prediction is repeated"
_AVERAGED = f"{_METHOD}; mean of the segment and of segments shifted by up to a third of it"
Row = dict[str, object]
SMALL = 262_144
"""Most numbers of a request that is answered together with others."""
_DRAWN, _NEAR, _MOST = 2000, 60, 40_000
"""Points of a channel that the page draws, at least of each segment, and at most in all."""


@dataclass(frozen=True)
class Job:
    """A request whose body has arrived."""

    path: str
    kind: str
    query: Sequence[tuple[str, str]]
    parquet: bool
    body: bytes


@dataclass(frozen=True)
class Reply:
    """A response."""

    status: int
    body: bytes
    kind: str = JSON
    examples: int = 0
    log: str = ""

    @classmethod
    def problem(cls, status: int, detail: str, log: str = "") -> "Reply":
        """Return a problem document."""
        return cls(status, document(status, detail), PROBLEM, log=log)


@dataclass(frozen=True)
class Answers:
    """The answers of one model.

    Attributes:
        most: Most examples of a batch; 1 for no batches.
        small: Whether requests with more than :data:`SMALL` numbers are left unanswered.
    """

    model: ServedModel
    limits: Limits
    most: int
    small: bool = False

    def replies(self, jobs: Sequence[Job]) -> tuple[list[Reply | None], list[int]]:
        """Answer requests together; also return the number of examples of each batch."""
        read = [_attempt(partial(self._read, job)) for job in jobs]
        inputs = [each.inputs for each in read if isinstance(each, Examples)]
        all_found, sizes = predicted(self.model, inputs, self.most)
        found = iter(all_found)
        return [
            _attempt(partial(self._reply, job, each, next(found)))
            if isinstance(each, Examples)
            else each
            for job, each in zip(jobs, read, strict=True)
        ], sizes

    @cached_property
    def _bodies(self) -> Bodies:
        return Bodies(self.model, self.limits)

    def _read(self, job: Job) -> Examples | None:
        """Read the examples of a body; ``None`` if they are to be answered alone."""
        known = [*self.model.facts.takes.query]
        known += ["example", "class"] if job.path == "/v1/explain" else []
        only([name for name, _ in job.query], known, "parameter")
        examples = self._bodies.read(job.kind, job.body, dict(job.query))
        size = sum(array.size for array in examples.inputs.values())
        return None if self.small and size > SMALL else examples

    def _reply(self, job: Job, examples: Examples, found: Any) -> Reply:
        if isinstance(found, Exception):
            raise found
        if job.path == "/v1/explain":
            content = self._explained(examples, found, dict(job.query))
        elif job.path == "/v1/view":
            content = self._view(examples, found)
        elif job.parquet:
            return Reply(200, self._parquet(examples, found), PARQUET, len(examples))
        else:
            content = {
                "classes": list(self.model.classes),
                **self._promised,
                "model": self.model.facts.run.sha256,
                "notes": list(examples.notes),
                **self._recording(examples, found),
                "predictions": self._predictions(examples, found),
            }
        return Reply(200, to_json(content), examples=len(examples))

    @property
    def _promised(self) -> dict[str, float]:
        """The share of conformal sets that hold the class, for models that have such sets."""
        conformal = self.model.facts.calibration.conformal
        return {} if conformal is None else {"promised": conformal.promised}

    def _predictions(
        self, examples: Examples, found: NDArray[np.float32]
    ) -> list[dict[str, object]]:
        classes, sets, timed = self.model.classes, self.model.sets(found), self._over_time(found)
        unknown = examples.unknown or [()] * len(examples)
        likeliest = found.argmax(1).tolist()
        rows = zip(examples.ids, likeliest, found.tolist(), sets.tolist(), unknown, strict=True)
        return [
            {
                "id": id_,
                "prediction": classes[place],
                "probabilities": dict(zip(classes, chances, strict=True)),
                "set": [name for name, inside in zip(classes, members, strict=True) if inside],
                **({"unknown_codes": list(codes)} if examples.patients else {}),
                **over_time,
            }
            for (id_, place, chances, members, codes), over_time in zip(rows, timed, strict=True)
        ]

    def _over_time(self, found: NDArray[np.float32]) -> list[dict[str, object]]:
        """Return the risk by each horizon of each example, for times to an event."""
        intervals = self.model.facts.intervals
        if intervals is None:
            return [{}] * len(found)
        days = [f"{day:g}" for day in intervals.horizons]
        risks = intervals.risk(found).tolist()
        return [{"risk": dict(zip(days, row, strict=True))} for row in risks]

    def _recording(
        self, examples: Examples, found: NDArray[np.float32]
    ) -> dict[str, dict[str, object]]:
        """Return the prediction for a whole recording: the mean over its segments."""
        if not examples.recording:
            return {}
        chances = found.mean(0, dtype=np.float64)
        return {
            "recording": {
                "prediction": self.model.classes[int(chances.argmax())],
                "probabilities": dict(zip(self.model.classes, chances.tolist(), strict=True)),
            }
        }

    def _parquet(self, examples: Examples, found: NDArray[np.float32]) -> bytes:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, object] = {"id": list(examples.ids)}
        columns |= {f"p_{name}": found[:, k] for k, name in enumerate(self.model.classes)}
        written = io.BytesIO()
        pq.write_table(pa.table(columns), written)
        return written.getvalue()

    def _explained(
        self, examples: Examples, found: NDArray[np.float32], query: Mapping[str, str]
    ) -> dict[str, object]:
        asked = query.get("example", "0")
        if asked not in map(str, range(len(examples))):
            raise Refusal(422, f"example must be 0 to {len(examples) - 1}")
        row, name = int(asked), query.get("class")
        if name is not None and name not in self.model.classes:
            raise Refusal(422, f"unknown class: expected {', '.join(self.model.classes)}")
        before = found[row]
        of = int(np.argmax(before)) if name is None else self.model.classes.index(name)
        told: dict[str, object] = {
            "id": examples.ids[row],
            "class": self.model.classes[of],
            "probability": float(before[of]),
            "method": _METHOD,
            "agreement": None,
            "stable": None,
        }
        if examples.patients:
            others, parts = occlusion.without_codes(examples.patients[row])
            inputs = self._bodies.read_patients(others) if others else {}
            raised = before[of] - self._probabilities(inputs)[:, of]
            return {**told, "parts": occlusion.with_raised(parts, raised)}
        signal = examples.inputs["signal"]
        if examples.recording:
            whole = signal.swapaxes(0, 1).reshape(signal.shape[1], -1)
        else:
            length = examples.inputs.get("lengths", [signal.shape[2]] * len(signal))[row]
            whole, row = signal[row, :, :length], 0
        parts, agreement = occlusion.over_neighbours(
            lambda copies: self._probabilities({"signal": copies})[:, of],
            whole,
            row,
            signal.shape[2] if examples.recording else whole.shape[1],
        )
        if agreement is not None:
            stable = agreement >= occlusion.STABLE
            told |= {"method": _AVERAGED, "agreement": round(agreement, 3), "stable": stable}
        return {**told, "parts": parts}

    def _probabilities(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Predict in batches: float32 (example, class)."""
        if not inputs:
            return np.empty((0, len(self.model.classes)), np.float32)
        ((found,), _) = predicted(self.model, [inputs], self.most)
        if isinstance(found, Exception):
            raise found
        return found

    def _view(self, examples: Examples, found: NDArray[np.float32]) -> dict[str, object]:
        told: dict[str, object] = {"notes": list(examples.notes)}
        if examples.patients:
            told["patients"] = [each.model_dump() for each in examples.patients]
        else:
            whole = examples.inputs["signal"]
            told |= {"sfreq": self.model.signal.sfreq, "n_times": whole.shape[2]}
            points = max(_DRAWN, min(_NEAR * len(whole), _MOST // whole.shape[1]))
            told["channels"] = [_drawn(whole[:, k], points) for k in range(whole.shape[1])]
        told |= self._recording(examples, found)
        return {**told, "predictions": self._predictions(examples, found)}


def _attempt(answer: Callable[[], T]) -> T | Reply:
    """Return an answer, or the problem that prevented it."""
    try:
        return answer()
    except Refusal as error:
        return Reply.problem(error.status, error.detail)
    except SequelaError as error:
        return Reply.problem(422, " ".join(str(error).split()))
    except Exception as error:  # noqa: BLE001 - it is logged by the server
        # ONNX Runtime has no type for it.
        if isinstance(error, MemoryError) or "alloc" in str(error):
            return Reply.problem(413, "the body needs too much memory: send less at once")
        detail = "internal server error: see the log of the server"
        return Reply.problem(500, detail, traceback.format_exc())


def _drawn(signal: NDArray[np.float32], points: int) -> dict[str, list[float]]:
    """Return the lowest and highest value of each span of a channel (example, sample)."""
    flat = signal.ravel()
    edges = np.unique(np.linspace(0, len(flat), min(points, len(flat)) + 1).astype(int))[:-1]
    ends = (np.minimum.reduceat(flat, edges), np.maximum.reduceat(flat, edges))
    return {
        name: np.round(v, 3).tolist() for name, v in zip(("least", "greatest"), ends, strict=True)
    }
