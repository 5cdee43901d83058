"""Conversion of coded visits of patients to the sequences of a model of records."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import cast

import numpy as np

from sequela.cohort.tasks import Task
from sequela.datasets.codes import AGE, family_of
from sequela.errors import DataError, SettingError
from sequela.formats.arrays import Array
from sequela.intake.one_row import Rows, coded
from sequela.sequences.flat import LAYOUT, Sequences, ends
from sequela.sequences.vocabulary import bin_name, terms_of
from sequela.serving.sequence_inputs import inputs_of
from sequela.serving.served_model import ServedModel
from sequela.web.schemas import TIME, Patient, Patients, Visit, validated

_SHOWN = 64
_OLDEST = 12  # the last decade of age with its own code


def patients_of(value: object) -> list[Patient]:
    """Read patients from a JSON value: an object with a list of them, or one patient."""
    several = value if isinstance(value, dict) and "patients" in value else {"patients": [value]}
    return validated(Patients.model_validate, several, "key").patients


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
        self, patients: Sequence[Patient]
    ) -> tuple[dict[str, Array], list[list[str]], list[str]]:
        """Return the inputs of the model, the unknown codes of each patient, and notes."""
        unread: Counter[str] = Counter()
        times, steps, unknown = zip(
            *(
                self._read(patient, patient.id or f"number {number}", unread)
                for number, patient in enumerate(patients, 1)
            ),
            strict=True,
        )
        all_steps = [*chain.from_iterable(steps)]
        measured = [*chain.from_iterable(step.values for step in all_steps)]
        columns: dict[str, object] = {
            **dict.fromkeys(LAYOUT, np.zeros(len(patients))),
            "subject_id": np.arange(len(patients)),
            "prediction_time": times,
            "age": [np.nan if patient.age is None else patient.age for patient in patients],
            "step_offsets": ends([*map(len, steps)]),
            "step_time": [step.time for step in all_steps],
            "code_offsets": ends([len(step.codes) for step in all_steps]),
            "codes": [*chain.from_iterable(sorted(step.codes) for step in all_steps)],
            "value_offsets": ends([len(step.values) for step in all_steps]),
            "channels": [channel for channel, _ in measured],
            "values": [value for _, value in measured],
        }
        header = {"settings": self.settings.model_dump(exclude_none=True), **self.words.to_dict()}
        arrays = {name: np.array(columns[name], dtype) for name, (dtype, _) in LAYOUT.items()}
        sequences = Sequences(Path(), header, **arrays)
        codes = max(int(np.diff(sequences.code_offsets).max()), len(self.words.channels))
        size = len(patients) * int(sequences.lengths.max()) * codes
        if size > self.numbers:
            raise SettingError(
                f"{len(patients):,} patients need {size:,} numbers after padding: expected "
                f"{self.numbers:,} at most; send patients with many visits alone"
            )
        notes = [
            f"Left out: {count:,} {'codes' if count > 1 else 'code'} that the model does not read "
            f"({name})."
            for name, count in sorted(unread.items())
        ]
        return inputs_of(self.model, sequences, np.arange(len(patients))), [*unknown], notes

    def _read(
        self, patient: Patient, name: str, unread: Counter[str]
    ) -> tuple[np.datetime64, list[_Step], list[str]]:
        """Return prediction time, steps and unknown codes; count codes that are not read."""
        prediction_time, steps = self._steps(patient, name)
        facts = chain.from_iterable(step.facts for step in steps)
        all_codes = dict.fromkeys([*(code for code, _ in facts), *patient.static])
        terms = terms_of(sorted(all_codes), self.task, self.settings)
        unknown = self._unknown(all_codes, name)
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

    def _unknown(self, codes: Iterable[str], name: str) -> dict[str, None]:
        families = {code: family_of(code) for code in codes}
        strange = [
            c for c, f in families.items() if not f.declared and f.name not in self._families
        ]
        # Some unknown codes are usual in another hospital; mostly unknown ones are another coding
        # system, for which the prediction has no meaning.
        if len(strange) > len(families) / 2:
            raise DataError(
                f"patient {name}: {len(strange)} of {len(families)} codes are of no known family, "
                f"such as {strange[0][:_SHOWN]}: expected codes of "
                f"{', '.join(sorted(self._families))}"
            )
        return dict.fromkeys(strange)

    def _binned(self, term: str, value: float) -> str:
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
        # Later information leaks the outcome, and the model never had any in training.
        if visits[-1][0] > prediction_time:
            raise DataError(
                f"patient {name}: a visit is after the time of the prediction ({prediction_time}): "
                "leave out later information"
            )
        numbers = chain.from_iterable(visit.values.values() for _, visit in visits)
        if not all(map(math.isfinite, numbers)):
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


def _time(text: str, name: str) -> np.datetime64:
    with suppress(ValueError):  # such as the 30th of February
        if re.fullmatch(TIME, text):
            return np.datetime64(text.replace(" ", "T"), "us")
    raise DataError(
        f"patient {name}: a time is missing or cannot be read: expected 2020-01-31 or "
        "2020-01-31T12:00, without a time zone"
    )


def patients_of_table(path: Path, rows_of_training: Rows) -> list[Patient]:
    """Read patients from a csv file with one row per patient, as a model was trained on."""
    ages: dict[str, object] = {}
    visits: dict[str, dict[str, Visit]] = {}
    for row in coded(path, rows_of_training):
        id_, code, time = (str(row[name]) for name in ("subject_id", "code", "time"))
        value = row["numeric_value"]
        if code == AGE:
            ages[id_] = value
            continue
        visit = visits.setdefault(id_, {}).setdefault(time, Visit(time=time))
        if value is None:
            visit.codes.append(code)
        else:
            visit.values[code] = cast("float", value)
    patients = [Patient(id=id_, visits=[*of_id.values()]) for id_, of_id in visits.items()]
    return [patient.model_copy(update={"age": ages.get(patient.id)}) for patient in patients]
