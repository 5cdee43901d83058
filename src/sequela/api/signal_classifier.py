"""A classifier of signal segments."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.utils import Tags, check_array
from sklearn.utils.validation import validate_data
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sequela.api.network import NetworkClassifier
from sequela.errors import DataError
from sequela.evaluation.number import plural
from sequela.formats.arrays import of_epochs
from sequela.identity.fingerprint import Content, of_signals
from sequela.models.defaults import AUTO
from sequela.sequences.scaling import Scaling
from sequela.sequences.signal_batches import SignalBatch, VariedDataset, signal_loader


@dataclass(eq=False, repr=False)
class SignalClassifier(NetworkClassifier[NDArray[np.float32]]):
    """A network that classifies segments of a signal, with scikit-learn's interface.

    Examples are numbers (example, n_times), one channel, or (example, n_chans, n_times): a numpy
    array, nested lists, a pandas or polars frame with one column for each sample, or Epochs of MNE,
    which become µV. They are scaled by one mean and one standard deviation for each channel, learnt
    from the training examples; a validation set is held back for choosing the best epoch and for
    early stopping.

    Within a cross-validation by group, pass ``groups`` to this classifier too, by scikit-learn's
    metadata routing (``set_fit_request(groups=True)``): its validation set is then drawn by group
    as well. Parameters of training that are ``None`` have the values of the model's own training
    procedure, as in ``sequela train``.

    Args:
        model: ``auto`` for the default model of signals, the name of a registered model that reads
            ``signal``, or a class or function that is called with ``n_chans``, ``n_times`` and
            ``n_outputs`` (braindecode's names) and returns an ``nn.Module`` from scaled segments
            (batch, n_chans, n_times) to logits.

    Attributes:
        classes_: The classes, sorted.
        n_features_in_: Numbers of an example, ``n_chans * n_times``.
        feature_names_in_: Names of the columns, where a frame named them.
        n_chans_: Channels of an example.
        n_times_: Samples of a channel.
        scaling_: The scaling of each channel.
        history_: A record for each epoch and part.
        module_: The trained network.
        content_: Marks of the training and validation examples, see ``seen``.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> y = np.repeat(["calm", "seizure"], 40)
        >>> X = rng.normal(scale=np.where(y == "seizure", 100, 20)[:, None], size=(80, 64))
        >>> model = SignalClassifier("mlp-improved", epochs=20, random_state=0)
        >>> fitted = model.fit(X, y, groups=np.arange(80))
        >>> fitted.predict(X[[0, -1]])
        array(['calm', 'seizure'], dtype='<U7')
    """

    gives: ClassVar[tuple[str, ...]] = ("signal",)
    auto: ClassVar[str] = "signal"

    model: str | Callable[..., nn.Module] = AUTO

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True  # scikit-learn's own checks give such arrays
        return tags

    def _examples(self, X: object, *, reset: bool) -> NDArray[np.float32]:
        """Return float32 (example, n_chans, n_times)."""
        X = of_epochs(X)
        if _has_channels(X):
            array = check_array(X, dtype=np.float32, allow_nd=True)
            shape: tuple[int, ...] = array.shape[1:]
            # scikit-learn remembers the shape of tables only.
            array = validate_data(self, array.reshape(len(array), -1), reset=reset)
        else:
            array = validate_data(self, X, dtype=np.float32, reset=reset)
            shape = (1, array.shape[1])  # one channel
        if reset:
            self.n_chans_, self.n_times_ = shape
        elif shape != (self.n_chans_, self.n_times_):
            raise DataError(
                f"X has {plural(shape[0], 'channel')} of {shape[1]} samples, but the classifier "
                f"was fitted on {self.n_chans_} of {self.n_times_}: give (example, "
                "n_chans, n_times)"
            )
        return np.asarray(array.reshape(-1, *shape))

    def _learn(
        self, examples: NDArray[np.float32], train: NDArray[np.int64], group: NDArray[np.generic]
    ) -> None:
        del group  # the scaling is over all samples, whoever they are of
        self.scaling_ = Scaling.fit(examples[train])

    def _content(self, examples: NDArray[np.float32]) -> Content:
        return of_signals([str(row) for row in range(len(examples))], list(examples))

    def _learnt(self) -> dict[str, object]:
        shape = {"n_chans": self.n_chans_, "n_times": self.n_times_}
        return {**shape, "scaling": self.scaling_.to_json()}

    def _relearn(self, record: dict[str, Any]) -> None:
        self.n_chans_, self.n_times_ = record["n_chans"], record["n_times"]
        self.scaling_ = Scaling.from_json(record["scaling"])

    def _shape(self) -> dict[str, int]:
        return {"n_chans": self.n_chans_, "n_times": self.n_times_}

    def _batch(self, examples: NDArray[np.float32], labels: NDArray[np.int64]) -> SignalBatch:
        scaled = torch.from_numpy(self.scaling_.apply(examples))
        return SignalBatch(scaled, torch.from_numpy(labels))

    def _loader(
        self,
        examples: NDArray[np.float32],
        labels: NDArray[np.int64],
        rows: NDArray[np.int64],
        batch_size: int,
        generator: torch.Generator | None,
    ) -> DataLoader[SignalBatch]:
        batch = self._batch(examples[rows], labels[rows])
        gain = self._training_settings().gain
        # Without recordings there are no neighbours to cut across, so only the gain varies.
        dataset = VariedDataset(batch, generator, gain=gain) if generator and gain else batch
        return signal_loader(dataset, batch_size=batch_size, generator=generator)

    def _batches(
        self, examples: NDArray[np.float32], size: int
    ) -> Iterator[tuple[tuple[Tensor, ...], slice]]:
        for first in range(0, len(examples), size):
            rows = slice(first, first + size)
            yield self._batch(examples[rows], np.zeros(len(examples[rows]), np.int64)).inputs, rows


def _has_channels(X: object) -> bool:
    """Return whether examples are (example, n_chans, n_times), not one row of samples each."""
    if isinstance(X, list | tuple):
        return len(X) > 0 and np.ndim(X[0]) == 2  # noqa: PLR2004
    return len(getattr(X, "shape", ())) == 3  # noqa: PLR2004
