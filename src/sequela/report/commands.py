"""The commands that make the runs of a page again."""

from collections.abc import Sequence

from sequela.config import RunSettings
from sequela.studies import seizure
from sequela.studies.folder import RunFolder

_OPTIONS = ("epochs", "batch_size", "learning_rate", "class_weights")
"""Training settings that ``sequela train`` takes."""


def commands(folders: Sequence[RunFolder]) -> list[str]:
    """One command where the runs are the study's own, or else one for each run."""
    runs = [folder.settings for folder in folders]
    for quick in (False, True):
        whole_study = seizure.runs(data=runs[0].data, seed=runs[0].seed, quick=quick)
        if all(settings in whole_study for settings in runs):
            flag = " --quick" if quick else ""
            return [f"sequela reproduce seizure --data {runs[0].data} --seed {runs[0].seed}{flag}"]
    return [_train(settings) for settings in runs]


def _train(settings: RunSettings) -> str:
    """The command of one run, and whether its settings go beyond what the command takes."""
    usual = seizure.training_of(settings.model, {})
    changes = {
        name: getattr(settings.training, name)
        for name in _OPTIONS
        if getattr(settings.training, name) != getattr(usual, name)
    }
    plain = RunSettings(
        model=settings.model,
        data=settings.data,
        split=settings.split,
        seed=settings.seed,
        training=seizure.training_of(settings.model, changes),
    )
    options = "".join(
        f" --{name.replace('_', '-')}" + ("" if value is True else f" {value}")
        for name, value in changes.items()
        if value is not False
    )
    told = (
        f"sequela train {settings.model} --data {settings.data} --split {settings.split} "
        f"--seed {settings.seed}{options}"
    )
    return told if plain == settings else f"{told} (and what its config.toml changes beyond that)"
