"""Prediction on new data: from a path to a table of probabilities and a list of exceptions."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from sequela.config import SignalSettings
from sequela.datasets.catalog import DataSet, Modality, lookup
from sequela.errors import SettingError
from sequela.files import temporary
from sequela.serving import record_input, signal_input
from sequela.serving.overlap import Overlap
from sequela.serving.prediction_table import (
    PredictionTable,
    listed_path,
    overlap_in_words,
    require_outputs,
)
from sequela.serving.served_model import ServedModel, load
from sequela.signals.folders import is_recording

OnProgress = Callable[[int, float | None], None]
_SCORING: dict[str, ModuleType] = {Modality.EEG: signal_input, Modality.RECORDS: record_input}
"""The module that scores data, by their kind."""


@dataclass(frozen=True)
class NewData:
    """The data to predict for.

    Attributes:
        path: File or folder (default: the usual search path).
        data: Name of the data set or format (default: from the file, else as in training).
        signals: Options for custom recordings.
        times: Label file with subjects and times, for a model trained with a label file.
    """

    path: Path | None = None
    data: str | None = None
    signals: SignalSettings = field(default_factory=SignalSettings)
    times: Path | None = None


@dataclass(frozen=True)
class Predicted:
    """The result of a prediction.

    Attributes:
        out: The table.
        report: Counts, unknown codes and drift, as in the table's metadata, and the number of
            examples whose overlap with the training data could not be checked (``not_checked``).
        known: Number of examples in the training or validation set.
        sentences: The report in words.
    """

    out: Path
    report: dict[str, Any]
    known: int
    sentences: tuple[str, ...]


def predict(
    model: ServedModel, data: NewData, out: Path, progress: OnProgress = lambda _, __: None
) -> Predicted:
    """Predict on new data while they are read: memory does not grow with them.

    Args:
        model: The model.
        data: The data.
        out: The table, a Parquet file. The list of examples that were not scored, or are in the
            training or validation set, is written next to it as ``NAME.listed.csv``.
        progress: Called with the number of scored examples, and the finished share of the data or
            ``None`` if it is unknown.

    Raises:
        SettingError: If the model reads another kind of data.
        SequelaError: If the data cannot be found or read, or nothing can be scored; nothing is
            written then.
    """
    require_outputs(out, [data.path, data.times, Path(model.name)])
    scoring = _SCORING[model.facts.kind]
    scoring.check(data.signals, data.times)
    data_set = _format_of(model, data)
    overlap = _overlap(model, data_set.name)
    with temporary() as work, PredictionTable.open(model, overlap, out) as scored:
        source = (data.path, data.signals, data.times, work)
        notes, unknown = scoring.score(
            scored, data_set, *source, lambda share: progress(scored.examples, share)
        )
        report: dict[str, Any] = {
            "scored": scored.examples,
            "not_scored": dict(scored.unscored.most_common()),
            "known_groups": len(scored.trained),
        }
        if unknown is not None:
            report["unknown_codes"] = unknown
        report["drift"] = scored.drift.to_dict()
        count = scored.write(report)
        report["not_checked"] = scored.unchecked
    sentences = (
        *_counted(scored, count),
        *notes,
        *_unknown(model, unknown),
        *scored.drift.sentences(),
    )
    return Predicted(out, report, count, sentences)


def predict_data(
    model: Path | str,
    path: Path | str | None = None,
    *,
    out: Path | str,
    data: str | None = None,
    times: Path | str | None = None,
    trust_code: bool = False,
    done: OnProgress = lambda _, __: None,
    **signals: object,
) -> Predicted:
    """Predict on new data and write the probabilities, as ``sequela predict`` does: see its help.

    Options for custom recordings are ``signals``, by name. ``done`` is that of :func:`predict`.

    Returns:
        The path of the table, the counts, and the report in sentences.
    """
    settings = {name: value for name, value in signals.items() if value is not None}
    new = NewData(
        path=None if path is None else Path(path),
        data=data,
        signals=SignalSettings.of(**settings),
        times=None if times is None else Path(times),
    )
    if (Path(model) / "folds.json").is_file():
        raise SettingError(
            f"{model}: has several models: name the run of one of them, such as fold-00 or seed-00"
        )
    return predict(load(Path(model), trust_code=trust_code), new, Path(out), done)


def _format_of(model: ServedModel, data: NewData) -> DataSet:
    """Return the format of the data: the given one, else from the path, else as in training."""
    path, name = data.path, data.data or model.facts.training.name
    if data.data is None and path is not None:
        name = "signals" if is_recording(path) else _SCORING[model.facts.kind].format_of(path, name)
    data_set, reads = lookup(name), model.facts.kind
    examples = {Modality.EEG: "signals", Modality.RECORDS: "meds"}
    if data_set.modality is not reads:
        raise SettingError(
            f"{name} has {data_set.modality.words}, but {model.name} reads {reads.words}: "
            f"name other data with --data, such as {examples[reads]}"
        )
    return data_set


def _overlap(model: ServedModel, name: str) -> Overlap:
    """Return the fingerprints of a model, with ids for a run folder and the same data set."""
    overlap = Overlap.of(model.facts)
    if name != model.facts.training.name or not Path(model.name).is_dir():
        return overlap
    from sequela.runs.folder import RunFolder

    return overlap.by_name(RunFolder(Path(model.name)).split)


def _counted(scored: PredictionTable, count: int) -> Iterator[str]:
    """Yield sentences on scored examples, on others, and on known examples."""
    overlap, takes = scored.overlap, scored.model.facts.takes
    reason = overlap_in_words(scored.model, names=overlap.hash_of_ids is not None)
    yield f"{scored.out}: {scored.examples:,} examples"
    listed = listed_path(scored.out)
    if total := scored.unscored.total():
        reasons = "; ".join(f"{n:,}: {why}" for why, n in scored.unscored.most_common(5))
        yield f"not scored: {total:,}, listed in {listed} ({reasons})"
    else:
        yield "not scored: none"
    if count:
        patients = takes.of_units.format(len(scored.trained))
        are = "are" if count > 1 else "is"
        yield (
            f"known: {count:,} of these examples{patients} {are} {reason}; their split is train, "
            f"and {listed} lists them"
        )
    elif scored.unchecked < scored.examples:
        whose = " of the others" if scored.unchecked else " here"
        yield f"known: no {takes.units[:-1]}{whose} is {reason}"
    if scored.unchecked:
        yield (
            f"overlap with the training data: not checked for {scored.unchecked:,} of "
            f"{scored.examples:,} examples, {overlap.why_not}; their split is blank"
        )


def _unknown(model: ServedModel, unknown: dict[str, float] | None) -> Iterator[str]:
    if unknown is None or not unknown["codes"]:
        return
    of_run = model.records.unknown.get("held_out", {})
    yield (
        f"unknown codes: {unknown['unknown'] / unknown['codes']:.1%} of {unknown['codes']:,}"
        + (f" (test set of the model: {of_run['share']:.1%})" if "share" in of_run else "")
    )
