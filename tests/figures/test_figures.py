"""Pictures: what is drawn, how it is said in words, and that colours follow the page."""

import re
from collections.abc import Callable

import numpy as np

from sequela.figures.curves import learning_curve
from sequela.figures.figure import Figure
from sequela.figures.leak import leak
from sequela.figures.matrices import confusion_matrix
from sequela.figures.pareto import accuracy_against_operations, front
from sequela.training.history import EpochRecord

Checked = Callable[[Figure], list[str]]
HISTORY = [
    EpochRecord(epoch, part, loss, 0.1, {"accuracy": 1 - loss}, 1e-3)
    for epoch, train, tuning in ((1, 0.9, 0.8), (2, 0.5, 0.4), (3, 0.3, 0.6))
    for part, loss in (("train", train), ("tuning", tuning))
]


def test_a_curve_marks_the_epoch_that_was_kept() -> None:
    figure = learning_curve(HISTORY, "loss")
    assert figure.alt == (
        "loss over 3 epochs: training from 0.90 to 0.30, validation from 0.80 to 0.60; epoch 2 was "
        "kept."
    )
    assert all(f">{text}<" in figure.svg("curve") for text in ("training", "validation", "epoch"))


def test_a_matrix_shows_shares_of_the_true_class(checked: Checked) -> None:
    figure = confusion_matrix([[3, 1], [0, 4]], ["ill", "well"])
    assert [r["share"] for r in figure.rows] == [0.75, 0.25, 0, 1]
    assert {"75%", "25%", "0%", "100%"} <= set(checked(figure))
    assert "ill: 75% as ill, 25% as well; well: 100% as well" in figure.alt
    svg = figure.svg("matrix")
    assert "<title>ill as well: 25.0%</title>" in svg
    assert svg.count("<title>") == 4


def test_a_hover_tells_that_nothing_was_counted() -> None:
    rows = [{"model": "a", "operations": None, "accuracy": 0.5, "low": 0.4, "high": 0.6}]
    drawn = accuracy_against_operations(rows)
    assert "<title>a: 50.0% (40.0% to 60.0%), operations not counted</title>" in drawn.svg("all")
    assert drawn.rows == [{**rows[0], "front": False}]


def test_a_model_without_operations_has_a_place_on_a_logarithmic_axis() -> None:
    rows = [
        {"model": m, "operations": o, "accuracy": a, "low": a - 0.1, "high": a + 0.1}
        for m, o, a in (("share", 0, 0.3), ("plugin", None, 0.4), ("small", 20, 0.5))
    ]
    drawn = accuracy_against_operations(rows)
    svg = drawn.svg("all")
    assert "<title>share: 30.0% (20.0% to 40.0%), 0 operations</title>" in svg
    assert ">0</text>" in svg
    assert ">0</text>" not in accuracy_against_operations(rows[1:]).svg("all")
    assert drawn.alt.endswith("No model with fewer operations beats: share, small.")
    assert [row["front"] for row in drawn.rows] == [True, True, False]


def test_names_are_in_the_margin_in_the_order_of_their_operations() -> None:
    rows = [
        {"model": f"model {i:02}", "operations": 30 - i, "accuracy": 0.5, "low": 0.4, "high": 1.0}
        for i in range(22)
    ]
    rows[3]["operations"] = None
    svg = accuracy_against_operations(rows, width=400).svg("all")
    texts = re.findall(r'translate\(([-\d.]+),([\d.]+)\)"[^>]*>(model \d\d)<', svg)
    assert [name for *_, name in texts] == [
        *(f"model {i:02}" for i in range(21, -1, -1) if i != 3), "model 03",
    ]  # fmt: skip
    assert len({left for left, *_ in texts}) == 1
    assert np.diff([float(height) for _, height, _ in texts]).min() >= 19
    assert svg.count(">not counted<") == 1


def test_a_class_without_examples_has_no_shares() -> None:
    assert [r["share"] for r in confusion_matrix([[0, 0], [1, 3]], ["a", "b"]).rows[:2]] == [0, 0]


def test_a_leak_is_a_difference_in_points_or_as_it_is(checked: Checked) -> None:
    rows = [
        {"model": "MLP", "leak": f"{by} minus by session", "difference": 0.1, "low": 0.0, "high": h}
        for by, h in (("by recording", 0.2), ("by row", 0.3))
    ]
    drawn = set(checked(leak(rows)))
    assert {"by row minus by session", "MLP", "+20"} <= drawn
    assert "added accuracy, percentage points" in drawn
    assert "MLP, by row minus by session: +10 (0 to +30)" in leak(rows).alt
    figure = leak(rows[:1], metric="auroc")
    assert {"added AUROC", "+0.20"} <= set(checked(figure))
    assert "MLP, by recording minus by session: +0.10 (0.00 to +0.20)" in figure.alt
    assert figure.rows == rows[:1]


def test_the_front_leaves_out_what_is_beaten() -> None:
    rows = [
        {"model": m, "operations": o, "accuracy": a, "low": a - 0.1, "high": a + 0.1}
        for m, o, a in (("a", 1000, 0.5), ("b", 2000, 0.4), ("c", 9000, 0.6), ("d", 9000, 0.55))
    ]
    assert front(rows) == ["a", "c"]
    assert accuracy_against_operations(rows).alt.endswith("operations beats: a, c.")
