"""A classifier of sequences of visits."""

from collections.abc import Callable, Iterator
from dataclasses import KW_ONLY, dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sequela.api.network import NetworkClassifier
from sequela.api.visit_lists import VisitLists, as_lists
from sequela.config import SequenceSettings, TrainingSettings
from sequela.errors import DataError, RunError
from sequela.identity.fingerprint import Content, of_records, tokens
from sequela.models.defaults import AUTO
from sequela.sequences.visit_batches import VisitDataset, visit_loader


@dataclass(eq=False, repr=False)
class VisitClassifier(NetworkClassifier):
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
    settings = (SequenceSettings, TrainingSettings)

    model: str | Callable[..., nn.Module] = AUTO
    _: KW_ONLY
    min_subjects: int = SequenceSettings().min_subjects

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags

    def _examples(self, X: Any, *, reset: bool) -> VisitLists:
        del reset
        lists = as_lists(X)
        if lists is None:
            raise DataError(
                "X holds no lists of visits: expected a list of visits an example, each a list of "
                "codes, such as [['I50', 'E11'], ['I21']]; for a table of numbers use a classifier "
                "of scikit-learn"
            )
        return VisitLists.of(lists)

    def _learn(self, examples: VisitLists, train: NDArray[np.int64], group: NDArray[Any]) -> None:
        settings = SequenceSettings.of(**self._settings(SequenceSettings))
        self.vocabulary_ = examples.vocabulary(train, group, settings.min_subjects)

    def _content(self, visits: VisitLists) -> Content:
        steps = np.repeat(np.arange(len(visits)), visits.lengths)
        example = np.repeat(steps, np.diff(visits.code_offsets))
        rows = [str(row) for row in range(len(visits))]
        return of_records(rows, example, tokens(visits.names, visits.codes))

    def _learnt(self) -> dict[str, Any]:
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
        self, examples: Any, labels: NDArray[Any], rows: NDArray[np.int64], weight: Any, **how: Any
    ) -> DataLoader[Any]:
        visits = examples.under(self.vocabulary_, labels)
        weight = None if weight is None else weight[rows]
        return visit_loader(VisitDataset(visits, rows, weight=weight), **how)

    def _batches(
        self, examples: VisitLists, size: int
    ) -> Iterator[tuple[tuple[Tensor, ...], Tensor]]:
        unlabelled = np.zeros(len(examples), np.int64)
        dataset = VisitDataset(examples.under(self.vocabulary_, unlabelled))
        for first in range(0, len(dataset), size):
            batch = dataset[range(first, min(first + size, len(dataset)))]
            yield batch.inputs, batch.order
