"""The page of an explanation: the contributions of inputs to some predictions of a run."""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from markupsafe import Markup

from sequela.analysis.explain import Explained, Explanation
from sequela.evaluation.attribution import Attribution, Importance
from sequela.figures.attribution import code_importance, signal_attribution
from sequela.report.entry import Entry
from sequela.report.page import write_page
from sequela.report.picture import svg
from sequela.runs.released import public
from sequela.sequences.flat import CodeAt

# An example may have some hundred codes: the table has the sum of all others in one row.
_MOST = 12  # codes in each direction of a table, and in the picture of the importance
_LISTED = 50


@dataclass(frozen=True)
class Moved:
    """A code in a table, and what it added to the number."""

    code: CodeAt
    value: float


def build_explanation(
    explanation: Explanation, out: Path, *, ids: bool = False, hide_below: int | None = None
) -> Path:
    """Write the page. The same run and data give the same bytes on one machine.

    With ``ids``, it shows ids of examples, days of codes and names of rare codes, for internal use
    only. For ``hide_below`` see :func:`sequela.runs.released.smallest_shown`.
    """
    entry = Entry(explanation.run, hide_below=hide_below)
    return write_page(
        "explanation.html.j2",
        out,
        title=f"Contributions to the predictions of {entry.title}",
        environment=explanation.run.environment,
        found=explanation,
        entry=entry,
        findings=entry.findings,
        examples=[
            _example(example, place, ids=ids, smallest=1 if ids else entry.smallest)
            for place, example in enumerate(explanation.examples)
        ],
        ids=ids,
        smallest=entry.smallest,
        origin=explanation.origin if ids else public(explanation.origin),
        importance=explanation.importance,
        picture=_picture(explanation.importance),
        listed=explanation.importance.codes[:_LISTED] if explanation.importance else (),
    )


def up_and_down(
    codes: tuple[CodeAt, ...], attribution: Attribution, most: int = _MOST, smallest: int = 1
) -> tuple[list[Moved], list[Moved], float]:
    """Return the codes that raised or lowered a number most, and the sum of the others.

    Codes of fewer than ``smallest`` training subjects are among the others.
    """
    values = attribution.values
    # Codes of few people are in the sum of the others, so that the sums of the table are right.
    order = np.argsort(values, kind="stable").tolist()
    order = [i for i in order if codes[i].subjects >= smallest]
    up = [Moved(codes[i], float(values[i])) for i in order[::-1][:most] if values[i] > 0]
    down = [Moved(codes[i], float(values[i])) for i in order[:most] if values[i] < 0]
    rest = float(values.sum()) - sum(moved.value for moved in (*up, *down))
    return up, down, rest


def _example(example: Explained, place: int, *, ids: bool, smallest: int) -> dict[str, object]:
    picture, tables = None, []
    if example.signal is not None and example.sfreq is not None:
        picture = svg(
            signal_attribution(example.signal, example.sfreq, example.numbers), f"segment-{place}"
        )
    else:
        for name, attribution in example.numbers.items():
            up, down, sum_of_rest = up_and_down(example.codes, attribution, smallest=smallest)
            rest = len(example.codes) - len(up) - len(down)
            tables.append(
                {
                    "name": name,
                    "up": up,
                    "down": down,
                    "others": sum_of_rest,
                    "rest": rest,
                    "one": attribution,
                }
            )
    name = example.example_id if ids else f"Example {place + 1}"
    return {"each": example, "name": name, "picture": picture, "tables": tables}


def _picture(importance: Importance | None) -> Markup | None:
    if importance is None or not importance.codes:
        return None
    rows = [asdict(code) for code in importance.codes[:_MOST]]
    return svg(code_importance(rows, what=importance.what), "importance")
