"""Conversion of coded visits of patients to the sequences of a model of records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from sequela.cohort.tasks import Task
from sequela.config import SequenceSettings
from sequela.errors import DataError, SettingError
from sequela.sequences.flat import LAYOUT, Sequences
from sequela.sequences.quantiles import bin_name
from sequela.sequences.vocabulary import Vocabulary, terms_of
from sequela.serving.records import inputs_of
from sequela.serving.served import ServedModel
from sequela.sources.codes import AGE

_HOUR = np.timedelta64(3_600_000_000, "us")
_MOVING = ("now", "today")
"""Words that numpy reads as the current time of the server."""
_OLDEST = 12
"""The last decade of age with its own code."""


class Visit(BaseModel):
    """The information that became available at one time."""

    model_config = ConfigDict(extra="forbid")

    time: str = Field(description="Time of the visit, such as 2020-01-31 or 2020-01-31T12:00.")
    codes: list[str] = Field(default=[], description="Codes, such as ICD9CM//4280.")
    values: dict[str, float] = Field(default={}, description="Measurements by their code.")


class Patient(BaseModel):
    """The record of a patient, as far as it is available at prediction time."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(default="", description="Any name; it is returned with the prediction.")
    time: str | None = Field(
        default=None, description="Time of the prediction (default: time of the last visit)."
    )
    age: float | None = Field(default=None, ge=0, le=130, description="Age in years at that time.")
    static: list[str] = Field(default=[], description="Codes without a time, such as a sex.")
    visits: list[Visit] = Field(min_length=1)


_PATIENTS: TypeAdapter[list[Patient]] = TypeAdapter(list[Patient])


def patients_of(said: Any) -> list[Patient]:
    """Read patients from a JSON value.

    Raises:
        DataError: If it is not valid; the message has the first error.
    """
    try:
        return _PATIENTS.validate_python(said)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise DataError(f"patient {where}: {first['msg']}; see /openapi.json") from error


@dataclass(frozen=True)
class _Step:
    time: np.datetime64
    codes: list[str]
    values: list[tuple[str, float]]


class Reader:
    """Converts patients to the inputs of one model.

    Args:
        model: A model of records.
        numbers: The most numbers of all visits after padding.
    """

    def __init__(self, model: ServedModel, numbers: int) -> None:
        self.model, self.numbers = model, numbers
        about = model.about["records"]
        self.settings = SequenceSettings(**about["settings"])
        self.task = Task.from_dict(about["task"])
        self.words = Vocabulary.of(about)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words.vocabulary)}

    @cached_property
    def _channel(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.words.channels)}

    def inputs(
        self, patients: Sequence[Patient]
    ) -> tuple[dict[str, NDArray[Any]], list[list[str]]]:
        """Return the inputs of the model, and the unknown codes of each patient.

        Raises:
            DataError: If a time cannot be read, or a visit is after the time of the prediction.
            SettingError: If the inputs are too large after padding.
        """
        flat: dict[str, list[Any]] = {name: [] for name in LAYOUT}
        flat |= {name: [0] for name in ("step_offsets", "code_offsets", "value_offsets")}
        unknown = []
        for number, each in enumerate(patients):
            unknown.append(self._append(flat, each, number))
        arrays: dict[str, Any] = {
            name: np.array(flat[name], np.dtype(dtype)) for name, (dtype, _) in LAYOUT.items()
        }
        header = {"settings": self.settings.model_dump(exclude_none=True), **self.words.to_dict()}
        sequences = Sequences(Path(), header, **arrays)
        wide = max(int(np.diff(sequences.code_offsets).max()), len(self.words.channels))
        size = len(patients) * int(sequences.lengths.max()) * wide
        if size > self.numbers:
            raise SettingError(
                f"{len(patients):,} patients need {size:,} numbers after padding: expected "
                f"{self.numbers:,} at most; send patients with many visits alone"
            )
        return inputs_of(self.model, sequences, np.arange(len(patients))), unknown

    def _append(self, flat: dict[str, list[Any]], patient: Patient, number: int) -> list[str]:
        """Add one patient, and return unknown codes."""
        name = patient.id or f"number {number + 1}"
        asked, steps = self._steps(patient, name)
        every = {c for s in steps for c in s.codes} | {c for s in steps for c, _ in s.values}
        terms = terms_of(sorted({*every, *patient.static}), self.task, self.settings)
        unknown: dict[str, None] = {}
        for last, step in enumerate(steps, 1 - len(steps)):
            codes, values = set[int](), list[tuple[int, float]]()
            facts: list[tuple[str, float | None]] = [(code, None) for code in step.codes]
            facts += list(step.values)
            for code, value in facts:
                index = terms.of_code.get(code)
                if index is None:
                    continue  # labels, marks of a visit, and codes that the task does not read
                term = terms.names[index]
                item = term if value is None else self._binned(term, value)
                codes.add(self._place.get(item, 0))
                if item not in self._place:
                    unknown[code] = None
                if value is not None and term in self._channel:
                    values.append((self._channel[term], value))
            if last == 0 and self.settings.demographics:
                codes |= self._demographics(patient)
            flat["step_time"].append(step.time)
            flat["codes"] += sorted(codes)
            flat["code_offsets"].append(len(flat["codes"]))
            for channel, value in sorted(values, key=lambda each: each[0]):
                flat["channels"].append(channel)
                flat["values"].append(value)
            flat["value_offsets"].append(len(flat["values"]))
        flat["step_offsets"].append(len(flat["step_time"]))
        row = (number, asked, False, 0, np.nan if patient.age is None else patient.age, 0)
        names = ("subject_id", "prediction_time", "label", "part", "age", "followed")
        for column, each in zip(names, row, strict=True):
            flat[column].append(each)
        return list(unknown)

    def _binned(self, term: str, value: float) -> str:
        """Return the code of a measurement, with its bin if the model has bins."""
        if not self.settings.bins:
            return term
        channel = self._channel.get(term)
        ends = self.words.edges[channel] if channel is not None else ()
        place = int(np.searchsorted(np.asarray(ends, np.float64), np.float32(value), "left"))
        return bin_name(term, 1 + place)

    def _demographics(self, patient: Patient) -> set[int]:
        """Return codes without a time, and the decade of the age."""
        codes = list(patient.static)
        if patient.age is not None:
            codes.append(f"{AGE}//{min(int(patient.age // 10), _OLDEST) * 10}")
        return {self._place.get(code, 0) for code in codes}

    def _steps(self, patient: Patient, name: str) -> tuple[np.datetime64, list[_Step]]:
        """Return the prediction time, and visits in order or windows counted back from it."""
        visits = [
            _Step(_time(v.time, name), v.codes, list(v.values.items())) for v in patient.visits
        ]
        visits.sort(key=lambda step: step.time)
        asked = visits[-1].time if patient.time is None else _time(patient.time, name)
        if visits[-1].time > asked:
            raise DataError(
                f"patient {name}: a visit is after the time of the prediction ({asked}): leave out "
                "later information"
            )
        if any(not np.isfinite(value) for step in visits for _, value in step.values):
            raise DataError(f"patient {name}: a measurement is not finite: leave it out")
        if self.settings.step_hours is None:
            return asked, visits
        windows: dict[int, _Step] = {}
        width = np.timedelta64(round(self.settings.step_hours * 3_600_000_000), "us")
        for each in visits:
            place = -int((asked - each.time) // width)
            window = windows.setdefault(place, _Step(each.time, [], []))
            window.codes.extend(each.codes)
            window.values.extend(each.values)
        return asked, [windows[place] for place in sorted(windows)]


def _time(said: str, name: str) -> np.datetime64:
    """Parse a time."""
    try:
        found = np.datetime64(said.strip().replace(" ", "T").removesuffix("Z"), "us")
    except ValueError as error:
        raise DataError(
            f"patient {name}: a time cannot be read: expected a date or time such as "
            "2020-01-31T12:00"
        ) from error
    if np.isnat(found) or said.strip().lower() in _MOVING:
        raise DataError(
            f"patient {name}: a time is missing or invalid: expected one such as 2020-01-31"
        )
    return found


def patients_of_rows(rows: Sequence[Mapping[str, Any]]) -> list[Patient]:
    """Read patients from rows in the format of MEDS; each time is a visit.

    Args:
        rows: Rows with ``time`` and ``code``, and optionally ``subject_id`` and
            ``numeric_value``. A row without a time is valid at all times.

    Raises:
        DataError: If a column is missing, or a number is not valid.
    """
    found: dict[str, dict[str, Any]] = {}
    for place, row in enumerate(rows, 1):
        code, time = str(row.get("code") or "").strip(), str(row.get("time") or "").strip()
        if not code:
            raise DataError(f"row {place} has no code: expected the columns time and code")
        id_ = str(row.get("subject_id") or "")
        patient = found.setdefault(id_, {"id": id_, "static": [], "visits": {}})
        if not time:
            patient["static"].append(code)
            continue
        visit = patient["visits"].setdefault(time, {"time": time, "codes": [], "values": {}})
        value = row.get("numeric_value")
        if value in (None, "") or value != value:  # noqa: PLR0124 - NaN is missing
            visit["codes"].append(code)
            continue
        try:
            visit["values"][code] = float(value)
        except (TypeError, ValueError) as error:
            raise DataError(f"row {place}: numeric_value is not a number") from error
    return patients_of([{**each, "visits": [*each["visits"].values()]} for each in found.values()])
