"""The page: run folders in, one self-contained HTML file out, the same bytes each time."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from sequela.cost import record
from sequela.cost.ledger import Account
from sequela.cost.mathml import render_mathml
from sequela.errors import RunError
from sequela.figures.curves import learning_curve
from sequela.figures.figure import Figure
from sequela.figures.leak import HONEST, LEAKING, leak
from sequela.figures.matrices import confusion_matrix
from sequela.figures.pareto import accuracy_against_operations
from sequela.files import whole
from sequela.models.registry import MODELS
from sequela.report.commands import commands
from sequela.report.discussion import discuss
from sequela.report.verdicts import FAILS, HOLDS, UNKNOWN, Verdict, judge
from sequela.studies import floors, seizure
from sequela.studies.folder import RunFolder
from sequela.studies.reproduce import in_order

_FAMILIES = ("mlp", "cnn", "gru")


@dataclass(frozen=True)
class Shown:
    """One run as the page shows it.

    Attributes:
        run: The folder.
        title: The model's name for people.
        test: Its held-out numbers.
        account: What it costs, where it is a network.
        reported: The 2019 report's own numbers.
    """

    run: RunFolder
    title: str
    test: dict[str, Any]
    account: Account | None
    reported: dict[str, Any]

    @property
    def name(self) -> str:
        """The model's registry name."""
        return self.run.settings.model

    @property
    def metrics(self) -> dict[str, Any]:
        """All numbers of the run."""
        return self.run.metrics


def build(folders: Sequence[RunFolder], out: Path) -> Path:
    """Build the page of some runs.

    Args:
        folders: Finished runs on the same data.
        out: The page; written under a temporary name, then renamed.

    Raises:
        RunError: If there is no run, a run is damaged, or the runs are of different data or splits.
        SplitError: If the parts of a run overlap.
    """
    if not folders:
        raise RunError("no run to report on: name at least one run folder")
    ordered = in_order(folders)
    _refuse_mixture(ordered)
    environment = Environment(
        loader=PackageLoader("sequela.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    page = environment.get_template("page.html.j2").render(_content(ordered))
    with whole(out) as partial:
        partial.write_text(page, encoding="utf-8")
    return out


def _refuse_mixture(folders: Sequence[RunFolder]) -> None:
    """Refuse runs that do not belong on one page: their numbers could not be compared."""
    first: dict[str, RunFolder] = {}
    for folder in folders:
        unit = folder.settings.split
        same = first.setdefault(unit, folder)
        if folder.settings.data != same.settings.data or folder.split.ids != same.split.ids:
            raise RunError(
                f"{folder.path} and {same.path} are of different data or splits (by {unit}): their "
                "numbers cannot be compared; build a page for each"
            )
        _ = folder.predictions  # reading them proves that they belong to the split


def _content(folders: Sequence[RunFolder]) -> dict[str, Any]:
    """Everything that the template places."""
    honest = [_shown(f) for f in folders if not f.split.leaks]
    leaking = [_shown(f) for f in folders if f.split.leaks]
    main = honest or leaking
    first = main[0].run
    by_name = {s.name: s.run for s in honest}
    verdicts = [judge(claim, by_name) for claim in seizure.CLAIMS]
    return {
        "first": first,
        "data": first.metrics["data"],
        "environment": first.environment,
        "shared": first.split.shared(),
        "honest": honest,
        "leaking": leaking,
        "main": main,
        "best": max(main, key=lambda s: s.test["accuracy"]),
        "verdicts": verdicts,
        "tally": _tally(verdicts),
        "pairs": [_pair(family, main) for family in _FAMILIES],
        "others": [_panel(s) for s in main if s.name not in seizure.TRAINING],
        "leak": _leak(honest, leaking),
        "pareto": _pareto(main),
        "quick": first.settings.training.epochs <= seizure.QUICK_EPOCHS,
        "seconds": sum(s.metrics["train_seconds"] for s in [*honest, *leaking]),
        "commands": commands(folders),
        "derivations": [(s, Markup(render_mathml(s.account))) for s in main if s.account],  # noqa: S704
    }


def _shown(folder: RunFolder) -> Shown:
    name = folder.settings.model
    titles = {**{n: e.title for n, e in MODELS.items()}, **floors.FLOORS}
    cost = folder.path / "cost.json"
    return Shown(
        run=folder,
        title=titles.get(name, name),
        test=folder.metrics["parts"]["held_out"],
        account=record.load(cost) if cost.exists() else None,
        reported=seizure.REPORTED.get(name, {}),
    )


def _svg(figure: Figure, name: str) -> Markup:
    return Markup(figure.svg(name.replace(".", "-")))  # noqa: S704 - drawn here, its text escaped


def _panel(shown: Shown) -> dict[str, Any]:
    """Curves, matrix and sentences of one run."""
    run, key = shown.run, shown.name
    curves = [
        _svg(learning_curve(run.history, number), f"{key}-{number}")
        for number in ("loss", "accuracy")
        if run.history
    ]
    matrix = confusion_matrix(shown.test["confusion"], shown.metrics["data"]["classes"])
    return {
        "shown": shown,
        "curves": curves,
        "matrix": _svg(matrix, f"{key}-matrix"),
        "sentences": discuss(run),
    }


def _pair(family: str, main: Sequence[Shown]) -> dict[str, Any]:
    chosen = [s for s in main if s.name in (f"{family}-baseline", f"{family}-improved")]
    return {"title": family.upper(), "panels": [_panel(s) for s in chosen]}


def _leak(honest: Sequence[Shown], leaking: Sequence[Shown]) -> Markup | None:
    """The picture of both splits, for models that were run under both."""
    both = {s.name for s in honest} & {s.name for s in leaking}
    rows = [
        {
            "model": shown.title,
            "split": split,
            "accuracy": shown.test["accuracy"],
            "low": shown.test["accuracy_ci"][0],
            "high": shown.test["accuracy_ci"][1],
        }
        for split, group in ((HONEST, honest), (LEAKING, leaking))
        for shown in group
        if shown.name in both
    ]
    return _svg(leak(rows), "leak") if rows else None


def _pareto(main: Sequence[Shown]) -> Markup | None:
    rows = [
        {
            "model": s.title,
            "operations": s.metrics["operations"],
            "accuracy": s.test["accuracy"],
            "low": s.test["accuracy_ci"][0],
            "high": s.test["accuracy_ci"][1],
        }
        for s in main
        if s.metrics["operations"]
    ]
    return _svg(accuracy_against_operations(rows), "pareto") if len(rows) > 1 else None


def _tally(verdicts: Sequence[Verdict]) -> str:
    counts = Counter(v.verdict for v in verdicts)
    return f"{counts[HOLDS]} hold, {counts[FAILS]} do not hold, {counts[UNKNOWN]} cannot be told"
