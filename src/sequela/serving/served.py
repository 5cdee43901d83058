"""A model in use: loaded from an ONNX file or a run folder, to predict probabilities."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sequela.errors import DataError, MissingExtraError, SettingError
from sequela.serving import about as metadata
from sequela.sources.opened import content

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

_SAME_RATE = 1e-3
"""Largest relative difference of the rate of a signal from the rate of the model."""
_MICROVOLT = {"uv", "µv", "μv", "microvolt", "microvolts"}
_DTYPES: dict[str, type[np.generic]] = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
_EXPECTED = "an ONNX file that sequela export wrote"
_REMEDY = "export the run again"
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
        about: Its metadata, see :mod:`sequela.serving.about`.
        session: The graph.
    """

    name: str
    about: Mapping[str, Any]
    session: "InferenceSession"

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return tuple(self.about["classes"])

    @cached_property
    def inputs(self) -> dict[str, Input]:
        """The inputs of :meth:`probabilities`, by name."""
        return {
            each.name: Input(each.name, _DTYPES[each.type], tuple(each.shape))
            for each in self.session.get_inputs()
        }

    def probabilities(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Predict probabilities: float32 (example, class); each row sums to 1.

        Args:
            inputs: An array for each of :attr:`inputs`. ``signal`` is (example, channel, sample) in
                µV; ``lengths`` (samples or visits of each example) may be left out if all examples
                fill the array. ``codes`` is (example, visit, place), indices into the vocabulary,
                -1 for padding; ``values`` (example, visit, channel) in the units of the data, NaN
                without a measurement; ``gaps`` (example, visit), days since the visit before;
                ``static`` and ``features:NAME`` (example, column), NaN for unknown numbers.

        Raises:
            DataError: If an input is missing, or has a wrong shape or invalid values.
        """
        given = {name: self._checked(each, inputs) for name, each in self.inputs.items()}
        examples = {name: len(array) for name, array in given.items()}
        if len(set(examples.values())) > 1:
            found = ", ".join(f"{n} of {name}" for name, n in examples.items())
            raise DataError(f"found {found} examples: expected as many of each")
        self._check_lengths(given)
        if not next(iter(examples.values())):
            return np.empty((0, len(self.classes)), np.float32)
        (found_,) = self.session.run(["probabilities"], given)
        probabilities: NDArray[np.float32] = found_
        return probabilities

    def _checked(self, expected: Input, inputs: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Check type and shape of one input."""
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
            codes, size = given["codes"], len(self.about["records"]["vocabulary"])
            if codes.max() >= size or codes.min() < -1:
                raise DataError(
                    f"codes are {codes.min()} to {codes.max()}: expected -1 to {size - 1}"
                )

    def recalibrated(self, probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
        """Recalibrate probabilities by the model's temperature: float32 (example, class)."""
        temperature = self.about["calibration"]["temperature"]
        logits = np.log(probabilities.clip(min=_LEAST).astype(np.float64)) / temperature
        chance = np.exp(logits - logits.max(1, keepdims=True))
        found: NDArray[np.float32] = (chance / chance.sum(1, keepdims=True)).astype(np.float32)
        return found

    def sets(self, probabilities: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Compute the conformal set of each example: bool (example, class)."""
        found: NDArray[np.bool_] = 1 - probabilities.astype(np.float64) <= (
            math.inf
            if self.about["calibration"]["conformal"]["cutoff"] is None
            else self.about["calibration"]["conformal"]["cutoff"]
        )
        return found

    def check_signal(
        self, *, unit: str, sfreq: float, n_chans: int, channels: Sequence[str] = ()
    ) -> None:
        """Make sure that a signal has the unit, rate and channels of the model.

        Args:
            unit: The unit of its numbers: µV.
            sfreq: Samples per second, in Hz.
            n_chans: Number of channels.
            channels: Known names of the channels.

        Raises:
            SettingError: If the model reads records, or another unit, rate or channels.
        """
        if self.about["kind"] != "signal":
            raise SettingError(f"{self.name} reads hospital records, but a signal was given")
        signal = self.about["signal"]
        if unit.strip().lower() not in _MICROVOLT:
            raise SettingError(
                f"the signal is in {unit or 'no unit'}, but {self.name} reads {signal['unit']}: "
                "convert it"
            )
        if not abs(sfreq - signal["sfreq"]) <= _SAME_RATE * signal["sfreq"]:
            raise SettingError(
                f"the signal has {sfreq:g} Hz, but {self.name} reads {signal['sfreq']:g} Hz: "
                "resample it"
            )
        if n_chans != signal["n_chans"]:
            raise SettingError(
                f"the signal has {n_chans} channel(s), but {self.name} reads {signal['n_chans']}: "
                "choose channels"
            )
        if channels and signal["channels"] and list(channels) != signal["channels"]:
            raise SettingError(
                f"the channels are {', '.join(channels)}, but {self.name} reads "
                f"{', '.join(signal['channels'])}: choose these, in this order"
            )


def load(path: Path | str, *, threads: int = 1, trust_code: bool = False) -> ServedModel:
    """Load a model from a file of ``sequela export``, or from a finished run.

    Args:
        path: ``FILE.onnx``, or a run folder, which is exported in memory and needs torch.
        threads: Threads of a prediction.
        trust_code: Whether the run's model may be a class of a file or module.

    Raises:
        MissingExtraError: If ONNX Runtime is not installed, or torch where a run needs it.
        DataNotFoundError: If there is no such file.
        DataError: If ``sequela export`` did not write the file, or it was edited or damaged.
        SequelaError: If the run is not finished, or cannot be exported.
    """
    path = Path(path)
    if path.is_dir():
        from sequela.serving.export import exported

        return from_bytes(exported(path, trust_code=trust_code), str(path), threads=threads)
    return from_bytes(content(path, _EXPECTED, _REMEDY), str(path), threads=threads)


def from_bytes(model: bytes, name: str, *, threads: int = 1) -> ServedModel:
    """Load a model from the bytes of an exported file; see :func:`load`."""
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError.of("serve", "an exported model") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4  # errors are raised
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if not type(error).__module__.startswith("onnxruntime"):
            raise
        what = " ".join(str(error).split())
        raise DataError(
            f"{name}: cut short, damaged, or not an ONNX model for this version of ONNX Runtime "
            f"({what[-200:]}); expected {_EXPECTED}; {_REMEDY}"
        ) from error
    given = session.get_modelmeta().custom_metadata_map
    return ServedModel(name, metadata.read(model, given, name), session)
