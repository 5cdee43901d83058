"""A classifier of sequences of visits."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import validate_data
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sequela.errors import DataError, SettingError
from sequela.estimators.network import DEFAULTS, NetworkClassifier
from sequela.estimators.visit_lists import Binning, VisitLists, as_lists
from sequela.models.registry import Reads
from sequela.sequences.visit_batches import VisitDataset, visit_loader

_FEWEST_BINS = 2

Examples = VisitLists | NDArray[np.float64]


class VisitClassifier(NetworkClassifier):
    """A network that tells sequences of visits apart, with scikit-learn's interface.

    An example is a list of visits in the order of time, and a visit is a list of codes:
    ``[["I50", "E11"], ["I21"]]``. Examples come as a list, an object array, or a series of pandas
    or polars (there of type ``List(List(String))``). The vocabulary is learnt from those examples
    that the network learns from; codes that they lack share index 0. The order of the codes within
    a visit, and their repetition, say nothing.

    A table of numbers (example, column) is taken too, each example as one visit: a column of 0 and
    1 is a code that is there or not; any other is cut at its training quantiles into ``bins``
    codes, and a missing value is no code. That loses the order of the numbers, so for plain tables
    other classifiers serve better.

    Within a cross-validation by group, hand ``groups`` to this classifier too, by scikit-learn's
    metadata routing (``set_fit_request(groups=True)``): its tuning part is then by group as well.

    Args:
        model: Name of a registered model that reads visits, or a class or function that is called
            with ``n_codes`` and ``n_outputs`` and answers an ``nn.Module`` like those.
        model_settings: Changes to the model's config, or further arguments of the class.
        min_subjects: In how many training groups a code must stand to be known.
        bins: Quantiles into which a column of numbers is cut.
        epochs: Passes over the training part at most.
        patience: Epochs without a better tuning loss after which training stops.
        batch_size: Examples of a step.
        learning_rate: Adam's.
        schedule: ``constant`` or ``one-cycle``.
        clip_norm: Largest norm of the gradient; ``None`` does not clip.
        weight_decay: Decoupled from the gradient.
        label_smoothing: Share of the label spread over all classes.
        average: Decay of the running average of the weights; 0 is no average.
        tuning_fraction: Share of the groups that is set aside; ``None`` sets none aside and keeps
            the epoch with the lowest training loss.
        class_weight: Weight of each class in the loss, ``balanced``, or ``None``.
        random_state: Decides the tuning part, the first weights, dropout and the order of batches.

    Attributes:
        classes_: The classes, sorted.
        vocabulary_: The known codes by index; index 0 stands for all others.
        binning_: How numbers became codes; ``None`` where examples are visits.
        n_features_in_: Columns, where examples are a table.
        feature_names_in_: Names of the columns, where a frame named them.
        history_: A record for each epoch and part.
        module_: The trained network.

    Example:
        >>> patients = [[["I50"], ["I50", "N17"]], [["J06"]]] * 20
        >>> outcome = ["died", "lived"] * 20
        >>> fitted = VisitClassifier(learning_rate=0.01, random_state=0).fit(patients, outcome)
        >>> fitted.vocabulary_
        ('UNKNOWN', 'I50', 'J06', 'N17')
        >>> fitted.predict([[["J06"], ["J06"]], [["N17", "I50"]]])
        array(['lived', 'died'], dtype='<U5')
    """

    reads: ClassVar[Reads] = "visits"

    def __init__(
        self,
        model: str | Callable[..., nn.Module] = "visits-improved",
        *,
        model_settings: Mapping[str, Any] | None = None,
        min_subjects: int = 1,
        bins: int = 10,
        epochs: int = DEFAULTS.epochs,
        patience: int = DEFAULTS.patience,
        batch_size: int = DEFAULTS.batch_size,
        learning_rate: float = DEFAULTS.learning_rate,
        schedule: Literal["constant", "one-cycle"] = DEFAULTS.schedule,
        clip_norm: float | None = DEFAULTS.clip_norm,
        weight_decay: float = DEFAULTS.weight_decay,
        label_smoothing: float = DEFAULTS.label_smoothing,
        average: float = DEFAULTS.average,
        tuning_fraction: float | None = 0.2,
        class_weight: Mapping[Any, float] | Literal["balanced"] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.model = model
        self.model_settings = model_settings
        self.min_subjects = min_subjects
        self.bins = bins
        self.epochs = epochs
        self.patience = patience
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.schedule = schedule
        self.clip_norm = clip_norm
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.average = average
        self.tuning_fraction = tuning_fraction
        self.class_weight = class_weight
        self.random_state = random_state

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
                delattr(self, name)  # of a fit on a table before
        elif self.binning_ is not None:
            raise DataError(
                "X holds lists of visits, but the classifier was fitted on a table of numbers: "
                "give examples of the same form"
            )
        return VisitLists.of(lists)

    def _learn(self, examples: Examples, train: NDArray[np.int64], group: NDArray[Any]) -> None:
        if self.bins < _FEWEST_BINS or self.min_subjects < 1:
            raise SettingError(
                f"bins = {self.bins} and min_subjects = {self.min_subjects}: expected at least "
                f"{_FEWEST_BINS} and 1"
            )
        self.binning_ = None
        if not isinstance(examples, VisitLists):
            columns = range(examples.shape[1])
            names = getattr(self, "feature_names_in_", [f"x{i}" for i in columns])
            self.binning_ = Binning.fit(examples[train], names, self.bins)
        self.vocabulary_ = self._visits(examples).known(train, group, self.min_subjects)

    def _learnt(self) -> dict[str, Any]:
        edges = None if self.binning_ is None else self.binning_.edges
        names = None if self.binning_ is None else self.binning_.names
        return {"vocabulary": self.vocabulary_, "names": names, "edges": edges}

    def _relearn(self, record: dict[str, Any]) -> None:
        self.vocabulary_ = tuple(record["vocabulary"])
        self.binning_ = None
        if record["names"] is not None:
            edges = tuple(None if each is None else tuple(each) for each in record["edges"])
            self.binning_ = Binning(tuple(record["names"]), edges)

    def _shape(self) -> dict[str, int]:
        return {"n_codes": len(self.vocabulary_)}

    def _loader(
        self,
        examples: Examples,
        labels: NDArray[np.int64],
        rows: NDArray[np.int64],
        *,
        batch_size: int,
        generator: torch.Generator | None = None,
    ) -> DataLoader[Any]:
        visits = self._visits(examples).under(self.vocabulary_, labels)
        return visit_loader(VisitDataset(visits, rows), batch_size=batch_size, generator=generator)

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
