"""Confusion matrices."""

from collections.abc import Sequence

import altair as alt

from sequela.figures.figure import FIRST, INK, Figure, Row, chart_of

_CELL = 42  # width of a cell of a matrix, in pixels


def confusion_matrix(counts: Sequence[Sequence[int]], classes: Sequence[str]) -> Figure:
    """Draw shares of each true class (row) by predicted class (column), with the shares as text.

    ``counts`` are (class, class), true class first.
    """
    rows: list[Row] = []
    for true, line in zip(classes, counts, strict=True):
        total = sum(line)
        rows += [
            {"true": true, "predicted": name, "count": n, "share": n / total if total else 0.0}
            for name, n in zip(classes, line, strict=True)
        ]
    order = list(classes)
    cell_rows = [{**r, "hover": f"{r['true']} as {r['predicted']}: {r['share']:.1%}"} for r in rows]
    across = alt.Axis(labelAngle=-35, grid=False, domain=False, ticks=False)
    down = alt.Axis(grid=False, domain=False, ticks=False, titlePadding=20)
    base = chart_of(cell_rows).encode(
        x=alt.X("predicted:N", sort=order, title="predicted", axis=across),
        y=alt.Y("true:N", sort=order, title="true", axis=down),
    )
    # Up to 0.6, so that dark text stays readable on the darkest cell.
    shade = alt.Scale(domain=[0, 1], range=[0.0, 0.6])
    cells = base.mark_rect(color=FIRST, aria=True).encode(
        description=alt.Description("hover:N"),
        fillOpacity=alt.FillOpacity("share:Q", scale=shade, legend=None),
    )
    text = base.mark_text(color=INK, fontSize=11).encode(text=alt.Text("share:Q", format=".0%"))
    size = _CELL * len(order)
    described = "; ".join(
        f"{true}: "
        + ", ".join(
            f"{r['share']:.0%} as {r['predicted']}"
            for r in sorted(rows, key=lambda r: -r["share"])
            if r["true"] == true and r["count"]
        )
        for true in order
    )
    return Figure.of([cells, text], (size, 0.72 * size), f"Confusion matrix. {described}.", rows)
