"""The settings of a run from the user's options; defaults are as in the studies of the report."""

from pathlib import Path

from sequela import config
from sequela.config import (
    CohortSettings,
    Options,
    RunOptions,
    RunSettings,
    SignalSettings,
    TrainingSettings,
)
from sequela.datasets import catalog
from sequela.datasets.catalog import DataSet, Modality
from sequela.errors import SettingError
from sequela.models.defaults import Default
from sequela.runs.data import default_of
from sequela.studies.registry import records_of, training_of

AIMS = ("aim", "aim_target")  # the settings of a run that are only for two classes


def run_settings(
    model: str, data: str, options: Options | None = None, signals: SignalSettings | None = None
) -> RunSettings:
    """Return the settings of one run.

    Training settings that ``options`` leave out are those of the model in its study, and the
    default unit of the split is the largest that is known. For ``signals`` see :func:`own_signals`.
    """
    options = options or Options()
    data_set = catalog.lookup(data)
    changes = _of_run(options)
    split = changes.get("split")
    if signals and data_set.rows and split in {"time", "site"} and not getattr(signals, split):
        raise SettingError(
            f"--split {split} needs the column of the {split}: name it with --{split}, or split by "
            "subject"
        )
    values = {
        "split": data_set.usual_split(signals),
        **changes,
        "cohort": _cohort(data_set, options, signals),
        "training": training_of(model, options.training.changes),
        "signals": signals,
    }
    return RunSettings.of(model=model, data=data, **values)


def _of_run(options: Options) -> dict[str, object]:
    changes = options.run.changes
    return {name: v for name, v in changes.items() if name != "folds" and v is not None}


def default_run(
    settings: RunSettings, training: TrainingSettings, *, root: Path | None, work: Path
) -> tuple[Default, RunSettings]:
    """Return the default model for the data of a run, and the settings of its run."""
    default = default_of(settings, root, work)
    changes = {"model": default.model, "training": training_of(default.model, training.changes)}
    return default, settings.model_copy(update=changes)


def own_signals(
    data: str, declared_signals: SignalSettings, root: Path | None
) -> SignalSettings | None:
    """Return the declaration of a user's own recordings or table; ``None`` for other data."""
    data_set = catalog.lookup(data)
    _check_signals(data_set, declared_signals)
    if not (data_set.rows or data_set.windows):
        return None
    path, settings = data_set.locate(root).path, SignalSettings.of(**declared_signals.changes)
    if data_set.rows:
        from sequela.intake.one_row import described

        return described(path, settings)
    from sequela.signals.folders import is_recording
    from sequela.signals.reading import declared
    from sequela.signals.segment_tables import is_table, layout_of

    settings = declared(path, settings)
    if path.is_file() and is_table(path) and not is_recording(path, settings):
        layout_of(path, settings)  # a misspelt column is found before torch is imported
    return settings


def _check_signals(data_set: DataSet, declared_signals: SignalSettings) -> None:
    if declared_signals.changes and not (data_set.windows or data_set.rows):
        name = next(iter(declared_signals.changes))
        raise SettingError(
            f"--{name} is an option for your own recordings (--data signals) or table (--data "
            f"table), and {data_set.name} is published in one form: leave it out"
        )


def _cohort(
    data_set: DataSet, options: Options, signals: SignalSettings | None
) -> CohortSettings | None:
    """Return the task of a run on records; ``None`` for recordings, which allow fewer options."""
    if data_set.modality is Modality.RECORDS:
        if options.run.segment is not None:
            raise SettingError(
                f"--segment cuts recordings, and {data_set.name} holds hospital records: leave it "
                "out"
            )
        records = _records(options.records)
        if data_set.rows and signals:
            from sequela.intake.one_row import with_task

            records = with_task(records, signals)
        return records_of(data_set.name, records)
    # For a user's own recordings, the classes are known once they are read.
    has_two_classes = data_set.windows or len(data_set.recordings.classes) == 2  # noqa: PLR2004
    aims = [name for name in options.run.changes if name in AIMS]
    if aims and not has_two_classes:
        raise SettingError(
            f"{config.options(RunOptions)[aims[0]]} is an option for two classes, and "
            f"{data_set.name} holds recordings of more classes: leave it out"
        )
    for name in options.records.changes:
        raise SettingError(
            f"{config.options(CohortSettings)[name]} is an option for hospital records, and "
            f"{data_set.name} holds recordings: leave it out"
        )
    return None


def _records(records: CohortSettings) -> dict[str, object]:
    changes = records.changes
    if "labels" in changes:
        changes["labels"] = str(Path(changes["labels"]).resolve())
    return changes
