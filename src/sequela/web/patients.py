"""Conversion of coded visits of patients to the sequences of a model of records."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate, chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from sequela.cohort.tasks import Task
from sequela.datasets.codes import AGE, family_of
from sequela.errors import DataError, SettingError
from sequela.sequences.flat import LAYOUT, Sequences
from sequela.sequences.vocabulary import bin_name, terms_of
from sequela.serving.sequence_inputs import inputs_of
from sequela.serving.served_model import ServedModel
from sequela.web.schemas import TIME, Patient, validated

COLUMNS = ("subject_id", "time", "code", "numeric_value")
"""The columns of a table of coded events."""
NUMBER = re.compile(r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)
_SHOWN = 64
_OLDEST = 12
"""The last decade of age with its own code."""
_PATIENTS: TypeAdapter[list[Patient]] = TypeAdapter(list[Patient])


def patients_of(value: Any) -> list[Patient]:
    """Read patients from a JSON value."""
    return validated(_PATIENTS.validate_python, value, "patient")


@dataclass(frozen=True)
class _Step:
    """The facts of a visit or window; codes and values by their index for the model."""

    time: np.datetime64
    facts: list[tuple[str, float | None]]
    codes: set[int] = field(default_factory=set)
    values: list[tuple[int, float]] = field(default_factory=list)


class Reader:
    """Converts patients to the inputs of one model."""

    def __init__(self, model: ServedModel, numbers: int) -> None:
        self.model, self.numbers, self.words = model, numbers, model.records.words
        self.settings = model.records.settings
        self.task = Task.from_dict(model.records.task)
        vocabulary, channels = self.words.vocabulary, self.words.channels
        self._place = {word: i for i, word in enumerate(vocabulary)}
        self._channel = {name: i for i, name in enumerate(channels)}
        self._families = {family_of(code).name for code in (*vocabulary, *channels)}

    def inputs(
        self, patients: Sequence[Patient], *, variants: bool = False
    ) -> tuple[dict[str, NDArray[Any]], list[list[str]], list[str]]:
        """Return the inputs of the model, the unknown codes of each patient, and notes."""
        if self.settings.step_hours is None:
            codes = max(
                (len(visit.codes) for patient in patients for visit in patient.visits), default=0
            )
            visits = max((len(patient.visits) for patient in patients), default=0)
            self._check_size(patients, visits, codes)
        unread: Counter[str] = Counter()
        times, steps, unknown = zip(
            *(
                self._read(patient, patient.id or f"number {number}", unread, variants=variants)
                for number, patient in enumerate(patients, 1)
            ),
            strict=True,
        )
        all_steps = [step for of_patient in steps for step in of_patient]
        columns: dict[str, object] = {
            **dict.fromkeys(LAYOUT, np.zeros(len(patients))),
            "subject_id": np.arange(len(patients)),
            "prediction_time": times,
            "age": [np.nan if patient.age is None else patient.age for patient in patients],
            "step_offsets": _offsets(map(len, steps)),
            "step_time": [step.time for step in all_steps],
            "code_offsets": _offsets(len(step.codes) for step in all_steps),
            "codes": [code for step in all_steps for code in sorted(step.codes)],
            "value_offsets": _offsets(len(step.values) for step in all_steps),
            "channels": [channel for step in all_steps for channel, _ in step.values],
            "values": [value for step in all_steps for _, value in step.values],
        }
        header = {"settings": self.settings.model_dump(exclude_none=True), **self.words.to_dict()}
        arrays = {name: np.array(columns[name], dtype) for name, (dtype, _) in LAYOUT.items()}
        sequences = Sequences(Path(), header, **arrays)
        codes = int(np.diff(sequences.code_offsets).max())
        self._check_size(patients, int(sequences.lengths.max()), codes)
        notes = [
            f"Left out: {count:,} code{'s' * (count > 1)} that the model does not read ({name})."
            for name, count in sorted(unread.items())
        ]
        return inputs_of(self.model, sequences, np.arange(len(patients))), [*unknown], notes

    def _check_size(self, patients: Sequence[Patient], visits: int, codes: int) -> None:
        size = len(patients) * visits * max(codes, len(self.words.channels))
        if size > self.numbers:
            raise SettingError(
                f"{len(patients):,} patients need {size:,} numbers after padding: expected "
                f"{self.numbers:,} at most; send patients with many visits alone"
            )

    def _read(
        self, patient: Patient, name: str, unread: Counter[str], *, variants: bool
    ) -> tuple[np.datetime64, list[_Step], list[str]]:
        """Return prediction time, steps and unknown codes; count codes that are not read."""
        prediction_time, steps = self._steps(patient, name)
        facts = [fact for step in steps for fact in step.facts]
        all_codes = dict.fromkeys([*(code for code, _ in facts), *patient.static])
        terms = terms_of(sorted(all_codes), self.task, self.settings)
        unknown = self._unknown(all_codes, name, share=1 if variants else 0.5)
        read = {*terms.of_code, *unknown} - set(
            () if self.settings.demographics else patient.static
        )
        unread.update(
            family_of(code).name for code in all_codes if code not in read
        )  # such as labels
        for step in steps:
            for code, value in step.facts:
                index = terms.of_code.get(code)
                if index is None:
                    continue  # marks of a visit, and what is counted above
                term = terms.names[index]
                item = term if value is None else self._binned(term, value)
                step.codes.add(self._place.get(item, 0))
                if item not in self._place:
                    unknown[code] = None
                if value is not None and term in self._channel:
                    step.values.append((self._channel[term], value))
            step.values.sort(key=lambda pair: pair[0])
        if self.settings.demographics:  # in the last step
            decade = [] if patient.age is None else [min(int(patient.age // 10), _OLDEST) * 10]
            codes = [*patient.static, *(f"{AGE}//{years}" for years in decade)]
            steps[-1].codes.update(self._place.get(code, 0) for code in codes)
            unknown |= dict.fromkeys(c for c in patient.static if c not in self._place)
        return prediction_time, steps, list(unknown)

    def _unknown(self, codes: Iterable[str], name: str, share: float) -> dict[str, None]:
        """Return the codes of unknown families, which are at most a share of all."""
        families = {code: family_of(code) for code in codes}
        strange = [
            c for c, f in families.items() if not f.declared and f.name not in self._families
        ]
        if len(strange) > share * len(families):
            raise DataError(
                f"patient {name}: {len(strange)} of {len(families)} codes are of no known family, "
                f"such as {strange[0][:_SHOWN]}: expected codes of "
                f"{', '.join(sorted(self._families))}"
            )
        return dict.fromkeys(strange)

    def _binned(self, term: str, value: float) -> str:
        """Return the code of a measurement, with its bin if the model has bins."""
        if not self.settings.bins:
            return term
        channel = self._channel.get(term)
        ends = self.words.edges[channel] if channel is not None else ()
        place = int(np.searchsorted(np.asarray(ends, np.float64), np.float32(value), "left"))
        return bin_name(term, 1 + place)

    def _steps(self, patient: Patient, name: str) -> tuple[np.datetime64, list[_Step]]:
        """Return the prediction time, and visits in order or windows counted back from it."""
        visits = sorted(
            ((_time(visit.time, name), visit) for visit in patient.visits), key=lambda v: v[0]
        )
        prediction_time = visits[-1][0] if patient.time is None else _time(patient.time, name)
        if visits[-1][0] > prediction_time:
            raise DataError(
                f"patient {name}: a visit is after the time of the prediction ({prediction_time}): "
                "leave out later information"
            )
        if any(not np.isfinite(value) for _, visit in visits for value in visit.values.values()):
            raise DataError(f"patient {name}: a measurement is not finite: leave it out")
        windows: dict[int, _Step] = {}  # or visits, whose entries have the same time
        width = np.timedelta64(round((self.settings.step_hours or 0) * 3_600_000_000) or 1, "us")
        for time, visit in visits:
            step = windows.setdefault(-int((prediction_time - time) // width), _Step(time, []))
            step.facts.extend((code, None) for code in visit.codes)
            step.facts.extend(visit.values.items())
        for step in windows.values():
            step.facts.sort(key=lambda fact: fact[1] is not None)  # codes, then measurements
        return prediction_time, [windows[place] for place in sorted(windows)]


def _offsets(counts: Iterable[int]) -> list[int]:
    return [0, *accumulate(counts)]


def _time(text: str, name: str) -> np.datetime64:
    with suppress(ValueError):  # such as the 30th of February
        if re.fullmatch(TIME, text):
            return np.datetime64(text.replace(" ", "T"), "us")
    raise DataError(
        f"patient {name}: a time is missing or cannot be read: expected 2020-01-31 or "
        "2020-01-31T12:00, without a time zone"
    )


def patients_of_rows(rows: Sequence[Mapping[str, Any]]) -> list[Patient]:
    """Read patients from rows in the format of MEDS; each time is a visit.

    Args:
        rows: Rows with ``time`` and ``code``, and optionally ``subject_id`` and
            ``numeric_value``. A row without a time is valid at all times.
    """
    patients: dict[str, dict[str, Any]] = {}
    for place, row in enumerate(rows, 1):
        cells = {name: "" if row.get(name) is None else str(row[name]).strip() for name in COLUMNS}
        id_, time, code, value = cells.values()
        if not code:
            raise DataError(f"row {place} has no code: expected the columns time and code")
        if not id_ and "subject_id" in row:
            raise DataError(f"row {place} has no subject_id: name its patient")
        patient = patients.setdefault(id_, {"id": id_, "static": [], "visits": {}})
        if not time:
            patient["static"].append(code)
            continue
        visits = patient["visits"].setdefault(time, [{"time": time, "codes": [], "values": {}}])
        if value.lower() in ("", "nan"):
            visits[0]["codes"].append(code)
            continue
        if not NUMBER.fullmatch(value):
            raise DataError(f"row {place}: numeric_value is not a number")
        visit = next((measured for measured in visits if code not in measured["values"]), None)
        if visit is None:  # it was measured again
            visits.append(visit := {"time": time, "codes": [], "values": {}})
        visit["values"][code] = float(value)
    return patients_of(
        [
            {**measured, "visits": [*chain(*measured["visits"].values())]}
            for measured in patients.values()
        ]
    )
