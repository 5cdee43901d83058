"""A model in use, which predicts probabilities, and the forms of its file."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError, MissingExtraError, SettingError, extra
from sequela.evaluation.number import plural
from sequela.formats.arrays import Array
from sequela.plugins import Registry
from sequela.serving.model_facts import (
    KEY,
    ModelFacts,
    RecordsFacts,
    SignalFacts,
    check_seal,
    read,
)

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

    from sequela.models.reference import Arrays
    from sequela.runs.model import Predictor, Shape, TrainedModel

_SAME_RATE = 1e-3  # largest relative difference of the rate of a signal from the rate of the model
_MICROVOLT = {"uv", "µv", "μv", "microvolt", "microvolts"}
_WHOLE = ("codes", "lengths")  # the inputs that are whole numbers
_STEPPED = ("signal", "codes", "values", "gaps")  # the inputs that have samples or visits
_EXPECTED = "an ONNX file that sequela export wrote"
_REMEDY = "export the run again"
_ROUNDING = 1e-3  # largest difference of a sum of probabilities from 1
_SHOWN = 5  # number of values in a message


@dataclass(frozen=True, eq=False)
class OnnxModel:
    """The graph of a file in ONNX Runtime, which several threads may use."""

    name: str
    content: bytes = field(repr=False)
    threads: int = 1

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the file, as a session of ONNX Runtime cannot be pickled."""
        return OnnxModel, (self.name, self.content, self.threads)

    @cached_property
    def session(self) -> "InferenceSession":
        """The session of ONNX Runtime."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        # Warnings about a graph are for its maker, not for those who use the model.
        options.log_severity_level = 4  # errors are raised
        onnxruntime.set_default_logger_severity(4)
        return onnxruntime.InferenceSession(
            self.content, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )

    @property
    def shapes(self) -> "dict[str, Shape]":
        """The inputs by name, each with fixed sizes and names of variable sizes."""
        return {value.name: tuple(value.shape) for value in self.session.get_inputs()}

    def prepare(self) -> None:
        """Open the graph in ONNX Runtime."""
        _ = self.session

    def probabilities(self, inputs: "Arrays") -> NDArray[np.float32]:
        """Predict from arrays of the inputs: float32 (example, class)."""
        try:
            (probabilities,) = self.session.run(["probabilities"], inputs)
        except Exception as error:
            raise _unusable(self.name, error) from error
        return np.asarray(probabilities)

    def check(self, facts: ModelFacts) -> None:
        """Check that the graph has the inputs and the output of the metadata."""
        names = (*facts.takes.inputs, *facts.features)
        for value in self.session.get_inputs():
            expected = "tensor(int64)" if value.name in _WHOLE else "tensor(float)"
            fits = value.name in names and value.type == expected
            if fits and value.name == "signal":
                fits = [size for size in value.shape[1:] if isinstance(size, int)] in (
                    [facts.takes.n_chans],
                    [facts.takes.n_chans, facts.takes.n_times],
                )
            if not fits:
                raise DataError(
                    f"{self.name}: input {value.name} does not fit its metadata; {_REMEDY}"
                )
        outputs = self.session.get_outputs()
        if not self.session.get_inputs() or [value.name for value in outputs] != ["probabilities"]:
            raise DataError(f"{self.name}: expected inputs and an output probabilities; {_REMEDY}")
        shape = list(outputs[0].shape)
        if outputs[0].type != "tensor(float)" or shape[1:] != [len(facts.classes)]:
            raise DataError(
                f"{self.name}: its output is {' x '.join(map(str, shape))}; expected batch x "
                f"{len(facts.classes)} probabilities, one for each class; {_REMEDY}"
            )


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model for predictions, without training data, which several threads may use.

    Attributes:
        name: The name of the file or folder.
        about: Its metadata; :attr:`facts` has them as a record.
        predictor: The model that predicts.
    """

    name: str
    about: Mapping[str, Any]
    predictor: "Predictor"

    def __post_init__(self) -> None:
        self.predictor.prepare()

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle a model that is prepared where it is read: a server limits memory afterwards."""
        return ServedModel, (self.name, self.about, self.predictor)

    @cached_property
    def facts(self) -> ModelFacts:
        """The metadata as a record."""
        return ModelFacts.model_validate(self.about)

    @property
    def signal(self) -> SignalFacts:
        """The signals that it reads."""
        if self.facts.signal is None:
            raise SettingError(f"{self.name} reads hospital records: expected a model of a signal")
        return self.facts.signal

    @property
    def records(self) -> RecordsFacts:
        """The hospital records that it reads."""
        if self.facts.records is None:
            raise SettingError(f"{self.name} reads a signal: expected a model of hospital records")
        return self.facts.records

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return tuple(self.facts.classes)

    @cached_property
    def inputs(self) -> "dict[str, Shape]":
        """The inputs of :meth:`probabilities`: fixed sizes, and names of variable sizes."""
        return dict(self.predictor.shapes)

    def probabilities(self, inputs: "Arrays", names: Sequence[str] = ()) -> NDArray[np.float32]:
        """Predict probabilities: float32 (example, class); each row sums to 1.

        Args:
            names: Names of the examples, for messages.
            inputs: An array for each of :attr:`inputs`. ``signal`` is (example, channel, sample) in
                µV; ``lengths`` (samples or visits of each example) may be left out if all examples
                fill the array. ``codes`` is (example, visit, place), indices into the vocabulary,
                -1 for padding; ``values`` (example, visit, channel) in the units of the data, NaN
                without a measurement; ``gaps`` (example, visit), days since the visit before;
                ``static`` and ``features:NAME`` (example, column), NaN for unknown numbers.

        Raises:
            DataError: If an input is missing, or has a wrong shape or invalid values, or the
                results are not probabilities.
        """
        arrays = {name: self._checked(name, inputs) for name in self.inputs}
        counts = {name: len(array) for name, array in arrays.items()}
        if len(set(counts.values())) > 1:
            words = ", ".join(f"{count} of {name}" for name, count in counts.items())
            raise DataError(f"found {words} examples: expected as many of each")
        self._check_lengths(arrays)
        count = next(iter(counts.values()))
        if not count:
            return np.empty((0, len(self.classes)), np.float32)
        probabilities = self.predictor.probabilities(arrays)
        self._check_probabilities(probabilities, count, names)
        return probabilities

    def _check_probabilities(
        self, probabilities: NDArray[np.float32], count: int, names: Sequence[str]
    ) -> None:
        if probabilities.shape != (count, len(self.classes)):
            raise DataError(
                f"{self.name}: its output is {' x '.join(map(str, probabilities.shape))}; expected "
                f"{count} x {len(self.classes)}; {_REMEDY}"
            )
        # An extreme input overflows to NaN or infinity in the network: no comparison with NaN is
        # true, so such rows are refused here.
        total = probabilities.sum(1, dtype=np.float64)  # (example,)
        valid = (probabilities >= 0).all(1) & (abs(total - 1) <= _ROUNDING)
        if not valid.all():
            row = int(valid.argmin())
            values = ", ".join(f"{value:g}" for value in probabilities[row][:_SHOWN])
            which = names[row] if names else f"example {row + 1}"
            raise DataError(
                f"{self.name}: for {which} it gives {values}; expected probabilities, which sum "
                "to 1: leave out this example if its numbers are extreme, or export the run again"
            )

    def _checked(self, name: str, inputs: "Arrays") -> Array:
        if name == "lengths" and "lengths" not in inputs:
            steps = next(inputs[name] for name in _STEPPED if inputs.get(name) is not None)
            size = steps.shape[-1] if "signal" in inputs else steps.shape[1]
            return np.full(len(steps), size, np.int64)
        if name not in inputs:
            raise DataError(f"{name} is missing: {self.name} takes {' and '.join(self.inputs)}")
        array, sizes = np.asarray(inputs[name]), self.inputs[name]
        if array.dtype.kind not in ("iu" if name in _WHOLE else "fiu"):
            raise DataError(f"{name} has the type {array.dtype}: expected numbers")
        fits = array.ndim == len(sizes) and all(
            isinstance(size, str) or size == actual
            for size, actual in zip(sizes, array.shape, strict=True)
        )
        if not fits:
            shape, expected = (" x ".join(map(str, s)) for s in (array.shape, sizes))
            raise DataError(f"{name} is {shape}: expected {expected}")
        if name in ("signal", "gaps") and not np.isfinite(array).all():
            raise DataError(f"{name} has a number that is not finite: expected finite ones")
        if np.isinf(array).any():
            raise DataError(f"{name} has an infinite number: expected finite ones, or NaN")
        return np.ascontiguousarray(array, np.int64 if name in _WHOLE else np.float32)

    def _check_lengths(self, arrays: "Arrays") -> None:
        if "lengths" in arrays and len(arrays["lengths"]):
            stepped = next(name for name in _STEPPED if name in arrays)
            most = arrays[stepped].shape[2 if stepped == "signal" else 1]
            low, high = int(arrays["lengths"].min()), int(arrays["lengths"].max())
            if low < 1 or high > most:
                raise DataError(f"lengths are {low} to {high}: expected 1 to {most}")
        if "codes" in arrays and arrays["codes"].size:
            codes, size = arrays["codes"], len(self.records.vocabulary)
            if codes.max() >= size or codes.min() < -1:
                raise DataError(
                    f"codes are {codes.min()} to {codes.max()}: expected -1 to {size - 1}"
                )

    def sets(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Compute the conformal set of each example: bool (example, class); without one empty."""
        conformal = self.facts.calibration.conformal
        if conformal is None:
            return np.zeros(probabilities.shape, np.bool_)
        # A class is in the set if its score, 1 minus its probability, is at most the cutoff.
        cutoff = math.inf if conformal.cutoff is None else conformal.cutoff
        return np.asarray(1 - probabilities.astype(np.float64) <= cutoff)

    def check_signal(
        self, *, unit: str, sfreq: float, n_chans: int, channels: Sequence[str] = ()
    ) -> None:
        """Make sure that a signal has the unit, rate (in Hz) and channels of the model."""
        signal = self.signal
        if unit.strip().lower() not in _MICROVOLT:
            raise SettingError(
                f"the signal is in {unit or 'no unit'}, but {self.name} reads {signal.unit}: "
                "convert it"
            )
        # Files round rates, such as 173.61 Hz to 173.6.
        if not abs(sfreq - signal.sfreq) <= _SAME_RATE * signal.sfreq:
            raise SettingError(
                f"the signal has {sfreq:g} Hz, but {self.name} reads {signal.sfreq:g} Hz: "
                "resample it"
            )
        if n_chans != signal.n_chans:
            raise SettingError(
                f"the signal has {plural(n_chans, 'channel')}, but {self.name} reads "
                f"{signal.n_chans}: choose channels"
            )
        if channels and signal.channels and list(channels) != signal.channels:
            raise SettingError(
                f"the channels are {', '.join(channels)}, but {self.name} reads "
                f"{', '.join(signal.channels)}: choose these, in this order"
            )


def from_bytes(model: bytes, name: str, threads: int = 1) -> ServedModel:
    """Load a model from the bytes of an exported file; see :func:`sequela.serving.load`."""
    if not find_spec("onnxruntime"):
        raise MissingExtraError.of("serve", "an exported model")
    check_seal(model, name)
    graph = OnnxModel(name, model, threads)
    try:
        texts = graph.session.get_modelmeta().custom_metadata_map
    except Exception as error:
        raise _unusable(name, error) from error
    about = read(texts, name)
    # ONNX Runtime would read such a tensor from any file that a stranger names.
    if b"location" in model.replace(texts[KEY].encode(), b""):  # the key of external data
        raise DataError(f"{name}: has a tensor in another file; expected {_EXPECTED}; {_REMEDY}")
    served = ServedModel(name, about, graph)
    graph.check(served.facts)
    return served


@dataclass(frozen=True)
class Exporter:
    """A form of exported networks.

    Attributes:
        name: The ending of its files.
        write: Returns the bytes of a file, from the model of a run and its metadata.
        read: Returns the model in a file, from its bytes, its name and the number of threads.
    """

    name: str
    write: "Callable[[TrainedModel, ModelFacts], bytes]"
    read: Callable[[bytes, str, int], ServedModel]


def _onnx_of(model: "TrainedModel", facts: ModelFacts) -> bytes:
    with extra("export", "an export"):
        from sequela.serving.onnx_graph import file_of
    return file_of(model, facts)


EXPORTERS = Registry("exporter", Exporter)
"""The forms by the ending of their files; :func:`sequela.register.exporter` adds others."""
EXPORTERS.add(Exporter("onnx", _onnx_of, from_bytes))


def exporter_of(path: Path) -> Exporter:
    """Return the form of a file by its name; ONNX for a name of no form."""
    return EXPORTERS.get(path.suffix.lower().removeprefix("."), EXPORTERS["onnx"])


def _unusable(name: str, error: Exception) -> DataError:
    """Return ONNX Runtime's error in one line; another error is raised again."""
    decoded = isinstance(error, UnicodeDecodeError)  # texts that are not UTF-8
    if not decoded and not type(error).__module__.startswith("onnxruntime"):
        raise error
    what = " ".join(str(error).split())
    return DataError(
        f"{name}: damaged, or not an ONNX model for this version of ONNX Runtime "
        f"({what[-200:]}); expected {_EXPECTED}; {_REMEDY}"
    )
