"""The settings of a run from the user's options; defaults are as in the studies of the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sequela.config import (
    CohortSettings,
    RunSettings,
    SegmentLength,
    SignalSettings,
    SplitUnit,
)
from sequela.errors import SettingError
from sequela.models.defaults import Default
from sequela.runs.default import default_of
from sequela.sources import catalog
from sequela.sources.signals.declaration import declared
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
    """Return the settings of an interrupted run, with changes.

    Args:
        begun: Settings from its folder.
        records: As in :func:`run_settings`.
        training: Changes to the model's training settings.
        signals: As in :func:`signals_asked`.
        given: Other settings; ``None`` means no change.

    Raises:
        SettingError: If a setting is not allowed, or is for hospital records and the run is not.
    """
    own = {name: value for name, value in records.items() if name in _AIMS}
    asked = {name: value for name, value in records.items() if name not in _AIMS}
    cohort_asked(begun.data, records)
    tables = {"training": training, "cohort": asked, "signals": signals or {}}
    _check_signals(begun.data, tables["signals"])
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

    Args:
        model: A registered model, or a class named by its file or module.
        data: A data set.
        split: Unit of the split (default: the first that the data set has; for a user's own
            signals, subjects where these are declared, else sessions, else recordings).
        seed: Seed of weights and batches, and of the split if ``split_seed`` is not given.
        split_seed: Seed of the split.
        fractions: Shares of training, validation and test set.
        segment: Segments of recordings (default: those of the model, else of the data set).
        records: Fields of ``CohortSettings``, and ``aim`` and ``aim_target``.
        training: Changes to the training settings of the model in its study.
        signals: Description of the user's own recordings: see :func:`signals_asked`.

    Raises:
        UnknownNameError: If there is no such data set.
        SettingError: If a setting is not allowed, or is for hospital records and the data are not.
    """
    aims = {name: value for name, value in records.items() if name in _AIMS}
    usual = signals.independent if signals else catalog.lookup(data).units[0]
    return RunSettings.of(
        model=model,
        data=data,
        split=split or usual,
        seed=seed,
        split_seed=split_seed,
        **({"fractions": fractions} if fractions else {}),
        segment=_segment_of(data, segment),
        **aims,
        cohort=cohort_asked(data, records),
        training=training_of(model, training),
        signals=signals,
    )


def default_run(
    settings: RunSettings,
    training: Mapping[str, Any],
    *,
    root: Path | None,
    work: Path,
) -> tuple[Default, RunSettings]:
    """Return the default model for the data of a run, and the settings of its run.

    Args:
        settings: Settings of a run of any model.
        training: Changes to the training settings of the model in its study.
        root: Place of the data; the usual search path by default.
        work: As in :func:`sequela.runs.default.default_of`.

    Raises:
        SequelaError: If the data cannot be found or read.
    """
    found = default_of(settings, root, work)
    changes = {"model": found.model, "training": training_of(found.model, training)}
    return found, settings.model_copy(update=changes)


def _check_signals(data: str, said: Mapping[str, Any]) -> None:
    """Raise a SettingError for options of user's own recordings with other data."""
    if said and not catalog.lookup(data).windows:
        name = next(iter(said))
        raise SettingError(
            f"--{name} is an option for your own recordings (--data signals), and {data} is "
            "published in one form: leave it out"
        )


def signals_asked(data: str, said: Mapping[str, Any], root: Path | None) -> SignalSettings | None:
    """Return the declaration of a user's own recordings; ``None`` for other data.

    Args:
        data: A data set.
        said: Fields of ``SignalSettings``; the declaration with the data is added.
        root: Place of the data; the usual search path by default.

    Raises:
        SequelaError: If they are not found, or the declaration is invalid.
    """
    _check_signals(data, said)
    if not catalog.lookup(data).windows:
        return None
    return declared(catalog.locate(data, root).path, SignalSettings.of(**said))


def _segment_of(data: str, segment: SegmentLength | None) -> SegmentLength | None:
    """Return the segments if the data are recordings, else raise a SettingError."""
    if segment is not None and catalog.lookup(data).holds == "records":
        raise SettingError(
            f"--segment cuts recordings, and {data} holds hospital records: leave it out"
        )
    return segment


def cohort_asked(data: str, records: Mapping[str, Any]) -> CohortSettings | None:
    """Return the task of hospital records; ``None`` for recordings, which have their own classes.

    Args:
        data: A data set.
        records: As in :func:`run_settings`.

    Raises:
        SettingError: If a setting is not allowed, or does not fit the data.
    """
    data_set = catalog.lookup(data)
    if data_set.holds == "records":
        return asked_of(data, {n: value for n, value in records.items() if n not in _AIMS})
    # For a user's own recordings, the classes are known once they are read.
    own = bool(data_set.windows)
    two = own or len(catalog.signals_of(data).classes) == 2  # noqa: PLR2004
    for name in records:
        if name not in _AIMS or not two:
            what = "two classes" if name in _AIMS else "hospital records"
            raise SettingError(
                f"--{name.replace('_', '-')} is an option for {what}, and {data} holds recordings"
                f"{' of more classes' * (name in _AIMS)}: leave it out"
            )
    return None
