"""The page of a search for settings: its trials, the best settings and their importance."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from sequela.analysis.tune import FILE
from sequela.errors import RunError
from sequela.figures.search import by_value, course, mattered
from sequela.report.entry import Entry
from sequela.report.page import write_page
from sequela.report.picture import svg
from sequela.runs.folder import RunFolder

PAGE = "search.html"
_DRAWN = 4
_LISTED = 20
_FEW = 2


def build_search(run: RunFolder, out: Path | None = None) -> Path:
    """Write the page of the search that a run came from, from the run's files alone."""
    run.require_complete()
    if not (run.path / FILE).exists():
        raise RunError(f"{run.path}: has no {FILE}: its settings were not searched")
    found, out = run.json(FILE), out or run.path / PAGE
    trials = found["trials"]
    finished = sorted((t for t in trials if t["loss"] is not None), key=lambda t: t["loss"])
    first = trials[0] if trials[0]["loss"] is not None else None
    if first and any(found["defaults"][name] != value for name, value in first["values"].items()):
        first = None  # other settings than the defaults
    return write_page(
        "search.html.j2",
        out,
        title=f"Search for settings of {Entry(run).title}",
        environment=run.environment,
        found=found,
        entry=Entry(run),
        tuning=run.tuning,
        best=trials[found["best"]],
        first=first if first and first["values"].items() <= found["defaults"].items() else None,
        trials=trials,
        listed=finished[:_LISTED],
        ranges={name: _words(each) for name, each in found["space"].items()},
        counts={s: sum(t["state"] == s for t in trials) for s in ("stopped early", "failed")},
        why=next((t["why"] for t in trials if t["why"]), ""),
        seconds=sum(t["seconds"] or 0 for t in trials),
        course=svg(course(trials), "course") if len(finished) >= _FEW else None,
        mattered=svg(mattered(found["mattered"]), "mattered") if found["mattered"] else None,
        by_value=_drawn(found) if len(finished) >= _FEW else [],
    )


def _drawn(found: Mapping[str, Any]) -> list[Markup]:
    """Draw the loss at each value of the most important settings, or of the first ones."""
    shares = found["mattered"]
    names = sorted(found["space"], key=lambda name: -shares.get(name, 0.0))[:_DRAWN]
    return [
        svg(by_value(name, found["trials"], found["space"][name]), f"by-{name}") for name in names
    ]


def _words(range_: Mapping[str, Any]) -> str:
    said = range_["attributes"]
    if "choices" in said:
        return ", ".join(map(str, said["choices"]))
    return f"{said['low']:g} to {said['high']:g}{', logarithmic' * said['log']}"
