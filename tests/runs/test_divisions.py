"""Runs that hold out whole hospitals, or the latest predictions; each subject in one part."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.cli.calls import ran

from sequela.analysis.evaluate import evaluate_run, predict_other
from sequela.cohort.split import PARTS, Split, at_first, periods
from sequela.config import CohortSettings, RunSettings
from sequela.errors import SequelaError, SettingError, SplitError
from sequela.identity.pseudonyms import own
from sequela.report.card import build_card
from sequela.report.pages import build as page_of
from sequela.runs import fit
from sequela.runs.folder import RunFolder
from sequela.runs.folds import FoldsFolder, cross_validate

START = datetime(2015, 1, 1)
HOSPITALS, OF_EACH = 24, 8
PEOPLE = HOSPITALS * OF_EACH
RETURNED = range(0, PEOPLE, 10)
"""These come again after 400 days, to the next hospital."""
UNPLACED = 5
"""This one's hospital is not on record."""


def stay(person: int, number: int, begins: datetime, hospital: int | None) -> list[tuple[Any, ...]]:
    """A stay of five days, of which every third ends in death."""
    visit, ends = 10 * person + number, str(begins + timedelta(days=5))
    died = (person + number) % 3 == 0 and person not in RETURNED
    rows: list[tuple[Any, ...]] = [
        (person, str(begins), "HOSPITAL_ADMISSION//EMERGENCY", visit),
        (person, str(begins), f"LAB//{'high' if (person + died) % 4 else 'low'}", visit),
        (person, str(begins), f"LAB//{person % 5}", visit),
        (person, ends, "HOSPITAL_DISCHARGE//HOME", visit),
        (person, ends, f"HOSPITAL_OUTCOME//{'expired' if died else 'alive'}", visit),
    ]
    if hospital is not None:
        rows.append((person, str(begins), f"HOSPITAL//H{hospital}", visit))
    return rows


@pytest.fixture(scope="module")
def root(write_meds: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Records of hospitals; one person a day is admitted, to one hospital after the other."""
    rows = []
    for person in range(PEOPLE):
        hospital = person % HOSPITALS
        begins = START + timedelta(days=person)
        rows += stay(person, 0, begins, None if person == UNPLACED else hospital)
        if person in RETURNED:
            again = begins + timedelta(days=400)
            rows += stay(person, 1, again, (hospital + 1) % HOSPITALS)
    return write_meds(tmp_path_factory.mktemp("hospitals"), rows)


def settings(split: Any, model: str = "logistic-regression", **more: Any) -> RunSettings:
    return RunSettings(
        model=model, data="meds", split=split, cohort=CohortSettings(hours=24.0), **more
    )


@pytest.fixture(scope="module")
def runs(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    out = tmp_path_factory.mktemp("runs")
    return {
        split: fit.train(settings(split), out / split, root=root, work=out / "work")
        for split in ("site", "time")
    }


@pytest.fixture(scope="module")
def folds(root: Path, tmp_path_factory: pytest.TempPathFactory) -> FoldsFolder:
    out = tmp_path_factory.mktemp("folds")
    return cross_validate(settings("site"), out / "folds", folds=2, repeats=2, root=root)


def person_of(example: str) -> int:
    return int(example.partition(" at ")[0])


def check_site_split(run: RunFolder) -> None:
    """Hospitals and people are each in one part, counted from what was predicted."""
    parts = {name: run.predictions.part(name) for name in PARTS}
    for ids in ("group_id", "subject_id"):
        held = [set(getattr(part, ids).tolist()) for part in parts.values()]
        assert sum(map(len, held)) == len(set.union(*held))
    for part in parts.values():
        assert set(part.label.tolist()) == {0, 1}
        for example, site in zip(part.example_id.tolist(), part.group_id.tolist(), strict=True):
            assert site == f"H{person_of(example) % HOSPITALS}"


def test_hospitals_are_held_out_whole_and_so_are_people(runs: dict[str, RunFolder]) -> None:
    run = runs["site"]
    check_site_split(run)
    record = run.json("split.json")
    assert record["proof"]["ids_in_two_parts"].keys() == {"subject", "site"}
    assert [len(record["ids"]["site"][name]) for name in PARTS] == [14, 5, 5]
    everybody = run.predictions
    assert record["ids"]["site"]["held_out"] == own().distinct(everybody.part("held_out").group_id)
    assert not any("H" in one for part in PARTS for one in record["ids"]["site"][part])
    assert len(everybody.label) == PEOPLE - 1  # the second stays and the unplaced one are out
    steps = {step["rule"]: step["removed"] for step in run.data["flow"]["steps"]}
    assert steps["another site"] == len(RETURNED)
    assert steps["site not known"] == 1
    assert run.data["sites"] == HOSPITALS
    assert run.settings.title == "logistic-regression, in-hospital of meds by site"


def test_intervals_resample_hospitals(runs: dict[str, RunFolder]) -> None:
    run = runs["site"]
    assert run.data["unit"] == "site"
    assert run.test["groups"] == run.test["interval"]["groups"] == 5
    assert "sites in two sets" in run.metrics["looked_for"]
    assert evaluate_run(run.path)["auroc_ci"] == run.test["auroc_ci"]


def test_no_model_reads_the_hospital(runs: dict[str, RunFolder]) -> None:
    """Nor is it counted as something that happened."""
    for run in runs.values():
        codes = [row["code"] for row in run.data["sequences"]["frequent"]]
        assert any(code.startswith("LAB//") for code in codes)
        assert not any(code.startswith("HOSPITAL//") for code in codes)


def test_folds_are_groups_of_hospitals(folds: FoldsFolder) -> None:
    for repeat in range(2):
        held = []
        for run in folds.runs[2 * repeat : 2 * repeat + 2]:
            check_site_split(run)
            held += np.unique(run.predictions.part("held_out").group_id).tolist()
        assert sorted(held) == sorted(f"H{i}" for i in range(HOSPITALS))
    assert len(folds.first.split.ids["site"]["held_out"]) == 12
    first, again = (folds.runs[i].split.ids["site"]["held_out"] for i in (0, 2))
    assert first != again
    assert folds.describe_split()["ids_in_two_parts"]["subject"] == dict.fromkeys(
        ("train and tuning", "train and held_out", "tuning and held_out"), 0
    )


@pytest.mark.slow(but="site")
@pytest.mark.parametrize("split", ["site", "time"])
def test_its_own_records_as_other_data(
    split: str, runs: dict[str, RunFolder], root: Path, tmp_path: Path
) -> None:
    run = runs[split]
    other, found = predict_other(run, "meds", root, tmp_path)
    recorded = run.predictions.part("held_out")
    by_id = dict(zip(found.example_id.tolist(), found.probabilities, strict=True))
    for example, said in zip(recorded.example_id.tolist(), recorded.probabilities, strict=True):
        np.testing.assert_allclose(by_id.pop(example), said, atol=1e-6)
    # What is left are later stays of held-out people, which a split by time leaves out.
    assert all(person_of(each) in RETURNED for each in by_id)
    assert other.unit == run.data["unit"]
    assert other.set_aside == len(run.split.ids[run.split.whole]["train"]) + len(
        run.split.ids[run.split.whole]["tuning"]
    )


def test_a_run_by_site_on_data_without_sites(
    runs: dict[str, RunFolder],
    excerpt_events: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """There subjects are resampled, and called so."""
    root = excerpt_events("mimic3")
    ran("evaluate", runs["site"].path, "--data", "mimic3", "--root", root)
    said = capsys.readouterr().out
    assert " subjects" in said
    assert "sites" not in said


def test_the_earliest_train_and_the_latest_are_held_out(runs: dict[str, RunFolder]) -> None:
    run = runs["time"]
    days = {
        name: sorted(example.partition(" at ")[2] for example in part.example_id.tolist())
        for name in PARTS
        for part in [run.predictions.part(name)]
    }
    assert days["train"][-1] < days["tuning"][0] <= days["tuning"][-1] < days["held_out"][0]
    people = {
        name: {person_of(each) for each in run.predictions.part(name).example_id} for name in PARTS
    }
    assert [len(people[name]) for name in PARTS] == [115, 39, 38]
    assert max(people["train"]) < min(people["tuning"]) < min(people["held_out"])
    # Of those first seen in the last period the later stay is in it too; of the others it is not.
    late = [one for one in RETURNED if one in people["held_out"]]
    steps = {step["rule"]: step["removed"] for step in run.data["flow"]["steps"]}
    assert steps["a later period"] == len(RETURNED) - len(late)
    assert run.split.n_examples["held_out"] == 38 + len(late)
    assert run.data["unit"] == "subject"
    assert run.test["groups"] == 38


def test_the_order_of_the_parts_is_proven_again(runs: dict[str, RunFolder]) -> None:
    record = runs["time"].json("split.json")
    assert record["times"]["train"][0].startswith("2015-01-02T00:00:00")
    assert Split.from_json(record).to_json().items() <= record.items()
    record["times"]["train"][1] = record["times"]["held_out"][0]
    with pytest.raises(SplitError, match=r"by time, but train ends after tuning begins"):
        Split.from_json(record)
    del record["times"]
    with pytest.raises(SplitError, match="lacks 'times'"):
        Split.from_json(record)


@given(
    seen=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 20)), min_size=1, max_size=60),
    fractions=st.sampled_from([(0.6, 0.2, 0.2), (0.5, 0.25, 0.25), (0.34, 0.33, 0.33)]),
)
def test_periods_against_plain_loops(
    seen: list[tuple[int, int]], fractions: tuple[float, float, float]
) -> None:
    seen = sorted(set(seen))
    subject = np.array([one for one, _ in seen]).astype(np.str_)
    time = np.array([day for _, day in seen], "datetime64[D]")
    firsts = sorted(min(day for one, day in seen if one == each) for each in {o for o, _ in seen})
    begins = [
        firsts[min(round(share * len(firsts)), len(firsts) - 1)]
        for share in (fractions[0], fractions[0] + fractions[1])
    ]
    if not firsts[0] < begins[0] < begins[1]:
        with pytest.raises(SplitError, match=r"too few for an early.*split by subject"):
            periods(subject, time, fractions)
        return
    part = periods(subject, time, fractions).tolist()
    assert part == [sum(day >= each for each in begins) for _, day in seen]
    assert set(part) == {0, 1, 2}
    of_subject: dict[int, int] = {}
    for (one, _), each in zip(seen, part, strict=True):
        of_subject.setdefault(one, each)
    kept = at_first(np.array([f"{one:02d}" for one, _ in seen]), np.array(part))
    assert kept.tolist() == [of_subject[o] == p for (o, _), p in zip(seen, part, strict=True)]


def test_events_built_from_shifted_dates_are_not_split_by_time(
    excerpt_events: Callable[[str], Path], tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match="mimic3 cannot be split by time: MIMIC shifts dates"):
        fit.train(settings("time"), tmp_path / "run", root=excerpt_events("mimic3"))


@pytest.mark.parametrize(
    ("hospital_of", "error", "message"),
    [
        (lambda _: None, SplitError, r"no hospital is on record.*use --split subject"),
        (lambda one: one % 2, SequelaError, "site ids: 2; too few"),
        # All who die are in one hospital of four.
        (lambda one: (one % 3 > 0) * one % 4, SplitError, r"none of a class.*choose another seed"),
    ],
)
def test_records_that_no_split_by_site_fits(
    hospital_of: Callable[[int], int | None],
    error: type[Exception],
    message: str,
    write_meds: Callable[..., Path],
    tmp_path: Path,
) -> None:
    people = [one for one in range(1, 40) if one % 10]
    rows = [row for one in people for row in stay(one, 0, START, hospital_of(one))]
    root = write_meds(tmp_path / "data", rows)
    with pytest.raises(error, match=message):
        fit.train(settings("site"), tmp_path / "run", root=root)


def test_the_page_and_the_card_say_how(
    runs: dict[str, RunFolder], folds: FoldsFolder, tmp_path: Path
) -> None:
    said: dict[str, str] = {}
    for name, run in runs.items():
        page = page_of.build([run], tmp_path / f"{name}.html").read_text("utf-8")
        card = build_card(run, tmp_path / f"{name}.md").read_text("utf-8")
        said[name] = " ".join(f"{page} {card}".split())
    assert "--data meds --split site" in said["site"]
    assert "Split by site (hospital) into" in said["site"]
    assert "Sites kept apart" in said["site"]
    assert "set split by site (hospital) (60 / 20 / 20 %), drawn with seed 0" in said["site"]
    assert "from a bootstrap over sites" in said["site"]
    assert "from a bootstrap over subjects" in said["time"]
    assert f"at {HOSPITALS} sites" in said["site"]
    assert "Other sites of the same data." in said["site"]
    assert "the subject was first seen at another site" in said["site"]
    assert "Split by time of the prediction into" in said["time"]
    assert "Patients kept apart" in said["time"]
    assert "training set 2015, validation set 2015, test set 2015 to 2016; each" in said["time"]
    assert not re.search(r"201[56]-\d\d", said["time"])  # days are those of patients
    assert "each subject is in the set of its first prediction" in said["time"]
    card = build_card(folds, tmp_path / "folds.md").read_text("utf-8")
    assert "2 folds by site (hospital)" in " ".join(card.split())


@pytest.mark.slow(but="site")
@pytest.mark.parametrize("split", ["site", "time"])
def test_such_runs_are_verified_audited_and_compared(
    split: str, runs: dict[str, RunFolder], root: Path, tmp_path: Path
) -> None:
    """All that is done with other runs is done with these."""
    run = runs[split]
    ran("verify", run.path)
    ran("audit", run.path, "--root", root)
    ran("evaluate", run.path)
    other = fit.train(settings(split, "prevalence"), tmp_path / "other", root=root)
    ran("compare", run.path, other.path)
    assert other.split == run.split
