"""Whole studies, reproduced in parallel runs, and ``results.json``."""

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path

import joblib

from sequela.cohort.cohort_settings import cohort_of_settings
from sequela.cohort.flow import Flow
from sequela.cohort.task_files import declared_task
from sequela.config import RunSettings, SignalSettings
from sequela.datasets import catalog
from sequela.errors import RunError, SettingError
from sequela.files import held, is_leftover, make_folder, scratch, whole, writing
from sequela.integrity.openings import open_held_out
from sequela.models.reference import REFERENCE_MODELS
from sequela.runs.data import default_of
from sequela.runs.find import Run, open_run
from sequela.runs.manifest import seal, unseal
from sequela.runs.pool import PlannedRun, PoolJob, in_processes
from sequela.studies.claims import read, to_toml
from sequela.studies.registry import REPORT, STUDIES
from sequela.studies.results import in_order, results
from sequela.studies.settings import own_signals
from sequela.studies.study import Question, Study

WORK = "work"
OnRun = Callable[[Run, int, int], None]
"""A callback with each finished run, the number of finished runs, and the total."""
OnLook = Callable[[Sequence[PoolJob], int], None]
"""A callback with all jobs and the number of processes."""
OnPage = Callable[[Sequence[Run], Sequence[RunSettings]], object]
"""A callback with the evaluated runs, and the settings of the runs that are not finished."""
_BEFORE_A_PAGE = 45.0  # seconds: a shorter study has only its last page
_SHARE_OF_PAGES = 0.03  # of the processor time so far: above it, a next page has to wait
_QUICK_SHARE = 0.1  # of the usual training time, in a quick study


def reproduce(
    out: Path,
    *,
    studies: Sequence[str] = REPORT,
    data: str | None = None,
    root: Path | None = None,
    seed: int = 0,
    split_seed: int | None = None,
    quick: bool = False,
    processes: int | None = None,
    hide_below: int | None = None,
    on_run: OnRun = lambda *_: None,
    on_look: OnLook = lambda *_: None,
    on_page: OnPage = lambda *_: None,
) -> list[Run]:
    """Train all models of the studies, evaluate on the test sets and write ``results.json``.

    Runs that ``out`` already holds are kept if they are finished, and continued if they are not,
    so an interrupted study continues where it stopped. The options are those of ``sequela
    reproduce``. ``on_run`` is called after each run, ``on_look`` several times a second, and
    ``on_page`` after the results were written: once the baseline models are finished, then as
    often as little processor time allows, and at the end. The runs are returned in the order of the
    page.
    """
    _check(studies, root, processes)
    _check_out(out)
    jobs: list[PoolJob] = []
    # The lock keeps a second process from continuing the same study at the same time.
    with held(out), scratch(out / WORK) as work:  # records of patients: no longer than needed
        with writing(out):
            make_folder(work)
        for name in studies:
            study = STUDIES[name]
            _check_claims(out, study)
            seeds = (seed, split_seed)
            jobs += _jobs(study, out, root, work, data=data, seeds=seeds, quick=quick)
        jobs.sort(key=_turn)
        runs = list(chain.from_iterable(job.planned for job in jobs))
        for run_plan in runs:
            run_plan.check_free()
        unseal(out)  # the manifest would be wrong while files change
        with writing(out):
            for name in studies:
                _declare(out, STUDIES[name])
        opened, baselines = dict[Path, Run](), {run.path for run in runs if not any(_late(run))}
        count, started, written, spent = processes or joblib.cpu_count(), time.monotonic(), 0, 0.0

        def write() -> list[Run]:
            folders = in_order([*opened.values()])
            awaited = [run.settings for run in runs if run.path not in opened]
            for folder in folders:  # logged once, however often its page is written
                open_held_out(folder, "report")
            with whole(out / "results.json") as partial:
                content = results(folders, hide_below, awaited)
                text = json.dumps(content, indent=1, ensure_ascii=False)
                partial.write_text(text + "\n", encoding="utf-8")
            on_page(folders, awaited)
            return folders

        with closing(in_processes(jobs, count)) as snapshots:
            for finished in snapshots:
                for run_plan in finished[len(opened) :]:
                    opened[run_plan.path] = open_run(run_plan.path)
                    on_run(opened[run_plan.path], len(opened), len(runs))
                on_look(jobs, count)
                elapsed, is_new = time.monotonic() - started, written < len(opened) < len(runs)
                is_early = elapsed < _BEFORE_A_PAGE or not baselines <= opened.keys()
                if is_new and not is_early and spent <= _SHARE_OF_PAGES * elapsed * count:
                    before, written = time.process_time(), len(opened)
                    write()
                    spent += time.process_time() - before
        folders = write()
        shutil.rmtree(work)
        seal(out)
    return folders


def _turn(job: PoolJob) -> tuple[bool, bool, float]:
    """Return the turn of a job: results before controls, baseline models before networks."""
    is_control, is_network = _late(job.planned[0])
    work = sum(run.work for run in job.planned)
    # Cheap results come first. Of the controls, the long ones: no core waits for one at the end.
    return is_control, is_network, -work if is_control else work


def _late(run_plan: PlannedRun) -> tuple[bool, bool]:
    cohort, is_control = run_plan.settings.cohort, run_plan.folds == 0
    if cohort is not None:
        leaks = declared_task(cohort.task, cohort.declared).leaks
        is_control = cohort.hindsight or leaks != "" or run_plan.settings.split == "row"
    return is_control, run_plan.settings.model not in REFERENCE_MODELS


def _check(studies: Sequence[str], root: Path | None, processes: int | None) -> None:
    for name in studies:
        STUDIES.lookup(name)
    if root is not None and len(studies) > 1:
        raise SettingError(f"--root is the place of one study's data: name {' or '.join(STUDIES)}")
    if processes is not None and processes < 1:
        raise SettingError(f"--processes is {processes}; expected 1 or more")


def _check_out(out: Path) -> None:
    paths = out.iterdir() if out.is_dir() else ()
    names = {path.name for path in paths if not is_leftover(path)}
    begun = {WORK, *map(_declaration, STUDIES)}
    if out.is_file() or (names - begun and "runs" not in names):
        raise RunError(f"{out}: is not empty, and holds no study; choose another --out")


def _declaration(study: str) -> str:
    return f"claims-{study}.toml"


def _declare(out: Path, study: Study) -> None:
    path = out / _declaration(study.name)
    if study.claims and not path.exists():
        with whole(path) as partial:
            partial.write_text(to_toml(study.claims), encoding="utf-8")


def _check_claims(out: Path, study: Study) -> None:
    path = out / _declaration(study.name)
    # Claims that change after training could be fitted to the results: they are declared before.
    if study.claims and path.exists() and read(path) != study.claims:
        raise RunError(
            f"{path}: the study was begun with other claims than it has now; choose another --out"
        )


def _jobs(
    study: Study,
    out: Path,
    root: Path | None,
    work: Path,
    *,
    data: str | None,
    seeds: tuple[int, int | None],
    quick: bool,
) -> list[PoolJob]:
    """Return the runs of each question whose data are present; events are built here, once."""
    questions = study.questions(data)
    roots = {study.rooted or questions[0][0]: root} if root else {}
    data_sets = {name: catalog.lookup(name) for name, _ in questions}
    if len(questions) > 1:
        questions = tuple(q for q in questions if q[0] in roots or data_sets[q[0]].find())
    runs_of_study = partial(study.runs, seed=seeds[0], split_seed=seeds[1], quick=quick)
    runs_of = {}
    for question in questions:  # a wrong root or seed is refused before events are built
        data_sets[question[0]].locate(roots.get(question[0]))
        signals = SignalSettings.of(**study.signals)
        declared = own_signals(question[0], signals, roots.get(question[0]))
        runs_of[question] = partial(runs_of_study, question, declared=declared)
        runs_of[question]()
    flows = _flows(study, questions, roots, work)
    sizes = {question: flow.subjects for question, flow in flows.items()}
    primary = study.primary_of(sizes) if flows else questions[0]
    hindsight = study.hindsight_of(sizes) if flows else questions[0]
    # Folds need the number of events, which is known for records only after the cohort is built.
    jobs = []
    for question in questions:
        flow = flows.get(question)
        rarer = min(flow.positives, flow.examples - flow.positives) if flow else None
        runs = partial(
            runs_of[question], is_primary=question == primary, looks_back=question == hindsight
        )
        settings_of_runs = runs()
        if study.default:
            _, settings = next(iter(settings_of_runs.items()))
            folds = study.folds_for(rarer, settings.split, quick=quick)
            of_folds = settings.model_copy(update={"folds": folds})
            default = default_of(of_folds, roots.get(question[0]), work)
            settings_of_runs = runs(default=default.model)
        folder = out / "runs" / "-".join(question) if flow else out / "runs"
        size = (flow.examples / 1000 if flow else 1.0) * (_QUICK_SHARE if quick else 1.0)
        planned_runs = []
        for name, settings in settings_of_runs.items():
            folds = study.folds_for(rarer, settings.split, quick=quick)
            repeats = study.repeats if folds and not quick else 1
            seeds_ = 1 if quick or study.shows_leak(settings.split) else study.seeds
            seconds = study.seconds.get(settings.model, PlannedRun.seconds) * size
            planned_runs.append(
                PlannedRun(folder / name, settings, folds, repeats, seeds_, seconds)
            )
        jobs += [
            PoolJob(group, roots.get(question[0]), work if flow else None, out)
            for group in _together(planned_runs)
        ]
    return jobs


def _flows(
    study: Study, questions: Sequence[Question], roots: Mapping[str, Path], work: Path
) -> dict[Question, Flow]:
    cohorts = {question: study.cohort_of(question) for question in questions}
    return {
        question: cohort_of_settings(question[0], settings, roots.get(question[0]), work).flow
        for question, settings in cohorts.items()
        if settings
    }


def _together(run_plan: Iterable[PlannedRun]) -> Iterator[tuple[PlannedRun, ...]]:
    # Reading sequences takes minutes: one process does it for all its models, baselines first.
    alike: dict[object, list[PlannedRun]] = {}
    for run in sorted(run_plan, key=_late):
        cohort = run.settings.cohort
        alike.setdefault(cohort.hindsight if cohort else run.path, []).append(run)
    return map(tuple, alike.values())
