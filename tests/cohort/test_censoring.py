"""Deaths go with the living whose follow-up was too short: against the truth, and by hand."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sequela.cohort.censoring import probability_of_seeing
from sequela.cohort.events import Events
from sequela.cohort.selection import select_cohort
from sequela.cohort.tasks import landmark

Make = Callable[..., Events]
HORIZON = 5


def slowly(time: list[int], died: list[bool], until: int) -> float:
    """Share of follow-ups that reach ``until``, product by product; a death goes before an end."""
    survival = 1.0
    for at in range(until):
        at_risk = sum(t > at or (t == at and not d) for t, d in zip(time, died, strict=True))
        ends = sum(t == at and not d for t, d in zip(time, died, strict=True))
        survival *= 1 - ends / at_risk if at_risk else 1
    return survival


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), min_size=1, max_size=20))
def test_the_probability_is_that_of_the_product_limit(people: list[tuple[int, bool]]) -> None:
    time, died = [t for t, _ in people], [d for _, d in people]
    found = probability_of_seeing(
        np.array(time), np.array(died), np.full(len(time), HORIZON, np.int64)
    )
    for (each, _), seen in zip(people, found, strict=True):
        so_far = slowly(time, died, each)
        expected = min(slowly(time, died, HORIZON) / so_far, 1) if so_far else 1
        assert seen == pytest.approx(expected)


def test_the_share_of_deaths_is_that_without_censoring(make_events: Make) -> None:
    """10 % a year die and 30 % a year are lost: five years later 39 % have died, whoever is seen.

    Without the draw, 62 % of those left in would have.
    """
    rng = np.random.default_rng(0)
    death, lost = rng.exponential(10, 6000), rng.exponential(1 / 0.3, 6000)
    entry = datetime(2000, 1, 1)
    rows: list[Any] = []
    for subject, (dies, ends) in enumerate(zip(death, lost, strict=True)):
        last = entry + timedelta(days=365.25 * float(min(dies, ends)))
        rows += [
            (subject, "2000-01-01", "COHORT_ENTRY"),
            (subject, f"{last:%Y-%m-%d %H:%M}", "MEDS_DEATH" if dies <= ends else "FOLLOW_UP_END"),
        ]
    flow = select_cohort(make_events(rows), landmark(0, 5 * 365.25)).flow
    everybody = float(np.mean(death <= 5))
    assert everybody == pytest.approx(1 - np.exp(-0.5), abs=0.02)
    step = next(step for step in flow.steps if step.rule == "censored-before-horizon")
    assert (flow.positives + step.positives) / (flow.examples + step.positives) > 0.55
    assert flow.positives / flow.examples == pytest.approx(everybody, abs=0.03)
    assert any("Kaplan-Meier" in note for note in flow.notes)


def test_nobody_is_drawn_where_nobody_is_lost(make_events: Make) -> None:
    rows = [
        *((n, "2000-01-01", "COHORT_ENTRY") for n in range(40)),
        *((n, "2002-06-01", "MEDS_DEATH") for n in range(20)),
        *((n, "2012-01-01", "FOLLOW_UP_END") for n in range(20, 40)),
    ]
    flow = select_cohort(make_events(rows), landmark()).flow
    assert (flow.examples, flow.positives) == (40, 20)
