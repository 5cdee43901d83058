"""Learning curves find what was simulated."""

import numpy as np
import pytest

from sequela.evaluation.planned import LearningCurve, curve_of, gains_of_doubling

PARTS = (8, 4, 2, 1)
EVENTS = 400 / np.array(PARTS)


def true(events: np.ndarray) -> np.ndarray:
    return 0.85 - 1.5 * events**-0.7


def simulated(rng: np.random.Generator, curve: np.ndarray, training: float) -> LearningCurve:
    """A curve from models that vary by their patients, of one validation set that varies too."""
    shared = np.append(rng.normal(0, 0.01), np.zeros(200))  # is the same at each size
    tables = []
    for parts, value in zip(PARTS, curve, strict=True):
        of_part = value + rng.normal(0, training * np.sqrt(parts), (1, parts, 1))
        tables.append(of_part + shared + np.append(0, rng.normal(0, 0.002, 200)))
    return curve_of("AUROC", 400, tables, seed=0)


def test_the_gain_of_exact_values_is_found() -> None:
    gains = gains_of_doubling(EVENTS, np.stack([true(EVENTS), true(EVENTS)[::-1]]))
    assert gains[0] == pytest.approx(true(np.array([800])) - true(np.array([400])), rel=0.05)
    assert gains[1] < 0


def test_the_gain_of_doubling_covers_the_truth() -> None:
    rng = np.random.default_rng(0)
    truth = float(true(np.array(800.0)) - true(np.array(400.0)))
    curves = [simulated(rng, true(EVENTS), 0.003) for _ in range(100)]
    assert sum(curve.low <= truth <= curve.high for curve in curves) >= 90
    points = curves[0].points
    assert [point.models for point in points] == [8, 4, 2, 1]
    assert [point.events for point in points] == [50, 100, 200, 400]
    assert all(point.low < point.value < point.high for point in points)


def test_a_curve_in_a_sentence() -> None:
    rng = np.random.default_rng(1)
    rising = simulated(rng, true(EVENTS), 0.0005)
    assert rising.sentence("patients") == (
        f"Doubling the patients would gain {rising.gain:.3f} of AUROC "
        f"({rising.low:.3f} to {rising.high:.3f})."
    )
    falling = simulated(rng, 0.9 - true(EVENTS), 0.0005)
    assert "would lose" in falling.sentence("patients")
    flat = simulated(rng, np.full(4, 0.8), 0.003).sentence("sessions")
    assert flat.startswith(
        "The learning curve is not distinguishable from a flat line: doubling the ses"
    )
