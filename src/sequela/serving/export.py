"""Export of a finished run to one ONNX file: its graph and its metadata."""

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
    "Research and the evaluation of methods. The model is not a medical device and has no proven "
    "benefit. It predicts one outcome ({question}) for people and devices like those of its "
    "training data ({title}). Evaluate it before any use on other people or devices."
)


def run_to_export(path: Path) -> RunFolder:
    """Open the run to export.

    Raises:
        RunError: If it is not finished, or has several models.
    """
    (folder,) = named_runs([path])
    if not isinstance(folder, RunFolder):
        raise RunError(
            f"{path} has {len(folder.runs)} models, one per fold or seed: name one of them, such "
            f"as {folder.first.path.name}, or average those of one split (sequela ensemble)"
        )
    return folder


def exported(path: Path, *, trust_code: bool = False) -> bytes:
    """Return the ONNX file of a run as bytes, which are the same each time.

    Args:
        path: A finished run.
        trust_code: Whether its model may be a class of a file or module.

    Raises:
        MissingExtraError: If ``onnx`` is not installed.
        RunError: If the run is not finished, or has several models.
        ModelError: If its model has no translation.
    """
    folder = run_to_export(path)
    model = trained(folder, trust_code=trust_code)
    return with_metadata(graph(model), folder, model)


def graph(model: TrainedModel | TrainedEnsemble) -> "onnx.ModelProto":
    """Return the graph of a model; see :func:`sequela.serving.translate.graph_of`."""
    try:
        import onnx  # noqa: F401 - for the error that names the extra
    except ImportError as error:
        raise MissingExtraError.of("export", "an export") from error
    from sequela.serving.translate import graph_of

    return graph_of(model)


def with_metadata(
    graph: "onnx.ModelProto", folder: RunFolder, model: TrainedModel | TrainedEnsemble
) -> bytes:
    """Add metadata and seal to a graph, and return its bytes."""
    from onnx import helper

    text = metadata.as_text(describe(folder, model))
    helper.set_model_props(graph, {metadata.KEY: text, metadata.SEAL: metadata.EMPTY_SEAL})
    return metadata.sealed(graph.SerializeToString(deterministic=True))


def describe(folder: RunFolder, model: TrainedModel | TrainedEnsemble) -> dict[str, Any]:
    """Describe a model: the entries of :mod:`sequela.serving.about`."""
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
    """Return a warning if the vocabulary may have codes of few patients."""
    least = least_named(folder.data)
    if least is None or least >= SMALLEST_CELL:
        return None
    return (
        f"internal file, do not publish: its vocabulary may have codes of only {least} training "
        f"subject{'s' * (least > 1)}; train with --min-subjects {SMALLEST_CELL} for a publishable "
        "file"
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
    """Return mean and deviation of each channel in training, if a network reads values."""
    from sequela.serving.translate import leaves

    for leaf in leaves(model):
        if "values" in leaf.reads:
            state = leaf.state
            return {n: state[f"values:{n}"].tolist() for n in ("mean", "deviation")}
    return None


def _features(model: TrainedModel | TrainedEnsemble) -> dict[str, str]:
    """Return the fitted featurisers of records, by ``features:NAME``."""
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
    """Return the thresholds of two classes, with their criteria."""
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
    """Return fingerprints of the sets, under numbers instead of hashed ids."""
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
