"""What is cut, against a slow plain reference, and each thing that must not happen."""

import itertools
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sequela.cohort.events import open_events
from sequela.cohort.flow import Flow
from sequela.cohort.labels import SCHEMA, sorted_labels
from sequela.cohort.outcomes import ANY_DEATH
from sequela.cohort.selection import Cohort
from sequela.cohort.tasks import Task
from sequela.config import SequenceSettings
from sequela.errors import SplitError
from sequela.models.registry import lookup_network
from sequela.sequences import build
from sequela.sequences.build import build_sequences
from sequela.sequences.feature_tables import summary_names
from sequela.sequences.featurisers import lookup
from sequela.sequences.flat import LAYOUT, Sequences
from sequela.sequences.visit_batches import VisitDataset

Row = tuple[Any, ...]  # subject, hour or None, code, visit or None, value or None
Asked = tuple[int, int]  # subject, hour
WriteMeds = Callable[..., Path]

START = datetime(2020, 1, 1)
EVERYTHING = Task("all", "last event", ANY_DEATH)
HIDDEN = ("MEDS_BIRTH", "MEDS_DEATH", "HOSPITAL_OUTCOME", "FOLLOW_UP_END", "STAY")


def at(hour: int | None) -> datetime | None:
    return None if hour is None else START + timedelta(hours=hour)


def cohort_of(
    folder: Path, write_meds: WriteMeds, rows: Sequence[Row], asked: Sequence[Asked], **options: Any
) -> Cohort:
    """A cohort that asks what a test says; labels are true for even hours."""
    task = options.pop("task", EVERYTHING)
    timed = [(row[0], None if row[1] is None else str(at(row[1])), *row[2:]) for row in rows]
    events = open_events(write_meds(folder, timed, **options))
    labels = pa.table(
        [
            pa.array([subject for subject, _ in asked], pa.int64()),
            pa.array([at(hour) for _, hour in asked], pa.timestamp("us")),
            pa.array([hour % 2 == 0 for _, hour in asked], pa.bool_()),
        ],
        schema=SCHEMA,
    )
    flow = Flow.of("labels", {}, counts=(len(asked), len(asked), 0))
    return Cohort(events, task, sorted_labels(labels), flow, ())


def parts_of(cohort: Cohort) -> Any:
    """Subject 0 is the training part, subject 1 tunes, the others are held out."""
    return np.minimum(cohort.labels["subject_id"].to_numpy(), 2)


def built(cohort: Cohort, folder: Path, **changes: Any) -> Sequences:
    return build_sequences(cohort, parts_of(cohort), folder / "s", SequenceSettings(**changes))


def plain_place(row: Row, rows: Sequence[Row]) -> tuple[Any, ...]:
    """The visit of an event, by loops over all rows of its subject."""
    subject, hour, _, visit = row[:4]
    if visit is not None:
        return ("visit", visit)
    numbers = {r[3] for r in rows if r[0] == subject and r[3] is not None}
    stays: list[tuple[int, int | None, Any]] = []
    for number in numbers:
        of = [r for r in rows if r[0] == subject and r[3] == number and r[1] is not None]
        begin = [r[1] for r in of if r[2].startswith("HOSPITAL_ADMISSION")]
        end = [r[1] for r in of if r[2].startswith("HOSPITAL_DISCHARGE")]
        if begin:
            stays.append((min(begin), max(end) if end else None, ("visit", number)))
    loose = [r for r in rows if r[0] == subject and r[3] is None and r[1] is not None]
    begins = sorted({r[1] for r in loose if r[2].startswith("HOSPITAL_ADMISSION")})
    for i, begin in enumerate(begins):
        after = begins[i + 1] if i + 1 < len(begins) else None
        ends = [
            r[1]
            for r in loose
            if r[2].startswith("HOSPITAL_DISCHARGE")
            and r[1] > begin
            and (after is None or r[1] <= after)
        ]
        stays.append((begin, min(ends) if ends else None, ("stay", begin)))
    before = [stay for stay in stays if stay[0] <= hour]
    if before:
        latest = max(before, key=lambda stay: stay[0])
        if latest[1] is None or hour <= latest[1]:
            return latest[2]  # type: ignore[no-any-return]
    return ("day", hour // 24)


def plain_steps(rows: Sequence[Row], subject: int, hour: int) -> list[list[str]]:
    """What may be seen of a subject at an hour, step by step."""
    seen = [
        row
        for row in rows
        if row[0] == subject
        and row[1] is not None
        and row[1] <= hour
        and row[2].split("//")[0] not in HIDDEN
    ]
    steps: dict[tuple[Any, ...], list[Row]] = {}
    for row in seen:
        steps.setdefault(plain_place(row, rows), []).append(row)
    ordered = sorted(steps.values(), key=lambda step: min(row[1] for row in step))
    return [sorted({row[2] for row in step}) for step in ordered] or [[]]


CODES = ["A//1", "A//2", "B//1", "C//9", "HOSPITAL_ADMISSION//E", "HOSPITAL_DISCHARGE//H"]
CODES += ["MEDS_DEATH", "HOSPITAL_OUTCOME//expired", "FOLLOW_UP_END", "MEDS_BIRTH", "STAY//x"]


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Rows of two subjects; no two steps begin in the same hour, so the order is plain."""
    rows = draw(
        st.lists(
            st.tuples(
                st.integers(0, 1),
                st.integers(0, 90),
                st.sampled_from(CODES),
                st.none() | st.integers(1, 3),
            ),
            min_size=8,
            max_size=25,
            unique_by=lambda row: (row[0], row[1]),
        )
    )
    # One time of admission belongs to one stay only.
    return [(s, h, c, None if v is None else 10 * s + v) for s, h, c, v in rows]


asked_lists = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 100)), min_size=1, max_size=6, unique=True
)


@given(rows=histories(), asked=asked_lists, visits=st.booleans(), piece=st.integers(1, 9))
@settings(max_examples=15, deadline=None)
def test_the_cut_is_that_of_a_plain_loop(
    write_meds: WriteMeds, rows: list[Row], asked: list[Asked], *, visits: bool, piece: int
) -> None:
    asked = sorted({*asked, (0, 90), (1, 70)})
    if not visits:
        rows = [(*row[:3], None) for row in rows]
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "PIECE", piece)  # pieces of very few examples
        cohort = cohort_of(Path(name), write_meds, [*rows, (0, 200, "Z")], asked, visits=visits)
        sequences = built(cohort, Path(name))
        found = [sequences.codes_of(i) for i in range(len(sequences))]
    expected = [plain_steps(rows, *one) for one in asked]
    known = {code for one, steps in zip(asked, expected, strict=True) if one[0] == 0
             for step in steps for code in step}  # fmt: skip
    assert sequences.vocabulary == ("UNKNOWN", *sorted(known))
    assert found == [
        [sorted({c if c in known else "UNKNOWN" for c in step}, key=lambda c: (c != "UNKNOWN", c))
         for step in steps]
        for steps in expected
    ]  # fmt: skip


HISTORY: list[Row] = [
    (0, 10, "HOSPITAL_ADMISSION//E", 1),
    (0, 20, "LAB//x", 1, 2.0),
    (0, 20, "LAB//y", 1, 5.0),
    (0, 30, "LAB//x", 1, 1.0),
    (0, 30, "LAB//z", 1, None),
    (0, 40, "ICD9CM//4280", 1),
    (0, 40, "ICD9CM//E8781", 1),
    (0, 40, "HOSPITAL_DISCHARGE//HOME", 1),
    (0, 40, "HOSPITAL_OUTCOME//alive", 1),
    (0, 100, "HOSPITAL_ADMISSION//E", 2),
    (0, 110, "LAB//x", 2, 4.0),
    (0, 110, "LAB//x", 2, float("nan")),
    (0, 500, "MEDS_DEATH"),
    (0, None, "GENDER//F"),
    (0, -400_000, "MEDS_BIRTH"),
    (1, 10, "HOSPITAL_ADMISSION//E", 3),
    (1, 20, "LAB//new", 3, 7.0),
    (1, 20, "LAB//x", 3, 9.0),
]


@pytest.fixture
def make(tmp_path: Path, write_meds: WriteMeds) -> Callable[..., Sequences]:
    def _make(
        rows: list[Row] = HISTORY, asked: list[Asked] | None = None, **changes: Any
    ) -> Sequences:
        options = {name: changes.pop(name) for name in ("task", "shuffle") if name in changes}
        asked = asked or [(0, 120), (1, 120)]
        return built(cohort_of(tmp_path, write_meds, rows, asked, **options), tmp_path, **changes)

    return _make


Make = Callable[..., Sequences]


def test_nothing_later_than_the_prediction_and_that_moment_included(make: Make) -> None:
    assert make(asked=[(0, 39)]).codes_of(0)[0][-1] == "LAB//z"
    assert "ICD9CM//4280" in make(asked=[(0, 40)]).codes_of(0)[0]


def test_codes_that_make_labels_are_never_inputs(make: Make) -> None:
    rows = [*HISTORY, (0, 30, "HOSPITAL_OUTCOME//expired", 1), (0, 30, "MEDS_DEATH", 1)]
    rows += [(0, 30, "STAY//organ donor", 1), (0, 30, "FOLLOW_UP_END", 1)]
    vocabulary = make(rows, asked=[(0, 900)], demographics=True).vocabulary
    assert not [code for code in vocabulary if code.split("//")[0] in HIDDEN]
    task = Task("all", "last event", ANY_DEATH, inputs=("MEDS_DEATH", "LAB"))
    assert "MEDS_DEATH" not in make(rows, asked=[(0, 900)], task=task).vocabulary


def test_the_vocabulary_is_the_training_parts(make: Make) -> None:
    sequences = make()
    assert "LAB//new" not in sequences.vocabulary
    assert sequences.codes_of(1) == [["UNKNOWN", "HOSPITAL_ADMISSION//E", "LAB//x"]]
    assert sequences.header["unknown"]["tuning"] == {"codes": 3, "unknown": 1, "share": 1 / 3}
    # Each code counts once a step: seven in the first visit, two in the second.
    assert sequences.header["unknown"]["train"] == {"codes": 9, "unknown": 0, "share": 0}


def test_two_codes_of_one_category_stand_once(make: Make) -> None:
    sequences = make([*HISTORY, (0, 40, "ICD9CM//42822", 1)], icd_digits=0)
    assert sequences.codes_of(0)[0].count("ICD9CM//428") == 1


@pytest.mark.parametrize("code", ["LAB//x", "HOSPITAL_DISCHARGE//HOME"])
def test_a_day_outside_of_stays_that_shows_nothing_is_no_visit(make: Make, code: str) -> None:
    assert make([*HISTORY, (0, 70, code)], task=DIAGNOSES).lengths.tolist() == [2, 1]


def test_what_is_known_at_discharge_is_of_the_stay_even_without_its_number(make: Make) -> None:
    rows = [*HISTORY, (0, 40, "AT_DISCHARGE"), (0, 41, "AFTERWARDS")]
    steps = make(rows).codes_of(0)
    assert "AT_DISCHARGE" in steps[0]
    assert steps[1] == ["AFTERWARDS"]


def test_an_example_of_which_nothing_is_known_has_one_empty_step(make: Make) -> None:
    sequences = make(asked=[(0, 5), (0, 120)])
    assert sequences.codes_of(0) == [[]]
    assert sequences.step_time[0] == sequences.prediction_time[0]
    assert sequences.header["examples_without_events"] == 1


FIRST_DAY = ["HOSPITAL_ADMISSION//E", "LAB//x", "LAB//y"]
DISCHARGE = ["HOSPITAL_DISCHARGE//HOME", "ICD9CM//4280", "ICD9CM//E8781", "LAB//x", "LAB//z"]
SECOND_STAY = ["HOSPITAL_ADMISSION//E", "LAB//x"]
LABS = [(0, hour, f"LAB//{hour}", None, None) for hour in (72, 73, 96, 97, 120)]
DIAGNOSES = Task("diagnoses", "last event", ANY_DEATH, inputs=("ICD9CM",))
CUTS: dict[str, tuple[dict[str, Any], list[list[str]]]] = {
    "codes that are rare": ({"min_subjects": 2}, [["UNKNOWN"], ["UNKNOWN"]]),
    "only the current stay": (
        {"task": Task("now", "last event", ANY_DEATH, history="stay")},
        [SECOND_STAY],
    ),
    "a visit that shows nothing": ({"task": DIAGNOSES}, [DISCHARGE[1:3], []]),
    "a window that shows nothing": ({"task": DIAGNOSES, "step_hours": 1}, [DISCHARGE[1:3]]),
    "windows, back from the prediction, its hour included": (
        {"step_hours": 24},
        [FIRST_DAY, DISCHARGE, SECOND_STAY],
    ),
    "what is a whole window back, in the window before": (
        {"rows": LABS, "step_hours": 24},
        [["LAB//72"], ["LAB//73", "LAB//96"], ["LAB//120", "LAB//97"]],
    ),
    "codes cut to their category": (
        {"task": DIAGNOSES, "icd_digits": 0},
        [["ICD9CM//428", "ICD9CM//E878"], []],
    ),
}


@pytest.mark.parametrize("case", CUTS)
def test_the_steps_of_a_subject(make: Make, case: str) -> None:
    changes, steps = CUTS[case]
    sequences = make(**changes)
    assert sequences.codes_of(0) == steps
    assert set(sequences.vocabulary) == {"UNKNOWN", *itertools.chain(*steps)}


def test_demographics_stand_in_the_last_step_if_asked_for(make: Make) -> None:
    assert "GENDER//F" not in make().vocabulary
    sequences = make(demographics=True)
    assert sequences.codes_of(0)[-1][:2] == ["AGE//40", "GENDER//F"]
    assert "GENDER//F" not in sequences.codes_of(0)[0]
    told = make([*HISTORY, (0, 110, "GENDER//F", 2)], demographics=True)
    assert told.header["unknown"]["train"] == sequences.header["unknown"]["train"]
    assert sequences.age[0] == pytest.approx(45.6, abs=0.1)
    assert np.isnan(sequences.age[1])


def test_an_age_counts_from_when_it_was_told_last(make: Make) -> None:
    year = 8766
    rows: list[Row] = [(0, 0, "AGE", None, 40.0), (0, 2 * year, "AGE", None, 50.0), (0, 0, "A")]
    sequences = make(rows, asked=[(0, year), (0, 3 * year)])
    assert sequences.age.tolist() == pytest.approx([41, 51], abs=0.01)
    assert sequences.vocabulary == ("UNKNOWN", "A")


def test_measurements_stand_by_channel_and_time(make: Make) -> None:
    sequences = make()
    assert sequences.channel_names == ("LAB//x", "LAB//y")  # LAB//new is not of the training part
    assert sequences.channels.tolist() == [0, 0, 1, 0, 0]
    assert sequences.values.tolist() == [2.0, 1.0, 5.0, 4.0, 9.0]
    assert sequences.value_offsets.tolist() == [0, 3, 4, 5]


def test_values_in_bins_of_the_training_part(make: Make) -> None:
    rows: list[Row] = [(0, hour, "LAB//x", None, float(hour)) for hour in range(8)]
    rows += [(1, 1, "LAB//x", None, 100.0), (1, 2, "LAB//x", None, -100.0), (1, 3, "LAB//x")]
    sequences = make(rows, asked=[(0, 9), (1, 9)], bins=4, step_hours=1)
    assert sequences.codes_of(0) == [[f"LAB//x//Q{1 + hour // 2}"] for hour in range(8)]
    assert sequences.codes_of(1) == [["LAB//x//Q4"], ["LAB//x//Q1"], ["UNKNOWN"]]


def test_how_long_somebody_is_followed(make: Make) -> None:
    """To the next discharge or death, else to the last fact; nothing later is 0."""
    rows: list[Row] = [
        (0, 0, "HOSPITAL_ADMISSION//x", 1),
        (0, 24, "HOSPITAL_DISCHARGE//x", 1),
        (0, 72, "MEDS_DEATH", None),
        (1, 0, "LAB//x", None),
        (1, 48, "LAB//y", None),
    ]
    asked = [(0, 12), (0, 24), (1, 12), (1, 48)]
    assert make(rows, asked=asked).followed.tolist() == [0.5, 2.0, 1.5, 0.0]


def test_summaries_leave_out_codes_of_what_is_summarised(make: Make) -> None:
    train = [(0, hour, code, None, value) for hour in range(40) for code, value in
             (("LAB//x", float(hour)), ("DX//a", None))]  # fmt: skip
    asked = [(0, hour) for hour in range(1, 40)]
    for bins in (0, 2):
        sequences = make([*train, (1, 1, "LAB//x", None, 1.0)], asked=asked, bins=bins)
        state = lookup("summaries").fit(sequences, np.arange(len(asked)))
        names = [column.name for column in lookup("summaries").columns(sequences, state)]
        assert names == ["age", "DX//a", *summary_names(sequences)]
        assert summary_names(sequences)[0] == "LAB//x last"


def test_another_order_of_rows_gives_the_same_bytes_and_predictions(
    make: Make, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    results = []
    for seed in (None, 1, 2):
        sequences = make(HISTORY, shuffle=seed, demographics=True, bins=3)
        entry = lookup_network("visits-baseline")
        torch.manual_seed(0)
        model = entry.build(entry.config(n_codes=len(sequences.vocabulary)))
        batch = VisitDataset(sequences)[[0, 1]]
        logits = model(*batch.inputs).detach().numpy().tobytes()
        arrays = [(tmp_path / "s" / f"{name}.npy").read_bytes() for name in LAYOUT]
        results.append((arrays, sequences.vocabulary, logits))
    assert results[0] == results[1] == results[2]


def test_sequences_of_the_same_are_opened_not_made_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make()
    monkeypatch.setattr(build, "cut", None)
    assert make().digest == first.digest


CHANGES: dict[str, dict[str, Any]] = {
    "events": {"rows": [*HISTORY, (0, 50, "NEW")]},
    "labels": {"asked": [(0, 121), (1, 120)]},
    "outcomes": {"asked": [(0, 120), (1, 121)]},
    "task": {"task": Task("other", "last event", ANY_DEATH, inputs=("LAB",))},
    "settings": {"min_subjects": 2},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_anything_makes_them_again(make: Make, change: str) -> None:
    first = make()
    assert make(**CHANGES[change]).digest != first.digest


def test_a_change_of_the_code_makes_them_again(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make()
    monkeypatch.setattr(build, "_code_digest", lambda: "edited")
    assert make().digest != first.digest


def test_a_change_of_the_split_makes_them_again(tmp_path: Path, write_meds: WriteMeds) -> None:
    cohort = cohort_of(tmp_path, write_meds, HISTORY, [(0, 120), (1, 120)])
    folder = tmp_path / "s"
    first = build_sequences(cohort, np.array([0, 1]), folder)
    assert build_sequences(cohort, np.array([0, 2]), folder).digest != first.digest
    assert "LAB//new" in build_sequences(cohort, np.array([1, 0]), folder).vocabulary


def test_damaged_sequences_are_made_again(make: Make, tmp_path: Path) -> None:
    make()
    (tmp_path / "s" / "codes.npy").write_bytes(b"")
    assert make().codes_of(1) == [["UNKNOWN", "HOSPITAL_ADMISSION//E", "LAB//x"]]


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ([0, 1, 1], "one subject's examples are in two parts .found 1 such.; split by subject"),
        ([0, 0], "the split is of 2 examples, and the cohort has 3"),
        ([1, 1, 2], "the training set is empty"),
    ],
)
def test_splits_that_cannot_be(
    tmp_path: Path, write_meds: WriteMeds, part: list[int], message: str
) -> None:
    cohort = cohort_of(tmp_path, write_meds, HISTORY, [(0, 20), (0, 120), (1, 120)])
    with pytest.raises(SplitError, match=message):
        build_sequences(cohort, np.array(part), tmp_path / "s")
    assert not (tmp_path / "s").exists()
