"""The commands that reproduce the runs of a page."""

import shlex
from collections.abc import Sequence
from itertools import chain, product
from typing import Any

from sequela import config
from sequela.config import CohortSettings, Options, RunOptions, RunSettings, TrainingSettings
from sequela.models.defaults import DEFAULTS
from sequela.models.registry import UPDATED
from sequela.runs.find import Run
from sequela.runs.model import members_of
from sequela.studies.registry import records_of, study_of, training_of
from sequela.studies.settings import AIMS, run_settings
from sequela.studies.study import Study

_OPTIONS = (
    config.options(RunOptions)
    | config.options(CohortSettings)
    | config.options(config.SignalSettings)
    | config.options(TrainingSettings)
)
"""The option of ``sequela train`` for each setting."""


def commands(folders: Sequence[Run]) -> list[str]:
    """Return one command if the runs are those of a study, else one for each run."""
    runs = [folder.settings.model_copy(update={"folds": 0, "fold": 0}) for folder in folders]
    first, study = runs[0], study_of(folders[0])
    # Settings are compared, not names: a run of a study that somebody changed is not the study's.
    for quick in (False, True):
        of_study = _runs(study, first, quick=quick)
        as_split = all(_is_split_so(folder, quick=quick) for folder in folders)
        if as_split and all(settings in of_study for settings in runs):
            command = f"reproduce {study.name}"
            if study.file:
                command = f"study {shlex.quote(study.file)}"
            if len(study.data) > 1:
                command += f" --data {first.data}"
            command += f" --seed {first.seed}{_split_seed(first)}"
            return [f"sequela {command} --quick" if quick else f"sequela {command}"]
    return list(chain.from_iterable(map(_lines, folders)))


def _runs(study: Study, first: RunSettings, *, quick: bool) -> list[RunSettings]:
    runs: list[RunSettings] = []
    for question, default in product(study.questions(first.data), DEFAULTS.values()):
        runs += study.runs(
            question,
            seed=first.seed,
            split_seed=first.split_seed,
            quick=quick,
            default=default.model if study.default else "",
            declared=first.signals,
        ).values()
    return runs


def _is_split_so(folder: Run, *, quick: bool) -> bool:
    settings = folder.settings
    rarer = min(folder.data.counts) if settings.cohort else None
    study = study_of(folder)
    folds_of_study = study.folds_for(rarer, settings.split, quick=quick)
    seeds = 1 if quick or study.shows_leak(settings.split) else study.seeds
    return settings.folds == folds_of_study and folder.seeds == seeds


def _split_seed(settings: RunSettings) -> str:
    return "" if settings.split_seed is None else f" --split-seed {settings.split_seed}"


def _lines(folder: Run) -> list[str]:
    settings, members = folder.settings, members_of(folder.settings)
    if not members:
        return [_train(settings, folder.repeats, folder.seeds)]
    lines, outs = [], []
    for number, member in enumerate(members):
        member_settings = RunSettings.of(**member.settings)
        outs.append(f"runs/{number + 1}-{member.run}")
        if members_of(member_settings):  # the members of a member are not listed
            what = "an update" if member_settings.model == UPDATED else "an ensemble"
            lines.append(f"# {outs[-1]}: {what}; its own card lists its commands")
            continue
        # A model of several seeds starts from the first seed.
        lines.append(
            _train(member_settings, folder.repeats, folder.seeds)
            + f" --out {shlex.quote(outs[-1])}"
        )
    if settings.model == UPDATED:
        share, name = 1 - settings.fractions[2], shlex.quote(folder.path.name)
        options = f"--data {settings.data} --share {share:g} --seed {settings.seed} --out {name}"
        return [*lines, f"sequela update {shlex.join(outs)} {options}"]
    # Members first: the folders that their commands write are the arguments of the last command.
    mean = settings.model_settings["mean"]
    flags = f"--out {shlex.quote(folder.path.name)}"
    if mean != "arithmetic":
        flags = f"--mean {mean} {flags}"
    lines.append(f"sequela ensemble {shlex.join(outs)} {flags}")
    return lines


def _train(settings: RunSettings, repeats: int, seeds: int) -> str:
    """Return the command of one run, with a note if no option sets some of its settings."""
    # Only settings that differ from the defaults are options, so that the command stays readable.
    usual = training_of(settings.model, {})
    changes = {
        name: value
        for name, value in settings.training.model_dump().items()
        if name in _OPTIONS and value is not None and value != getattr(usual, name)
    }
    records = _records(settings)
    # No option leaves out something that the study has.
    sayable = {n: v for n, v in records.items() if v is not None and v is not False and v != ()}
    if settings.cohort and settings.signals:  # these define the task
        sayable = {n: v for n, v in sayable.items() if n not in {"task", "declared"}}
    aims = {name: sayable[name] for name in AIMS if name in sayable}
    options = Options(
        RunOptions.model_construct(
            split=settings.split,
            seed=settings.seed,
            split_seed=settings.split_seed,
            segment=settings.segment,
            **aims,
        ),
        TrainingSettings.model_construct(**changes),
        CohortSettings.model_construct(**{n: v for n, v in sayable.items() if n not in aims}),
    )
    # The command is checked: options that give other settings than the run's are noted at its end.
    plain = run_settings(settings.model, settings.data, options, settings.signals)
    if "declared" in sayable:  # the reader needs the file of the task
        sayable = {**sayable, "task": f"{sayable['task']}.toml"}
        del sayable["declared"]
    own_signals = settings.signals.model_dump(exclude_defaults=True) if settings.signals else {}
    options_in_words = "".join(
        _option(name, value) for name, value in {**sayable, **own_signals, **changes}.items()
    )
    if settings.folds:
        options_in_words += f" --folds {settings.folds}"
    if settings.folds and repeats > 1:
        options_in_words += f" --repeats {repeats}"
    if seeds > 1:
        options_in_words += f" --seeds {seeds}"
    segment = "" if settings.segment is None else f" --segment {settings.segment}"
    command = (
        f"sequela train {settings.model} --data {settings.data} --split {settings.split} "
        f"--seed {settings.seed}{_split_seed(settings)}{segment}{options_in_words}"
    )
    if plain == settings.model_copy(update={"folds": 0, "fold": 0}):
        return command
    return f"{command} (with the further settings of its config.toml)"


def _records(settings: RunSettings) -> dict[str, Any]:
    cohort = settings.cohort
    if not cohort:
        return {}
    as_named = {"task": cohort.task} | ({"declared": cohort.declared} if cohort.declared else {})
    usual = records_of(settings.data, as_named)
    changes = as_named | {
        name: value for name, value in cohort.model_dump().items() if value != getattr(usual, name)
    }
    plain = RunSettings(model=settings.model, data=settings.data)
    return changes | {
        name: getattr(settings, name)
        for name in AIMS
        if getattr(settings, name) != getattr(plain, name)
    }


def _option(name: str, value: object) -> str:
    flag = f" {_OPTIONS[name]}"
    if isinstance(value, (list, tuple)):
        return "".join(f"{flag} {shlex.quote(str(item))}" for item in value)
    if isinstance(value, bool):
        return flag if value else flag.replace("--", "--no-")
    # The shortest text that reads back as the same number; :g would round a learning rate.
    text = repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
    return f"{flag} {shlex.quote(text)}"
