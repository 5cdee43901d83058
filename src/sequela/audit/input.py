"""The input of an audit: a run, arrays, or tables and windows that others made."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sequela.audit.finding import Finding, Found

if TYPE_CHECKING:
    from sequela.identity.fingerprint import Content
    from sequela.signals import segments as signal_segments

LEAST_GROUPS = 10  # groups (patients, recordings) that each class needs, to judge what predicts it
MOST_SPLITS = 10  # splits of a cross-validation that are looked at
CHANCE = 1e-3  # probability of a false alarm, over all columns, codes or tests of a check
STRICT_CHANCE = 1e-6
"""The same for checks that compare many pairs, or look for a number in many columns."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Words = NDArray[np.str_]
Groups = Ints | Words
"""The patient, recording or other unit of each example."""
Rows = Mapping[str, Ints]
"""The rows of each part."""
OfSplit: TypeAlias = "Callable[[AuditInput, Rows], Iterable[Found]]"


def spacing(n: int, most: int) -> int:
    """Return the step between evenly spaced rows: of n, at most some.

    Example:
        >>> [spacing(n, 4) for n in (0, 4, 5, 10)]
        [1, 1, 2, 3]
    """
    return max(1, -(-n // most))


@dataclass(frozen=True, eq=False)
class Labels:
    """The class of each example, and its group (patient or recording): (example,)."""

    label: Ints
    classes: Sequence[str]
    group: Groups

    def __getitem__(self, rows: Ints | Flags) -> "Labels":
        return Labels(self.label[rows], self.classes, self.group[rows])

    @property
    def few(self) -> bool:
        """True if a class has too few groups to judge what predicts it."""
        values = range(int(self.label.max(initial=1)) + 1)
        counts = (len(np.unique(self.group[self.label == value])) for value in values)  # of groups
        return min(counts) < LEAST_GROUPS

    @property
    def positives(self) -> range:
        """The classes to compare with the rest: of two, the second."""
        n = len(self.classes)
        return range(int(n == 2), n)  # noqa: PLR2004

    def against_rest(self, value: int) -> "Labels":
        """Return the labels of one class against the rest."""
        return Labels((self.label == value).astype(np.int64), ("", self.classes[value]), self.group)


@dataclass(frozen=True, eq=False, kw_only=True)
class AuditInput:
    """Examples, and what is known of them. What is not known is empty or ``None``.

    Arrays are by example. Data of others are rows of a table, or windows of signals, whose table
    has four numbers of each channel. Several splits are of a cross-validation.
    """

    label: Ints | None = None
    classes: tuple[str, ...] = ()
    units: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # by kind, the largest first
    splits: tuple[Rows, ...] = ()  # the training set is the first part
    signals: NDArray[np.floating] | None = None  # (window, channel, time)
    # of a run
    segments: "signal_segments.Segments | None" = None
    scaling: Any = None  # fitted to the segments
    is_update: bool = False  # of a model whose vocabulary and scaling were fitted to other data
    records: Any = None  # sequela.sequences.flat.Sequences
    times_to_event: Any = None
    content: "Content | None" = None  # of the units, which it recognises under any name
    content_ids: Mapping[str, list[str]] = field(default_factory=dict)  # the units of each part
    events: Any = None  # while the examples of a run are selected
    selected: tuple[Finding, ...] | None = None  # findings of that time
    # of others
    table: NDArray[np.floating] = field(default_factory=lambda: np.empty((0, 0)))
    names: tuple[str, ...] = ()  # of the columns; texts are numbers of their values
    times: Mapping[str, NDArray[np.datetime64]] = field(default_factory=dict)  # by column
    time: str | None = None  # the column with the time of the prediction
    identifiers: Mapping[str, Ints] = field(default_factory=dict)  # ranks, which no model may read
    score: Floats | None = None  # the probability of the second class
    stated: Mapping[str, float] = field(default_factory=dict)  # numbers of a published result
    later: tuple[str, ...] = ()  # columns known after the outcome, by their name or texts
    open_questions: tuple[str, ...] = ()  # on the form of a file
    written: Mapping[str, Floats] = field(default_factory=dict)  # lengths of texts
    texts: Mapping[str, Words] = field(default_factory=dict)  # values of texts, or their forms

    @property
    def of_run(self) -> bool:
        """True for the examples of a run, which Sequela selected, cut and prepared itself."""
        return self.segments is not None or self.records is not None

    @cached_property
    def group(self) -> Ints:
        """The patient, or else the smaller unit or the row, of each row: int64 (row,)."""
        return next(iter(self.units.values()), np.arange(len(self.table)))

    @property
    def labels(self) -> Labels:
        """The labels of data of others, by patient or row."""
        return Labels(np.asarray(self.label), self.classes, self.group)

    @property
    def two_classes(self) -> bool:
        """True for two classes."""
        return self.label is not None and len(self.classes) == 2  # noqa: PLR2004

    @property
    def rows(self) -> NDArray[np.floating]:
        """All numbers of each row or window: (row, number)."""
        return self.table if self.signals is None else self.signals.reshape(len(self.signals), -1)

    @cached_property
    def lacking(self) -> dict[str, str]:
        """The needs of searches that this input does not meet, with the reason in words."""
        unit = next(iter(self.units), "row")
        column = "column of the patient"
        if self.signals is not None:
            column = "array of the patient or recording"
        return {
            need: reason.format(column=column, unit=unit)
            for need, (has, reason) in NEEDS.items()
            if not has(self)
        }

    def open_points(self) -> Iterator[str]:
        """Yield what a user could add to the data of others, by what is not checked without it."""
        yield from self.open_questions
        several = "patients" if self.signals is None else "patients or recordings"
        for need, topic in (
            ("split", "leaks from one part into another"),
            ("units", f"{several} in two parts"),
            ("columns", "copies and columns"),
            ("time", "times after the prediction"),
            ("label", "what gives the label"),
            ("groups", "what gives the label"),
        ):
            if need == "label" and len(self.splits) > MOST_SPLITS:
                yield f"splits after the first {MOST_SPLITS}"
            # Without a split nothing is compared between parts, whoever the patients are.
            if need in self.lacking and (need != "units" or self.splits):
                yield f"{topic}: {self.lacking[need]}"


NEEDS: Mapping[str, tuple[Callable[[AuditInput], bool], str]] = {
    "events": (
        lambda d: d.events is not None or d.selected is not None,
        "there are no hospital events with a task or label file",
    ),
    "segments": (lambda d: d.segments is not None, "not a run or folder of recordings"),
    "records": (lambda d: d.records is not None, "not a run or folder of hospital records"),
    "times to an event": (lambda d: d.times_to_event is not None, "no times to an event"),
    "content": (lambda d: d.content is not None, "looked for in runs and folders, by content"),
    "others' data": (lambda d: not d.of_run and d.events is None, "Sequela prepared the data"),
    "split": (lambda d: bool(d.splits), "no split is known; name its column with --split"),
    "no split": (lambda d: not d.splits, "a split is known, so the parts are compared"),
    "units": (lambda d: bool(d.units), "no {column} is known, name it with --group"),
    "columns": (lambda d: bool(d.names), "there are no columns but those named above"),
    "no signals": (lambda d: d.signals is None, "the data are windows of signals"),
    "signals": (lambda d: d.signals is not None, "the data are not windows of signals"),
    "time": (lambda d: bool(d.time), "no time of the prediction is known, name it with --time"),
    "other times": (lambda d: len(d.times) > 1, "no other column has times"),
    "label": (lambda d: d.label is not None, "no label is known; name its column with --label"),
    "groups": (
        lambda d: d.of_run or d.label is None or not d.labels.few,
        f"a class has fewer than {LEAST_GROUPS} {{unit}}s",
    ),
    "two classes": (lambda d: d.two_classes, "the label does not have two classes"),
    "ids": (lambda d: bool(d.identifiers), "no column identifies rows"),
    "ids or times": (lambda d: bool(d.identifiers or d.times), "no column has ids or times"),
    "predictions": (lambda d: d.score is not None, "there are no predictions"),
    "results": (lambda d: bool(d.stated), "there are no stated results"),
}
"""What searches may need: whether an input has it, and the reason why it is not searched."""


def in_each_split(find: OfSplit) -> "Callable[[AuditInput], Iterator[Found]]":
    """Make a search of the first splits of a cross-validation from the search of one split.

    Findings that several splits share are yielded once.
    """

    @wraps(find)
    def search(data: AuditInput) -> "Iterator[Found]":
        reported = set[tuple[str, tuple[str, ...], str]]()
        for rows in data.splits[:MOST_SPLITS]:
            for item in find(data, rows):
                finding = item[0] if isinstance(item, tuple) else item
                key = finding.check, finding.place, str(finding.facts)
                if key not in reported:
                    reported.add(key)
                    yield item

    return search
