"""A task on hospital records, against what a run of the command line reads."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import sequela
from sequela.api.examples import VisitExamples
from sequela.cohort.split import PARTS
from sequela.config import CohortSettings, RunSettings
from sequela.errors import SettingError
from sequela.runs import records


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory, write_meds: Callable[..., Path]) -> Path:
    """Patients of two stays; who has bad coded in a stay's first day dies in the second one."""
    rows: list[tuple[object, ...]] = []
    for who in range(40):
        dies = who % 2 == 0
        for stay, day in enumerate(("2020-01-01", "2020-03-01")):
            visit = 10 * who + stay
            rows += [
                (who, f"{day}T00:00", "HOSPITAL_ADMISSION//EMERGENCY", visit),
                (who, f"{day}T05:00", f"LAB//{'bad' if dies else 'good'}", visit),
                (who, f"{day}T06:00", f"LAB//{who % 5}", visit),
            ]
            dead = dies and stay == 1
            outcome = f"HOSPITAL_OUTCOME//{'expired' if dead else 'alive'}"
            rows += [(who, f"{day[:8]}09T00:00", outcome, visit)]
            rows += [(who, f"{day[:8]}09T00:00", "HOSPITAL_DISCHARGE//HOME", visit)]
            if dead:
                rows += [(who, f"{day[:8]}09T00:00", "MEDS_DEATH", visit)]
    return write_meds(tmp_path_factory.mktemp("hospital") / "meds", rows)


@pytest.fixture(scope="module")
def data(hospital: Path, tmp_path_factory: pytest.TempPathFactory) -> VisitExamples:
    work = tmp_path_factory.mktemp("work")
    return sequela.load_visits("meds", root=hospital, work=work, task="in-hospital", hours=24)


def test_examples_are_what_was_known_by_then(data: VisitExamples) -> None:
    assert len(data) == 80
    assert [len(visits_) for visits_ in data.X[:2]] == [1, 2]
    assert {code for visit in data.X[0] for code in visit} == {
        "HOSPITAL_ADMISSION//EMERGENCY",
        "LAB//bad",
        "LAB//0",
    }
    assert data.y.tolist() == ["survived", "died", "survived", "survived"] * 20
    assert data.groups.tolist() == [str(i // 2) for i in range(80)]


def test_the_parts_are_those_of_a_run(hospital: Path, tmp_path: Path, data: VisitExamples) -> None:
    settings = RunSettings.of(
        model="visits-baseline",
        data="meds",
        split="subject",
        seed=2,
        cohort=CohortSettings(task="in-hospital", hours=24),
    )
    run = records.load(settings, hospital, tmp_path)
    train, held_out = data.split(seed=2)
    assert not set(train.groups) & set(held_out.groups)
    assert held_out.rows.tolist() == run.rows("held_out").tolist()
    assert held_out.proof is not None
    assert held_out.proof.ids == run.split.ids
    assert {p: held_out.proof.n_examples[p] for p in PARTS} == run.split.n_examples
    known = set(run.arrays.codes_of(int(held_out.rows[0]))[0]) - {"UNKNOWN"}
    assert known <= set(held_out.X[0][0])


def test_a_classifier_learns_from_them(data: VisitExamples) -> None:
    train, held_out = data.split(seed=0)
    model = sequela.VisitClassifier(
        epochs=60, learning_rate=2e-2, batch_size=16, random_state=0
    ).fit(train.X, train.y, groups=train.groups)
    found = sequela.evaluate(model, held_out.X, held_out.y, groups=held_out.groups, event="died")
    assert found.numbers["auroc"] > 0.9
    assert found.numbers["groups"] == len(set(held_out.groups))


def test_what_they_say_of_themselves(data: VisitExamples) -> None:
    _, held_out = data.split(seed=0)
    assert "80 of 40 subjects" in repr(data)
    assert "survived 60, died 20" in repr(data)
    assert "predicted 24 hours after each admission" in repr(data)
    assert "by subject, 0 ids in two parts" in repr(held_out)
    assert "held-out part" in held_out._repr_html_()
    assert "LEAK" not in repr(data)


def test_what_leaks_is_said(hospital: Path, tmp_path: Path) -> None:
    leaking = sequela.load_visits("meds", root=hospital, work=tmp_path, task="report-2019")
    assert "LEAK" in repr(leaking)


def test_what_cannot_be_asked(hospital: Path, tmp_path: Path) -> None:
    for changes, words in (
        ({"bins": 4}, "learnt from training examples"),
        ({"min_subjects": 2}, "learnt from training examples"),
        ({"hour": 3}, "setting hour"),
    ):
        with pytest.raises(SettingError, match=words):
            sequela.load_visits("meds", root=hospital, work=tmp_path, **changes)
    with pytest.raises(SettingError):
        sequela.load_visits("bonn", work=tmp_path)
    assert not np.any([each.name.startswith("events") for each in tmp_path.iterdir()])
