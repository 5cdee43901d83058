"""A classifier of sequences of visits."""

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sequela.api.network import NetworkClassifier
from sequela.api.visit_lists import Binning, VisitLists, as_lists
from sequela.config import SequenceSettings, TrainingSettings
from sequela.errors import DataError, SettingError
from sequela.identity.fingerprint import Content, of_records, tokens
from sequela.models.defaults import AUTO
from sequela.sequences.visit_batches import VisitDataset, visit_loader

Examples = VisitLists | NDArray[np.float64]


@dataclass(eq=False, repr=False)
class VisitClassifier(NetworkClassifier):
    """A network that classifies sequences of visits, with scikit-learn's interface.

    An example is a list of visits in the order of time, and a visit is a list of codes: ``[["I50",
    "E11"], ["I21"]]``. Examples come as a list, an object array, or a series of pandas or polars
    (there of type ``List(List(String))``). The vocabulary is learnt from the training examples;
    codes that they lack share index 0. The order of the codes within a visit, and their repetition,
    have no effect.

    A table of numbers (example, column) is accepted too, each example as one visit: a column of 0
    and 1 is a code that is present or not; any other is cut at its training quantiles into ``bins``
    codes, and a missing value has no code. That loses the order of the numbers, so other
    classifiers are better for plain tables.

    Within a cross-validation by group, pass ``groups`` to this classifier too, by scikit-learn's
    metadata routing (``set_fit_request(groups=True)``): its validation set is then drawn by group
    as well. Parameters of training that are ``None`` have the values of the model's own training
    procedure, as in ``sequela train``.

    Args:
        model: ``auto`` for the default model of lists of visits, the name of a registered model
            that reads ``codes`` alone, or a class or function that is called with ``n_codes`` and
            ``n_outputs`` and returns a similar ``nn.Module``.
        bins: Quantiles into which a column of numbers is cut; at least 2.

    Attributes:
        classes_: The classes, sorted.
        vocabulary_: The known codes by index; index 0 is for all others.
        binning_: The conversion of numbers to codes; ``None`` where examples are visits.
        n_features_in_: Columns, where examples are a table.
        feature_names_in_: Names of the columns, where a frame named them.
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
    settings = (SequenceSettings, TrainingSettings)

    model: str | Callable[..., nn.Module] = AUTO
    _: KW_ONLY
    min_subjects: int = SequenceSettings().min_subjects
    bins: int = 10

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _examples(self, X: Any, *, reset: bool) -> Examples:
        lists = as_lists(X)
        if lists is None:
            if not reset and self.binning_ is None:
                raise DataError(
                    "X is a table of numbers, but the classifier was fitted on lists of visits: "
                    "give examples of the same form"
                )
            table: NDArray[np.float64] = validate_data(
                self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=reset
            )
            return table
        if reset:
            for name in {"n_features_in_", "feature_names_in_"} & set(vars(self)):
                delattr(self, name)  # left from an earlier fit on a table
        elif self.binning_ is not None:
            raise DataError(
                "X holds lists of visits, but the classifier was fitted on a table of numbers: "
                "give examples of the same form"
            )
        return VisitLists.of(lists)

    def _learn(self, examples: Examples, train: NDArray[np.int64], group: NDArray[Any]) -> None:
        settings = SequenceSettings.of(**self._settings(SequenceSettings))
        if not settings.bins:
            raise SettingError("bins = 0: expected at least 2")
        self.binning_ = None
        if not isinstance(examples, VisitLists):
            names = getattr(self, "feature_names_in_", [f"x{i}" for i in range(examples.shape[1])])
            self.binning_ = Binning.fit(examples[train], names, settings.bins)
        self.vocabulary_ = self._visits(examples).vocabulary(train, group, settings.min_subjects)

    def _content(self, examples: Examples) -> Content:
        visits = self._visits(examples)
        steps = np.repeat(np.arange(len(visits)), visits.lengths)
        example = np.repeat(steps, np.diff(visits.code_offsets))
        rows = [str(row) for row in range(len(visits))]
        return of_records(rows, example, tokens(visits.names, visits.codes))

    def _learnt(self) -> dict[str, Any]:
        edges = None if self.binning_ is None else self.binning_.edges
        names = None if self.binning_ is None else self.binning_.names
        return {"vocabulary": self.vocabulary_, "names": names, "edges": edges}

    def _relearn(self, record: dict[str, Any]) -> None:
        self.vocabulary_ = tuple(record["vocabulary"])
        self.binning_ = None
        if record["names"] is not None:
            edges = tuple(None if ends is None else tuple(ends) for ends in record["edges"])
            self.binning_ = Binning(tuple(record["names"]), edges)

    def _shape(self) -> dict[str, int]:
        return {"n_codes": len(self.vocabulary_)}

    def _loader(
        self, examples: Any, labels: NDArray[Any], rows: NDArray[np.int64], weight: Any, **how: Any
    ) -> DataLoader[Any]:
        visits = self._visits(examples).under(self.vocabulary_, labels)
        weight = None if weight is None else weight[rows]
        return visit_loader(VisitDataset(visits, rows, weight=weight), **how)

    def _batches(
        self, examples: Examples, size: int
    ) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        unlabelled = np.zeros(len(examples), np.int64)
        dataset = VisitDataset(self._visits(examples).under(self.vocabulary_, unlabelled))
        for first in range(0, len(dataset), size):
            batch = dataset[range(first, min(first + size, len(dataset)))]
            yield batch.inputs, batch.order

    def _visits(self, examples: Examples) -> VisitLists:
        if isinstance(examples, VisitLists):
            return examples
        if self.binning_ is None:
            raise AssertionError("a table is only taken where its binning was learnt")
        return self.binning_.visits(examples)
