"""A run's model card: Markdown with the metadata that the Hugging Face Hub reads."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from sequela.evaluation.intervals import Estimate
from sequela.evaluation.metrics import Metric, headline, reported
from sequela.evaluation.number import number, within
from sequela.evaluation.subgroups import SMALLEST_CELL
from sequela.files import whole
from sequela.report import probabilities
from sequela.report.commands import commands
from sequela.report.shown import Shown, measures
from sequela.report.told import described_parts, how_split, outcome
from sequela.report.tripod import checklist
from sequela.runs.find import Run

_TWO = 2


def build_card(run: Run, out: Path) -> Path:
    """Write the model card of a run, filled from its folder alone; neither model nor data are read.

    Args:
        run: A finished run, or folds.
        out: The card; written under a temporary name, then renamed.
    """
    shown = Shown.of(run, {})
    text = _templates().get_template("card.md.j2").render(_content(shown))
    with whole(out) as partial:
        partial.write_text(f"---\n{front_matter(shown)}---\n\n{text}", "utf-8")
    return out


def front_matter(shown: Shown) -> str:
    """The YAML that stands at the head of the card."""
    data = shown.metrics["data"]
    records = shown.run.settings.cohort is not None
    held = "held_out" if not shown.run.settings.folds else "folds, each held out once"
    values: dict[str, Any] = {
        "license": "other",
        "license_name": "not-chosen-yet",
        "library_name": "sequela",
        "tags": ["sequela", "medical", "ehr" if records else "eeg", shown.name],
        "datasets": [data["name"]],
        "metrics": [m.hub for m in _of_hub(shown.test)],
        "model-index": [
            {
                "name": shown.key,
                "results": [
                    {
                        "task": {
                            "type": "tabular-classification" if records else "other",
                            "name": outcome(data),
                        },
                        "dataset": {"type": data["name"], "name": data["title"], "split": held},
                        "metrics": _results(shown.test),
                    }
                ],
            }
        ],
    }
    if records:
        values["pipeline_tag"] = "tabular-classification"
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=100)
    return text


def _of_hub(test: Mapping[str, Any]) -> list[Metric]:
    """The metrics that the Hub has too, where there is a number."""
    return [m for m in reported() if m.hub and test.get(m.key) is not None]


def _results(test: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each number of the Hub's with its interval, in its name for people and apart for programs."""
    found = []
    for m in _of_hub(test):
        entry: dict[str, Any] = {"type": m.hub, "value": test[m.key], "name": m.heading}
        if ci := test.get(f"{m.key}_ci"):
            low, high = (number(bound, m.table) for bound in ci)
            entry["name"] += f" (95 % interval {low} to {high})"
            entry["args"] = {"interval": list(ci), "level": 0.95}
        found.append(entry)
    return found


def _content(shown: Shown) -> dict[str, Any]:
    """What the template places."""
    run = shown.run
    records = run.settings.cohort is not None
    data = shown.metrics["data"]
    two = len(data["classes"]) == _TWO
    return {
        "shown": shown,
        "test": shown.test,
        "data": data,
        "origin": _public(data["origin"]),
        "records": records,
        "two": two,
        "outcome": outcome(data),
        "findings": shown.findings,
        "looked_for": shown.metrics["looked_for"],
        "parts": list(described_parts(shown)),
        "split": how_split(shown),
        "measures": measures([shown]),
        "calibration": probabilities.table([shown])[0],
        "headline": headline(data["classes"]),
        "groups": probabilities.groups(shown) if two else [],
        "smallest": SMALLEST_CELL,
        "training": run.settings.training.model_dump(exclude_none=True),
        "commands": commands([run]),
        "checklist": checklist(shown),
    }


def _public(origin: str) -> str:
    """Where the data were found, without the folders of the machine."""
    before, under, path = origin.partition(" under ")
    return f"{before} in a folder {Path(path).name}" if under else origin


def _told(estimate: Estimate | None) -> str:
    """A number with its interval, or a dash."""
    if estimate is None:
        return number(None)
    interval = estimate.interval
    return number(estimate.value) + (f" {within(interval.low, interval.high)}" if interval else "")


def _share(point: Mapping[str, Any], name: str) -> str:
    """A number at a threshold with its interval, or a dash."""
    ci = point.get(f"{name}_ci")
    return number(point.get(name)) + (f" {within(*ci)}" if ci else "")


def _cell(text: object) -> str:
    """Text for a Markdown table, which neither ends its cell nor is read as HTML."""
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), ("|", "\\|"), ("\n", " ")):
        text = str(text).replace(sign, written)
    return str(text)


def _templates() -> Environment:
    """The card is Markdown: what could be read as HTML is escaped by ``cell``."""
    environment = Environment(  # noqa: S701
        loader=PackageLoader("sequela.report"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"cell": _cell, "told": _told, "number": number}
    environment.globals["share"] = _share
    return environment
