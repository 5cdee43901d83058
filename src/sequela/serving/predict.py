"""Prediction on new data: from a path to a table of probabilities and a list of exceptions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sequela.config import SignalSettings
from sequela.datasets.catalog import DataSet, Modality, lookup
from sequela.errors import SettingError
from sequela.files import temporary
from sequela.serving import load, record_input, signal_input
from sequela.serving.overlap import Overlap
from sequela.serving.prediction_table import (
    PredictionTable,
    listed_path,
    overlap_in_words,
    require_outputs,
)
from sequela.serving.served_model import ServedModel
from sequela.signals.folders import is_recording

OnProgress = Callable[[int, float | None], None]
_SCORING: dict[str, ModuleType] = {Modality.EEG: signal_input, Modality.RECORDS: record_input}
"""The module that scores data, by their kind."""


@dataclass(frozen=True)
class Predicted:
    """The result of a prediction."""

    out: Path  # the table
    # Counts, unknown codes and drift, as in the table's metadata, and the number of examples whose
    # overlap with the training data could not be checked ("not_checked").
    report: dict[str, Any]
    known: int  # number of examples in the training or validation set
    sentences: tuple[str, ...]  # the report in words


def predict(
    model: ServedModel | Path | str,
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

    Memory does not grow with the data.

    Args:
        model: A model, its run folder or its file.
        path: File or folder of the data (default: the usual search path).
        out: The table, a Parquet file. The list of examples that were not scored, or are in the
            training or validation set, is written next to it as ``NAME.listed.csv``.
        data: Name of the data set or format (default: from the file, else as in training).
        times: Label file with subjects and times, for a model trained with a label file.
        trust_code: Whether the run's model may be a class of a file or module.
        done: Called with the number of scored examples, and the finished share of the data or
            ``None`` if it is unknown.
        signals: Options for custom recordings, by name.

    Raises:
        SettingError: If the model reads another kind of data.
        SequelaError: If the data cannot be found or read, or nothing can be scored; nothing is
            written then.
    """
    out, options = Path(out), {name: v for name, v in signals.items() if v is not None}
    settings = SignalSettings.of(**options)
    path, times = (None if place is None else Path(place) for place in (path, times))
    if not isinstance(model, ServedModel):
        model = load(model, trust_code=trust_code)
    # Before the data are read, so that a wrong name is an error at once.
    require_outputs(out, [path, times, Path(model.name)])
    scoring = _SCORING[model.facts.kind]
    scoring.check(settings, times)
    data_set = _format_of(model, path, data)
    overlap = _overlap(model, data_set.name)
    with temporary() as work, PredictionTable.open(model, overlap, out) as scored:
        source = (data_set, path, settings, times, work)
        notes, unknown = scoring.score(scored, *source, lambda share: done(scored.examples, share))
        return _write(scored, notes, unknown)


def _write(
    scored: PredictionTable, notes: Sequence[str], unknown: dict[str, float] | None
) -> Predicted:
    report: dict[str, object] = {
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
        *_unknown(scored.model, unknown),
        *scored.drift.sentences(),
    )
    return Predicted(scored.out, report, count, sentences)


def _format_of(model: ServedModel, path: Path | None, data: str | None) -> DataSet:
    name = data or model.facts.training.name
    if data is None and path is not None:
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
    overlap = Overlap.of(model.facts)
    # Ids are comparable only within one data set: patient 12 is somebody else elsewhere.
    if name != model.facts.training.name or not Path(model.name).is_dir():
        return overlap
    from sequela.runs.folder import RunFolder

    return overlap.by_name(RunFolder(Path(model.name)).split)


def _counted(scored: PredictionTable, count: int) -> Iterator[str]:
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
