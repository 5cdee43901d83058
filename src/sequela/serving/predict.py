"""A model asked about new data: from a path to a table of probabilities and a list of the rest."""

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
    """What a model is asked about.

    Attributes:
        path: File or folder; the usual places of the data set by default.
        data: Name of the data set or format; by default that of the file, or of the training data.
        signals: What options say of recordings of one's own.
        times: Whom to ask about and when, for a model that learnt those of a file.
    """

    path: Path | None = None
    data: str | None = None
    signals: SignalSettings = field(default_factory=SignalSettings)
    times: Path | None = None


@dataclass(frozen=True)
class Predicted:
    """What came of it.

    Attributes:
        out: The table.
        report: Counts, unknown codes and drift, as the table's metadata have them.
        known: Examples that the model was trained or tuned on.
        sentences: The same in words.
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
    """Ask a model about new data, as they are read: memory does not grow with them.

    Args:
        model: The model.
        asked: The data.
        out: The table, a Parquet file. The list of what is not scored, or was seen in training,
            lies beside it as ``NAME.listed.csv``.
        done: Called with the examples that are scored, and the share of the data that is read, or
            nothing where that is not known.

    Raises:
        SettingError: If the data are not of the kind that the model reads.
        SequelaError: If they cannot be found or read, or nothing in them can be scored; nothing is
            written then.
    """
    require_outputs(out, [asked.path, asked.times, Path(model.name)])
    unknown: dict[str, Any] | None = None
    signal = model.about["kind"] == "signal"
    if signal and asked.times is not None:
        raise SettingError("--times is for hospital records, and the model reads a signal")
    if not signal and (options := sorted(asked.signals.model_dump(exclude_defaults=True))):
        raise SettingError(f"--{options[0]} is for signals, and the model reads hospital records")
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
    """The run folders of a cross-validation; of anything else, the path itself."""
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

    An example counts as known if any of them was trained or tuned on it: in data of the training
    set, each is. Memory grows with the table of probabilities.

    Args:
        models: One or more, of the same classes.
        asked: The data.
        out: The table, as of :func:`predict`.
        done: Called as of :func:`predict`, by each model in turn.

    Raises:
        DataError: If they do not score the same examples.
        SequelaError: As of :func:`predict`.
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
    """Make sure that data are of the kind that a model reads.

    Raises:
        UnknownNameError: If no data set has that name.
        SettingError: If they are of another kind.
    """
    kinds = {"signal": ("recordings", "signals"), "records": ("hospital records", "meds")}
    holds, reads = catalog.lookup(name).holds, model.about["kind"]
    if holds != reads:
        raise SettingError(
            f"{name} holds {kinds[holds][0]}, and {model.name} reads {kinds[reads][0]}: name some "
            f"with --data, such as {kinds[reads][1]}"
        )


def _known(model: ServedModel, name: str) -> Known:
    """What a model has seen; a run folder says it by names too, of data of the same set."""
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
    """How many were scored, and what became of the others."""
    yield f"{out}: {scored.examples:,} examples"
    listed = listed_path(out)
    if total := scored.unscored.total():
        reasons = "; ".join(f"{n:,}: {why}" for why, n in scored.unscored.most_common(5))
        yield f"not scored: {total:,}, listed in {listed} ({reasons})"
    else:
        yield "not scored: none"
    if count:
        of = "" if scored.signal else f", of {len(scored.seen):,} {units},"
        yield (
            f"known: {count:,} of these examples{of} are "
            f"{seen_in_words(signal=scored.signal)}; their split is train, and {listed} names them"
        )
    elif not known.why_not:
        yield f"known: no {units[:-1]} here is {seen_in_words(signal=scored.signal)}"
    if known.why_not:
        yield known.why_not


def _unknown(model: ServedModel, unknown: dict[str, Any] | None) -> Iterator[str]:
    """The share of codes that the model does not know, beside that of its own data."""
    if unknown is None or not unknown["codes"]:
        return
    of_run = model.about["records"]["unknown"].get("held_out", {})
    yield (
        f"unknown codes: {unknown['unknown'] / unknown['codes']:.1%} of {unknown['codes']:,}"
        + (f"; in the model's held-out part {of_run['share']:.1%}" if "share" in of_run else "")
    )
