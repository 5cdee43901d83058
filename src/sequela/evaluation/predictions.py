"""Predictions for each example, as arrays and as ``predictions.parquet``."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from sequela.cohort.split import PARTS
from sequela.disclosure import INTERNAL
from sequela.errors import DataError, RunError, unknown_name
from sequela.files import whole
from sequela.formats import sealed
from sequela.formats.opened import json_value

if TYPE_CHECKING:
    from sequela.evaluation.survival import TimesToEvent
    from sequela.sequences.intervals import Intervals

_SUM_TOLERANCE = 1e-4  # the largest distance of the sum of probabilities from 1
CLASSES_KEY = b"sequela.classes"
"""The name of the classes in the metadata of a file, as are the horizons below."""
HORIZONS_KEY = b"sequela.horizons"
_COLUMNS = {"id": "example_id", "group": "group_id", "subject": "subject_id", "split": "split"}
_RECORDING = {"recording": "recording_id"}


class Place(NamedTuple):
    """The place of a model in a design."""

    repeat: int
    fold: int
    seed: int


@dataclass(frozen=True, eq=False)
class Predictions:
    """Probabilities of each class for each example, with the labels and ids to evaluate them.

    The arrays are checked, converted to the types below and made read-only.

    Attributes:
        example_id: str (example,), no two alike.
        group_id: str (example,): the unit of resampling: the subject, or where subjects are not
            identified the session or the recording.
        subject_id: str (example,): the person, or the empty string where subjects are not
            identified.
        split: str (example,): ``train``, ``tuning`` or ``held_out``.
        label: int64 (example,): index of the true class.
        probabilities: float32 (example, class): each row sums to 1.
        classes: Names of the classes.
        recording_id: str (example,), where it differs from the group.
        time: float64 (example,), of times to an event: days from the prediction to what ended
            first. The classes are then those of
            :class:`sequela.sequences.intervals.Intervals`, and a label is 0 also where follow-up
            ended without an event.
        event: int64 (example,), what ended first: 0 for follow-up, 1 for the event, 2 for a
            competing event.
        horizons: The days that end the intervals of the classes.

    Raises:
        DataError: If the arrays do not fit together or hold invalid values.
    """

    example_id: NDArray[np.str_]
    group_id: NDArray[np.str_]
    subject_id: NDArray[np.str_]
    split: NDArray[np.str_]
    label: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]
    recording_id: NDArray[np.str_] | None = None
    time: NDArray[np.float64] | None = None
    event: NDArray[np.int64] | None = None
    horizons: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name in self._columns.values():
            self._freeze(name, np.asarray(getattr(self, name), dtype=np.str_))
        label = np.asarray(self.label)
        if label.size and not np.issubdtype(label.dtype, np.integer):
            raise DataError(f"labels are {label.dtype}, expected indices of classes (integers)")
        self._freeze("label", label.astype(np.int64, copy=False))
        self._freeze("probabilities", np.asarray(self.probabilities, dtype=np.float32))
        if self.time is not None:
            self._freeze("time", np.asarray(self.time, dtype=np.float64))
            self._freeze("event", np.asarray(self.event, dtype=np.int64))
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "horizons", tuple(map(float, self.horizons)))
        self._check_shapes()
        self._check_values()

    def _freeze(self, name: str, array: NDArray[np.generic]) -> None:
        view = array.view()  # the caller's own array stays writeable
        view.flags.writeable = False
        object.__setattr__(self, name, view)

    def _check_shapes(self) -> None:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):  # noqa: PLR2004
            raise DataError(
                f"classes are {list(self.classes)}, expected two or more different names"
            )
        expected = (self.n_examples, len(self.classes))
        if self.probabilities.shape != expected:
            raise DataError(
                f"probabilities have shape {self.probabilities.shape}, expected {expected}"
            )
        for name in (*self._columns.values(), "label", *self._timed):
            if getattr(self, name).shape != (self.n_examples,):
                raise DataError(
                    f"{name} has shape {getattr(self, name).shape}, expected ({self.n_examples},)"
                )

    def _check_values(self) -> None:
        infinite = ~np.isfinite(self.probabilities)
        self._refuse(np.any(infinite, axis=-1), "has a probability that is not a finite number")
        self._refuse(np.any(self.probabilities < 0, axis=-1), "has a negative probability")
        total = self.probabilities.sum(axis=1, dtype=np.float64)
        self._refuse(np.abs(total - 1) > _SUM_TOLERANCE, "has probabilities that do not sum to 1")
        last = len(self.classes) - 1
        self._refuse((self.label < 0) | (self.label > last), f"has a label outside 0..{last}")
        self._refuse(
            ~np.isin(self.split, PARTS), f"has a split that is not one of {', '.join(PARTS)}"
        )
        self._refuse(self.group_id == "", "has no group")
        values, first = np.unique(self.example_id, return_index=True)
        if len(values) < self.n_examples:
            repeated = np.setdiff1d(np.arange(self.n_examples), first)[0]
            raise DataError(f"the id of example {repeated + 1} occurs twice")

    def _refuse(self, wrong: NDArray[np.bool_] | np.bool_, complaint: str) -> None:
        if wrong.any():
            first = int(np.argmax(wrong))
            more = f" (as have {int(wrong.sum()) - 1} others)" if wrong.sum() > 1 else ""
            raise DataError(f"example {first + 1} {complaint}{more}")

    @property
    def _columns(self) -> dict[str, str]:
        return _COLUMNS if self.recording_id is None else _COLUMNS | _RECORDING

    @property
    def arrays(self) -> tuple[str, ...]:
        """The names of the arrays, each with one row for each example."""
        return (*self._columns.values(), "label", "probabilities", *self._timed)

    @property
    def _timed(self) -> tuple[str, ...]:
        return ("time", "event") if self.horizons else ()

    @property
    def intervals(self) -> "Intervals":
        """The intervals of the classes of times to an event."""
        from sequela.sequences.intervals import Intervals  # runs of classes do without

        return Intervals(self.horizons, (len(self.classes) - 1) // len(self.horizons))

    @cached_property
    def outcomes(self) -> "TimesToEvent":
        """The times to an event and what ended them."""
        from sequela.evaluation.survival import TimesToEvent

        assert self.time is not None and self.event is not None  # noqa: S101, PT018 - they have horizons
        # Who was followed to a horizon had no event by it, and so is counted as followed beyond it.
        return TimesToEvent(self.time + 1e-9 * (self.event == 0), self.event, self.group_index)

    @property
    def over_time(self) -> "tuple[TimesToEvent, NDArray[np.float64], NDArray[np.float64]]":
        """The outcomes, the risks (example, horizon), and the horizons (horizon,)."""
        return self.outcomes, self.risk, np.array(self.horizons)

    @cached_property
    def risk(self) -> NDArray[np.float64]:
        """The probability of the event by each horizon: float64 (example, horizon)."""
        return self.intervals.risk(self.probabilities)

    def refuse_empty(self) -> None:
        """Refuse to evaluate no predictions, with a DataError."""
        if not self.n_examples:
            raise DataError("there are no predictions: the part that is evaluated is empty")

    @property
    def n_examples(self) -> int:
        """The number of examples."""
        return len(self.example_id)

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most probable class of each example, the first of equals: int64 (example,)."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def score(self) -> NDArray[np.float32]:
        """The probability of class 1, where there are two classes: float32 (example,)."""
        if len(self.classes) != 2:  # noqa: PLR2004
            raise DataError(
                f"there are {len(self.classes)} classes where a number needs two: "
                "choose one that is defined for several, such as accuracy"
            )
        return self.probabilities[:, 1]

    @property
    def person(self) -> NDArray[np.str_]:
        """The person of each example, or its group where one is unknown: str (example,)."""
        return self.subject_id if (self.subject_id != "").all() else self.group_id

    @cached_property
    def group_index(self) -> NDArray[np.int64]:
        """The position of each example's group among the sorted group ids: int64 (example,)."""
        return np.unique(self.group_id, return_inverse=True)[1]

    @cached_property
    def _parts(self) -> dict[str, Self]:
        return {}

    def where(self, keep: NDArray[np.bool_ | np.int64]) -> Self:
        """Return the examples for which ``keep`` is true, or those at its positions."""
        return replace(self, **{name: getattr(self, name)[keep] for name in self.arrays})

    def drawn(self, rows: NDArray[np.int64], probabilities: NDArray[np.floating]) -> Self:
        """Return the examples of a resample (row,), repeated ones too, with other probabilities."""
        columns = {name: getattr(self, name)[rows] for name in self.arrays}
        ids = np.arange(len(rows)).astype(np.str_)
        return replace(self, **columns | {"example_id": ids, "probabilities": probabilities})

    def part(self, name: str) -> Self:
        """Return the examples of one part of the split."""
        if name not in PARTS:
            raise unknown_name("part", name, PARTS)
        if name not in self._parts:
            self._parts[name] = self.where(self.split == name)
        return self._parts[name]

    def against_rest(self, name: str) -> Self:
        """Reduce the classes to two: ``not NAME``, and the named one."""
        if name not in self.classes:
            raise unknown_name("class", name, self.classes)
        index = self.classes.index(name)
        chance = self.probabilities[:, index]
        rest = np.delete(self.probabilities, index, axis=1).sum(axis=1)
        return replace(
            self,
            label=(self.label == index).astype(np.int64),
            probabilities=np.stack([rest, chance], axis=1),
            classes=(f"not {name}", name),
        )

    def by_recording(self) -> Self:
        """Return one row per recording, with the mean of its examples' probabilities.

        The rows are in the order of the recordings' ids, which become the example ids too. Where no
        recordings are known, groups are recordings. Examples of one must have one label and part.
        """
        ids = self.group_id if self.recording_id is None else self.recording_id
        recording, first, index = np.unique(ids, return_index=True, return_inverse=True)
        for name in ("label", "group_id", "subject_id", "split"):
            values = getattr(self, name)
            differs = values != values[first][index]
            if differs.any():
                raise DataError(
                    f"the recording of example {np.argmax(differs) + 1} holds more than one "
                    f"{name.removesuffix('_id')}: a whole recording needs exactly one"
                )
        # Summed in double precision: a recording may have thousands of segments.
        sums = np.zeros((len(recording), len(self.classes)))
        np.add.at(sums, index, self.probabilities)
        means = (sums / np.bincount(index)[:, None]).astype(np.float32)
        return replace(self.where(first), example_id=recording, probabilities=means)

    def write(self, path: Path) -> None:
        """Write the file; the same predictions give the same bytes.

        Columns: ``id``, ``group``, ``subject`` (null where subjects are not identified), ``split``,
        ``recording`` where that is not the group, ``label`` (index of the class), ``time`` and
        ``event`` of times to an event, and one float column per class, ``p_0``, ``p_1``...; the
        class names are a JSON list in the file's metadata, key ``sequela.classes``, and so are the
        horizons, key ``sequela.horizons``.
        """
        columns: dict[str, pa.Array] = {
            column: pa.array(getattr(self, name).tolist(), pa.string())
            for column, name in self._columns.items()
        }
        # Null in the file, as an empty text would look like one patient with that name.
        subjects = [subject or None for subject in self.subject_id.tolist()]
        columns["subject"] = pa.array(subjects, pa.string())
        columns["label"] = pa.array(self.label)
        columns |= {name: pa.array(getattr(self, name)) for name in self._timed}
        for index in range(len(self.classes)):
            columns[f"p_{index}"] = pa.array(np.ascontiguousarray(self.probabilities[:, index]))
        metadata = {
            CLASSES_KEY: json.dumps(self.classes, ensure_ascii=False).encode(),
            b"sequela.internal": INTERNAL.encode(),
        }
        if self.horizons:
            metadata[HORIZONS_KEY] = json.dumps(self.horizons).encode()
        table = pa.table(columns).replace_schema_metadata(metadata)
        with whole(path) as partial:
            pq.write_table(table, partial, compression="zstd", write_page_checksum=True)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file that ``write`` wrote."""
        if not path.is_file():
            raise RunError(f"{path} does not exist: continue the run with --resume, or train again")
        try:
            table = sealed.read(path, "the predictions of a run", "train again")
        except DataError as error:
            raise RunError(str(error)) from error
        try:
            metadata = table.schema.metadata or {}
            classes = tuple(json_value(metadata[CLASSES_KEY]))
            horizons = tuple(json_value(metadata.get(HORIZONS_KEY, b"[]")))
            texts: dict[str, Any] = {
                name: np.array(table[column].fill_null("").to_pylist(), dtype=np.str_)
                for column, name in (_COLUMNS | _RECORDING).items()
                if column in table.column_names or column in _COLUMNS
            }
            chances = [table[f"p_{index}"].to_numpy() for index in range(len(classes))]
            numbers = {"label": table["label"].to_numpy(), "probabilities": np.stack(chances, 1)}
            if horizons:
                numbers |= {name: table[name].to_numpy() for name in ("time", "event")}
            return cls(**texts, **numbers, classes=classes, horizons=horizons)
        except KeyError as error:
            raise RunError(
                f"{path} lacks {error}: it is not a file of predictions; train again"
            ) from error
        except (pa.ArrowException, OSError, TypeError, ValueError) as error:
            raise RunError(f"{path} is damaged ({error}): train again") from error


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Join predictions of different examples and the same classes, sorted by ``example_id``."""
    if not parts or any(part.classes != parts[0].classes for part in parts):
        raise DataError("expected predictions of the same classes, one part or more")
    order = np.argsort(np.concatenate([part.example_id for part in parts]), kind="stable")

    def column(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(part, name) for part in parts])[order]

    arrays = {name: column(name) for name in parts[0].arrays}
    return Predictions(**arrays, classes=parts[0].classes, horizons=parts[0].horizons)


@dataclass(frozen=True)
class Event:
    """The predicted probability of the event, whether it happened, and the index of the group.

    All arrays are (example,).
    """

    chance: NDArray[np.float64]
    happened: NDArray[np.bool_]
    group: NDArray[np.int64]


def event(predictions: Predictions) -> Event:
    """Return the event to predict: class 1 of two, else that the most probable class is right.

    :meth:`Predictions.against_rest` makes one class of several the event.
    """
    predictions.refuse_empty()
    if len(predictions.classes) == 2:  # noqa: PLR2004
        chance, happened = predictions.score, predictions.label == 1
    else:
        chance = predictions.probabilities.max(axis=1)
        happened = predictions.predicted == predictions.label
    return Event(chance.astype(np.float64), happened, predictions.group_index)
