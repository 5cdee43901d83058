"""The settings of a run from the user's options; defaults are as in the studies of the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sequela import config
from sequela.config import CohortSettings, RunSettings, SegmentLength, SignalSettings, SplitUnit
from sequela.datasets import catalog
from sequela.datasets.catalog import DataSet
from sequela.errors import SettingError
from sequela.models.defaults import Default
from sequela.runs.data import default_of
from sequela.studies.registry import asked_of, training_of

_AIMS = ("aim", "aim_target")
"""The settings of a run that are passed with those of its records."""


def resumed_settings(
    begun: RunSettings,
    *,
    records: Mapping[str, Any],
    training: Mapping[str, Any],
    signals: Mapping[str, Any] | None = None,
    **given: Any,
) -> RunSettings:
    """Return the settings of an interrupted run, with changes."""
    own = {name: value for name, value in records.items() if name in _AIMS}
    asked = {name: value for name, value in records.items() if name not in _AIMS}
    data_set = catalog.lookup(begun.data)
    _cohort_asked(data_set, records, signals=begun.signals)
    tables = {"training": training, "cohort": asked, "signals": signals or {}}
    _check_signals(data_set, tables["signals"])
    values = begun.model_dump()
    changes = {name: {**(values[name] or {}), **said} for name, said in tables.items() if said}
    said = {name: value for name, value in given.items() if value is not None}
    return RunSettings.of(**{**values, **changes, **own, **said})


def run_settings(
    model: str,
    data: str,
    *,
    split: SplitUnit | None = None,
    seed: int = 0,
    split_seed: int | None = None,
    fractions: tuple[float, float, float] | None = None,
    segment: SegmentLength | None = None,
    records: Mapping[str, Any],
    training: Mapping[str, Any],
    signals: SignalSettings | None = None,
) -> RunSettings:
    """Return the settings of one run.

    ``records`` are fields of ``CohortSettings``, and ``aim`` and ``aim_target``; ``training`` has
    changes to the training settings of the model in its study. The default unit of the split is the
    largest that is known. For ``signals`` see :func:`signals_asked`.
    """
    aims = {name: value for name, value in records.items() if name in _AIMS}
    data_set = catalog.lookup(data)
    if signals and data_set.rows and split in {"time", "site"} and not getattr(signals, split):
        raise SettingError(
            f"--split {split} needs the column of the {split}: name it with --{split}, or split by "
            "subject"
        )
    return RunSettings.of(
        model=model,
        data=data,
        split=split or data_set.usual_split(signals),
        seed=seed,
        split_seed=split_seed,
        **({"fractions": fractions} if fractions else {}),
        segment=segment,
        **aims,
        cohort=_cohort_asked(data_set, records, segment, signals),
        training=training_of(model, training),
        signals=signals,
    )


def default_run(
    settings: RunSettings, training: Mapping[str, Any], *, root: Path | None, work: Path
) -> tuple[Default, RunSettings]:
    """Return the default model for the data of a run, and the settings of its run."""
    found = default_of(settings, root, work)
    changes = {"model": found.model, "training": training_of(found.model, training)}
    return found, settings.model_copy(update=changes)


def _check_signals(data_set: DataSet, said: Mapping[str, Any]) -> None:
    if said and not (data_set.windows or data_set.rows):
        name = next(iter(said))
        raise SettingError(
            f"--{name} is an option for your own recordings (--data signals) or table (--data "
            f"table), and {data_set.name} is published in one form: leave it out"
        )


def signals_asked(data: str, said: Mapping[str, Any], root: Path | None) -> SignalSettings | None:
    """Return the declaration of a user's own recordings or table; ``None`` for other data."""
    data_set = catalog.lookup(data)
    _check_signals(data_set, said)
    if data_set.rows:
        from sequela.intake.one_row import described

        return described(data_set.locate(root).path, SignalSettings.of(**said))
    if not data_set.windows:
        return None
    from sequela.signals import folders, tables
    from sequela.signals.declaration import declared

    path = data_set.locate(root).path
    settings = declared(path, SignalSettings.of(**said))
    if path.is_file() and tables.is_table(path) and not folders.is_recording(path, settings):
        tables.layout_of(path, settings)  # a misspelt column is found before torch is imported
    return settings


def _cohort_asked(
    data_set: DataSet,
    records: Mapping[str, Any],
    segment: SegmentLength | None = None,
    signals: SignalSettings | None = None,
) -> CohortSettings | None:
    if data_set.holds == "records":
        if segment is not None:
            raise SettingError(
                f"--segment cuts recordings, and {data_set.name} holds hospital records: leave it "
                "out"
            )
        asked = {n: value for n, value in records.items() if n not in _AIMS}
        if data_set.rows and signals:
            from sequela.intake.one_row import with_task

            asked = with_task(asked, signals)
        return asked_of(data_set.name, asked)
    # For a user's own recordings, the classes are known once they are read.
    two = data_set.windows or len(data_set.recordings.classes) == 2  # noqa: PLR2004
    known = config.options(RunSettings) | config.options(CohortSettings)
    for name in records:
        if name not in _AIMS or not two:
            what = "two classes" if name in _AIMS else "hospital records"
            raise SettingError(
                f"{known[name][0]} is an option for {what}, and {data_set.name} holds "
                f"recordings{' of more classes' * (name in _AIMS)}: leave it out"
            )
    return None
