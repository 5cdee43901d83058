"""A finished run as one ONNX file: its graph, and what must be known to use it."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sequela.cohort.fingerprint import Content
from sequela.cohort.split import Split
from sequela.config import SMALLEST_CELL
from sequela.errors import MissingExtraError, RunError
from sequela.evaluation.conformal import fit_conformal
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.recalibration import fit_temperature
from sequela.runs.ensemble import title
from sequela.runs.find import named_runs
from sequela.runs.folder import RunFolder
from sequela.runs.manifest import Manifest
from sequela.runs.model import FILE, TrainedEnsemble, TrainedModel, trained
from sequela.runs.released import least_named, public
from sequela.sequences.featurisers import FEATURES
from sequela.serving import about as metadata
from sequela.serving.drift import answers_of, codes_of
from sequela.version import __version__

if TYPE_CHECKING:
    import onnx

INTENDED = (
    "Research, and the evaluation of methods. It is no medical device and has not been shown to "
    "help anybody. It answers one question, {question}, for people and devices like those of its "
    "training data ({title}); for others its probabilities mean nothing until they were evaluated "
    "there."
)


def run_to_export(path: Path) -> RunFolder:
    """The run that is meant, if it is one.

    Raises:
        RunError: If it is not finished, or there are several.
    """
    (folder,) = named_runs([path])
    if not isinstance(folder, RunFolder):
        raise RunError(
            f"{path} holds {len(folder.runs)} models, one a fold or seed: name one of them, such "
            f"as {folder.first.path.name}, or average those of one split (sequela ensemble)"
        )
    return folder


def exported(path: Path, *, trust_code: bool = False) -> bytes:
    """The bytes of the ONNX file of a run: the same run gives the same bytes.

    Args:
        path: Of a finished run.
        trust_code: Whether its model may be a class of a file or module.

    Raises:
        MissingExtraError: If ``onnx`` is not installed.
        RunError: If the run is not finished, or several.
        ModelError: If its model has no translation.
    """
    folder = run_to_export(path)
    model = trained(folder, trust_code=trust_code)
    return with_metadata(graph(model), folder, model)


def graph(model: TrainedModel | TrainedEnsemble) -> "onnx.ModelProto":
    """The graph of a model; see :func:`sequela.serving.translate.graph_of`."""
    try:
        import onnx  # noqa: F401 - the extra is said where it is missing
    except ImportError as error:
        raise MissingExtraError.of("export", "an export") from error
    from sequela.serving.translate import graph_of

    return graph_of(model)


def with_metadata(
    graph: "onnx.ModelProto", folder: RunFolder, model: TrainedModel | TrainedEnsemble
) -> bytes:
    """A graph with all that must be known of it, sealed."""
    from onnx import helper

    text = metadata.as_text(describe(folder, model))
    helper.set_model_props(graph, {metadata.KEY: text, metadata.SEAL: metadata.EMPTY_SEAL})
    return metadata.sealed(graph.SerializeToString(deterministic=True))


def describe(folder: RunFolder, model: TrainedModel | TrainedEnsemble) -> dict[str, Any]:
    """What a model says of itself: the entries of :mod:`sequela.serving.about`."""
    header, data, settings = model.header, folder.data, folder.settings
    signal = "n_times" in header
    tuning = folder.predictions.part("tuning")
    few = names_of_few(folder)
    return {
        "sequela": __version__,
        **({"internal": few} if few else {}),
        "model": settings.model,
        "title": title(settings),
        "kind": "signal" if signal else "records",
        "reads": _reads(model),
        "classes": list(header["classes"]),
        "question": data["question"],
        **({"signal": _signal(folder, model)} if signal else {"records": _records(folder, model)}),
        "features": {} if signal else _features(model),
        "answers": answers_of(folder.predictions.part("held_out")),
        "thresholds": _thresholds(folder),
        "calibration": _calibration(tuning),
        "training": {
            **{name: data[name] for name in ("name", "title", "licence", "citation")},
            "origin": public(data["origin"]),
            "examples": dict(folder.split.n_examples),
        },
        "cost": {
            name: folder.metrics[name]
            for name in ("parameters", "operations", "macs", "train_seconds")
        },
        "intended_use": INTENDED.format(question=data["question"], title=data["title"]),
        "run": {
            "sha256": Manifest.read(folder.path).seal,
            "data_sha256": folder.json("split.json")["data_sha256"],
            "model_sha256": hashlib.sha256((folder.path / FILE).read_bytes()).hexdigest(),
        },
        "fingerprint": _fingerprint(folder.split),
    }


def names_of_few(folder: RunFolder) -> str | None:
    """Why the file must not leave the building: its vocabulary names codes of few patients."""
    least = least_named(folder.data)
    if least is None or least >= SMALLEST_CELL:
        return None
    return (
        f"keep this file in the house: its vocabulary names codes of {least} training subject(s); "
        f"train with --min-subjects {SMALLEST_CELL} for one that may leave it"
    )


def _reads(model: TrainedModel | TrainedEnsemble) -> list[str]:
    from sequela.serving.translate import leaves

    return list(dict.fromkeys(read for leaf in leaves(model) for read in leaf.reads))


def _signal(folder: RunFolder, model: TrainedModel | TrainedEnsemble) -> dict[str, Any]:
    from sequela.serving.translate import any_length, leaves

    header = model.header
    return {
        "unit": "µV",
        **{name: header[name] for name in ("sfreq", "n_chans", "n_times", "scaling")},
        "channels": list(folder.data.get("channels", ())),
        "any_length": all(map(any_length, leaves(model))),
    }


def _records(folder: RunFolder, model: TrainedModel | TrainedEnsemble) -> dict[str, Any]:
    header = model.header
    return {
        "task": header["task"],
        "settings": header["sequences"],
        **{name: header[name] for name in ("vocabulary", "channels", "edges")},
        "unknown": folder.data["sequences"]["unknown"],
        "tables": list(folder.settings.cohort.tables) if folder.settings.cohort else [],
        "training": codes_of(folder.data),
        "values": _values(model),
    }


def _values(model: TrainedModel | TrainedEnsemble) -> dict[str, list[float]] | None:
    """Mean and deviation of each channel in training, where a network learnt them."""
    from sequela.serving.translate import leaves

    for leaf in leaves(model):
        if "values" in leaf.reads:
            state = leaf.state
            return {n: state[f"values:{n}"].tolist() for n in ("mean", "deviation")}
    return None


def _features(model: TrainedModel | TrainedEnsemble) -> dict[str, str]:
    """What the featurisers of records have learnt, by ``features:NAME``."""
    from sequela.serving.translate import leaves

    found = {}
    for leaf in leaves(model):
        for read in leaf.reads:
            if read.startswith(FEATURES):
                own = {
                    name.removeprefix(f"{read}:"): array
                    for name, array in leaf.state.items()
                    if name.startswith(f"{read}:") and ":column " not in name
                }
                found[read] = metadata.packed(own)
    return found


def _thresholds(folder: RunFolder) -> list[dict[str, Any]]:
    """For two classes: what raises an alarm, and why there."""
    points = folder.test.get("operating_points", ())
    return [{"value": each["threshold"], "chosen_for": each["chosen_for"]} for each in points]


def _calibration(tuning: Predictions) -> dict[str, Any]:
    sets = fit_conformal(tuning)
    return {
        "temperature": fit_temperature(tuning).value,
        "conformal": {
            "score": sets.score,
            "promised": sets.promised,
            "cutoff": sets.cutoff if np.isfinite(sets.cutoff) else None,
        },
    }


def _fingerprint(split: Split) -> dict[str, Any]:
    """Marks of the parts, under numbers in place of hashed ids."""
    if split.content is None:
        return {"sha256": "", "key": split.key, "marks": None, "seen": []}
    ids = split.ids.values()
    told = {id_ for parts in ids for id_ in parts["train"] + parts["tuning"]}
    units = split.content.units
    content = Content(
        split.content.kind,
        tuple(map(str, range(len(units)))),
        split.content.unit,
        split.content.place,
        split.content.mark,
    )
    marks = content.to_json()
    return {
        "sha256": hashlib.sha256(json.dumps(marks, sort_keys=True).encode()).hexdigest(),
        "key": split.key,
        "marks": marks,
        "seen": [number for number, unit in enumerate(units) if unit in told],
    }
