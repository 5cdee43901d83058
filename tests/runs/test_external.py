"""What is updated on some new people and judged on the others."""

import numpy as np

from sequela.analysis.evaluate import _updated
from sequela.evaluation.predictions import Predictions


def of(people: int) -> Predictions:
    """Four examples of each person; the probabilities are too sure."""
    rng = np.random.default_rng(0)
    label = rng.integers(2, size=4 * people)
    score = np.where(rng.random(len(label)) < 0.7, label, 1 - label) * 0.98 + 0.01
    person = np.char.mod("p%03d", np.repeat(np.arange(people), 4))
    return Predictions(
        example_id=np.char.mod("e%d", np.arange(len(label))),
        group_id=person,
        subject_id=person,
        split=np.full(len(label), "held_out"),
        label=label,
        probabilities=np.column_stack([1 - score, score]).astype(np.float32),
        classes=("well", "ill"),
    )


def test_half_of_the_people_teach_and_the_others_judge() -> None:
    everybody = of(60)
    found = _updated(everybody, 0, None)
    assert found is not None
    assert found.people == 30
    judged = [each.subject_id for each in found.judged.values()]
    assert len(judged) == 3
    assert all(len(np.unique(whose)) == 30 for whose in judged)
    assert all(0 < line.slope < 1 for line in found.lines.values() if line.slope != 1)


def test_one_person_cannot_be_halved() -> None:
    assert _updated(of(1), 0, None) is None
