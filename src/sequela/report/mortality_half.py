"""The page's half on mortality: everything that its template places."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from sequela.cohort.flow import Flow
from sequela.cost.mathml import render_mathml
from sequela.figures.flow import Part, cohort_flow
from sequela.figures.leak import leak
from sequela.figures.matrices import confusion_matrix
from sequela.report import probabilities
from sequela.report.commands import commands
from sequela.report.improvement import improvements
from sequela.report.shown import Shown, curves, measures, svg
from sequela.report.tripod import checklist
from sequela.runs.find import Run
from sequela.studies import mortality
from sequela.studies.reproduce import cohorts_of
from sequela.studies.verdicts import judge, tally

NAME = "mortality"
KNOWN, LOOKING_BACK = "known at prediction", "whole stay, looking back (leaks)"
REPORT_TASK = ("mimic3", "report-2019")


@dataclass(frozen=True)
class CohortShown:
    """One cohort as the page shows it.

    Attributes:
        key: Its name in ``results.json``.
        shown: Its models and reference models, as they should be.
        weighted: Its networks trained with weighted classes.
        hindsight: Its models with the whole stay in view.
    """

    key: str
    shown: tuple[Shown, ...]
    weighted: tuple[Shown, ...]
    hindsight: tuple[Shown, ...]

    @classmethod
    def of(cls, key: str, runs: Sequence[Run]) -> "CohortShown":
        """The runs of one cohort, told apart."""
        kinds: dict[str, list[Shown]] = {"shown": [], "weighted": [], "hindsight": []}
        for run in runs:
            asked = run.settings.cohort
            back = asked is not None and asked.hindsight
            weighted = run.settings.training.class_weights
            kind = "hindsight" if back else "weighted" if weighted else "shown"
            kinds[kind].append(Shown.of(run, mortality.REPORTED))
        for instead in ("weighted", "hindsight"):  # where there is nothing else to show
            if not kinds["shown"]:
                kinds["shown"], kinds[instead] = kinds[instead], []
        return cls(key, **{kind: tuple(some) for kind, some in kinds.items()})

    @property
    def first(self) -> Run:
        """A run that tells what all share."""
        return next(s.run for some in (self.shown, self.weighted, self.hindsight) for s in some)

    @property
    def data(self) -> dict[str, Any]:
        """What the runs say of their data."""
        found: dict[str, Any] = self.first.metrics["data"]
        return found

    @property
    def split(self) -> dict[str, Any]:
        """The split, or the folds."""
        return self.first.describe_split()

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What makes the numbers too good: the same for all models of a cohort."""
        return self.shown[0].findings if self.shown else self.hindsight[0].findings

    @property
    def rare(self) -> int:
        """Examples of the rarer class."""
        positives: int = self.data["positives"]
        negatives: int = self.data["examples"] - positives
        return min(positives, negatives)

    @property
    def too_few(self) -> str:
        """The sentence where nothing can be concluded, else nothing."""
        return mortality.TOO_FEW if self.rare < mortality.VERY_FEW else ""

    @property
    def best(self) -> Shown:
        """The one with the highest AUROC."""
        return max(self.shown, key=lambda s: s.test.get("auroc") or 0.0)

    @property
    def networks(self) -> tuple[Shown, ...]:
        """The report's own models."""
        return tuple(s for s in self.shown if s.name in mortality.TRAINING)


def content(folders: Sequence[Run]) -> dict[str, Any]:
    """What the template places, from runs on hospital records."""
    cohorts = [CohortShown.of(key, runs) for key, runs in cohorts_of(folders).items()]
    main = cohorts[0]
    by_name = {s.name: s.run for s in main.shown}
    verdicts = [judge(claim, by_name) for claim in mortality.CLAIMS]
    return {
        "main": main,
        "measures": measures([*main.shown, *main.weighted]),
        "data": main.data,
        "split": main.split,
        "cohorts": cohorts,
        "findings": main.findings,
        "looked_for": main.first.metrics["looked_for"],
        "verdicts": verdicts,
        "tally": tally(verdicts),
        "improvements": improvements({s.name: s for s in main.shown}, [("Visits", "visits")]),
        "as_reported": _as_reported(cohorts),
        "imbalance": [_imbalance(s) for s in (*main.networks, *main.weighted)],
        "panels": [{"shown": s, "curves": curves(s)} for s in main.networks],
        "leak": _leak(main),
        "flow": Markup(_flow(main)),  # noqa: S704 - escaped as it was drawn
        "probabilities": probabilities.content(
            main.shown, main.best, main.data["task"]["label"], "m-"
        ),
        "quick": main.first.settings.training.epochs <= mortality.QUICK_EPOCHS,
        "seconds": sum(
            s.facts["train_seconds"] for c in cohorts for s in (*c.shown, *c.weighted, *c.hindsight)
        ),
        "commands": commands(folders),
        "tripod": checklist(main.best),
        "derivations": [(s, Markup(render_mathml(s.account))) for s in main.shown if s.account],  # noqa: S704
        "licences": _licences(cohorts),
    }


def summary(content: Mapping[str, Any]) -> list[str]:
    """On whom, how well, the claims, at what cost, and what is wrong with it."""
    main: CohortShown = content["main"]
    best, data = main.best, main.data
    low, high = best.test["auroc_ci"]
    operations = best.facts["operations"]
    wrong = [f["check"] for f in content["findings"]]
    wrong += [f"{main.rare} deaths are few" if main.rare < mortality.FEW else main.too_few]
    whom = f"{data['examples']:,} examples of {data['subjects']:,} patients"
    return [
        f"{whom}, {data['positives']} deaths",
        f"{best.title}: AUROC {best.test['auroc']:.3f} ({low:.3f} to {high:.3f})",
        content["tally"],
        f"{best.facts['parameters']:,} parameters"
        + (f", {operations:,} operations a patient" if operations else ""),
        "; ".join(each for each in wrong if each) or "nothing was found",
    ]


def _as_reported(cohorts: Sequence[CohortShown]) -> list[Any]:
    """The claims judged on the report's own question, where that was run beside the main cohort."""
    for cohort in cohorts[1:]:
        settings = cohort.first.settings
        if settings.cohort and (settings.data, settings.cohort.task) == REPORT_TASK:
            by_name = {s.name: s.run for s in cohort.shown}
            return [judge(claim, by_name) for claim in mortality.CLAIMS]
    return []


def _imbalance(shown: Shown) -> dict[str, Any]:
    """Confusion matrices of a network at 0.5 and at the chosen threshold."""
    classes = shown.metrics["data"]["classes"]
    return {
        "shown": shown,
        "points": [
            {
                **point,
                "matrix": svg(
                    confusion_matrix(point["confusion"], classes), f"m-{shown.key}-matrix-{number}"
                ),
            }
            for number, point in enumerate(shown.test["operating_points"])
        ],
    }


def _leak(cohort: CohortShown) -> Markup | None:
    """AUROC of the same models with and without what was recorded later."""
    both = {s.name for s in cohort.shown} & {s.name for s in cohort.hindsight}
    rows = [
        {
            "model": shown.title,
            "split": setting,
            "auroc": shown.test["auroc"],
            "low": shown.test["auroc_ci"][0],
            "high": shown.test["auroc_ci"][1],
        }
        for setting, group in ((KNOWN, cohort.shown), (LOOKING_BACK, cohort.hindsight))
        for shown in group
        if shown.name in both
    ]
    return svg(leak(rows, metric="auroc"), "m-leak") if rows else None


def _flow(cohort: CohortShown) -> str:
    """Who is in the cohort and why, down to the parts of the (first) split."""
    data = cohort.data
    parts = [Part(name, **counts) for name, counts in data["parts"].items()]
    return cohort_flow(Flow.from_dict(data["flow"]), parts, event=data["classes"][1]).html()


def _licences(cohorts: Sequence[CohortShown]) -> list[Mapping[str, Any]]:
    """Each data set once, with its licence and citation."""
    return list({cohort.data["name"]: cohort.data for cohort in cohorts}.values())
