"""Prediction on new data: from a path to a table of probabilities and a list of exceptions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from sequela.config import SignalSettings
from sequela.datasets.catalog import DataSet, lookup
from sequela.errors import SettingError
from sequela.files import temporary
from sequela.serving import record_input, signal_input
from sequela.serving.known import Known
from sequela.serving.scored import Scored, listed_path, require_outputs, seen_in_words, write_mean
from sequela.serving.served import ServedModel, load
from sequela.signals.folders import is_recording

_SCORING: dict[str, ModuleType] = {"signal": signal_input, "records": record_input}
"""The module that scores data, by their kind."""


@dataclass(frozen=True)
class Asked:
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
    model: ServedModel,
    asked: Asked,
    out: Path,
    done: Callable[[int, float | None], None] = lambda _, __: None,
) -> Predicted:
    """Predict on new data while they are read: memory does not grow with them.

    Args:
        model: The model.
        asked: The data.
        out: The table, a Parquet file. The list of examples that were not scored, or are in the
            training or validation set, is written next to it as ``NAME.listed.csv``.
        done: Called with the number of scored examples, and the finished share of the data or
            ``None`` if it is unknown.

    Raises:
        SettingError: If the model reads another kind of data.
        SequelaError: If the data cannot be found or read, or nothing can be scored; nothing is
            written then.
    """
    require_outputs(out, [asked.path, asked.times, Path(model.name)])
    scoring = _SCORING[model.facts.kind]
    scoring.check(asked.signals, asked.times)
    data_set = _format_of(model, asked)
    with temporary() as work, Scored.open(model, _known(model, data_set.name), out) as scored:
        given = (asked.path, asked.signals, asked.times, work)
        notes, unknown = scoring.score(
            scored, data_set, *given, lambda share: done(scored.examples, share)
        )
        report = {
            "scored": scored.examples,
            "not_scored": dict(scored.unscored.most_common()),
            "known_groups": len(scored.seen),
            **({} if unknown is None else {"unknown_codes": unknown}),
            "drift": scored.drift.to_dict(),
        }
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
    done: Callable[[int, float | None], None] = lambda _, __: None,
    **signals: Any,
) -> Predicted:
    """Predict on new data and write the probabilities, as ``sequela predict`` does: see its help.

    Options for custom recordings are ``signals``, by name. ``done`` is that of :func:`predict`.

    Returns:
        The path of the table, the counts, and the report in sentences.
    """
    place, moments = (None if each is None else Path(each) for each in (path, times))
    own = SignalSettings.of(**{key: value for key, value in signals.items() if value is not None})
    models = [load(each, trust_code=trust_code) for each in folds_of(Path(model))]
    return predict_mean(models, Asked(place, data, own, moments), Path(out), done)


def folds_of(path: Path) -> list[Path]:
    """Return the run folders of a cross-validation, or the path itself for anything else."""
    if not (path / "folds.json").is_file():
        return [path]
    from sequela.runs.folds import FoldsFolder

    return [run.path for run in FoldsFolder(path).runs]


def predict_mean(
    models: Sequence[ServedModel],
    asked: Asked,
    out: Path,
    done: Callable[[int, float | None], None] = lambda _, __: None,
) -> Predicted:
    """Predict with all models of a cross-validation, and write the mean of their probabilities.

    An example counts as known if it is in the training or validation set of any model. Memory grows
    with the table of probabilities. Each model in turn calls ``done``.
    """
    if len(models) == 1:
        return predict(models[0], asked, out, done)
    require_outputs(out, [asked.path, asked.times])
    with temporary() as work:
        outs = [work / f"{number}.parquet" for number in range(len(models))]
        each = [predict(m, asked, o, done) for m, o in zip(models, outs, strict=True)]
        count = write_mean(outs, out)
    words = seen_in_words(models[0], of=" of a model")
    seen = f"known: {count:,} of these examples are {words}"
    first = f"{out}: {each[0].report['scored']:,} examples, the mean of {len(models)} models"
    told = (seen if said.startswith("known:") else said for said in each[0].sentences[1:])
    return Predicted(out, {**each[0].report, "models": len(models)}, count, (first, *told))


def _format_of(model: ServedModel, asked: Asked) -> DataSet:
    """Return the format of the data: the given one, else from the path, else as in training."""
    path, name = asked.path, asked.data or model.facts.training.name
    if asked.data is None and path is not None:
        name = "signals" if is_recording(path) else _SCORING[model.facts.kind].format_of(path, name)
    kinds = {"signal": ("recordings", "signals"), "records": ("hospital records", "meds")}
    data_set, reads = lookup(name), model.facts.kind
    if data_set.holds != reads:
        raise SettingError(
            f"{name} has {kinds[data_set.holds][0]}, but {model.name} reads {kinds[reads][0]}: "
            f"name other data with --data, such as {kinds[reads][1]}"
        )
    return data_set


def _known(model: ServedModel, name: str) -> Known:
    """Return the fingerprints of a model, with ids for a run folder and the same data set."""
    known = Known.of(model.facts)
    if name != model.facts.training.name or not Path(model.name).is_dir():
        return known
    from sequela.runs.folder import RunFolder

    return known.by_name(RunFolder(Path(model.name)).split)


def _counted(scored: Scored, count: int) -> Iterator[str]:
    """Yield sentences on scored examples, on others, and on known examples."""
    known, takes = scored.known, scored.model.facts.takes
    seen = seen_in_words(scored.model, names=known.named is not None)
    yield f"{scored.out}: {scored.examples:,} examples"
    listed = listed_path(scored.out)
    if total := scored.unscored.total():
        reasons = "; ".join(f"{n:,}: {why}" for why, n in scored.unscored.most_common(5))
        yield f"not scored: {total:,}, listed in {listed} ({reasons})"
    else:
        yield "not scored: none"
    if count:
        of = takes.of_units.format(len(scored.seen))
        yield (
            f"known: {count:,} of these examples{of} {'are' if count > 1 else 'is'} {seen}; their "
            f"split is train, and {listed} lists them"
        )
    elif scored.unchecked < scored.examples:
        whose = " of the others" if scored.unchecked else " here"
        yield f"known: no {takes.units[:-1]}{whose} is {seen}"
    if scored.unchecked:
        yield (
            f"overlap with the training data: not checked for {scored.unchecked:,} of "
            f"{scored.examples:,} examples, {known.why_not}; their split is blank"
        )


def _unknown(model: ServedModel, unknown: dict[str, float] | None) -> Iterator[str]:
    if unknown is None or not unknown["codes"]:
        return
    of_run = model.records.unknown.get("held_out", {})
    yield (
        f"unknown codes: {unknown['unknown'] / unknown['codes']:.1%} of {unknown['codes']:,}"
        + (f" (test set of the model: {of_run['share']:.1%})" if "share" in of_run else "")
    )
