"""Export of the network of a finished run to one file: its graph and its metadata."""

import hashlib
import json
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from sequela.cohort.split import Split
from sequela.config import SMALLEST_CELL
from sequela.datasets.catalog import Modality
from sequela.errors import DataError, ModelError, RunError
from sequela.evaluation.conformal import SCORE, fit_conformal
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.recalibration import fit_temperature
from sequela.files import temporary, whole
from sequela.identity.fingerprint import joined
from sequela.models.inputs import kind_of
from sequela.runs.data import Examples, load_again
from sequela.runs.find import single_run
from sequela.runs.folder import RunFolder
from sequela.runs.manifest import Manifest
from sequela.runs.model import FILE, BaselineModel, TrainedModel, open_model, title
from sequela.runs.released import few_named, public
from sequela.sequences.featurisers import FEATURES
from sequela.sequences.flat import Sequences
from sequela.serving import model_facts
from sequela.serving.drift import probability_shares, training_statistics
from sequela.serving.sequence_inputs import inputs_of
from sequela.serving.served_model import EXPORTERS, Exporter, ServedModel, exporter_of
from sequela.version import __version__

INTENDED = (
    "Research and the evaluation of methods. The model is not a medical device and has no proven "
    "benefit. It predicts one outcome ({question}) for people and devices like those of its "
    "training data ({title}). Evaluate it before any use on other people or devices."
)
TOLERANCE = 1e-5  # largest difference of two probabilities
# Enough to find a wrong operator, few enough for seconds.
EXAMPLES = 1000  # examples of a run on which a file is compared with it
_AT_ONCE = 100  # examples that are predicted at once


def write_export(
    path: Path, out: Path, *, root: Path | None = None, check: bool = True, trust_code: bool = False
) -> list[str]:
    """Write the network of a run in the form of the file's ending, and return sentences on it.

    Args:
        path: The run.
        out: The file, written completely or not at all.
        root: Folder or file of the data (default: the usual search path).
        check: Whether to compare the file with the run on the run's data.
        trust_code: Whether the run's model may be a class of a file or module.
    """
    folder, exporter, sentences = single_run(path), exporter_of(out), []
    content = exported(path, exporter, trust_code=trust_code)
    if check:
        with temporary() as work:
            data = load_again(folder, root, work)
            try:
                examples, difference = _compare(exporter.read(content, str(out), 1), folder, data)
            except DataError as error:
                words = "ONNX Runtime refuses its graph: does it loop over steps in Python?"
                raise RunError(f"{folder.path} cannot be exported: {words}") from error
        # Written so that NaN, which is not comparable, is refused too.
        if not difference <= TOLERANCE:
            raise RunError(
                f"{folder.path}: the exported model differs from the run by {difference:.1e} in "
                f"probability: expected at most {TOLERANCE:.0e}; nothing is written"
            )
        sentences.append(
            f"check on {examples:,} examples of the run: probabilities differ by "
            f"{difference:.1e} at most"
        )
    with whole(out) as partial:
        partial.write_bytes(content)
    return [*sentences, f"{out}: {len(content):,} bytes", *filter(None, [names_of_few(folder)])]


def _compare(model: ServedModel, folder: RunFolder, data: Examples) -> tuple[int, float]:
    """Return the number of compared examples and the largest difference of a probability.

    The validation set is left out: after ``--refit`` the run keeps its predictions from before.
    """
    predictions = folder.predictions
    rows = np.flatnonzero(predictions.split != "tuning")  # predicted by the stored model
    # Evenly over the run, as the first rows may be of few people.
    rows = rows[np.linspace(0, len(rows) - 1, min(EXAMPLES, len(rows))).astype(np.int64)]
    differences = []
    for piece in np.split(rows, range(_AT_ONCE, len(rows), _AT_ONCE)):
        if isinstance(data.arrays, Sequences):
            inputs = inputs_of(model, data.arrays, piece)
        else:
            inputs = {"signal": data.arrays.signal[piece]}
        apart = np.abs(model.probabilities(inputs) - predictions.probabilities[piece])
        differences.append(float(apart.max()))
    return len(rows), max(differences)


def exported(
    path: Path, exporter: Exporter = EXPORTERS["onnx"], *, trust_code: bool = False
) -> bytes:
    """Return the file of a run of networks as bytes, which are the same each time."""
    folder = single_run(path)
    model = open_model(folder, trust_code=trust_code)
    if names := sorted({leaf.name for leaf in model.leaves if isinstance(leaf, BaselineModel)}):
        raise ModelError(
            f"{path} has the baseline model {' and '.join(names)}, but only networks are exported: "
            f"name the run folder instead of a file, as in sequela predict {path} (also in scan "
            "and serve)"
        )
    return exporter.write(model, describe(folder, model))


def describe(folder: RunFolder, model: TrainedModel) -> model_facts.ModelFacts:
    """Describe a model."""
    header, data, settings = model.header, folder.data, folder.settings
    kind = kind_of(model.leaves[0].reads[0])
    return model_facts.ModelFacts(
        sequela=__version__,
        internal=names_of_few(folder),
        model=settings.model,
        title=title(settings),
        kind=kind,
        reads=list(dict.fromkeys(chain.from_iterable(leaf.reads for leaf in model.leaves))),
        classes=list(header["classes"]),
        horizons=list(data.horizons),
        question=data.question,
        **_FACTS[kind](folder, model),
        answers=probability_shares(folder.predictions.part("held_out")),
        thresholds=[
            model_facts.ThresholdFacts(value=point.threshold, chosen_for=point.chosen_for)
            for point in folder.test.operating_points
        ],
        calibration=_calibration(folder.predictions.part("tuning")),
        training=model_facts.TrainingFacts(
            **{name: data[name] for name in ("name", "title", "licence", "citation")},
            origin=public(data.origin),
            examples=dict(folder.split.n_examples),
        ),
        cost={
            name: folder.metrics[name]
            for name in ("parameters", "operations", "macs", "train_seconds")
        },
        intended_use=INTENDED.format(question=data.question, title=data.title),
        run=model_facts.Run(
            sha256=Manifest.read(folder.path).seal,
            data_sha256=folder.json("split.json")["data_sha256"],
            model_sha256=hashlib.sha256((folder.path / FILE).read_bytes()).hexdigest(),
        ),
        fingerprint=_fingerprint(folder.split),
    )


def names_of_few(folder: RunFolder) -> str | None:
    """Return a warning if the vocabulary may have codes of few patients."""
    sentence = few_named(folder.data, SMALLEST_CELL)
    return f"internal file, do not publish: {sentence}" if sentence else None


def _signal_facts(folder: RunFolder, model: TrainedModel) -> dict[str, Any]:
    signal = model_facts.SignalFacts(
        unit="µV",
        **{name: model.header[name] for name in ("sfreq", "n_chans", "n_times", "scaling")},
        channels=list(folder.data.channels),
        any_length=all(leaf.any_length for leaf in model.leaves),
    )
    settings = folder.settings.signals
    if settings and (prepared := settings.preparation).model_fields_set:
        signal = signal.model_copy(update={"preparation": prepared})
    return {"signal": signal, "features": {}}


def _record_facts(folder: RunFolder, model: TrainedModel) -> dict[str, Any]:
    header, cohort, table = model.header, folder.settings.cohort, folder.settings.signals
    rows: dict[str, Any] = {}
    if table:  # with one row per patient
        rows["rows"] = table.model_dump(mode="json", exclude_defaults=True)
    values, features = None, {}
    for leaf in model.leaves:
        for read in leaf.reads:
            prefix = f"{read}:"
            names = [name for name in leaf.state if name.startswith(prefix)]
            state = {name.removeprefix(prefix): leaf.state[name] for name in names}
            if read == "values" and values is None:
                numbers = {name: state[name].tolist() for name in ("mean", "deviation")}
                values = model_facts.ChannelStatistics(**numbers)
            elif read.startswith(FEATURES):
                fitted = {k: v for k, v in state.items() if not k.startswith("column ")}
                features[read] = model_facts.packed(fitted)
    records = model_facts.RecordsFacts(
        task=header["task"],
        settings=header["sequences"],
        **{name: header[name] for name in ("vocabulary", "channels", "edges")},
        unknown=folder.data["sequences"]["unknown"],
        tables=list(cohort.tables) if cohort else [],
        training=training_statistics(folder.data),
        values=values,
        **rows,
    )
    return {"records": records, "features": features}


_FACTS = {Modality.EEG: _signal_facts, Modality.RECORDS: _record_facts}
"""The description of the inputs of each kind."""


def _calibration(tuning: Predictions) -> model_facts.Calibration:
    # Times to an event have many classes that are intervals: one temperature has no meaning there.
    if tuning.horizons:
        return model_facts.Calibration(temperature=1.0, conformal=None)
    sets = fit_conformal(tuning)
    # JSON has no infinity; without a cutoff all sets hold all classes.
    cutoff = sets.cutoff if np.isfinite(sets.cutoff) else None
    return model_facts.Calibration(
        temperature=1 / fit_temperature(tuning).weight[0],
        conformal=model_facts.ConformalSets(score=SCORE, promised=sets.promised, cutoff=cutoff),
    )


def _fingerprint(split: Split) -> model_facts.Fingerprint:
    if split.content is None:
        return model_facts.Fingerprint(sha256="", key=split.key, marks=None, seen=[])
    contents, learnt_from = [], list[bool]()
    of_model: Split | None = split
    while of_model and of_model.content and of_model.key == split.key:  # else no mark is comparable
        parts = [*of_model.ids.values()]
        trained = set[str]().union(*(ids["train"] + ids["tuning"] for ids in parts))
        contents.append(of_model.content)
        learnt_from += [unit in trained for unit in of_model.content.units]
        of_model = of_model.parent
    # Hashed ids would let a holder of the key look people up, and the file may be published.
    numbered = replace(joined(contents), units=tuple(map(str, range(len(learnt_from)))))
    marks = numbered.to_json()
    return model_facts.Fingerprint(
        sha256=hashlib.sha256(json.dumps(marks, sort_keys=True).encode()).hexdigest(),
        key=split.key,
        marks=marks,
        seen=np.flatnonzero(learnt_from).tolist(),
    )
