"""Answers to requests: bodies are read and the model is run, in a separate process."""

import io
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json

from sequela.errors import SequelaError
from sequela.serving.served_model import ServedModel
from sequela.web import occlusion
from sequela.web.batching import predicted
from sequela.web.bodies import Bodies, Examples, only
from sequela.web.guards import Limits
from sequela.web.schemas import (
    FAILED,
    JSON,
    PARQUET,
    PROBLEM,
    Mean,
    Patient,
    Prediction,
    Predictions,
    Refusal,
    document,
)

T = TypeVar("T")
_METHOD = "occlusion: each part is removed alone, and the prediction is repeated"
_AVERAGED = f"{_METHOD}; mean of the segment and of segments shifted by up to a third of it"
SMALL = 262_144
"""Most numbers of a request that is answered together with others."""
_DRAWN = 2_000
"""Points of a channel that the page draws, unless there are many segments."""
_NEAR = 60
"""Least points of a channel in each segment."""
_MOST = 40_000
"""Most points of all channels."""


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
        requests = [_attempt(partial(self._read, job)) for job in jobs]
        inputs = [request.inputs for request in requests if isinstance(request, Examples)]
        probabilities, sizes = predicted(self.model, inputs, self.most)
        predictions = iter(probabilities)
        return [
            _attempt(partial(self._reply, job, request, next(predictions)))
            if isinstance(request, Examples)
            else request
            for job, request in zip(jobs, requests, strict=True)
        ], sizes

    @cached_property
    def _bodies(self) -> Bodies:
        return Bodies(self.model, self.limits)

    def _read(self, job: Job) -> Examples | None:
        """Read the examples of a body; ``None`` if they are to be answered alone."""
        parameters = [*self.model.facts.takes.query]
        parameters += ["example", "class"] if job.path == "/v1/explain" else []
        only([name for name, _ in job.query], parameters, "parameter")
        examples = self._bodies.read(job.kind, job.body, dict(job.query))
        size = sum(array.size for array in examples.inputs.values())
        return None if self.small and size > SMALL else examples

    def _reply(self, job: Job, examples: Examples, probabilities: Any) -> Reply:
        if isinstance(probabilities, Exception):
            raise probabilities
        if job.path == "/v1/explain":
            explanation = self._explained(examples, probabilities, dict(job.query))
            return Reply(200, to_json(explanation), examples=len(examples))
        if job.parquet and job.path == "/v1/predict":
            return Reply(200, self._parquet(examples, probabilities), PARQUET, len(examples))
        answer = self._predictions(examples, probabilities)
        if job.path == "/v1/view":
            self._draw(answer, examples)
        else:
            answer.classes, answer.model = [*self.model.classes], self.model.facts.run.sha256
            if (conformal := self.model.facts.calibration.conformal) is not None:
                answer.promised = conformal.promised
        body = answer.model_dump_json(exclude_unset=True).encode()
        return Reply(200, body, examples=len(examples))

    def _predictions(self, examples: Examples, probabilities: NDArray[np.float32]) -> Predictions:
        """Return the notes, each prediction, and for a recording the mean over its segments."""
        classes, intervals = self.model.classes, self.model.facts.intervals
        predictions = []
        rows = zip(
            examples.ids,
            probabilities.tolist(),
            self.model.sets(probabilities).tolist(),
            strict=True,
        )
        for place, (name, chances, members) in enumerate(rows):
            prediction = Prediction(
                id=name,
                prediction=classes[int(probabilities[place].argmax())],
                probabilities=dict(zip(classes, chances, strict=True)),
                set=[label for label, inside in zip(classes, members, strict=True) if inside],
            )
            if examples.patients:
                prediction.unknown_codes = [*examples.unknown[place]]
            if intervals is not None:
                days = [f"{day:g}" for day in intervals.horizons]
                risk = intervals.risk(probabilities[place : place + 1])[0].tolist()
                prediction.risk = dict(zip(days, risk, strict=True))
            predictions.append(prediction)
        answer = Predictions(notes=[*examples.notes], predictions=predictions)
        if examples.recording:
            means = probabilities.mean(0, dtype=np.float64)
            of_classes = dict(zip(classes, means.tolist(), strict=True))
            most = classes[int(means.argmax())]
            answer.recording = Mean(prediction=most, probabilities=of_classes)
        return answer

    def _parquet(self, examples: Examples, probabilities: NDArray[np.float32]) -> bytes:
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, object] = {"id": list(examples.ids)}
        columns |= {f"p_{name}": probabilities[:, k] for k, name in enumerate(self.model.classes)}
        file = io.BytesIO()
        pq.write_table(pa.table(columns), file)
        return file.getvalue()

    def _explained(
        self, examples: Examples, probabilities: NDArray[np.float32], query: Mapping[str, str]
    ) -> dict[str, object]:
        example = query.get("example", "0")
        if example not in map(str, range(len(examples))):
            raise Refusal(422, f"example must be 0 to {len(examples) - 1}")
        row, name = int(example), query.get("class")
        if name is not None and name not in self.model.classes:
            raise Refusal(422, f"unknown class: expected {', '.join(self.model.classes)}")
        before = probabilities[row]
        place = int(np.argmax(before)) if name is None else self.model.classes.index(name)
        facts: dict[str, object] = {
            "id": examples.ids[row],
            "class": self.model.classes[place],
            "probability": float(before[place]),
            "method": _METHOD,
            "agreement": None,
            "stable": None,
        }
        if examples.patients:
            variants, parts = occlusion.without_codes(examples.patients[row])
            inputs = self._bodies.read_patients(variants) if variants else {}
            raised = before[place] - self._probabilities(inputs)[:, place]
            return {**facts, "parts": occlusion.with_raised(parts, raised)}
        signal = examples.inputs["signal"]
        if examples.recording:
            recording = signal.swapaxes(0, 1).reshape(signal.shape[1], -1)
        else:
            length = examples.inputs.get("lengths", [signal.shape[2]] * len(signal))[row]
            recording, row = signal[row, :, :length], 0
        parts, agreement = occlusion.over_neighbours(
            lambda copies: self._probabilities({"signal": copies})[:, place],
            recording,
            row,
            signal.shape[2] if examples.recording else recording.shape[1],
        )
        if agreement is not None:
            stable = agreement >= occlusion.STABLE
            facts |= {"method": _AVERAGED, "agreement": round(agreement, 3), "stable": stable}
        return {**facts, "parts": parts}

    def _probabilities(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Predict in batches: float32 (example, class)."""
        if not inputs:
            return np.empty((0, len(self.model.classes)), np.float32)
        ((probabilities,), _) = predicted(self.model, [inputs], self.most)
        if isinstance(probabilities, Exception):
            raise probabilities
        return probabilities

    def _draw(self, view: Predictions, examples: Examples) -> None:
        """Add patients, or the lowest and highest value of each span of a channel."""
        if examples.patients:
            full = (patient.model_dump() for patient in examples.patients)  # with defaults
            view.patients = [Patient.model_validate(patient) for patient in full]
            return
        signal = examples.inputs["signal"]  # (example, channel, sample)
        points = max(_DRAWN, min(_NEAR * len(signal), _MOST // signal.shape[1]))
        view.sfreq, view.n_times, view.channels = self.model.signal.sfreq, signal.shape[2], []
        for channel in signal.swapaxes(0, 1).reshape(signal.shape[1], -1):
            edges = np.linspace(0, len(channel), min(points, len(channel)) + 1).astype(int)
            starts = np.unique(edges)[:-1]
            least, greatest = (f.reduceat(channel, starts) for f in (np.minimum, np.maximum))
            ends = {"least": least.round(3).tolist(), "greatest": greatest.round(3).tolist()}
            view.channels.append(ends)


def _attempt(answer: Callable[[], T]) -> T | Reply:
    """Return an answer, or the problem that prevented it."""
    try:
        return answer()
    except Refusal as error:
        return Reply.problem(error.status_code, error.detail)
    except SequelaError as error:
        return Reply.problem(422, " ".join(str(error).split()))
    except Exception as error:  # noqa: BLE001 - it is logged by the server
        # ONNX Runtime has no type for it.
        if isinstance(error, MemoryError) or "alloc" in str(error):
            return Reply.problem(413, "the body needs too much memory: send less at once")
        return Reply.problem(500, FAILED, traceback.format_exc())
