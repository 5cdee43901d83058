"""A classifier of sequences of visits, and its examples as flat arrays."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Tags
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sequela.api.network import NetworkClassifier
from sequela.config import SequenceSettings, TrainingSettings
from sequela.errors import DataError, RunError
from sequela.evaluation.number import plural
from sequela.identity.fingerprint import Content, of_records, tokens
from sequela.models.defaults import AUTO
from sequela.sequences.flat import ends
from sequela.sequences.visit_batches import VisitBatch, VisitDataset, visit_loader
from sequela.sequences.vocabulary import UNKNOWN, known


@dataclass(frozen=True, eq=False)
class VisitLists:
    """Examples of visits of codes, as flat arrays that nest like stored sequences.

    Attributes:
        names: The codes by index.
        codes: int64 (code,), indices into ``names``, those of one visit distinct and rising.
        code_offsets: int64 (visit + 1,), the start of each visit in ``codes``, and the end.
        step_offsets: int64 (example + 1,), the start of each example in the visits, and the end.
        label: int64 (example,), index of the class; 0 where it is not known.
    """

    names: tuple[str, ...]
    codes: NDArray[np.int64]
    code_offsets: NDArray[np.int64]
    step_offsets: NDArray[np.int64]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.step_offsets) - 1

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """The number of visits of each example: int64 (example,)."""
        return np.diff(self.step_offsets)

    @classmethod
    def of(cls, examples: Sequence[Any]) -> Self:
        """Convert examples that are sequences of visits, which are sequences of codes."""
        for i, example in enumerate(examples):
            if not _is_many(example) or not len(example) or not all(map(_is_many, example)):
                raise DataError(
                    f"example {i} is {_shown(example)}: expected a list of one visit or more, each "
                    "a list of codes, for example [['I50', 'E11'], ['I21']]"
                )
        visits = [*chain.from_iterable(examples)]
        number: dict[str, int] = {}
        # ``len(number)`` is read before the code is added, so that numbers have no gap.
        flat = [number.setdefault(_code(c), len(number)) for c in chain.from_iterable(visits)]
        lists = cls(
            names=tuple(number),
            codes=np.array(flat, np.int64),
            code_offsets=ends([len(visit) for visit in visits]),
            step_offsets=ends([len(example) for example in examples]),
            label=np.zeros(len(examples), np.int64),
        )
        return lists.under(lists.names, lists.label)

    def vocabulary(
        self, rows: NDArray[np.int64], group: NDArray[np.generic], min_subjects: int
    ) -> tuple[str, ...]:
        """Learn the vocabulary of some rows: index 0 for unknown codes, then the sorted names.

        ``group`` (example,) is the subject of each example; codes in examples of fewer than
        ``min_subjects`` are dropped.
        """
        counts = np.diff(self.code_offsets)  # codes of each visit
        example = np.repeat(np.repeat(np.arange(len(self)), self.lengths), counts)  # of each code
        learnt = np.isin(example, rows)  # codes of training examples
        subject = np.unique(group, return_inverse=True)[1][example[learnt]]
        # A subject and a code become one number, so that each pair counts once.
        pairs = np.unique(subject * max(1, len(self.names)) + self.codes[learnt])
        subjects = np.bincount(pairs % max(1, len(self.names)), minlength=len(self.names))
        places = known(self.names, subjects, min_subjects)
        if not places:
            raise DataError(
                f"no code occurs in training examples of {plural(min_subjects, 'subject')} or "
                "more: give examples with codes, or lower min_subjects"
            )
        return (UNKNOWN, *dict.fromkeys(self.names[i] for i in places))

    def under(self, vocabulary: Sequence[str], label: NDArray[np.int64]) -> Self:
        """Return the examples with indices into a vocabulary, and their labels."""
        place = {name: i for i, name in enumerate(vocabulary)}
        index = np.array([place.get(name, 0) for name in self.names], np.int64)
        n_visits = len(self.code_offsets) - 1
        visit = np.repeat(np.arange(n_visits), np.diff(self.code_offsets))
        # So are a visit and a code: codes of one visit become distinct and sorted.
        pairs = np.unique(visit * max(1, len(vocabulary)) + index[self.codes])
        visit, codes = np.divmod(pairs, max(1, len(vocabulary)))
        offsets = ends(np.bincount(visit, minlength=n_visits))  # a visit may be empty
        return replace(
            self, names=tuple(vocabulary), codes=codes, code_offsets=offsets, label=label
        )


@dataclass(eq=False, repr=False)
class VisitClassifier(NetworkClassifier[VisitLists]):
    """A network that classifies sequences of visits, with scikit-learn's interface.

    An example is a list of visits in the order of time, and a visit is a list of codes: ``[["I50",
    "E11"], ["I21"]]``. Examples come as a list, an object array, or a series of pandas or polars
    (there of type ``List(List(String))``). The vocabulary is learnt from the training examples;
    codes that they lack share index 0. The order of the codes within a visit, and their repetition,
    have no effect.

    Within a cross-validation by group, pass ``groups`` to this classifier too, by scikit-learn's
    metadata routing (``set_fit_request(groups=True)``): its validation set is then drawn by group
    as well. Parameters of training that are ``None`` have the values of the model's own training
    procedure, as in ``sequela train``.

    Args:
        model: ``auto`` for the default model of lists of visits, the name of a registered model
            that reads ``codes`` alone, or a class or function that is called with ``n_codes`` and
            ``n_outputs`` and returns a similar ``nn.Module``.

    Attributes:
        classes_: The classes, sorted.
        vocabulary_: The known codes by index; index 0 is for all others.
        history_: A record for each epoch and part.
        module_: The trained network.
        content_: Marks of the training and validation examples, see ``seen``.

    Example:
        >>> patients = [[["I50"], ["I50", "N17"]], [["J06"]]] * 20
        >>> outcome = ["died", "lived"] * 20
        >>> model = VisitClassifier(learning_rate=0.01, random_state=0)
        >>> fitted = model.fit(patients, outcome, groups=range(40))
        >>> fitted.vocabulary_
        ('UNKNOWN', 'I50', 'J06', 'N17')
        >>> fitted.predict([[["J06"], ["J06"]], [["N17", "I50"]]])
        array(['lived', 'died'], dtype='<U5')
    """

    gives: ClassVar[tuple[str, ...]] = ("codes",)
    auto: ClassVar[str] = "visits"
    settings = (SequenceSettings, TrainingSettings)  # whose descriptions become the docstring

    model: str | Callable[..., nn.Module] = AUTO
    _: KW_ONLY
    min_subjects: int = SequenceSettings().min_subjects

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags

    def _examples(self, X: object, *, reset: bool) -> VisitLists:
        del reset  # lists of visits have no fixed shape to compare
        lists = X
        if hasattr(X, "to_list"):  # a series of pandas or polars
            lists = X.to_list()
        elif isinstance(X, np.ndarray) and X.dtype.kind in "OU":
            lists = X.tolist()
        if not isinstance(lists, list | tuple):
            raise DataError(
                "X holds no lists of visits: expected a list of visits an example, each a list of "
                "codes, such as [['I50', 'E11'], ['I21']]; for a table of numbers use a classifier "
                "of scikit-learn"
            )
        return VisitLists.of(lists)

    def _learn(
        self, examples: VisitLists, train: NDArray[np.int64], group: NDArray[np.generic]
    ) -> None:
        settings = SequenceSettings.of(**self._settings(SequenceSettings))
        self.vocabulary_ = examples.vocabulary(train, group, settings.min_subjects)

    def _content(self, visits: VisitLists) -> Content:
        steps = np.repeat(np.arange(len(visits)), visits.lengths)
        example = np.repeat(steps, np.diff(visits.code_offsets))
        rows = [str(row) for row in range(len(visits))]
        return of_records(rows, example, tokens(visits.names, visits.codes))

    def _learnt(self) -> dict[str, object]:
        return {"vocabulary": self.vocabulary_}

    def _relearn(self, record: dict[str, Any]) -> None:
        if record.get("names") is not None:
            raise RunError(
                "this VisitClassifier was fitted on a table of numbers by an earlier version: fit "
                "a classifier of scikit-learn on such a table"
            )
        self.vocabulary_ = tuple(record["vocabulary"])

    def _shape(self) -> dict[str, int]:
        return {"n_codes": len(self.vocabulary_)}

    def _loader(
        self,
        examples: VisitLists,
        labels: NDArray[np.int64],
        rows: NDArray[np.int64],
        batch_size: int,
        generator: torch.Generator | None,
    ) -> DataLoader[VisitBatch]:
        visits = examples.under(self.vocabulary_, labels)
        return visit_loader(VisitDataset(visits, rows), batch_size=batch_size, generator=generator)

    def _batches(
        self, examples: VisitLists, size: int
    ) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        unlabelled = np.zeros(len(examples), np.int64)  # predictions need no labels
        dataset = VisitDataset(examples.under(self.vocabulary_, unlabelled))
        for first in range(0, len(dataset), size):
            batch = dataset[range(first, min(first + size, len(dataset)))]
            yield batch.inputs, batch.order  # the batch is sorted by falling number of visits


def _is_many(value: object) -> bool:
    return isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _code(value: object) -> str:
    if isinstance(value, str | int | np.integer):
        return str(value)
    raise DataError(f"a code is {_shown(value)}: expected text or a whole number")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004
