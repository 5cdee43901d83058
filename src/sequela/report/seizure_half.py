"""The page's half on seizures: everything that its template places."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from sequela.cost.mathml import render_mathml
from sequela.figures.figure import Figure
from sequela.figures.leak import HONEST, LEAKING, leak
from sequela.figures.pareto import accuracy_against_operations
from sequela.report import probabilities
from sequela.report.commands import commands
from sequela.report.improvement import improvements
from sequela.report.shown import Shown, measures, panel, svg
from sequela.report.tripod import checklist
from sequela.runs.find import Run
from sequela.studies import seizure
from sequela.studies.verdicts import judge, tally

NAME = "seizure"
_FAMILIES = ("mlp", "cnn", "gru")


def content(folders: Sequence[Run]) -> dict[str, Any]:
    """What the template places, from runs on signals."""
    all_shown = [Shown.of(f, seizure.REPORTED) for f in folders]
    honest = [s for s in all_shown if not s.metrics["split"]["leaks"]]
    leaking = [s for s in all_shown if s.metrics["split"]["leaks"]]
    main = honest or leaking
    first = main[0].run
    best = max(main, key=lambda s: s.test["accuracy"])
    by_name = {s.name: s.run for s in honest}
    verdicts = [judge(claim, by_name) for claim in seizure.CLAIMS]
    return {
        "first": first,
        "data": first.metrics["data"],
        "environment": first.environment,
        "split": first.describe_split(),
        "honest": honest,
        "leaking": leaking,
        "main": main,
        "measures": measures(main),
        "findings": main[0].findings if honest else [],
        "looked_for": first.metrics["looked_for"],
        "best": best,
        "verdicts": verdicts,
        "tally": tally(verdicts),
        "improvements": improvements(
            {s.name: s for s in main}, [(family.upper(), family) for family in _FAMILIES]
        ),
        "pairs": [_pair(family, main) for family in _FAMILIES],
        "others": [panel(s) for s in main if s.name not in seizure.TRAINING],
        "leak": svg(picture, "leak") if (picture := leak_figure(all_shown)) else None,
        "pareto": _pareto(main),
        "probabilities": probabilities.content(main, best, "the most probable state is right", ""),
        "quick": first.settings.training.epochs <= seizure.QUICK_EPOCHS,
        "seconds": sum(s.facts["train_seconds"] for s in [*honest, *leaking]),
        "commands": commands(folders),
        "tripod": checklist(best),
        "derivations": [(s, Markup(render_mathml(s.account))) for s in main if s.account],  # noqa: S704
    }


def summary(content: Mapping[str, Any]) -> list[str]:
    """On whom, how well, the claims, at what cost, and what is wrong with it."""
    best, data = content["best"], content["data"]
    low, high = best.test["accuracy_ci"]
    operations = best.facts["operations"]
    wrong = "patients are not identified: a split by recording is not one by patient"
    how_well = f"{best.title}: accuracy {best.test['accuracy']:.1%} ({low:.1%} to {high:.1%})"
    return [
        f"{data['examples']:,} one-second segments of {data['recordings']} recordings",
        f"{how_well}, five classes",
        content["tally"],
        f"{best.facts['parameters']:,} parameters"
        + (f", {operations:,} operations a segment" if operations else ""),
        "; ".join([*(f["check"] for f in content["findings"]), wrong])
        if content["honest"]
        else "split by rows: it leaks",
    ]


def _pair(family: str, main: Sequence[Shown]) -> dict[str, Any]:
    chosen = [s for s in main if s.name in (f"{family}-baseline", f"{family}-improved")]
    return {"title": family.upper(), "panels": [panel(s) for s in chosen]}


def leak_figure(shown: Sequence[Shown]) -> Figure | None:
    """The picture of both splits, for models that were run under both."""
    honest = [s for s in shown if not s.metrics["split"]["leaks"]]
    leaking = [s for s in shown if s.metrics["split"]["leaks"]]
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
    return leak(rows) if rows else None


def _pareto(main: Sequence[Shown]) -> Markup | None:
    rows = [
        {
            "model": s.title,
            "operations": s.facts["operations"],
            "accuracy": s.test["accuracy"],
            "low": s.test["accuracy_ci"][0],
            "high": s.test["accuracy_ci"][1],
        }
        for s in main
        if s.facts["operations"]
    ]
    return svg(accuracy_against_operations(rows), "pareto") if len(rows) > 1 else None
