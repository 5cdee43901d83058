"""Export of a finished run to one ONNX file: its graph and its metadata."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sequela.cohort.split import Split
from sequela.config import SMALLEST_CELL
from sequela.errors import ModelError, RunError, extra
from sequela.evaluation.conformal import SCORE, fit_conformal
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.recalibration import fit_temperature
from sequela.formats import sealed
from sequela.models.inputs import kind_of
from sequela.runs.find import named_runs
from sequela.runs.folder import RunFolder
from sequela.runs.manifest import Manifest
from sequela.runs.members import title
from sequela.runs.model import FILE, TrainedEnsemble, TrainedModel, trained
from sequela.runs.released import least_named, public
from sequela.sequences.featurisers import FEATURES
from sequela.serving import about as metadata
from sequela.serving.drift import answers_of, codes_of
from sequela.version import __version__

INTENDED = (
    "Research and the evaluation of methods. The model is not a medical device and has no proven "
    "benefit. It predicts one outcome ({question}) for people and devices like those of its "
    "training data ({title}). Evaluate it before any use on other people or devices."
)


def run_to_export(path: Path) -> RunFolder:
    """Open the run to export."""
    (folder,) = named_runs([path])
    if not isinstance(folder, RunFolder):
        raise RunError(
            f"{path} has {len(folder.runs)} models, one per fold or seed: name one of them, such "
            f"as {folder.first.path.name}, or average those of one split (sequela ensemble)"
        )
    return folder


def exported(path: Path, *, trust_code: bool = False) -> bytes:
    """Return the ONNX file of a run of networks as bytes, which are the same each time."""
    folder = run_to_export(path)
    model = trained(folder, trust_code=trust_code)
    if names := sorted({leaf.name for leaf in model.leaves if not leaf.is_network}):
        raise ModelError(
            f"{path} has the baseline model {' and '.join(names)}, but only networks are exported: "
            f"name the run folder instead of a file, as in sequela predict {path} (also in scan "
            "and serve)"
        )
    with extra("export", "an export"):
        from onnx import helper
    from sequela.serving.translate import graph_of

    graph, text = graph_of(model), metadata.as_text(describe(folder, model))
    helper.set_model_props(graph, {metadata.KEY: text, metadata.SEAL: sealed.EMPTY})
    return sealed.seal(graph.SerializeToString(deterministic=True), metadata.SEAL)


def describe(folder: RunFolder, model: TrainedModel | TrainedEnsemble) -> metadata.About:
    """Describe a model."""
    header, data, settings = model.header, folder.data, folder.settings
    kind = kind_of(model.leaves[0].reads[0])
    return metadata.About(
        sequela=__version__,
        internal=names_of_few(folder),
        model=settings.model,
        title=title(settings),
        kind=kind,
        reads=list(dict.fromkeys(read for leaf in model.leaves for read in leaf.reads)),
        classes=list(header["classes"]),
        horizons=list(data.horizons),
        question=data.question,
        **_TAKES[kind](folder, model),
        answers=answers_of(folder.predictions.part("held_out")),
        thresholds=[
            metadata.Threshold(value=each.threshold, chosen_for=each.chosen_for)
            for each in folder.test.operating_points
        ],
        calibration=_calibration(folder.predictions.part("tuning")),
        training=metadata.Training(
            **{name: data[name] for name in ("name", "title", "licence", "citation")},
            origin=public(data.origin),
            examples=dict(folder.split.n_examples),
        ),
        cost={
            name: folder.metrics[name]
            for name in ("parameters", "operations", "macs", "train_seconds")
        },
        intended_use=INTENDED.format(question=data.question, title=data.title),
        run=metadata.Run(
            sha256=Manifest.read(folder.path).seal,
            data_sha256=folder.json("split.json")["data_sha256"],
            model_sha256=hashlib.sha256((folder.path / FILE).read_bytes()).hexdigest(),
        ),
        fingerprint=_fingerprint(folder.split),
    )


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


def _signal(folder: RunFolder, model: TrainedModel | TrainedEnsemble) -> dict[str, Any]:
    signal = metadata.Signal(
        unit="µV",
        **{name: model.header[name] for name in ("sfreq", "n_chans", "n_times", "scaling")},
        channels=list(folder.data.channels),
        any_length=all(leaf.any_length for leaf in model.leaves),
    )
    settings = folder.settings.signals
    if settings and (prepared := settings.preparation).model_fields_set:
        signal = signal.model_copy(update={"preparation": prepared})
    return {"signal": signal, "features": {}}


def _records(folder: RunFolder, model: TrainedModel | TrainedEnsemble) -> dict[str, Any]:
    header, cohort, table = model.header, folder.settings.cohort, folder.settings.signals
    rows: Any = {"rows": table.model_dump(mode="json", exclude_defaults=True)} if table else {}
    records = metadata.Records(
        task=header["task"],
        settings=header["sequences"],
        **{name: header[name] for name in ("vocabulary", "channels", "edges")},
        unknown=folder.data["sequences"]["unknown"],
        tables=list(cohort.tables) if cohort else [],
        training=codes_of(folder.data),
        values=_values(model),
        **rows,
    )
    return {"records": records, "features": _features(model)}


_TAKES = {"signal": _signal, "records": _records}


def _values(model: TrainedModel | TrainedEnsemble) -> metadata.Measured | None:
    """Return mean and deviation of each channel in training, if a network reads values."""
    for leaf in model.leaves:
        if "values" in leaf.reads:
            state = leaf.state
            return metadata.Measured(
                **{n: state[f"values:{n}"].tolist() for n in ("mean", "deviation")}
            )
    return None


def _features(model: TrainedModel | TrainedEnsemble) -> dict[str, str]:
    """Return the fitted featurisers of records, by ``features:NAME``."""
    found = {}
    for leaf in model.leaves:
        for read in leaf.reads:
            if read.startswith(FEATURES):
                own = {
                    name.removeprefix(f"{read}:"): array
                    for name, array in leaf.state.items()
                    if name.startswith(f"{read}:") and ":column " not in name
                }
                found[read] = metadata.packed(own)
    return found


def _calibration(tuning: Predictions) -> metadata.Calibration:
    if tuning.horizons:
        return metadata.Calibration(temperature=1.0, conformal=None)
    sets = fit_conformal(tuning)
    cutoff = sets.cutoff if np.isfinite(sets.cutoff) else None
    return metadata.Calibration(
        temperature=fit_temperature(tuning).value,
        conformal=metadata.ConformalSets(score=SCORE, promised=sets.promised, cutoff=cutoff),
    )


def _fingerprint(split: Split) -> metadata.Fingerprint:
    """Return fingerprints of the sets, under numbers instead of hashed ids."""
    if split.content is None:
        return metadata.Fingerprint(sha256="", key=split.key, marks=None, seen=[])
    ids = split.ids.values()
    told = {id_ for parts in ids for id_ in parts["train"] + parts["tuning"]}
    units = split.content.units
    marks = replace(split.content, units=tuple(map(str, range(len(units))))).to_json()
    return metadata.Fingerprint(
        sha256=hashlib.sha256(json.dumps(marks, sort_keys=True).encode()).hexdigest(),
        key=split.key,
        marks=marks,
        seen=[number for number, unit in enumerate(units) if unit in told],
    )
