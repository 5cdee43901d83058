"""Answers to requests: bodies are read and the model is run, in a separate process.

One call of the model predicts for all requests that arrive together.
"""

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from sequela.errors import SequelaError
from sequela.formats.arrays import Array
from sequela.serving.served_model import ServedModel
from sequela.web.bodies import Bodies, BodyExamples, only
from sequela.web.guards import Limits
from sequela.web.schemas import (
    FAILED,
    JSON,
    PROBLEM,
    Mean,
    Patient,
    Prediction,
    Predictions,
    Refusal,
    document,
)

T = TypeVar("T")
Inputs = Mapping[str, Array]
Result = NDArray[np.float32] | Exception
_EMPTY = {"codes": -1, "values": np.nan}  # the padding of inputs; 0 for all others
SMALL = 262_144  # most numbers of a request that is answered together with others
_DRAWN = 2_000  # points of a channel that the page draws, unless there are many segments
_NEAR = 60  # least points of a channel in each segment
_MOST = 40_000  # most points of all channels


@dataclass(frozen=True)
class Job:
    """A request whose body has arrived."""

    path: str
    kind: str
    query: Sequence[tuple[str, str]]
    body: bytes


@dataclass(frozen=True)
class Reply:
    """A response."""

    status: int
    body: bytes
    kind: str = JSON
    log: str = ""

    @classmethod
    def problem(cls, status: int, detail: str, log: str = "") -> "Reply":
        """Return a problem document."""
        return cls(status, document(status, detail), PROBLEM, log=log)


@dataclass(frozen=True)
class Answers:
    """The answers of one model."""

    model: ServedModel
    limits: Limits
    most: int  # examples of a batch; 1 for no batches
    small: bool = False  # whether requests with more than SMALL numbers are left unanswered

    def replies(self, jobs: Sequence[Job]) -> list[Reply | None]:
        """Answer requests together; ``None`` for a request that is to be answered alone."""
        requests = [_attempt(partial(self._read, job)) for job in jobs]
        inputs = [request.inputs for request in requests if isinstance(request, BodyExamples)]
        predictions = iter(predicted(self.model, inputs, self.most))
        return [
            _attempt(partial(self._reply, job, request, next(predictions)))
            if isinstance(request, BodyExamples)
            else request
            for job, request in zip(jobs, requests, strict=True)
        ]

    @cached_property
    def _bodies(self) -> Bodies:
        return Bodies(self.model, self.limits)

    def _read(self, job: Job) -> BodyExamples | None:
        """Read the examples of a body; ``None`` if they are to be answered alone."""
        only([name for name, _ in job.query], self.model.facts.takes.query, "parameter")
        examples = self._bodies.read(job.kind, job.body, dict(job.query))
        size = sum(array.size for array in examples.inputs.values())
        return None if self.small and size > SMALL else examples

    def _reply(self, job: Job, examples: BodyExamples, probabilities: Result) -> Reply:
        if isinstance(probabilities, Exception):
            raise probabilities
        answer = self._predictions(examples, probabilities)
        if job.path == "/v1/view":
            self._draw(answer, examples)
        else:
            answer.classes, answer.model = [*self.model.classes], self.model.facts.run.sha256
            if (conformal := self.model.facts.calibration.conformal) is not None:
                answer.promised = conformal.promised
        body = answer.model_dump_json(exclude_unset=True).encode()
        return Reply(200, body)

    def _predictions(
        self, examples: BodyExamples, probabilities: NDArray[np.float32]
    ) -> Predictions:
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
            # The class of a recording is that of the mean, as in the evaluation.
            means = probabilities.mean(0, dtype=np.float64)
            of_classes = dict(zip(classes, means.tolist(), strict=True))
            most = classes[int(means.argmax())]
            answer.recording = Mean(prediction=most, probabilities=of_classes)
        return answer

    def _draw(self, view: Predictions, examples: BodyExamples) -> None:
        if examples.patients:
            full = (patient.model_dump() for patient in examples.patients)  # with defaults
            view.patients = [Patient.model_validate(patient) for patient in full]
            return
        # A recording has more samples than a screen has columns. The lowest and the highest of each
        # span keep every peak visible.
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


def predicted(model: ServedModel, requests: Sequence[Inputs], most: int) -> list[Result]:
    """Predict for several requests together, ``most`` examples at a time.

    The result is for each request probabilities, float32 (example, class), or its error, which
    affects no other one.
    """
    batches: list[list[tuple[int, Inputs]]] = []
    sizes: list[int] = []
    for number, inputs in enumerate(requests):
        total = len(next(iter(inputs.values())))
        for first in range(0, total, most):
            count = min(most, total - first)
            if not sizes or sizes[-1] + count > most:
                batches.append([])
                sizes.append(0)
            piece = {name: array[first : first + count] for name, array in inputs.items()}
            batches[-1].append((number, piece))
            sizes[-1] += count
    results: list[list[NDArray[np.float32]]] = [[] for _ in requests]
    errors: dict[int, Exception] = {}
    while batches:
        batch = batches.pop(0)
        pieces = [inputs for _, inputs in batch]
        try:
            probabilities = model.probabilities(joined(pieces))
        except Exception as error:  # noqa: BLE001 - it is raised in the request
            if len(batch) > 1:  # each alone, so that a bad request affects only itself
                batches = [[request] for request in batch] + batches
            else:
                errors.setdefault(batch[0][0], error)
            continue
        ends = np.cumsum([len(next(iter(inputs.values()))) for inputs in pieces])
        for (number, _), rows in zip(batch, np.split(probabilities, ends[:-1]), strict=True):
            results[number].append(rows)
    return [
        errors[number] if number in errors else np.concatenate(rows)
        for number, rows in enumerate(results)
    ]


def joined(requests: Sequence[Inputs]) -> dict[str, Array]:
    """Join the inputs of several requests, with padding."""
    if len(requests) == 1:
        return dict(requests[0])
    padded = {}
    for name in requests[0]:
        arrays = [inputs[name] for inputs in requests]
        shapes = np.array([array.shape for array in arrays])  # (request, dimension)
        size = (shapes[:, 0].sum(), *shapes.max(0)[1:])
        padded[name] = np.full(size, _EMPTY.get(name, 0), arrays[0].dtype)
        parts = np.split(padded[name], np.cumsum(shapes[:-1, 0]))
        for part, array in zip(parts, arrays, strict=True):
            part[tuple(map(slice, array.shape))] = array
    return padded
