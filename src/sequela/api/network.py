"""The base of both classifiers: settings, validation set, fitting, predicting, saving, loading."""

import copy
import json
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import KW_ONLY, asdict, dataclass, field
from inspect import cleandoc
from pathlib import Path
from textwrap import fill
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import assert_all_finite, check_consistent_length, check_random_state
from sklearn.utils import column_or_1d as one_column
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sequela.api.survival import group_ids
from sequela.cohort.split import set_aside
from sequela.config import TrainingSettings
from sequela.errors import (
    DataError,
    RunError,
    SeenExamplesWarning,
    SettingError,
    warn_without_groups,
)
from sequela.identity.fingerprint import Content, matches
from sequela.models import defaults, stored
from sequela.models.inputs import sizes_of
from sequela.models.registry import MODELS, lookup_network
from sequela.runs.learner import Learner
from sequela.training.fit import Batch
from sequela.training.history import EpochRecord, History
from sequela.version import __version__

_PREDICTION_BATCH = 1024  # examples, to limit memory
_FEWEST_CLASSES = 2  # one class leaves nothing to learn
_SEEN_BY_CHANCE = 0.01  # of one-second segments: neighbouring electrodes record alike
_FITS = threading.Lock()  # torch's global generators are shared by all threads
E = TypeVar("E", bound=Sized)
"""The form of the examples of a classifier."""


@dataclass(eq=False, repr=False)
class NetworkClassifier(ClassifierMixin, BaseEstimator, ABC, Generic[E]):  # type: ignore[misc] # untyped
    """A network behind scikit-learn's interface.

    A subclass adds the reading of examples and the preprocessing learnt from them. The parameters
    are fields of a dataclass, from which scikit-learn's ``__init__`` is generated; the settings
    among them are described with the setting.

    Args:
        model_settings: Changes to the model's config, or further arguments of the class.
        tuning_fraction: Share of the groups in the validation set; ``None`` uses none and keeps the
            epoch with the lowest training loss.
        class_weight: Weight of each class in the loss, ``balanced``, or ``None``.
        random_state: Seed of the validation set, the first weights, dropout and the batch order.
    """

    gives: ClassVar[tuple[str, ...]]
    """The input that a model reads here."""
    auto: ClassVar[str]
    """The entry of ``DEFAULTS`` that the model ``auto`` selects."""
    settings: ClassVar[tuple[type[BaseModel], ...]] = (TrainingSettings,)

    model: str | Callable[..., nn.Module]
    _: KW_ONLY
    model_settings: Mapping[str, object] | None = None
    epochs: int | None = None
    patience: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    schedule: Literal["constant", "one-cycle"] | None = None
    clip_norm: float | None = None
    weight_decay: float | None = None
    label_smoothing: float | None = None
    average: float | None = None
    refit: bool | None = None
    keep: Literal["best", "last"] | None = None
    tuning_fraction: float | None = 0.2
    class_weight: Mapping[Any, float] | Literal["balanced"] | None = None
    random_state: int | np.random.RandomState | None = None

    classes_: NDArray[np.generic] = field(init=False)
    history_: History = field(init=False)
    module_: nn.Module = field(init=False)
    content_: Content = field(init=False)

    def __init_subclass__(cls, **more: object) -> None:
        """Describe the shared parameters and the settings, at the end of ``Args``."""
        super().__init_subclass__(**more)
        summary, attributes, rest = cleandoc(cls.__doc__ or "").partition("\n\nAttributes:")
        parameters = set[str]().union(*(vars(b).get("__annotations__", ()) for b in cls.__mro__))
        sentences: dict[str, str | None] = {}
        for kind in cls.settings:
            for name, setting in kind.model_fields.items():
                if name in parameters and f"\n    {name}: " not in summary:
                    sentences[name] = setting.description
        if attributes:  # other packages write their own docstrings
            lines = [
                fill(f"{name}: {sentence}", 100, initial_indent="    ", subsequent_indent=" " * 8)
                for name, sentence in sentences.items()
            ]
            shared = cleandoc(NetworkClassifier.__doc__ or "").partition("Args:\n")[2]
            cls.__doc__ = "\n".join([summary, shared, *lines]) + attributes + rest

    def fit(self, X: object, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Train the network; it ends with the weights of the epoch with the lowest validation loss.

        Args:
            X: Examples, in one of the forms that the class describes.
            y: Class of each example (example,): numbers, text or truth values.
            groups: Subject or recording of each example (example,). Groups of the validation set
                are set aside whole; ``None`` makes each example a group.

        Warns:
            MissingGroupsWarning: If ``groups`` is missing and a validation set is drawn.

        Raises:
            ValueError: If the examples or labels cannot be used.
            SequelaError: If settings or models do not fit, or there are too few groups.
        """
        if groups is None and self.tuning_fraction is not None:
            places = "both the training and the validation or test set"
            warn_without_groups(f"{places}: scores are too high")
        settings = self._training_settings()
        examples = self._examples(X, reset=True)
        self.classes_, labels = self._labels(y, len(examples))
        group = np.arange(len(labels)) if groups is None else one_column(group_ids(groups))
        check_consistent_length(labels, group)
        # A RandomState moves on with each fit, as scikit-learn expects, so the number is drawn
        # once.
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        train, tuning = self._parts(labels, group, seed)
        # The validation set judges what was learnt, so nothing is learnt from it.
        self._learn(examples, train, group)

        rows = {"train": train, "tuning": tuning, "train+tuning": np.union1d(train, tuning)}

        def batches(
            part: str, batch_size: int, generator: torch.Generator | None, _: object
        ) -> DataLoader[Batch]:
            return self._loader(examples, labels, rows[part], batch_size, generator)

        learner = Learner(
            build=self._built,
            batches=batches,
            seed=seed,
            at_once=_PREDICTION_BATCH,
            class_weight=self._class_weight(labels[train]),
        )
        with _seeded(seed):
            model = learner.built()
            self.history_ = learner.learn(model, settings)
        if settings.refit and self.tuning_fraction is not None:
            with _seeded(seed):
                model, _ = learner.refit(settings, self.history_)
        self.module_ = model.cpu()
        self.content_ = self._content(examples)
        return self

    def predict_proba(self, X: object) -> NDArray[np.float64]:
        """Compute probabilities (example, class), classes in the order of ``classes_``.

        They are computed in double precision on the CPU: an example's probabilities do not depend
        on the other examples in ``X``.
        """
        check_is_fitted(self)
        examples = self._examples(X, reset=False)
        # In float32, sums over a batch depend on its size.
        network = copy.deepcopy(self.module_).double().eval()
        probabilities = torch.empty(len(examples), len(self.classes_), dtype=torch.float64)
        with torch.inference_mode(), _one_thread():
            for inputs, rows in self._batches(examples, _PREDICTION_BATCH):
                logits = network(*(t.double() if t.is_floating_point() else t for t in inputs))
                probabilities[rows] = logits.softmax(1)
        return probabilities.numpy()

    def predict(self, X: object) -> NDArray[np.generic]:
        """Predict the most probable class of each example (example,), the first of equals."""
        probable = self.predict_proba(X).argmax(axis=1)  # checks that there are classes
        return np.asarray(self.classes_[probable])

    def seen(self, X: object) -> NDArray[np.bool_]:
        """Find examples with data that the classifier was trained or validated on: bool (example,).

        Copies are found under another gain, offset or sign, shifted, or with a few other codes;
        examples with too little information (short segments, few codes) are not.
        """
        check_is_fitted(self)
        content = self._content(self._examples(X, reset=False))
        is_seen = np.zeros(len(content.units), np.bool_)
        is_seen[matches(self.content_, content).query] = True  # rows of ``X``
        return is_seen

    def score(self, X: object, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Compute the accuracy, and warn if more than 1 % of the examples were used in ``fit``.

        Warns:
            SeenExamplesWarning: If so. It is not an error: searches compute training scores too.
        """
        self.warn_if_seen(X, stacklevel=3)
        accuracy: float = super().score(X, y, sample_weight)
        return accuracy

    def warn_if_seen(self, X: object, *, stacklevel: int = 2) -> None:
        """Warn if more than 1 % of the examples hold data that the classifier was trained on.

        Warns:
            SeenExamplesWarning: If so.
        """
        is_seen = self.seen(X)
        if is_seen.mean() > _SEEN_BY_CHANCE:
            warnings.warn(
                f"{int(is_seen.sum())} of {len(is_seen)} examples were already used to fit "
                f"{type(self).__name__}: the score is inflated; use examples of other subjects",
                SeenExamplesWarning,
                stacklevel=stacklevel,
            )

    def save(self, path: Path | str) -> None:
        """Write the fitted classifier as one safetensors file with a JSON header; never a pickle.

        Raises:
            NotFittedError: Before ``fit``.
            SettingError: If a parameter or a class cannot be written as JSON.
        """
        check_is_fitted(self)
        header = {
            "estimator": type(self).__name__,
            "sequela": __version__,
            "parameters": self._parameters(),
            "classes": _as_json("classes", self.classes_.tolist()),
            "dtype": self.classes_.dtype.str,
            "features": getattr(self, "n_features_in_", None),
            "feature_names": np.asarray(getattr(self, "feature_names_in_", ())).tolist(),
            "history": [asdict(record) for record in self.history_],
            "learnt": self._learnt(),
            "content": self.content_.to_json(),
        }
        stored.write(Path(path), self.module_.state_dict(), header)

    @classmethod
    def load(cls, path: Path | str, *, model: Callable[..., nn.Module] | None = None) -> Self:
        """Read a classifier that :meth:`save` wrote; no code in the file is run.

        Args:
            path: The file.
            model: The class or function of ``model``, if it was not a registered name: files hold
                no code.

        Raises:
            RunError: If the file is missing, damaged or another class's.
            SettingError: If ``model`` is needed and missing.
        """
        header, tensors = stored.read(Path(path))
        if header.get("estimator") != cls.__name__:
            raise RunError(
                f"{path}: holds a {header.get('estimator', 'model of a run')}, expected a "
                f"{cls.__name__}: load it with the class that saved it"
            )
        parameters = header["parameters"]
        if (parameters["model"] is None) != (model is not None):
            hint = "its class as load(path, model=...)" if model is None else "no model"
            name = parameters["model"] or "a model that is not registered"
            raise SettingError(f"{path}: was saved with {name}: give {hint}")
        if parameters["class_weight"] not in (None, "balanced"):
            parameters["class_weight"] = dict(parameters["class_weight"])
        # An earlier version may have had other parameters.
        names = [name for name in cls._get_param_names() if name in parameters]
        parameters = {name: parameters[name] for name in names}
        loaded = cls(**{**parameters, "model": model or parameters["model"]})
        loaded.classes_ = np.array(header["classes"], np.dtype(header["dtype"]))
        if header["features"] is not None:
            loaded.n_features_in_ = header["features"]
        if header["feature_names"]:
            loaded.feature_names_in_ = np.array(header["feature_names"], object)
        loaded.history_ = [EpochRecord(**record) for record in header["history"]]
        loaded.content_ = Content.from_json(header["content"])
        loaded._relearn(header["learnt"])
        with _seeded(0):
            loaded.module_ = loaded._built()
        loaded.module_.load_state_dict({n: torch.as_tensor(t) for n, t in tensors.items()})
        loaded.module_.eval()  # without dropout
        return loaded

    @abstractmethod
    def _examples(self, X: object, *, reset: bool) -> E:
        """Check the examples; with ``reset`` remember their shape, else compare it."""

    @abstractmethod
    def _learn(self, examples: E, train: NDArray[np.int64], group: NDArray[np.generic]) -> None:
        """Learn the preprocessing from the training examples alone."""

    @abstractmethod
    def _content(self, examples: E) -> Content:
        """Compute the marks of each example, by its row."""

    @abstractmethod
    def _learnt(self) -> dict[str, object]:
        """Return the learnt preprocessing, for JSON."""

    @abstractmethod
    def _relearn(self, record: dict[str, Any]) -> None: ...

    @abstractmethod
    def _shape(self) -> dict[str, int]:
        """Return the sizes that the model must fit, except for the number of classes."""

    @abstractmethod
    def _loader(
        self,
        examples: E,
        labels: NDArray[np.int64],
        rows: NDArray[np.int64],
        batch_size: int,
        generator: torch.Generator | None,
    ) -> DataLoader[Batch]:
        """Make batches of ``rows``; labels are int64 (example,)."""

    @abstractmethod
    def _batches(
        self, examples: E, size: int
    ) -> Iterator[tuple[tuple[Tensor, ...], Tensor | slice]]:
        """Yield inputs of the network, batch by batch, and their rows."""

    def _parameters(self) -> dict[str, object]:
        """Return the parameters for JSON, which has only text keys, and no code."""
        model = self._named()
        parameters = self.get_params(deep=False)
        parameters["model"] = model if isinstance(model, str) else None
        if isinstance(self.class_weight, Mapping):
            pairs = self.class_weight.items()
            parameters["class_weight"] = [[_plain(key), weight] for key, weight in pairs]
        return {name: _as_json(name, value) for name, value in parameters.items()}

    def _named(self) -> str | Callable[..., nn.Module]:
        """Return the model; for ``auto``, the default for examples of this kind."""
        is_auto = isinstance(self.model, str) and self.model == defaults.AUTO
        return defaults.DEFAULTS[self.auto].model if is_auto else self.model

    def _training_settings(self) -> TrainingSettings:
        """Return the settings of the model's own training procedure with the given parameters."""
        entry = MODELS.get(str(self._named()))
        usual = entry.training if entry else TrainingSettings()
        changes = {k: v for k, v in self._settings(TrainingSettings).items() if v is not None}
        changes |= {"crops": False, "second_target": 0.0, "distil": 0.0}  # not of arrays
        return TrainingSettings.of(**{**usual.model_dump(), **changes})

    def _settings(self, kind: type[BaseModel]) -> dict[str, object]:
        parameters = self.get_params(deep=False)
        return {name: _plain(parameters[name]) for name in kind.model_fields if name in parameters}

    def _labels(
        self, y: ArrayLike | None, n_examples: int
    ) -> tuple[NDArray[np.generic], NDArray[np.int64]]:
        """Return the distinct classes, sorted, and the index of each example's class."""
        name = type(self).__name__
        if y is None:
            raise DataError(f"{name} requires y to be passed, but the target y is None")
        if getattr(getattr(y, "dtype", None), "names", None):
            raise DataError(
                f"{name} predicts classes, but y has times to an event: train on them with "
                "`sequela train --horizons`, or with scikit-survival"
            )
        y = one_column(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_classification_targets(y)
        check_consistent_length(y, range(n_examples))
        classes, labels = np.unique(y, return_inverse=True)
        if len(classes) < _FEWEST_CLASSES:
            raise DataError(
                f"{name} needs examples of two classes or more, but y holds 1 class "
                f"({_plain(classes[0])!r})"
            )
        return classes, labels.astype(np.int64)

    def _parts(
        self, labels: NDArray[np.int64], group: NDArray[np.generic], seed: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        if self.tuning_fraction is None:
            everything = np.arange(len(labels))  # the training loss decides on the epoch
            return everything, everything
        if not 0 < self.tuning_fraction < 1:
            raise SettingError(
                f"tuning_fraction = {self.tuning_fraction!r}: expected a share between 0 and 1, or "
                "None to learn from all examples and keep the epoch with the lowest training loss"
            )
        aside = set_aside(labels, group, fraction=self.tuning_fraction, seed=seed)
        return np.flatnonzero(~aside), np.flatnonzero(aside)

    def _class_weight(self, labels: NDArray[np.int64]) -> Tensor | None:
        """Return float32 (class,), or ``None`` where all classes have the same weight."""
        if self.class_weight is None:
            return None
        y = self.classes_[labels]  # names of classes, as class_weight has them
        weight = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
        return torch.from_numpy(weight.astype(np.float32))

    def _built(self) -> nn.Module:
        shape = {**self._shape(), "n_outputs": len(self.classes_)}
        changes = dict(self.model_settings or {})
        sizes = {name: shape[name] for name in sizes_of(self._reads())}
        model = self._named()
        if not isinstance(model, str):
            return model(**sizes, **changes)
        entry = lookup_network(model)
        return entry.build(entry.config(**{**sizes, **changes}))

    def _reads(self) -> tuple[str, ...]:
        """Return the inputs of the model, by default ``gives``, after a check."""
        model = self._named()
        if isinstance(model, nn.Module):
            raise SettingError(
                f"model is an instance of {type(model).__name__}: give the class, or a "
                "function, so that each fit begins with a new network"
            )
        if isinstance(model, str):
            name, reads = model, lookup_network(model).reads
        else:
            name = getattr(model, "__name__", "model")
            reads = tuple(getattr(model, "reads", self.gives))
        if reads != self.gives:
            raise SettingError(
                f"{name} reads {' and '.join(reads)}, but {type(self).__name__} gives it "
                f"{self.gives[0]}: choose a model that reads {self.gives[0]} alone"
            )
        return reads


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch's global generators, and restore them afterwards; one fit at a time."""
    with _FITS, torch.random.fork_rng(devices=range(torch.cuda.device_count())), _one_thread():
        torch.manual_seed(seed)
        yield


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread: several are slower for networks as small as these."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _as_json(name: str, value: object) -> object:
    """Return a value as JSON stores it; raise a SettingError if it is neither numbers nor text."""
    try:
        return json.loads(json.dumps(value, default=lambda number: number.item()))  # of numpy
    except (TypeError, ValueError, AttributeError) as error:
        raise SettingError(
            f"{name} = {value!r} cannot be saved: expected numbers and text "
            "(random_state: a whole number or None)"
        ) from error
