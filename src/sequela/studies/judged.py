"""The claims of a study, each evaluated by the best method and as the report probably did."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from sequela.runs.find import Run
from sequela.studies.registry import planned_leak, question_of
from sequela.studies.study import Study
from sequela.studies.verdicts import Verdict, judge
from sequela.version import __version__

RERUNS = "reruns.json"
SAME_DATA = ("name", "examples", "counts")
"""The facts about data that must be equal for verdicts to be comparable."""


@dataclass(frozen=True)
class Judged:
    """The verdicts on a claim, ``None`` where it was not run so.

    They are on the study's own question and split, on a split by row, which leaks, and on the
    report's own question. ``reruns`` are the number of reruns with other seeds that gave the main
    verdict on the same data, and their total; ``None`` where that was not measured, or for quick
    runs.
    """

    main: Verdict
    by_row: Verdict | None = None
    as_reported: Verdict | None = None
    reruns: tuple[int, int] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the verdicts for ``results.json``."""
        found: dict[str, Any] = {
            "id": self.main.claim.id,
            "claim": self.main.claim.claim,
            "verdict": self.main.verdict,
            "interval_verdict": self.main.interval_verdict,
            "why": self.main.why,
            "by_row": self.by_row and self.by_row.verdict,
        }
        if self.as_reported:
            found["as_reported"] = self.as_reported.verdict
        if self.reruns:
            found["same_in_reruns"] = list(self.reruns)
        return found


def judge_study(study: Study, cohorts: Sequence[Sequence[Run]]) -> list[Judged]:
    """Judge the claims of a study, none where all models leak."""
    main, *others = cohorts
    honest = [run for run in main if not planned_leak(run)]
    if not study.claims or not honest:
        return []
    by_row = [run for run in main if planned_leak(run) == "row"]
    asked = [runs for runs in others if question_of(runs[0]) == study.reported_question]
    row, reported = _verdicts(study, by_row), _verdicts(study, asked[0] if asked else [])
    plain = [each.settings for each in honest if not each.settings.training.class_weights]
    # Quick runs were not trained as the study's reruns were.
    as_rerun = all(study.training.get(each.model) in (None, each.training) for each in plain)
    measured = measured_reruns(study.name, honest[0].data) if as_rerun else {}
    return [
        Judged(verdict, row.get(claim), reported.get(claim), _same(verdict, measured))
        for claim, verdict in _verdicts(study, honest).items()
    ]


def _verdicts(study: Study, runs: Iterable[Run]) -> dict[str, Verdict]:
    """Return the verdict on each claim by its id, on runs without leaks and weights."""
    plain = [run for run in runs if not run.settings.training.class_weights]
    by_model = {run.settings.model: run for run in plain if planned_leak(run) != "hindsight"}
    if not by_model:
        return {}
    return {verdict.claim.id: verdict for verdict in judge(study.claims, by_model)}


def _same(verdict: Verdict, reruns: Mapping[str, Sequence[str]]) -> tuple[int, int] | None:
    others = reruns.get(verdict.claim.id)
    return (others.count(verdict.verdict), len(others)) if others else None


def measured_reruns(study: str, data: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the verdicts of reruns by claim, where this version measured them on these data.

    ``benchmarks/verdicts.py`` measures them and writes the file.
    """
    path = files("sequela.studies") / "declared" / RERUNS
    measured = json.loads(path.read_text(encoding="utf-8"))
    known = measured["studies"].get(study, {})
    alike = all(known.get(name) == data[name] for name in SAME_DATA)
    return known["verdicts"] if alike and measured["version"] == __version__ else {}
