"""A run's model card: Markdown with the metadata that the Hugging Face Hub reads."""

import json
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from sequela.disclosure import as_json
from sequela.evaluation.intervals import Estimate
from sequela.evaluation.metrics import Metric, headline, reported
from sequela.evaluation.number import number, within
from sequela.integrity.openings import open_held_out
from sequela.report.commands import commands
from sequela.report.entry import KEPT, Entry, measures
from sequela.report.page import open_templates
from sequela.report.sections import probabilities
from sequela.report.sections.section import CARD_ITEMS
from sequela.report.tripod import checklist
from sequela.runs.find import Run
from sequela.runs.manifest import adding
from sequela.runs.recipe import variance_in_words

_WRITTEN = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "://": "&#58;//", "@": "&#64;"}
_SIGNS = re.compile(r"://|[&<>@\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])|(?i:(?<=\bwww)\.)")
_BEGINS = re.compile(r"^\s*(?:[#=]|[-+](?=[\s-])|\d+(?=[.)]\s))")
"""The start of a line that Markdown reads as a heading, rule or list."""


def build_card(run: Run, out: Path, hide_below: int | None = None) -> Path:
    """Evaluate a run on its test set and write its model card, filled from its folder alone.

    Neither the model nor the data are read.
    """
    opened = open_held_out(run, "card")
    entry = Entry(run, hide_below=hide_below)
    text = _templates().get_template("card.md.j2").render(_content(entry), opened=opened.sentences)
    with adding(out) as partial:
        partial.write_text(f"---\n{front_matter(entry)}---\n\n{text}", "utf-8")
    return out


def front_matter(entry: Entry) -> str:
    """Return the head of the card as the Hub reads it: JSON, which is YAML too."""
    data, test = entry.data, as_json(entry.test)
    tabular = data.sequences is not None
    metrics = [m for m in reported() if m.hub and test.get(m.key) is not None]
    task = "tabular-classification" if tabular else "other"
    split = "folds, each the test set once" if entry.run.folds else "held_out"
    result = {
        "task": {"type": task, "name": data.question},
        "dataset": {"type": data.name, "name": _one_line(data.title), "split": split},
        "metrics": [_result(m, test) for m in metrics],
    }
    card: dict[str, object] = {
        "license": "other",
        "license_name": "not-chosen-yet",  # only a person can choose it
        "library_name": "sequela",
        "tags": ["sequela", "medical", "ehr" if data.sfreq is None else "eeg", entry.name],
        "datasets": [data.name],
        "metrics": [m.hub for m in metrics],
    }
    if tabular:
        card["pipeline_tag"] = task
    card["model-index"] = [{"name": entry.key, "results": [result]}]
    return json.dumps(card, indent=1, ensure_ascii=False) + "\n"


def _result(metric: Metric, test: Mapping[str, Any]) -> dict[str, object]:
    name, interval = metric.heading, dict[str, object]()
    if ci := test.get(f"{metric.key}_ci"):
        # The Hub shows no field for an interval, but it shows the name.
        low, high = (number(bound, metric.table) for bound in ci)
        name += f" (95 % interval {low} to {high})"
        interval = {"args": {"interval": list(ci), "level": 0.95}}
    return {"type": metric.hub, "value": test[metric.key], "name": name} | interval


def _content(entry: Entry) -> dict[str, object]:
    run, data = entry.run, entry.data
    groups = probabilities.groups(entry) if entry.two else []
    return {
        "entry": entry,
        "test": entry.test,
        "data": data,
        "confusion": as_json(entry.test.confusion),
        "items": CARD_ITEMS.values(),
        "split": run.describe_split(),
        "measures": measures([entry]),
        "variance": variance_in_words(entry.test, entry.metric),
        "calibration": None if entry.of_few or entry.timed else probabilities.scores(entry),
        "headline": headline(data.classes),
        "groups": [group for group in groups if group.value],
        "hidden_groups": sum(not group.value for group in groups),
        "training": run.settings.training.model_dump(exclude_none=True),
        "kept": KEPT[run.settings.training.keep],
        "commands": [Markup(_one_line(command)) for command in commands([run])],  # noqa: S704 - code
        "checklist": checklist(entry),
    }


def _with_interval(estimate: Estimate | None) -> str:
    if estimate is None:
        return number(None)
    interval = estimate.interval
    return number(estimate.value) + (f" {within(interval.low, interval.high)}" if interval else "")


def _share(point: Mapping[str, Any], name: str) -> str:
    ci = point.get(f"{name}_ci")
    return number(point.get(name)) + (f" {within(*ci)}" if ci else "")


def _open(question: str) -> Markup:
    return Markup(f"**Open: {markdown(question)}**")  # noqa: S704 - escaped


def markdown(value: object) -> str:
    r"""Escape a text so that Markdown reads no HTML, link, table or heading in it.

    A :class:`markupsafe.Markup` is Markdown already.

    Example:
        >>> print(markdown("a|b <img src=x> [here](http://a.b) # 1_000 held_out"))
        a\|b &lt;img src=x&gt; \[here\](http&#58;//a.b) # 1_000 held_out
    """
    if isinstance(value, Markup):
        return value
    # Names of data come from strangers.
    text = _SIGNS.sub(lambda sign: _WRITTEN.get(sign[0], f"\\{sign[0]}"), _one_line(str(value)))
    return Markup(_BEGINS.sub(r"\\\g<0>", text))  # noqa: S704 - escaped


def _one_line(text: str) -> str:
    # A line break would end a table's row or a command, and other control signs may hide text.
    line = "".join(" " if unicodedata.category(sign)[0] == "C" else sign for sign in text)
    return re.sub(" {2,}", " ", line)


def _templates() -> Environment:
    environment = open_templates(finalize=markdown, keep_trailing_newline=True)
    environment.filters["with_interval"] = _with_interval
    environment.globals |= {"share": _share, "open": _open}
    return environment
