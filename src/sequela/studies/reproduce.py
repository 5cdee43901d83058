"""Whole studies: their runs side by side in several processes, and ``results.json``."""

import json
from collections.abc import Callable, Container, Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Literal

import joblib

from sequela.cohort.events import open_events
from sequela.cohort.tasks import task_named
from sequela.config import RunSettings
from sequela.errors import RunError, SettingError
from sequela.files import scratch, whole, writing
from sequela.models.reference import REFERENCE_MODELS
from sequela.runs import records
from sequela.runs.find import Run, open_run
from sequela.runs.folder import CONFIG, RunFolder
from sequela.runs.pool import Job, PlannedRun, Snapshot, in_processes
from sequela.sources import catalog
from sequela.sources.events import events_of
from sequela.studies import mortality, seizure

WORK = "work"
StudyName = Literal["seizure", "mortality"]
OnRun = Callable[[Run, int, int], None]
"""Called with each finished run, how many are finished, and how many there are."""
OnLook = Callable[[Snapshot], None]


def reproduce(
    out: Path,
    *,
    studies: Sequence[StudyName] = ("seizure", "mortality"),
    data: str = seizure.DATA,
    root: Path | None = None,
    seed: int = 0,
    quick: bool = False,
    processes: int | None = None,
    on_run: OnRun = lambda *_: None,
    on_look: OnLook = lambda _: None,
) -> list[Run]:
    """Train all models of the studies and write ``results.json``.

    Runs that ``out`` already holds are kept if they are finished, and continued if they are not, so
    an interrupted study goes on where it was.

    Args:
        out: Folder of the studies; each run stands under ``runs/``.
        studies: Which halves of the report.
        data: Of the seizure study: ``bonn`` or ``uci-seizure``.
        root: Where the data of the one study lie (for mortality: those of MIMIC-III), if not where
            they are looked for by themselves.
        seed: Of the split, the weights and the order of the batches.
        quick: Few epochs: to see that everything works, not for the numbers.
        processes: How many train at once, one torch thread each; one a core if not given.
        on_run: Called after each run.
        on_look: Called several times a second with what is being trained.

    Returns:
        The runs, in the order of the page.

    Raises:
        SettingError: If there is a root for both studies.
        SequelaError: If ``out`` holds something else, or the data cannot be used.
    """
    _check_out(out)
    if root is not None and len(studies) > 1:
        raise SettingError("--root is where the data of one study lie: name seizure or mortality")
    jobs: list[Job] = []
    with scratch(out / WORK) as work:  # records of patients: no longer than needed
        with writing(out):
            work.mkdir(parents=True, exist_ok=True)
        if "mortality" in studies:
            jobs += _mortality_jobs(out / "runs", root, work, seed=seed, quick=quick)
        if "seizure" in studies:
            jobs += _seizure_jobs(out / "runs", root, data=data, seed=seed, quick=quick)
        jobs.sort(key=lambda job: _is_control(job.planned[0].settings))  # results first
        planned = [each for job in jobs for each in job.planned]
        for each in planned:
            _check_same_study(out, each)
            each.check_free()
        _watch(in_processes(jobs, processes or joblib.cpu_count()), on_run, on_look)
    folders = in_order([open_run(each.path) for each in planned])
    with whole(out / "results.json") as partial:
        content = json.dumps(results(folders), indent=1, ensure_ascii=False)
        partial.write_text(content + "\n", encoding="utf-8")
    return folders


def _watch(snapshots: Generator[Snapshot], on_run: OnRun, on_look: OnLook) -> None:
    """Say what happens until all runs are finished."""
    said = 0
    with closing(snapshots):
        for now in snapshots:
            for each in now.finished[said:]:
                said += 1
                on_run(open_run(each.path), said, len(now.planned))
            on_look(now)


def _is_control(settings: RunSettings) -> bool:
    """Whether a run shows what a leak is worth, and is no result."""
    asked = settings.cohort
    leaking = asked is not None and (asked.hindsight or task_named(asked.task).leaks != "")
    return leaking or settings.split == "row"


def _check_out(out: Path) -> None:
    """Make sure that a study may be written here, or goes on here."""
    there = {path.name for path in out.iterdir()} if out.is_dir() else set()
    if out.is_file() or (there - {WORK} and "runs" not in there):
        raise RunError(f"{out}: is not empty and holds no study; choose another --out")


def _check_same_study(out: Path, planned: PlannedRun) -> None:
    """Make sure that a run is of the study that is asked for, as far as its options go.

    Raises:
        RunError: If it is of another seed or data set, or one is quick and the other is not.
    """
    first, asked = planned.runs[0]
    if not (first / CONFIG).exists():
        return
    found = RunFolder(first).settings
    held = [
        (found.seed, asked.seed, f"of --seed {found.seed}", f"add --seed {found.seed}"),
        (found.data, asked.data, f"of --data {found.data}", f"add --data {found.data}"),
        (found.training.epochs, asked.training.epochs)
        + (
            ("that is quick", "add --quick")
            if found.training.epochs < asked.training.epochs
            else ("that is not quick", "leave --quick out")
        ),
    ]
    for ours, theirs, what, remedy in held:
        if ours != theirs:
            raise RunError(f"{out}: holds a study {what}; {remedy}, or choose another --out")


def _seizure_jobs(runs: Path, root: Path | None, *, data: str, seed: int, quick: bool) -> list[Job]:
    """A job for each run."""
    return [
        Job((PlannedRun(runs / f"{settings.model}.by-{settings.split}", settings),), root)
        for settings in seizure.runs(data=data, seed=seed, quick=quick)
    ]


def _mortality_jobs(
    runs: Path, root: Path | None, work: Path, *, seed: int, quick: bool
) -> list[Job]:
    """The runs of each cohort that is present; events are built here, once for all of them."""
    roots = {"mimic3": root} if root else {}
    events: dict[str, Path] = {}
    for data in dict.fromkeys(data for data, _ in mortality.COHORTS):
        if data in roots or catalog.find(data):
            tables = mortality.asked_of(data, {}).tables
            events[data], _ = events_of(data, roots.get(data), work / "events", tables)
    flows = {
        (data, task): records.cohort_of(
            open_events(events[data]), mortality.asked_of(data, {"task": task})
        ).flow
        for data, task in mortality.COHORTS
        if data in events
    }
    main = mortality.primary({cohort: flow.subjects for cohort, flow in flows.items()})
    jobs = []
    for (data, task), flow in flows.items():
        folds = mortality.folds_for(flow.positives, flow.examples)
        repeats = 1 if quick else mortality.REPEATS
        named = mortality.runs(data, task, is_primary=(data, task) == main, seed=seed, quick=quick)
        folder = runs / f"{data}-{task}"
        # Runs that read other sequences are made side by side.
        for hindsight in (False, True):
            planned = tuple(
                PlannedRun(folder / name, settings, folds, repeats)
                for name, settings in named.items()
                if settings.cohort and settings.cohort.hindsight == hindsight
            )
            if planned:
                jobs.append(Job(planned, roots.get(data), work))
    return jobs


def in_order(folders: Sequence[Run]) -> list[Run]:
    """Runs in the order of the report: signals, then records; of each the reference models last.

    What leaks stands behind its study.
    """
    models = [*seizure.TRAINING, *mortality.TRAINING, *REFERENCE_MODELS]
    splits = ("subject", "recording", "row")
    cohorts = [*mortality.COHORTS]

    def place(folder: Run) -> tuple[Any, ...]:
        settings = folder.settings
        asked = settings.cohort
        cohort = (settings.data, asked.task) if asked else ("", "")
        return (
            asked is not None,
            cohorts.index(cohort) if cohort in cohorts else len(cohorts),
            cohort,
            bool(asked and asked.hindsight),
            splits.index(settings.split),
            models.index(settings.model) if settings.model in models else len(models),
            settings.model,
            settings.training.class_weights,
            str(folder.path),
        )

    return sorted(folders, key=place)


def results(folders: Sequence[Run]) -> dict[str, Any]:
    """The content of ``results.json``: every study by its name.

    The seizure study is told by recording and beside it by rows; of mortality there is one study a
    cohort, the primary one called ``mortality``.
    """
    studies: dict[str, Any] = {}
    signals = [f for f in folders if f.settings.cohort is None]
    for split in seizure.SPLITS:
        if chosen := [f for f in signals if f.settings.split == split]:
            leaks = split == "row"
            studies[f"{seizure.NAME}-by-row" if leaks else seizure.NAME] = _study(
                chosen, seizure.REPORTED, seizure.TRAINING
            )
    for key, chosen in cohorts_of(folders).items():
        studies[key] = _study(chosen, mortality.REPORTED, mortality.TRAINING)
    environment = folders[0].environment
    return {"studies": studies, "environment": environment}


def cohorts_of(folders: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs on records by the name of their cohort, the primary one first."""
    grouped: dict[tuple[str, str], list[Run]] = {}
    for folder in folders:
        if asked := folder.settings.cohort:
            grouped.setdefault((folder.settings.data, asked.task), []).append(folder)
    main = mortality.primary(
        {cohort: runs[0].metrics["data"]["subjects"] for cohort, runs in grouped.items()}
    )
    order = sorted(grouped, key=lambda cohort: cohort != main)
    return {mortality.key_of(*c, is_primary=c == main): grouped[c] for c in order}


def _study(
    chosen: Sequence[Run], reported: Mapping[str, Any], models: Container[str]
) -> dict[str, Any]:
    """One study of ``results.json``; the first run is one that tells the study's data and split."""
    first = chosen[0]
    data = first.metrics["data"]
    study: dict[str, Any] = {
        "data": data,
        "split": first.describe_split(),
        "subjects": data["subjects"],
        "examples": data["examples"],
    }
    if "recordings" in data:
        study["recordings"] = data["recordings"]
    study |= {"models": {}, "floors": {}, "weighted": {}, "hindsight": {}}
    for each in chosen:
        model = each.settings.model
        kind = "models" if model in models else "floors"
        if each.settings.cohort and each.settings.cohort.hindsight:
            kind = "hindsight"
        elif each.settings.training.class_weights:
            kind = "weighted"
        study[kind][model] = {
            **each.facts,
            "test": each.test,
            "report_2019": reported.get(model, {}),
            "leaks": each.metrics["leaks"],
            "run": each.path.name,
        }
    return {name: value for name, value in study.items() if value != {}}
