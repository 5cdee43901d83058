"""Pictures: what is drawn, how it is said in words, and that colours follow the page."""

import xml.etree.ElementTree as ET

import pytest

from sequela.figures.curves import learning_curve
from sequela.figures.leak import HONEST, LEAKING, leak
from sequela.figures.matrices import confusion_matrix
from sequela.figures.pareto import accuracy_against_operations, front
from sequela.training.history import EpochRecord

HISTORY = [
    EpochRecord(epoch, part, loss, 0.1, {"accuracy": 1 - loss}, 1e-3)
    for epoch, train, tuning in ((1, 0.9, 0.8), (2, 0.5, 0.4), (3, 0.3, 0.6))
    for part, loss in (("train", train), ("tuning", tuning))
]


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - drawn here, not received


def texts(svg: str) -> list[str]:
    return [e.text or "" for e in parsed(svg).iter() if e.tag.endswith("text")]


def test_a_curve_marks_the_epoch_that_was_kept() -> None:
    figure = learning_curve(HISTORY, "loss")
    assert figure.alt == (
        "loss over 3 epochs: train from 0.90 to 0.30, tuning from 0.80 to 0.60; epoch 2 was kept."
    )
    assert {"train", "tuning", "epoch"} <= set(texts(figure.svg("curve")))


def test_a_matrix_shows_shares_of_the_true_class() -> None:
    figure = confusion_matrix([[3, 1], [0, 4]], ["ill", "well"])
    assert [r["share"] for r in figure.rows] == [0.75, 0.25, 0, 1]
    assert {"75%", "25%", "0%", "100%"} <= set(texts(figure.svg("matrix")))
    assert "ill: 75% as ill, 25% as well; well: 100% as well" in figure.alt


def test_a_hover_tells_the_number_of_each_mark() -> None:
    svg = confusion_matrix([[3, 1], [0, 4]], ["ill", "well"]).svg("matrix")
    assert "<title>ill as well: 25.0%</title>" in svg
    assert svg.count("<title>") == 4
    rows = [{"model": "a", "operations": None, "accuracy": 0.5, "low": 0.4, "high": 0.6}]
    drawn = accuracy_against_operations(rows)
    assert "<title>a: 50.0% (40.0% to 60.0%), operations not counted</title>" in drawn.svg("all")
    assert drawn.rows == [{**rows[0], "front": False}]


def test_a_class_without_examples_has_no_shares() -> None:
    assert [r["share"] for r in confusion_matrix([[0, 0], [1, 3]], ["a", "b"]).rows[:2]] == [0, 0]


def test_the_leak_names_both_splits() -> None:
    rows = [
        {"model": "MLP", "split": split, "accuracy": a, "low": a - 0.1, "high": a + 0.1}
        for split, a in ((HONEST, 0.6), (LEAKING, 0.7))
    ]
    figure = leak(rows)
    assert {HONEST, LEAKING, "MLP"} <= set(texts(figure.svg("leak")))
    assert "MLP by row (leaks) 70% (60% to 80%)" in figure.alt


def test_the_leak_of_later_codes_is_told_in_its_own_words() -> None:
    settings = ("known by then", "with later codes (leaks)")
    rows = [
        {"model": "GRU", "codes": codes, "auroc": a, "low": a - 0.1, "high": a + 0.02}
        for codes, a in zip(settings, (0.74, 0.96), strict=True)
    ]
    figure = leak(rows, metric="auroc", setting="codes")
    shown = texts(figure.svg("leak"))
    assert {*settings, "held-out AUROC", "0.50", "1.00"} <= set(shown)
    assert "GRU with later codes (leaks) 0.96 (0.86 to 0.98)" in figure.alt
    assert figure.rows == rows


def test_the_front_leaves_out_what_is_beaten() -> None:
    rows = [
        {"model": m, "operations": o, "accuracy": a, "low": a - 0.1, "high": a + 0.1}
        for m, o, a in (("a", 1000, 0.5), ("b", 2000, 0.4), ("c", 9000, 0.6), ("d", 9000, 0.55))
    ]
    assert front(rows) == ["a", "c"]
    assert accuracy_against_operations(rows).alt.endswith("On the front: a, c.")


@pytest.mark.parametrize("name", ["one", "two"])
def test_a_picture_is_one_image_in_the_colours_of_the_page(name: str) -> None:
    svg = learning_curve(HISTORY, "loss").svg(name)
    root = parsed(svg)
    assert root.get("role") == "img"
    assert root.get("aria-label")
    assert svg.count("aria-") == 1
    assert "var(--first)" in svg
    assert "#1f5fbf" not in svg
    ids = [e.get("id") for e in root.iter() if e.get("id")]
    assert all(i and i.startswith(f"{name}-") for i in ids)


def test_the_same_data_give_the_same_bytes() -> None:
    assert learning_curve(HISTORY, "loss").svg("x") == learning_curve(HISTORY, "loss").svg("x")
