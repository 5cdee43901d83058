"""A whole study: its runs side by side in several processes, and ``results.json``."""

import json
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import joblib

from sequela.config import RunSettings
from sequela.errors import RunError
from sequela.files import whole
from sequela.studies import floors, run, seizure
from sequela.studies.folder import CONFIG, RunFolder

OnRun = Callable[[RunFolder, int, int], None]
"""Called with each finished run, how many are finished, and how many there are."""


def reproduce_seizure(
    out: Path,
    *,
    data: str = seizure.DATA,
    root: Path | None = None,
    seed: int = 0,
    quick: bool = False,
    processes: int | None = None,
    on_run: OnRun = lambda *_: None,
) -> list[RunFolder]:
    """Train all models of the seizure study and write ``results.json``.

    Runs that ``out`` already holds are kept if they are finished, and continued if they are not, so
    an interrupted study goes on where it was.

    Args:
        out: Folder of the study; each run stands under ``runs/``.
        data: ``bonn`` or ``uci-seizure``.
        root: Where the data lie, if not where they are looked for by themselves.
        seed: Of the split, the weights and the order of the batches.
        quick: Few epochs: to see that everything works, not for the numbers.
        processes: How many train at once, one torch thread each; one a core if not given.
        on_run: Called after each run.

    Returns:
        The run folders, in the order of the page.

    Raises:
        SequelaError: If ``out`` holds something else, or the data cannot be used.
    """
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "runs").is_dir()):
        raise RunError(f"{out}: is not empty and holds no study; choose another --out")
    settings = seizure.runs(data=data, seed=seed, quick=quick)
    wanted = {out / "runs" / f"{s.model}.by-{s.split}": s for s in settings}
    for path, each in wanted.items():
        if (path / "config.toml").exists():
            RunFolder(path).open(each, resume=True)
    count = processes or joblib.cpu_count()
    finished = 0
    with ProcessPoolExecutor(count, multiprocessing.get_context("spawn")) as pool:
        jobs = {pool.submit(_job, s, path, root): path for path, s in wanted.items()}
        try:
            for job in as_completed(jobs):
                job.result()
                finished += 1
                on_run(RunFolder(jobs[job]), finished, len(jobs))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            # A worker would begin the next run first; what it leaves can be continued.
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise
    folders = in_order([RunFolder(path) for path in wanted])
    with whole(out / "results.json") as partial:
        content = json.dumps(results(folders), indent=1, ensure_ascii=False)
        partial.write_text(content + "\n", encoding="utf-8")
    return folders


def _job(settings: RunSettings, path: Path, root: Path | None) -> None:
    """One run in a process of its own."""
    run.train(settings, path, root=root, resume=True)


def find_runs(paths: Sequence[Path]) -> list[RunFolder]:
    """The run folders among paths, or in them, in the order of a page.

    Raises:
        RunError: If a path is no run folder and holds none, or a run is not finished.
    """
    found: list[Path] = []
    for path in paths:
        inside = [path] if (path / CONFIG).exists() else sorted(path.glob(f"**/{CONFIG}"))
        if not inside:
            raise RunError(f"{path}: expected a run folder (with a {CONFIG}), or a folder of them")
        found += [config if config.is_dir() else config.parent for config in inside]
    folders = [RunFolder(path) for path in dict.fromkeys(found)]
    for folder in folders:
        folder.require_complete()
    return in_order(folders)


def in_order(folders: Sequence[RunFolder]) -> list[RunFolder]:
    """Runs in the order of the report: floors last, the leaking split after the honest one."""
    names = [*seizure.TRAINING, *floors.FLOORS]
    splits = ("subject", "recording", "row")
    return sorted(
        folders,
        key=lambda f: (
            splits.index(f.settings.split),
            names.index(f.settings.model) if f.settings.model in names else len(names),
            f.settings.model,
            str(f.path),
        ),
    )


def results(folders: Sequence[RunFolder]) -> dict[str, Any]:
    """The content of ``results.json``: the study by recording, and beside it the same by rows."""
    studies: dict[str, Any] = {}
    for split in seizure.SPLITS:
        chosen = [f for f in folders if f.settings.split == split]
        leaks = split == "row"
        name = f"{seizure.NAME}-by-row" if leaks else seizure.NAME
        first = chosen[0]
        studies[name] = {
            "data": first.metrics["data"],
            "split": {
                "unit": split,
                "leaks": leaks,
                "seed": first.settings.seed,
                "fractions": list(first.settings.fractions),
                "n_examples": dict(first.split.n_examples),
                "ids_in_two_parts": first.split.shared(),
            },
            "subjects": first.metrics["data"]["subjects"],
            "recordings": first.metrics["data"]["recordings"],
            "examples": first.metrics["data"]["examples"],
            "models": {
                f.settings.model: _entry(f) for f in chosen if f.settings.model in seizure.TRAINING
            },
            "floors": {
                f.settings.model: _entry(f) for f in chosen if f.settings.model in floors.FLOORS
            },
        }
    return {"studies": studies, "environment": folders[0].environment}


def _entry(folder: RunFolder) -> dict[str, Any]:
    metrics = folder.metrics
    facts = ("train_seconds", "epochs", "best_epoch", "parameters", "operations", "macs")
    return {
        **{name: metrics[name] for name in facts},
        "test": metrics["parts"]["held_out"],
        "report_2019": seizure.REPORTED.get(folder.settings.model, {}),
        "run": folder.path.name,
    }
