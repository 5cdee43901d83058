"""Derivations read as the report's do, and say what is counted."""

import ast
import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.cost.tally import Made, counted
from torch import nn

from sequela.cost import account
from sequela.cost.derivation import derivation, derive, render
from sequela.cost.formula import Formula, Number, Symbol, merged, parse
from sequela.models.registry import MODELS


@st.composite
def formulas(draw: st.DrawFn, depth: int = 3) -> Formula:
    if depth == 0 or draw(st.booleans()):
        if draw(st.booleans()):
            return Number(draw(st.integers(0, 9)))
        name = draw(st.sampled_from(["n", "C_in", "T"]))
        return Symbol(name, {"n": 3, "C_in": 5, "T": 178}[name], "things")
    left, right = draw(formulas(depth=depth - 1)), draw(formulas(depth=depth - 1))
    kind = draw(st.sampled_from("+-*"))
    return left + right if kind == "+" else left - right if kind == "-" else left * right


@given(formulas())
def test_a_formula_is_read_back_as_it_was_written(formula: Formula) -> None:
    again = parse(formula.text(), merged([formula]))
    assert again.value == formula.value
    # Only a zero at the head of a difference is written and not kept.
    assert parse(again.text(), merged([again])) == again


@given(formulas())
def test_the_substitution_has_the_formulas_value(formula: Formula) -> None:
    tree = ast.parse(formula.substitution().replace("·", "*"), mode="eval")
    assert eval(compile(tree, "", "eval")) == formula.value  # noqa: S307


@pytest.mark.parametrize("text", ["2·", "x", "2·f(3)", "__import__('os')", "1.5", "2**3"])
def test_what_is_no_formula(text: str) -> None:
    with pytest.raises(ValueError, match="not a formula"):
        parse(text, {})


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("convention", ["exact", "report-2019"])
def test_every_line_of_a_derivation_adds_up(name: str, convention: str) -> None:
    cost = counted(name, convention)
    for layer in cost.layers:
        lines = derive(layer)
        assert lines[0].formula.value == layer.parameters
        operations = [line.formula.value for line in lines if line.label.startswith("operations")]
        if not layer.work:  # weights that are of use in training only
            assert layer.operations == 0
            continue
        if len(layer.work) > 1:
            *each, in_all = operations
            assert sum(each) == in_all == layer.operations
            continue
        assert operations[0] == layer.operations
        (work,) = layer.work
        parts = [line.formula.value for line in lines if line.part and "one" not in line.label[:3]]
        if len(work.parts) > 1:
            assert sum(parts) * work.times.value == layer.operations


def test_the_text_of_the_reports_gru() -> None:
    text = render(counted("gru-baseline"), derive=True)
    assert "parameters: 3·H·(W + H + 2) = 3·16·(1 + 16 + 2) = 912" in text
    assert "state to the three gates: 3·H·2·H = 3·16·2·16 = 1,536" in text
    assert "operations: T·1984 = 178·1984 = 353,152" in text
    assert re.search(r"total +997 +353,312 +145,328", text)
    assert "the report leaves out 48 parameters and 8,544 operations" in text
    assert "T·3·H = 178·3·16 = 8,544" in text
    assert "free: permute, select" in text


@pytest.mark.parametrize("convention", ["exact", "report-2019"])
def test_the_pages_text_is_the_end_of_what_is_printed(convention: str) -> None:
    cost = counted("cnn-baseline", convention)
    layers, _, left_out = derivation(cost).partition("\n\nthe report leaves out ")
    printed = render(cost, derive=True)
    assert printed.endswith(f"\n\n{layers}")
    assert f"\nthe report leaves out {left_out}" in printed
    assert left_out


def test_shared_weights_are_shown() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    text = render(account(model, torch.zeros(1, 3)), derive=True)
    assert "of these 0.weight, counted in 0: -9" in text


def test_a_lower_bound_says_so() -> None:
    highest = Made(lambda _, x: torch.cummax(x, -1).values + 1)
    cost = account(highest, torch.zeros(1, 3), allow_unknown=True)
    text = render(cost)
    assert "LOWER BOUND: no rule for aten::cummax" in text
    assert "at least" in text
