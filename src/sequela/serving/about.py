"""What an exported model says of itself: one JSON object in the metadata of the ONNX file.

Entries of every model:

- ``sequela``: version that wrote it; ``model``, ``title``: its name, and what a table calls it.
- ``internal``: only where the vocabulary names codes of fewer than 10 training subjects: says so.
- ``kind``: ``signal`` or ``records``; ``reads``: its inputs; ``classes``: names, in the order of
  the probabilities; ``question``: what was asked.
- ``answers``: how the probabilities of the held-out part are spread, whatever came true there: of
  each class ``ends`` of bins, and the ``shares`` in each; nothing where the part is small.
- ``thresholds``: for two classes, each ``value`` and what it was ``chosen_for``.
- ``calibration``: ``temperature``, fitted on the tuning part (logarithms of the probabilities are
  divided by it); ``conformal``: ``score``, ``promised`` share and ``cutoff`` of the sets. Both are
  given beside the probabilities, which are those of the run.
- ``training``: name, title, licence and citation of the data, and how many examples there were.
- ``cost``: ``parameters``; ``operations`` and ``macs`` of one example by the convention ``exact``,
  null for a reference model; ``train_seconds``.
- ``intended_use``: in words.
- ``run``: ``sha256`` of the run (the seal of its manifest), of its data, and of its model.
- ``fingerprint``: ``sha256`` of the marks of what the training and tuning part hold, and the
  ``marks`` themselves, by which copies are known; ``key``: the name of the key of their codes.

Of a signal, ``signal`` has ``unit``, ``sfreq`` in Hz, ``channels`` (names, where they are known),
``n_chans``, ``n_times``, ``scaling`` and ``any_length``. Of records, ``records`` has the task, how
records become sequences (``settings``), ``vocabulary``, ``channels``, ``edges`` of the bins of
measurements, how many codes of each part were ``unknown``, which ``tables`` were asked for, what
``training`` examples are like (shares of patients with the most frequent codes, mean number of
steps, share with a measurement), and mean and deviation of measured ``values``. ``features`` holds
what featurisers of records have learnt, as safetensors in base64.
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
    """The JSON of the metadata."""
    return json.dumps(about, ensure_ascii=False, separators=(",", ":"))


def sealed(model: bytes) -> bytes:
    """A serialised model whose empty seal is replaced by the SHA-256 of the whole."""
    begin = _place(model)
    digest = hashlib.sha256(model).hexdigest().encode()
    return model[:begin] + digest + model[begin + len(digest) :]


def read(model: bytes, metadata: Mapping[str, str], name: str) -> dict[str, Any]:
    """What a model says of itself, once its seal is verified.

    Args:
        model: The bytes of the file.
        metadata: That of the ONNX model.
        name: Of the file, for the error.

    Raises:
        DataError: If the model is not one that ``sequela export`` wrote, or was edited.
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
        raise DataError(f"{name}: its metadata is of another version; export the run again")
    return about


def _place(model: bytes) -> int:
    """Where the seal's digits begin."""
    place = model.rfind(SEAL.encode())
    if place < 0:
        raise ValueError("it has no seal")
    return place + len(SEAL) + _BETWEEN


def packed(state: Mapping[str, NDArray[Any]]) -> str:
    """Arrays as text."""
    whole = {name: np.ascontiguousarray(array) for name, array in state.items()}
    return b64encode(safetensors.save(whole)).decode()


def unpacked(text: str) -> dict[str, NDArray[Any]]:
    """The arrays of a text.

    Raises:
        DataError: If it is damaged.
    """
    try:
        found: dict[str, NDArray[Any]] = safetensors.load(b64decode(text, validate=True))
    except (ValueError, SafetensorError) as error:
        raise DataError(f"what featurisers learnt is damaged ({error})") from error
    return found
