"""The settings of a run from what a user names: the rest is as in the studies of the report."""

from collections.abc import Mapping
from typing import Any

from sequela.config import RunSettings, SplitUnit
from sequela.errors import SettingError
from sequela.sources import catalog
from sequela.studies.registry import asked_of, training_of

_AIMS = ("aim", "aim_target")
"""Settings of a run that are asked for with those of its records."""


def resumed_settings(
    begun: RunSettings,
    *,
    records: Mapping[str, Any],
    training: Mapping[str, Any],
    **given: Any,
) -> RunSettings:
    """The settings of a run that was begun, changed where something is given.

    Args:
        begun: As its folder holds them.
        records: As in :func:`run_settings`.
        training: Changes to how the model is trained.
        given: Other settings; ``None`` is what is not given.

    Raises:
        SettingError: If a setting is not allowed, or is of hospital records and the run is not.
    """
    if begun.cohort is None:
        _check_none(records, begun.data)
    own = {name: value for name, value in records.items() if name in _AIMS}
    asked = {name: value for name, value in records.items() if name not in _AIMS}
    tables = {"training": training, "cohort": asked}
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
    records: Mapping[str, Any],
    training: Mapping[str, Any],
) -> RunSettings:
    """The settings of one run.

    Args:
        model: A registered model, or a class named by where it stands.
        data: A data set.
        split: What is kept whole; recordings of a signal and subjects of a hospital by default.
        seed: Decides the draw.
        records: Fields of ``CohortSettings``, and ``aim`` and ``aim_target``.
        training: Changes to how the model is trained in its study.

    Raises:
        UnknownNameError: If there is no such data set.
        SettingError: If a setting is not allowed, or is of hospital records and the data are not.
    """
    signal = catalog.lookup(data).kind == "eeg"
    if signal:
        _check_none(records, data)
    aims = {name: records[name] for name in _AIMS if name in records}
    asked = {name: value for name, value in records.items() if name not in aims}
    return RunSettings.of(
        model=model,
        data=data,
        split=split or catalog.lookup(data).units[0],
        seed=seed,
        **aims,
        cohort=None if signal else asked_of(data, asked),
        training=training_of(model, training),
    )


def _check_none(records: Mapping[str, Any], data: str) -> None:
    """Refuse settings of records where the data are recordings.

    Raises:
        SettingError: If there is one.
    """
    for name in records:
        raise SettingError(
            f"--{name.replace('_', '-')} is an option for hospital records, and {data} holds "
            "recordings: leave it out"
        )
