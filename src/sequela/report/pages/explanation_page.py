"""The page of an explanation: the contributions of inputs to some predictions of a run."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from sequela.analysis.explain import Explained, Explanation
from sequela.evaluation.attribution import Attribution
from sequela.evaluation.importance import Importance
from sequela.figures.attribution import code_importance, signal_attribution
from sequela.report.entry import Entry
from sequela.report.page import write_page
from sequela.report.picture import svg
from sequela.runs.released import public
from sequela.sequences.flat import CodeAt

_MOST = 12
"""Codes in each direction of a table, and in the picture of the importance."""
_LISTED = 50


@dataclass(frozen=True)
class Moved:
    """A code in a table, and what it added to the number."""

    code: CodeAt
    value: float


def build_explanation(
    found: Explanation, out: Path, *, ids: bool = False, hide_below: int | None = None
) -> Path:
    """Write the page. The same run and data give the same bytes on one machine.

    With ``ids``, it shows ids of examples, days of codes and names of rare codes, for internal use
    only. For ``hide_below`` see :func:`sequela.runs.released.smallest_shown`.
    """
    entry = Entry(found.run, hide_below=hide_below)
    return write_page(
        "explanation.html.j2",
        out,
        title=f"Contributions to the predictions of {entry.title}",
        environment=found.run.environment,
        found=found,
        entry=entry,
        findings=entry.findings,
        examples=[
            _example(each, place, ids=ids, smallest=1 if ids else entry.smallest)
            for place, each in enumerate(found.examples)
        ],
        ids=ids,
        smallest=entry.smallest,
        origin=found.origin if ids else public(found.origin),
        importance=found.importance,
        picture=_picture(found.importance),
        listed=found.importance.codes[:_LISTED] if found.importance else (),
    )


def up_and_down(
    codes: tuple[CodeAt, ...], found: Attribution, most: int = _MOST, smallest: int = 1
) -> tuple[list[Moved], list[Moved], float]:
    """Return the codes that raised or lowered a number most, and the sum of the others.

    Codes of fewer than ``smallest`` training subjects are among the others.
    """
    values = found.values
    order = np.argsort(values, kind="stable").tolist()
    order = [i for i in order if codes[i].subjects >= smallest]
    up = [Moved(codes[i], float(values[i])) for i in order[::-1][:most] if values[i] > 0]
    down = [Moved(codes[i], float(values[i])) for i in order[:most] if values[i] < 0]
    others = float(values.sum()) - sum(each.value for each in (*up, *down))
    return up, down, others


def _example(each: Explained, place: int, *, ids: bool, smallest: int) -> dict[str, object]:
    picture, tables = None, []
    if each.signal is not None and each.sfreq is not None:
        picture = svg(signal_attribution(each.signal, each.sfreq, each.numbers), f"segment-{place}")
    else:
        for name, one in each.numbers.items():
            up, down, others = up_and_down(each.codes, one, smallest=smallest)
            rest = len(each.codes) - len(up) - len(down)
            tables.append(
                {"name": name, "up": up, "down": down, "others": others, "rest": rest, "one": one}
            )
    name = each.example_id if ids else f"Example {place + 1}"
    return {"each": each, "name": name, "picture": picture, "tables": tables}


def _picture(importance: Importance | None) -> Markup | None:
    if importance is None or not importance.codes:
        return None
    rows = [asdict(code) for code in importance.codes[:_MOST]]
    return svg(code_importance(rows, what=importance.what), "importance")
