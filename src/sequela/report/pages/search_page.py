"""The page of a search for settings: its trials, the best settings and their importance."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from markupsafe import Markup

from sequela.analysis.tune import FILE
from sequela.errors import RunError
from sequela.figures.search import SearchedRange, by_value, course, mattered
from sequela.report.entry import Entry
from sequela.report.page import write_page
from sequela.report.picture import svg
from sequela.runs.folder import RunFolder

PAGE = "search.html"
_DRAWN = 4  # settings whose losses are drawn, the most important first
_LISTED = 20
_FEWEST = 2  # finished trials from which the course is drawn


def build_search(run: RunFolder, out: Path | None = None) -> Path:
    """Write the page of the search that a run came from, from the run's files alone."""
    run.require_complete()
    if not (run.path / FILE).exists():
        raise RunError(f"{run.path}: has no {FILE}: its settings were not searched")
    search, out = run.json(FILE), out or run.path / PAGE
    trials = search["trials"]
    # A trial without a loss failed or was stopped early, so it has no rank.
    finished = sorted((t for t in trials if t["loss"] is not None), key=lambda t: t["loss"])
    first = trials[0] if trials[0]["loss"] is not None else None
    if first and any(search["defaults"][name] != value for name, value in first["values"].items()):
        first = None  # other settings than the defaults
    return write_page(
        "search.html.j2",
        out,
        title=f"Search for settings of {Entry(run).title}",
        environment=run.environment,
        found=search,
        entry=Entry(run),
        tuning=run.tuning,
        best=trials[search["best"]],
        first=first if first and first["values"].items() <= search["defaults"].items() else None,
        trials=trials,
        listed=finished[:_LISTED],
        ranges={name: _words(space) for name, space in search["space"].items()},
        counts={s: sum(t["state"] == s for t in trials) for s in ("stopped early", "failed")},
        why=next((t["why"] for t in trials if t["why"]), ""),
        seconds=sum(t["seconds"] or 0 for t in trials),
        course=svg(course(trials), "course") if len(finished) >= _FEWEST else None,
        mattered=svg(mattered(search["mattered"]), "mattered") if search["mattered"] else None,
        by_value=_drawn(search) if len(finished) >= _FEWEST else [],
    )


def _drawn(search: Mapping[str, Any]) -> list[Markup]:
    shares = search["mattered"]
    names = sorted(search["space"], key=lambda name: -shares.get(name, 0.0))[:_DRAWN]
    return [
        svg(by_value(name, search["trials"], search["space"][name]), f"by-{name}") for name in names
    ]


def _words(range_: SearchedRange) -> str:
    attributes = range_["attributes"]
    if "choices" in attributes:
        return ", ".join(map(str, attributes["choices"]))
    words = f"{attributes['low']:g} to {attributes['high']:g}"
    return f"{words}, logarithmic" if attributes["log"] else words
