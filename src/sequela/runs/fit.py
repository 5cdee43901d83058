"""Training of one run, from settings to a finished run folder."""

import copy
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from sequela.config import RunSettings
from sequela.cost import record as record_cost
from sequela.cost.ledger import Account
from sequela.cost.measure import microseconds_of_one, peak_of_one
from sequela.cost.references import ExampleInputs, account_of_reference, with_features
from sequela.datasets.catalog import Modality
from sequela.disclosure import INTERNAL
from sequela.errors import SettingError
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.summary import summarise_parts
from sequela.files import held
from sequela.listeners import broadcast, current_listeners
from sequela.models import reference, stored
from sequela.models.reference import Arrays, ReferenceModel
from sequela.models.registry import Entry, ModelEntry
from sequela.runs.audit import audit_once
from sequela.runs.data import Examples, Inputs, load, prediction_batch
from sequela.runs.environment import environment
from sequela.runs.folder import COST, METRICS, RunFolder, work_beside
from sequela.runs.manifest import seal
from sequela.runs.model import FILE, BaselineModel, NetworkModel, as_json, config_of, entry_for
from sequela.sequences.featurisers import Features, Table
from sequela.training.history import History, TrainingListener, kept_epoch, to_lines

if TYPE_CHECKING:
    from torch import nn

    from sequela.evaluation.recalibration import LogitScaling
    from sequela.runs.learner import Learner

_FOLDS = 3  # models whose predictions fit the intercept of boosting; five give the same sum to 2 %


def train(
    settings: RunSettings,
    out: Path,
    *,
    root: Path | None = None,
    work: Path | None = None,
    resume: bool = False,
    files: Mapping[str, Mapping[str, object]] | None = None,
) -> RunFolder:
    """Train one model and write its run folder; a finished run is left unchanged.

    Several runs may share ``work``, the folder for intermediate files (default: a temporary folder
    next to the run folder). ``files`` are further JSON files of the run by name. Listeners of
    :func:`sequela.listeners.listening` hear the run.

    Raises:
        SettingError: If a network without a second output gets a second target.
        SequelaError: If the model or data are unknown or not found, if ``out`` is taken, if another
            process writes to it, or if the run to resume was started on other data.
    """
    entry, reads = entry_for(settings)
    if isinstance(entry, ModelEntry):
        import torch

        torch.set_num_threads(1)  # sums on several threads would depend on their number
    folder = RunFolder(out)
    folder.check_free(settings, resume=resume)
    with held(out), work_beside(out, work) as scratch:
        data = load(settings, root, scratch)
        inputs = data.inputs(reads, standardise=isinstance(entry, ModelEntry))
        if data.times and settings.training.class_weights:
            raise SettingError(
                "--class-weights would bias the probabilities of times to an event: leave it out"
            )
        # These may raise an error, so they come before any writing.
        if isinstance(entry, ReferenceModel):
            reference.check_fit(entry, timed=data.times is not None)
        else:
            with torch.random.fork_rng(devices=[]):
                network = entry.build(config_of(entry, settings, inputs))
            if settings.training.second_target and not hasattr(network, "second"):
                raise SettingError(
                    f"--second-target is for networks with a second output, and {settings.model} "
                    "has none (no layer named second): leave it out, or choose values-lstm"
                )
        folder.open(settings, resume=resume)
        folder.begin({"internal": INTERNAL, **data.split.to_json(), "data_sha256": data.digest})
        if folder.complete:
            folder.require_complete()
        else:
            for name, content in (files or {}).items():
                folder.write(name, content)
            run = _Run(settings, entry, data, inputs, folder)
            broadcast("on_run_begin", out, settings)
            try:
                _finish(run, resume=resume)
            finally:
                broadcast("on_run_end", out, finished=folder.complete)
    return folder


@dataclass(frozen=True)
class _Run:
    settings: RunSettings
    entry: Entry
    data: Examples
    inputs: Inputs
    folder: RunFolder


@dataclass(frozen=True)
class _Trained:
    """The result of training, with the validation predictions (example, class) before a refit."""

    tensors: Mapping[str, stored.Stored]
    header: Mapping[str, object]
    facts: Mapping[str, object]
    tuning: NDArray[np.float32] | None = None


def _finish(run: _Run, *, resume: bool) -> None:
    settings, data, folder = run.settings, run.data, run.folder
    folder.write("environment.json", environment())
    with threadpool_limits(limits=1):
        trained = (
            _fit_reference(run, run.entry)
            if isinstance(run.entry, ReferenceModel)
            else _fit_network(run, run.entry, resume=resume)
        )
        header = {
            "internal": INTERNAL,
            "model": settings.model,
            "reads": list(run.inputs.reads),
            **data.header,
            **trained.header,
        }
        tensors = {**trained.tensors, **run.inputs.state}
        kind = NetworkModel if isinstance(run.entry, ModelEntry) else BaselineModel
        probabilities = kind(header, tensors).of_inputs(run.inputs)
        if trained.tuning is not None:
            rows = data.rows("tuning")
            probabilities[rows] = trained.tuning[rows]
    stored.write(folder.path / FILE, tensors, header)
    write_results(settings, data, folder, data.predictions(probabilities), trained.facts)


def write_results(
    settings: RunSettings,
    data: Examples,
    folder: RunFolder,
    predictions: Predictions,
    facts: Mapping[str, object],
) -> None:
    """Write the predictions of a run and all that follows from them, and seal its folder."""
    predictions.write(folder.path / "predictions.parquet")
    if attributes := data.attributes():
        folder.write_attributes(attributes)
    folder.write(METRICS, _metrics(settings, data, folder, facts))
    seal(folder.path)


def _fit_reference(run: _Run, entry: ReferenceModel) -> _Trained:
    """Fit a baseline model on the training set, with settings chosen on the validation set."""
    started = time.perf_counter()
    data, inputs = run.data, run.inputs
    train, tuning = data.rows("train"), data.rows("tuning")
    arrays = fit_baseline(run.settings, data, inputs.features, train, tuning)
    seconds = time.perf_counter() - started
    example = ExampleInputs(inputs.reads, inputs.shape, inputs.steps)
    cost = account_of_reference(run.settings.model, arrays, example)
    if cost is not None:
        record_cost.save(cost, run.folder.path / COST)

    def predict_one() -> None:
        features = Features.of(inputs.reads, inputs.alone, train, inputs.state, standardise=False)
        reference.predicted(entry, arrays, features.table if features else inputs.features[:1])

    facts = {
        "parameters": entry.parameters(arrays),
        "operations": cost and cost.operations,
        "macs": cost and cost.macs,
        **of_one(predict_one, sum(np.asarray(array).nbytes for array in arrays.values())),
        "train_seconds": seconds,
        "epochs": 0,
        "best_epoch": 0,
    }
    return _Trained(arrays, {}, facts)


def fit_baseline(
    settings: RunSettings,
    data: Examples,
    features: Table,
    train: NDArray[np.int64],
    tuning: NDArray[np.int64],
) -> Arrays:
    """Fit the baseline model of a run on some training and validation rows, repeated ones too."""
    rows, times = np.concatenate([train, tuning]), data.times
    place, entry = np.arange(len(rows)), reference.REFERENCE_MODELS[settings.model]
    examples = reference.Examples(
        features[rows],
        data.labels[rows],
        place[: len(train)],
        place[len(train) :],
        len(data.classes),
        times=times and reference.Times(times.time[rows], times.event[rows], times.intervals),
        rounds=settings.rounds,
    )
    arrays = reference.fitted(entry, examples, settings.seed_of_training)
    if _is_recalibrated(settings, data) and "skops" in arrays:
        # Trees fit what they were trained on too well: their mean risk is taken out of fold.
        by_row = np.argsort(rows, kind="stable")
        examples, teacher = replace(examples, train=by_row, tuning=by_row[:0]), reference.TEACHER
        seed, groups = settings.seed_of_training, data.marked[rows]
        out_of_fold = reference.cross_fitted(teacher, examples, groups, seed, _FOLDS)
        if out_of_fold is not None:
            line = _line(data, rows[by_row], out_of_fold[by_row])
            arrays = reference.shifted(arrays, line.bias[1])
    return arrays


@dataclass
class _HistoryFile(TrainingListener):
    """The history of a run as a file, written after each epoch."""

    folder: RunFolder

    def on_epoch_end(self, history: History) -> None:
        self.folder.write("history.jsonl", to_lines(history))


def _fit_network(run: _Run, entry: ModelEntry, *, resume: bool) -> _Trained:
    settings, inputs, folder, how = run.settings, run.inputs, run.folder, run.settings.training
    learner = learner_of(settings, entry, run.data, inputs)
    model = learner.built()
    cost = cost_of(settings.model, model, inputs)
    record_cost.save(cost, folder.path / COST)
    listeners = [_HistoryFile(folder), *current_listeners()]
    history = learner.learn(
        model, how, checkpoint=folder.path / "checkpoint", resume=resume, listeners=listeners
    )
    seconds, tuning = sum(epoch.seconds for epoch in history), None
    if how.refit:
        # The threshold is chosen on predictions by the network that did not learn from these.
        tuning = inputs.probabilities(model)
        place = folder.path / "checkpoint-refit"
        model, again = learner.refit(how, history, checkpoint=place, resume=resume)
        seconds += sum(epoch.seconds for epoch in again)
    members: Any = getattr(model, "members", None)
    if _is_recalibrated(settings, run.data) and hasattr(members, "shift"):
        rows = run.data.rows("train+tuning")  # the test set must not move the intercept
        line = _line(run.data, rows, inputs.probabilities(model)[rows])
        # The intercept alone makes the mean risk right, and changes no rank.
        members.shift(line.bias[1])
        if tuning is not None:
            tuning = line.apply(run.data.predictions(tuning)).probabilities
    facts = {
        "parameters": cost.parameters,
        "operations": cost.operations,
        "macs": cost.macs,
        **of_network(model, inputs),
        "train_seconds": seconds,
        "epochs": max(epoch.epoch for epoch in history),
        "best_epoch": kept_epoch(history, how.keep),
    }
    tensors = {name: t.cpu().contiguous() for name, t in model.state_dict().items()}
    config = as_json(config_of(entry, settings, inputs))
    return _Trained(tensors, {"config": config}, facts, tuning)


def learner_of(
    settings: RunSettings, entry: ModelEntry, data: Examples, inputs: Inputs
) -> "Learner":
    """Return the parts of the fit of a run's network."""
    import torch

    from sequela.runs.learner import Learner

    class_weight = None
    if settings.training.class_weights:  # each class has the same share of the loss
        labels = data.labels[data.rows("train")]
        counts = torch.from_numpy(np.bincount(labels, minlength=len(data.classes))).float()
        class_weight = counts.sum() / (len(counts) * counts)  # "balanced" of scikit-learn
    return Learner(
        build=lambda: entry.build(config_of(entry, settings, inputs)),
        batches=inputs.loader,
        seed=settings.seed_of_training,
        at_once=prediction_batch(inputs.shape),
        timed=data.times is not None,
        class_weight=class_weight,
    )


def _is_recalibrated(settings: RunSettings, data: Examples) -> bool:
    if data.data_set.modality is not Modality.RECORDS or settings.training.class_weights:
        return False
    return data.times is None and len(data.classes) == 2  # noqa: PLR2004


def _line(
    data: Examples, rows: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> "LogitScaling":
    """Fit an intercept with which as many events are predicted as happened: see decision 37."""
    from sequela.evaluation.recalibration import INTERCEPT, fit

    shares = np.full((len(data.part), len(data.classes)), 0.5)
    return fit(data.predictions(shares).drawn(rows, probabilities), INTERCEPT)


def cost_of(name: str, model: "nn.Module", inputs: Inputs) -> Account:
    """Count the cost of one example for a run's network, including its features."""
    from sequela.cost import account

    cost = account(model, inputs.example, name=name, allow_unknown=True)
    return with_features(cost, inputs.reads, inputs.shape, (inputs.steps,))


def of_network(model: "nn.Module", inputs: Inputs) -> dict[str, float]:
    """Measure the time and memory of one prediction of a network, including its features."""
    import torch

    network, none = copy.deepcopy(model).cpu().eval(), np.empty(0, np.int64)
    weights = (*network.parameters(), *network.buffers())

    def predict_one() -> None:
        Features.of(inputs.reads, inputs.alone, none, inputs.state, standardise=True)
        network(*inputs.example)

    with torch.inference_mode():
        return of_one(predict_one, sum(t.numel() * t.element_size() for t in weights), tensors=True)


def of_one(
    predict: Callable[[], object], weights: int, *, tensors: bool = False
) -> dict[str, float]:
    """Measure the time and memory of one prediction, on one thread."""
    duration = round(microseconds_of_one(predict, ()), 1)
    memory = weights + peak_of_one(predict, tensors=tensors)
    return {"inference_us": duration, "memory_bytes": memory}


def _metrics(
    settings: RunSettings, data: Examples, folder: RunFolder, facts: Mapping[str, object]
) -> dict[str, object]:
    started = time.perf_counter()
    findings = audit_record(data)
    fixed, attributes = data.classes_fixed, folder.attributes
    parts = summarise_parts(folder.predictions, settings, recordings=fixed, attributes=attributes)
    return {
        "internal": INTERNAL,
        "model": settings.model,
        "data": data.describe(),
        "split": {"unit": settings.split, "leaks": data.split.leaks},
        **findings,
        **facts,
        "parts": parts,
        "evaluation_seconds": time.perf_counter() - started,
    }


def audit_record(data: Examples) -> dict[str, object]:
    """Run the leak audit on the data of a run, and return its checks and findings."""
    outcome = audit_once(data)
    findings = [asdict(finding) for finding, _ in outcome.findings]
    return {
        "looked_for": ", ".join(outcome.titles),
        "leaks": [finding for finding in findings if finding["severity"] == "leak"],
        "suspicions": [finding for finding in findings if finding["severity"] != "leak"],
    }
