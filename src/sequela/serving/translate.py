"""Translation of a trained model to a graph, from its inputs to probabilities."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from torch import nn

from sequela.errors import ModelError
from sequela.models.reference import ReferenceModel
from sequela.runs.model import TrainedEnsemble, TrainedModel
from sequela.sequences.featurisers import FEATURES
from sequela.sequences.scaling import Scaling
from sequela.serving import layers, record_networks, references, signal_networks, signal_tables
from sequela.serving.graph import Graph

_LEAST = 1e-7
"""As in :func:`sequela.runs.model.averaged`."""


def graph_of(model: TrainedModel | TrainedEnsemble) -> onnx.ModelProto:
    """Translate a model; the output ``probabilities`` is float32 (batch, class).

    Raises:
        ModelError: If a part of the model has no translation.
    """
    g = Graph()
    return g.model(_probabilities(g, model), len(model.header["classes"]))


def leaves(model: TrainedModel | TrainedEnsemble) -> list[TrainedModel]:
    """Return the models of an ensemble, or the one model."""
    if isinstance(model, TrainedModel):
        return [model]
    return [leaf for member in model.members for leaf in leaves(member)]


def _probabilities(g: Graph, model: TrainedModel | TrainedEnsemble) -> str:
    if isinstance(model, TrainedEnsemble):
        return _averaged(g, [_probabilities(g, each) for each in model.members], model.header)
    signal = "n_times" in model.header
    if isinstance(model.entry, ReferenceModel):
        return _reference(g, model, model.entry, signal=signal)
    network = model.network("an export")
    return _of_signal(g, model, network) if signal else _of_records(g, model, network)


def _averaged(g: Graph, said: list[str], header: Mapping[str, Any]) -> str:
    if header["mean"] == "arithmetic":
        return layers.mean_of_members(g, said)
    logs = [g.op("Log", g.op("Max", each, g.constant(_LEAST, np.float32))) for each in said]
    return layers.softmax(g, layers.mean_of_members(g, logs))


def _signal(g: Graph, header: Mapping[str, Any], *, any_length: bool) -> str:
    n_times: int | str = "time" if any_length else header["n_times"]
    return g.input("signal", ("batch", header["n_chans"], n_times))


def any_length(model: TrainedModel) -> bool:
    """Return ``True`` if a model of a signal takes segments of any length."""
    if "n_times" not in model.header or isinstance(model.entry, ReferenceModel):
        return False
    return model.entry.recurrent


def _of_signal(g: Graph, model: TrainedModel, network: nn.Module) -> str:
    translated = _by_class(signal_networks.TRANSLATIONS, network)
    if translated is None or model.reads != ("signal",):
        raise _untranslated(model)
    signal = _signal(g, model.header, any_length=any_length(model))
    scaled = signal_tables.scaled(g, Scaling.from_json(model.header["scaling"]), signal)
    found: str = translated(g, network, scaled, model.header["n_times"])
    return found


def _of_records(g: Graph, model: TrainedModel, network: nn.Module) -> str:
    translated = _by_class(record_networks.TRANSLATIONS, network)
    if translated is None:
        raise _untranslated(model)
    read = next((each for each in model.reads if each.startswith(FEATURES)), "")
    config = model.header["config"]
    sizes = record_networks.Sizes(
        config.get("n_channels", 0), config.get("n_features", 0), read, model.state
    )
    found: str = translated(g, network, sizes)
    return found


def _by_class(translations: Mapping[type[nn.Module], Any], network: nn.Module) -> Any:
    """Return the translation of a class, or of a base class with the same ``forward``."""
    for each in type(network).__mro__:
        if issubclass(each, nn.Module) and each in translations:
            return translations[each] if type(network).forward is each.forward else None
    return None


def _reference(g: Graph, model: TrainedModel, entry: ReferenceModel, *, signal: bool) -> str:
    translated = references.translation(entry)
    if translated is None:
        raise _untranslated(model)
    state = model.state
    arrays = {n: layers.array(t) for n, t in model.tensors.items() if n not in state}
    read = model.reads[0]
    if not read.startswith(FEATURES):
        whole = _signal(g, model.header, any_length=False) if signal else record_networks.codes(g)
        return translated(g, arrays, whole)
    if not signal:
        return translated(g, arrays, g.input(read, ("batch", _columns(arrays))))
    name = read.removeprefix(FEATURES)
    if name not in signal_tables.TABLES:
        raise _untranslated(model)
    own = {k.removeprefix(f"{read}:"): v for k, v in state.items()}
    given = _signal(g, model.header, any_length=False)
    return translated(g, arrays, signal_tables.TABLES[name](g, own, given, model.header))


def _columns(arrays: Mapping[str, NDArray[Any]]) -> int:
    """Return the number of columns of features of a baseline model."""
    if "weight" in arrays:
        return int(arrays["weight"].shape[1])
    from sequela.models.reference import loaded

    return int(loaded(arrays["skops"].tobytes()).n_features_in_)


def _untranslated(model: TrainedModel) -> ModelError:
    return ModelError(
        f"{model.name} cannot be exported: its class has no translation to ONNX; models of the "
        "package can be exported, also in ensembles"
    )
