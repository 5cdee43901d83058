"""The settings of a run from what a user names: the rest is as in the studies of the report."""

from collections.abc import Mapping
from typing import Any

from sequela.config import RunSettings, SplitUnit
from sequela.errors import SettingError
from sequela.sources import catalog
from sequela.studies import mortality, seizure


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
        model: A registered model, or a floor.
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
    if signal and records:
        raise SettingError(
            f"--{next(iter(records)).replace('_', '-')} is of hospital records, and {data} holds "
            "recordings: leave it out"
        )
    aims = {name: records[name] for name in ("aim", "aim_target") if name in records}
    asked = {name: value for name, value in records.items() if name not in aims}
    study = seizure if signal else mortality
    return RunSettings.of(
        model=model,
        data=data,
        split=split or catalog.lookup(data).units[0],
        seed=seed,
        **aims,
        cohort=None if signal else mortality.asked_of(data, asked),
        training=study.training_of(model, dict(training)),
    )
