"""``sequela tune``: a search for settings, then a run with the best."""

from pathlib import Path
from typing import TYPE_CHECKING

from cyclopts import App

from sequela.cli.names import Root, check_names
from sequela.cli.options import FIRST, OptionsOfTune
from sequela.config import Options
from sequela.errors import SettingError, extra

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial
    from rich.console import Console

tune = App(
    name="tune",
    group_parameters=FIRST,
    help_format="markdown",
    help_epilogue="""The same command continues an interrupted search. Needs the extra `tune`.

Example: `sequela tune gru-improved --data bonn --trials 30`, or
`sequela tune visits-improved --data eicu --trials 50 --search hidden=8..64 --search
learning_rate=1e-4..1e-2`""",
)


@tune.default
def tune_one(
    model: str,
    /,
    *,
    data: str,
    trials: int,
    search: list[str] | None = None,
    root: Root = None,
    options: OptionsOfTune = Options(),  # noqa: B008 - frozen
    out: Path | None = None,
) -> None:
    """Search for good settings of a network, then train a run with the best.

    Each trial is trained on the training set and ranked by its loss on the validation set; the test
    set is not used. Trials that are worse than most at the same epoch are stopped early. The first
    trial has the default settings. The result is a run folder, with all trials in
    search.json.

    Args:
        model: A network, or a class of one (FILE.py:CLASS or package.module:CLASS).
        data: Data set.
        trials: Total number of trials, including those of earlier calls.
        search: Setting to search, as NAME=LOW..HIGH or NAME=A,B,C; may be repeated (default:
            learning_rate, batch_size, weight_decay, schedule, and the network's sizes and dropout).
        options: Settings of the run.
        out: Run folder (default: runs/MODEL.tuned); the file of the trials is next to it.
    """
    check_names(model, data)
    from sequela.cli.numbers import open_console, say_finished, say_path
    from sequela.evaluation.number import plural
    from sequela.studies.settings import own_signals, run_settings

    with extra("tune", "a search for settings", "optuna"):
        from sequela.analysis.tune import FILE
        from sequela.analysis.tune import tune as tune_run

    _check(model, options)
    settings = run_settings(model, data, options, own_signals(data, options.signals, root))
    console = open_console()
    run = tune_run(
        settings,
        out or Path("runs") / f"{model.rpartition(':')[2]}.tuned",
        trials=trials,
        searched=search or (),
        root=root,
        on_trial=lambda study, trial: _say_trial(console, study, trial, trials),
    )
    say_finished(console, run, open_=False)
    search_record = run.json(FILE)
    best = search_record["trials"][search_record["best"]]
    values = ", ".join(f"{name} {value}" for name, value in best["values"].items())
    console.print(f"best of {plural(len(search_record['trials']), 'trial')}: {values}")
    if importance := search_record["mattered"]:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in importance.items())
        console.print(f"share of the variation of the loss, by setting: {shares}")
    say_path(console, "trials", (run.path / FILE).resolve())


def _check(model: str, options: Options) -> None:
    from sequela.models.defaults import AUTO

    if model == AUTO:
        raise SettingError(
            "auto cannot be used in a search, which is for one model: name it, for example "
            "spectral-mlp or values-lstm"
        )
    if options.run.folds:
        raise SettingError(
            "--folds is not for a search, which uses one validation set: leave it out"
        )


def _say_trial(console: "Console", study: "Study", trial: "FrozenTrial", trials: int) -> None:
    from optuna.trial import TrialState

    finished = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    best = min(finished, key=lambda complete: complete.value or 0.0, default=None)
    reached = {
        TrialState.COMPLETE: f"loss {trial.value or 0:.4f}",
        TrialState.PRUNED: f"stopped early, after epoch {trial.last_step}",
    }.get(trial.state, f"failed: {trial.user_attrs.get('why', 'interrupted')}")
    lowest = f"; best {best.value:.4f} (trial {best.number})" if best else ""
    console.print(f"[{trial.number + 1}/{trials}] {reached}{lowest}")
