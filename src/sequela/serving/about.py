"""The metadata of an exported model: one JSON object in the ONNX file.

Entries of every model:

- ``sequela``: version that wrote it; ``model``, ``title``: its name, and its name for people.
- ``internal``: a warning if the vocabulary has codes of fewer than 10 training subjects.
- ``kind``: ``signal`` or ``records``; ``reads``: its inputs; ``classes``: names, in the order of
  the probabilities; ``question``: the predicted outcome.
- ``answers``: distribution of the predicted probabilities on the test set: for each class ``ends``
  of bins, and the ``shares`` in each; null for a small test set.
- ``thresholds``: for two classes, each ``value`` and its criterion ``chosen_for``.
- ``calibration``: ``temperature``, fitted on the validation set (logarithms of the probabilities
  are divided by it); ``conformal``: ``score``, ``promised`` share and ``cutoff`` of the sets. The
  probabilities themselves are not recalibrated.
- ``training``: name, title, licence and citation of the data, and the number of examples.
- ``cost``: ``parameters``; ``operations`` and ``macs`` of one example by the convention ``exact``,
  null for a baseline model; ``train_seconds``.
- ``intended_use``: in words.
- ``run``: ``sha256`` of the run (the seal of its manifest), of its data, and of its model.
- ``fingerprint``: the fingerprints (``marks``) of the training and validation set, by which copies
  are recognised, with their ``sha256``; ``key``: the name of the key of their codes.

For a signal, ``signal`` has ``unit``, ``sfreq`` in Hz, ``channels`` (known names), ``n_chans``,
``n_times``, ``scaling`` and ``any_length``. For records, ``records`` has the task, the ``settings``
of sequences, ``vocabulary``, ``channels``, ``edges`` of the bins of measurements, the number of
``unknown`` codes of each set, the requested ``tables``, a description of ``training`` examples
(shares of patients with the most frequent codes, mean number of steps, share with a measurement),
and mean and deviation of measured ``values``. ``features`` has the fitted featurisers of records,
as safetensors in base64.
"""

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from sequela.errors import DataError
from sequela.sources.opened import json_value

KEY = "sequela"
SEAL = "sequela.sha256"
EMPTY_SEAL = "0" * 64
_BETWEEN = 2
"""Bytes between the name of the seal and its value: the tag of the field and its length."""


def as_text(about: Mapping[str, Any]) -> str:
    """Return the metadata as JSON."""
    return json.dumps(about, ensure_ascii=False, separators=(",", ":"))


def sealed(model: bytes) -> bytes:
    """Replace the empty seal of a serialised model by the SHA-256 of the whole."""
    begin = _place(model)
    digest = hashlib.sha256(model).hexdigest().encode()
    return model[:begin] + digest + model[begin + len(digest) :]


def read(model: bytes, metadata: Mapping[str, str], name: str) -> dict[str, Any]:
    """Verify the seal of a model and read its metadata.

    Args:
        model: The bytes of the file.
        metadata: The metadata of the ONNX model.
        name: The name of the file, for the error message.

    Raises:
        DataError: If ``sequela export`` did not write the model, or it was edited.
    """
    if KEY not in metadata or SEAL not in metadata:
        raise DataError(
            f"{name}: an ONNX model without sequela's metadata: expected a file that sequela "
            "export wrote; export the run again"
        )
    try:
        begin = _place(model)
        end = begin + len(EMPTY_SEAL)
        empty = model[:begin] + EMPTY_SEAL.encode() + model[end:]
        genuine = hashlib.sha256(empty).hexdigest().encode() == model[begin:end]
        about = json_value(metadata[KEY])
    except ValueError as error:
        raise DataError(f"{name}: damaged metadata ({error}); export the run again") from error
    if not genuine:
        raise DataError(
            f"{name}: was edited or damaged after it was exported (its SHA-256 differs): export "
            "the run again"
        )
    if not isinstance(about, dict) or "kind" not in about:
        raise DataError(f"{name}: its metadata have another version; export the run again")
    return about


def _place(model: bytes) -> int:
    """Return the position of the seal's digits."""
    place = model.rfind(SEAL.encode())
    if place < 0:
        raise ValueError("it has no seal")
    return place + len(SEAL) + _BETWEEN


def packed(state: Mapping[str, NDArray[Any]]) -> str:
    """Write arrays as text."""
    whole = {name: np.ascontiguousarray(array) for name, array in state.items()}
    return b64encode(safetensors.save(whole)).decode()


def unpacked(text: str) -> dict[str, NDArray[Any]]:
    """Read the arrays of a text.

    Raises:
        DataError: If it is damaged.
    """
    try:
        found: dict[str, NDArray[Any]] = safetensors.load(b64decode(text, validate=True))
    except (ValueError, SafetensorError) as error:
        raise DataError(f"the fitted featurisers are damaged ({error})") from error
    return found
