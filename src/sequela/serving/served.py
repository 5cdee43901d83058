"""A model in use: loaded from an ONNX file or a run folder, to predict probabilities."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError, MissingExtraError, SettingError
from sequela.formats.opened import content
from sequela.serving import about as metadata
from sequela.serving.about import About, Records, Signal

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_SAME_RATE = 1e-3
"""Largest relative difference of the rate of a signal from the rate of the model."""
_MICROVOLT = {"uv", "µv", "μv", "microvolt", "microvolts"}
_DTYPES: dict[str, type[np.generic]] = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
_EXPECTED = "an ONNX file that sequela export wrote"
_REMEDY = "export the run again"
_ROUNDING = 1e-3
_SHOWN = 5
_LEAST = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class Input:
    """An input of a model.

    Attributes:
        name: ``signal``, ``lengths``, ``codes``, ``values``, ``gaps``, ``static`` or
            ``features:NAME``.
        dtype: The type of its numbers.
        shape: Fixed sizes, and names of variable sizes: ``batch``, ``time``...
    """

    name: str
    dtype: type[np.generic]
    shape: tuple[int | str, ...]


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A model for predictions, without training data, which several threads may use.

    Attributes:
        name: The name of the file or folder.
        about: Its metadata; :attr:`facts` has them as a record.
        session: The graph.
        content: The bytes of the file; empty for baseline models of a run folder.
    """

    name: str
    about: Mapping[str, Any]
    session: "InferenceSession"
    content: bytes = field(default=b"", repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the file, as a session of ONNX Runtime cannot be pickled."""
        if not self.content:
            return ServedModel, (self.name, self.about, self.session)
        threads = self.session.get_session_options().intra_op_num_threads
        return partial(from_bytes, threads=threads), (self.content, self.name)

    @cached_property
    def facts(self) -> About:
        """The metadata as a record."""
        return About.model_validate(self.about)

    @property
    def signal(self) -> Signal:
        """The signals that it reads."""
        if self.facts.signal is None:
            raise SettingError(f"{self.name} reads hospital records: expected a model of a signal")
        return self.facts.signal

    @property
    def records(self) -> Records:
        """The hospital records that it reads."""
        if self.facts.records is None:
            raise SettingError(f"{self.name} reads a signal: expected a model of hospital records")
        return self.facts.records

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return tuple(self.facts.classes)

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """The inputs of :meth:`probabilities`, by name."""
        return {
            each.name: Input(each.name, _DTYPES[each.type], tuple(each.shape))
            for each in self.session.get_inputs()
        }

    def check(self) -> None:
        """Check that the graph has the inputs and the output of its metadata."""
        given = {each.name: (each.type, list(each.shape)) for each in self.session.get_inputs()}
        outputs = {each.name: (each.type, list(each.shape)) for each in self.session.get_outputs()}
        names = (*self.facts.takes.inputs, *self.facts.features)
        for name, (kind, shape) in given.items():
            whole = name in ("codes", "lengths")
            fits = name in names and kind == ("tensor(int64)" if whole else "tensor(float)")
            if fits and name == "signal":
                signal = self.signal
                fits = fits and [each for each in shape[1:] if isinstance(each, int)] in (
                    [signal.n_chans],
                    [signal.n_chans, signal.n_times],
                )
            if not fits:
                raise DataError(f"{self.name}: input {name} does not fit its metadata; {_REMEDY}")
        if not given or [*outputs] != ["probabilities"]:
            raise DataError(f"{self.name}: expected inputs and an output probabilities; {_REMEDY}")
        kind, shape = outputs["probabilities"]
        if kind != "tensor(float)" or shape[1:] != [len(self.classes)]:
            raise DataError(
                f"{self.name}: its output is {' x '.join(map(str, shape))}; expected batch x "
                f"{len(self.classes)} probabilities, one for each class; {_REMEDY}"
            )

    def probabilities(
        self, inputs: Mapping[str, NDArray[Any]], names: Sequence[str] = ()
    ) -> NDArray[np.float32]:
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
        given = {name: self._checked(each, inputs) for name, each in self.inputs.items()}
        examples = {name: len(array) for name, array in given.items()}
        if len(set(examples.values())) > 1:
            found = ", ".join(f"{n} of {name}" for name, n in examples.items())
            raise DataError(f"found {found} examples: expected as many of each")
        self._check_lengths(given)
        if not next(iter(examples.values())):
            return np.empty((0, len(self.classes)), np.float32)
        try:
            (found_,) = self.session.run(["probabilities"], given)
        except Exception as error:
            raise _unusable(self.name, error) from error
        probabilities: NDArray[np.float32] = found_
        self._check_probabilities(probabilities, next(iter(examples.values())), names)
        return probabilities

    def _check_probabilities(
        self, found: NDArray[np.float32], examples: int, names: Sequence[str]
    ) -> None:
        """Raise a DataError unless each row has probabilities, which sum to 1."""
        if found.shape != (examples, len(self.classes)):
            raise DataError(
                f"{self.name}: its output is {' x '.join(map(str, found.shape))}; expected "
                f"{examples} x {len(self.classes)}; {_REMEDY}"
            )
        whole = (found >= 0).all(1) & (abs(found.sum(1, dtype=np.float64) - 1) <= _ROUNDING)
        if not whole.all():
            row = int(whole.argmin())
            values = ", ".join(f"{value:g}" for value in found[row][:_SHOWN])
            which = names[row] if names else f"example {row + 1}"
            raise DataError(
                f"{self.name}: for {which} it gives {values}; expected probabilities, which sum "
                "to 1: leave out this example if its numbers are extreme, or export the run again"
            )

    def _checked(self, expected: Input, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        if expected.name == "lengths" and "lengths" not in inputs:
            steps = next(
                a for n in ("signal", "codes", "values", "gaps") if (a := inputs.get(n)) is not None
            )
            size = steps.shape[-1] if "signal" in inputs else steps.shape[1]
            return np.full(len(steps), size, np.int64)
        if expected.name not in inputs:
            raise DataError(
                f"{expected.name} is missing: {self.name} takes {' and '.join(self.inputs)}"
            )
        array = np.asarray(inputs[expected.name])
        if array.dtype.kind not in "fiu" or (
            expected.dtype is np.int64 and array.dtype.kind == "f"
        ):
            raise DataError(f"{expected.name} has the type {array.dtype}: expected numbers")
        fits = array.ndim == len(expected.shape) and all(
            isinstance(size, str) or size == found
            for size, found in zip(expected.shape, array.shape, strict=True)
        )
        if not fits:
            shape = " x ".join(map(str, expected.shape))
            found_shape = " x ".join(map(str, array.shape))
            raise DataError(f"{expected.name} is {found_shape}: expected {shape}")
        if expected.name in ("signal", "gaps") and not np.isfinite(array).all():
            raise DataError(
                f"{expected.name} has a number that is not finite: expected finite ones"
            )
        if np.isinf(array).any():
            raise DataError(f"{expected.name} has an infinite number: expected finite ones, or NaN")
        return np.ascontiguousarray(array, expected.dtype)

    def _check_lengths(self, given: Mapping[str, NDArray[Any]]) -> None:
        if "lengths" in given and len(given["lengths"]):
            stepped = next(n for n in ("signal", "codes", "values", "gaps") if n in given)
            most = given[stepped].shape[2 if stepped == "signal" else 1]
            low, high = int(given["lengths"].min()), int(given["lengths"].max())
            if low < 1 or high > most:
                raise DataError(f"lengths are {low} to {high}: expected 1 to {most}")
        if "codes" in given and given["codes"].size:
            codes, size = given["codes"], len(self.records.vocabulary)
            if codes.max() >= size or codes.min() < -1:
                raise DataError(
                    f"codes are {codes.min()} to {codes.max()}: expected -1 to {size - 1}"
                )

    def recalibrated(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Recalibrate probabilities by the model's temperature: float32 (example, class)."""
        logits = np.log(probabilities.clip(min=_LEAST).astype(np.float64))
        logits /= self.facts.calibration.temperature
        chance = np.exp(logits - logits.max(1, keepdims=True))
        found: NDArray[np.float32] = (chance / chance.sum(1, keepdims=True)).astype(np.float32)
        return found

    def sets(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Compute the conformal set of each example: bool (example, class); without one empty."""
        conformal = self.facts.calibration.conformal
        if conformal is None:
            return np.zeros(probabilities.shape, np.bool_)
        cutoff = conformal.cutoff
        found: NDArray[np.bool_] = 1 - probabilities.astype(np.float64) <= (
            math.inf if cutoff is None else cutoff
        )
        return found

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
        if not abs(sfreq - signal.sfreq) <= _SAME_RATE * signal.sfreq:
            raise SettingError(
                f"the signal has {sfreq:g} Hz, but {self.name} reads {signal.sfreq:g} Hz: "
                "resample it"
            )
        if n_chans != signal.n_chans:
            raise SettingError(
                f"the signal has {n_chans} channel(s), but {self.name} reads {signal.n_chans}: "
                "choose channels"
            )
        if channels and signal.channels and list(channels) != signal.channels:
            raise SettingError(
                f"the channels are {', '.join(channels)}, but {self.name} reads "
                f"{', '.join(signal.channels)}: choose these, in this order"
            )


def load(path: Path | str, *, threads: int = 1, trust_code: bool = False) -> ServedModel:
    """Load a model from a file of ``sequela export``, or from a finished run.

    ONNX Runtime gets a file only if ``sequela export`` wrote it and nobody edited it since. This is
    no proof of its origin: load only files from people whom you trust.

    Args:
        path: ``FILE.onnx``, or a run folder. Baseline models predict as they were trained, by
            scikit-learn. Networks are exported in memory, which needs torch.
        threads: Threads of a prediction by ONNX Runtime.
        trust_code: Whether the run's model may be a class of a file or module.

    Raises:
        MissingExtraError: If ONNX Runtime is not installed, or torch where a network needs it.
        DataNotFoundError: If there is no such file.
        DataError: If ``sequela export`` did not write the file, or it was edited or damaged.
        SequelaError: If the run is not finished, or its network cannot be exported.
    """
    path = Path(path)
    if path.is_dir():
        from sequela.serving.run_session import load_run

        return load_run(path, threads=threads, trust_code=trust_code)
    return from_bytes(content(path, _EXPECTED, _REMEDY), str(path), threads=threads)


def from_bytes(model: bytes, name: str, *, threads: int = 1) -> ServedModel:
    """Load a model from the bytes of an exported file; see :func:`load`."""
    if not find_spec("onnxruntime"):
        raise MissingExtraError.of("serve", "an exported model")
    metadata.check_seal(model, name)
    try:
        session: Any = _session_of(model, threads)
        texts = session.get_modelmeta().custom_metadata_map
    except Exception as error:
        raise _unusable(name, error) from error
    about = metadata.read(texts, name)
    if b"location" in model.replace(texts[metadata.KEY].encode(), b""):  # the key of external data
        raise DataError(f"{name}: has a tensor in another file; expected {_EXPECTED}; {_REMEDY}")
    served = ServedModel(name, about, session, model)
    served.check()
    return served


def _session_of(model: bytes, threads: int) -> "InferenceSession":
    """Open a graph in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # errors are raised
    onnxruntime.set_default_logger_severity(4)
    return onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], enable_fallback=0
    )


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
