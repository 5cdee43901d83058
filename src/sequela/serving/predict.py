"""Prediction on new data: from a path to a table of probabilities and a list of exceptions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sequela.config import SignalSettings
from sequela.errors import SettingError
from sequela.files import temporary
from sequela.serving import record_input, signal_input
from sequela.serving.drift import Drift
from sequela.serving.known import Known
from sequela.serving.scored import (
    Scored,
    listed_path,
    require_outputs,
    scoring,
    seen_in_words,
    write,
    write_mean,
)
from sequela.serving.served import ServedModel
from sequela.sources import catalog


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
        report: Counts, unknown codes and drift, as in the table's metadata.
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
    unknown: dict[str, Any] | None = None
    signal = model.about["kind"] == "signal"
    if signal and asked.times is not None:
        raise SettingError("--times is for hospital records, but the model reads a signal")
    if not signal and (options := sorted(asked.signals.model_dump(exclude_defaults=True))):
        raise SettingError(f"--{options[0]} is for signals, but the model reads hospital records")
    reader = signal_input if signal else record_input
    name = reader.format_of(model, asked.path, asked.data)
    _require_kind(model, name)
    known, drift = _known(model, name), Drift(model.about)
    with scoring(out, model.classes, signal=signal) as scored:

        def told(share: float | None) -> None:
            done(scored.examples, share)

        if signal:
            windows = signal_input.ScoringShelf(model, scored, drift, known)
            notes = signal_input.score_signals(windows, name, asked.path, asked.signals, told)
        else:
            with temporary() as work:
                notes, unknown = record_input.score_records(
                    model,
                    scored,
                    drift,
                    known,
                    name=name,
                    path=asked.path,
                    times=asked.times,
                    work=work,
                    done=told,
                )
        report = _report(scored, drift, unknown)
        about = {"model": model.about["run"]["sha256"], "report": report}
        count = write(scored, out, about)
    sentences = (
        *_counted(scored, out, known, count, "recordings" if signal else "patients"),
        *notes,
        *_unknown(model, unknown),
        *drift.sentences(),
    )
    return Predicted(out, report, count, sentences)


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
    with the table of probabilities.

    Args:
        models: One or more models with the same classes.
        asked: The data.
        out: The table, see :func:`predict`.
        done: See :func:`predict`; called by each model in turn.

    Raises:
        DataError: If the models score different examples.
        SequelaError: See :func:`predict`.
    """
    if len(models) == 1:
        return predict(models[0], asked, out, done)
    require_outputs(out, [asked.path, asked.times])
    with temporary() as work:
        outs = [work / f"{number}.parquet" for number in range(len(models))]
        each = [predict(m, asked, o, done) for m, o in zip(models, outs, strict=True)]
        count = write_mean(outs, out)
    signal = models[0].about["kind"] == "signal"
    words = seen_in_words(signal=signal, of=" of a model")
    seen = f"known: {count:,} of these examples are {words}"
    first = f"{out}: {each[0].report['scored']:,} examples, the mean of {len(models)} models"
    told = (seen if said.startswith("known:") else said for said in each[0].sentences[1:])
    return Predicted(out, {**each[0].report, "models": len(models)}, count, (first, *told))


def _require_kind(model: ServedModel, name: str) -> None:
    """Raise an error unless a model reads this kind of data."""
    kinds = {"signal": ("recordings", "signals"), "records": ("hospital records", "meds")}
    holds, reads = catalog.lookup(name).holds, model.about["kind"]
    if holds != reads:
        raise SettingError(
            f"{name} has {kinds[holds][0]}, but {model.name} reads {kinds[reads][0]}: name other "
            f"data with --data, such as {kinds[reads][1]}"
        )


def _known(model: ServedModel, name: str) -> Known:
    """Return the fingerprints of a model, with ids for a run folder and the same data set."""
    known = Known.of(model.about)
    if name != model.about["training"]["name"] or not Path(model.name).is_dir():
        return known
    from sequela.runs.folder import RunFolder

    return known.by_name(RunFolder(Path(model.name)).split)


def _report(scored: Scored, drift: Drift, unknown: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "scored": scored.examples,
        "not_scored": dict(scored.unscored.most_common()),
        "known_groups": len(scored.seen),
        **({} if unknown is None else {"unknown_codes": unknown}),
        "drift": drift.to_dict(),
    }


def _counted(scored: Scored, out: Path, known: Known, count: int, units: str) -> Iterator[str]:
    """Yield sentences on scored examples, on others, and on known examples."""
    yield f"{out}: {scored.examples:,} examples"
    listed = listed_path(out)
    if total := scored.unscored.total():
        reasons = "; ".join(f"{n:,}: {why}" for why, n in scored.unscored.most_common(5))
        yield f"not scored: {total:,}, listed in {listed} ({reasons})"
    else:
        yield "not scored: none"
    if count:
        of = "" if scored.signal else f" (of {len(scored.seen):,} {units})"
        yield (
            f"known: {count:,} of these examples{of} {'are' if count > 1 else 'is'} "
            f"{seen_in_words(signal=scored.signal)}; their split is train, and {listed} lists them"
        )
    elif not known.why_not:
        yield f"known: no {units[:-1]} here is {seen_in_words(signal=scored.signal)}"
    if known.why_not:
        yield known.why_not


def _unknown(model: ServedModel, unknown: dict[str, Any] | None) -> Iterator[str]:
    """Yield the share of unknown codes, here and in the model's test set."""
    if unknown is None or not unknown["codes"]:
        return
    of_run = model.about["records"]["unknown"].get("held_out", {})
    yield (
        f"unknown codes: {unknown['unknown'] / unknown['codes']:.1%} of {unknown['codes']:,}"
        + (f" (test set of the model: {of_run['share']:.1%})" if "share" in of_run else "")
    )
