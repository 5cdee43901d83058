"""Planted leaks are found; clean data, some of them made to look alike, are not accused."""

from typing import Any

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.sparse import csr_array

from sequela.audit import column_checks, overlaps
from sequela.audit.column_checks import (
    last_digit_is_even,
    least_area,
    revealing_codes,
    revealing_columns,
)
from sequela.audit.finding import Finding
from sequela.audit.input import Labels

Array = NDArray[np.float64]


def signals(count: int, seed: int) -> Array:
    """Smooth noise of very different amplitude, like segments of EEG in whole microvolts."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(size=(count, 100)) * rng.lognormal(2, 1, size=(count, 1))
    return np.asarray(np.cumsum(steps, axis=1)).round()


def table(count: int, seed: int) -> Array:
    """Four columns as of a clinic: two continuous, two of few values; some are missing."""
    rng = np.random.default_rng(seed)
    columns = np.stack(
        [
            rng.normal(60, 15, size=count).round(1),
            rng.normal(80, 20, size=count).round(),
            rng.integers(0, 2, size=count),
            rng.integers(0, 5, size=count),
        ],
        axis=1,
    )
    columns[rng.random(columns.shape) < 0.05] = np.nan
    return columns


def codes(count: int, seed: int) -> Array:
    """Which of 200 codes a person has: few, and the common ones often together."""
    rng = np.random.default_rng(seed)
    frequency = 0.3 / np.arange(1, 201)
    sick = rng.choice([0.2, 1, 3], size=(count, 1))
    return np.asarray(rng.random((count, 200)) < frequency * sick, dtype=np.float64)


def ids(count: int, per_group: int, name: str) -> NDArray[np.str_]:
    return np.char.add(name, (np.arange(count) // per_group).astype(np.str_))


def parts_of(make: Any, seed: int) -> tuple[dict[str, Array], dict[str, NDArray[np.str_]]]:
    sizes = {"train": 900, "tuning": 300, "held_out": 300}
    parts = {
        name: make(size, 10 * seed + index) for index, (name, size) in enumerate(sizes.items())
    }
    return parts, {name: ids(size, 5, name) for name, size in sizes.items()}


@pytest.mark.parametrize("make", [signals, table, codes])
@pytest.mark.parametrize("seed", range(4))
def test_clean_parts_are_not_accused(make: Any, seed: int) -> None:
    parts, groups = parts_of(make, seed)
    assert overlaps.identical_rows(parts) == []
    assert overlaps.near_identical_rows(parts, groups) == []
    assert overlaps.overlapping_groups(groups, "recording") == []
    if make is codes:  # and yet many people are alike by their few codes
        held_out = {row.tobytes() for row in parts["held_out"]}
        assert sum(row.tobytes() in held_out for row in parts["train"]) > 100


def test_people_who_share_rare_codes_are_not_accused() -> None:
    rng = np.random.default_rng(0)
    people = np.zeros((1_500, 2_500))
    people[:, :5] = rng.random((1_500, 5)) < 0.5
    np.put_along_axis(people, rng.integers(5, 2_500, size=(1_500, 8)), 1, axis=1)
    people[1_000] = people[0]
    people[1_000, 0] = 1 - people[0, 0]  # rare codes in common weigh more than this one
    parts = {"train": people[:1_000], "held_out": people[1_000:]}
    groups = {"train": ids(1_000, 1, "a"), "held_out": ids(500, 1, "b")}
    assert overlaps.near_identical_rows(parts, groups) == []


def test_flat_signals_are_not_accused() -> None:
    parts, groups = parts_of(signals, 0)
    for part in parts.values():
        part[::10] = 0
        part[3] = np.nan
    assert overlaps.identical_rows(parts) == []
    assert overlaps.near_identical_rows(parts, groups) == []


@pytest.mark.parametrize("copies", [1, 7])
def test_planted_copies_are_found(copies: int) -> None:
    parts, _ = parts_of(signals, 1)
    parts["held_out"][5 : 5 + copies] = parts["train"][100 : 100 + copies]
    (found,) = overlaps.identical_rows(parts)
    assert found.check == "identical rows"
    words = "is identical to a row" if copies == 1 else "are identical to rows"
    assert found.what == f"{copies} of 300 rows of the test set {words} of the training set"
    assert (found.where, found.severity) == ("training set, test set", "leak")
    assert "one part" in found.in_words()["remedy"]


@pytest.mark.parametrize(("n_columns", "copies"), [(35, 0), (36, 1)])
def test_a_copy_needs_more_information_than_a_match_by_chance(n_columns: int, copies: int) -> None:
    """Two of 256 rows agree by chance in 16 bits; a chance below one in a million needs 20 more."""
    rng = np.random.default_rng(0)
    values = np.repeat([0.0, 1.0], 128)  # each half of the rows: one bit a column
    rows = np.stack([rng.permutation(values) for _ in range(n_columns)], axis=1)
    for column in rows.T:  # row 200 becomes a copy of row 0, and the column stays balanced
        swapped = np.flatnonzero(column == column[0])[-1]
        column[[200, swapped]] = column[[swapped, 200]]
    parts = {"train": rows[:128], "held_out": rows[128:]}
    findings = overlaps.identical_rows(parts)
    assert sum(finding.counts["found"] for finding in findings) == copies


@pytest.mark.parametrize("noise", [None, 0.01, 0.02])
@pytest.mark.parametrize("seed", range(3))
def test_means_of_neighbouring_samples_lose_no_copy(
    noise: float | None, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no mean is near, nothing is; the tables are rows of one, read in blocks."""
    rng = np.random.default_rng(seed)
    whole = np.cumsum(rng.normal(size=(600, 1200)), axis=1).astype(np.float32)
    if noise is not None:
        whole[500:505] = whole[:5] * rng.normal(1, noise, (5, 1200))
    rows = {"train": np.arange(400), "held_out": np.arange(400, 600)}
    groups = {name: ids(len(each), 5, name) for name, each in rows.items()}
    looked = overlaps.near_identical_rows({n: whole[each] for n, each in rows.items()}, groups)
    parts = {name: overlaps.Selection(whole, each) for name, each in rows.items()}
    monkeypatch.setattr(overlaps, "_CELLS", 100_000)
    assert overlaps.near_identical_rows(parts, groups) == looked
    monkeypatch.setattr(overlaps, "_COARSE", 10_000)  # no means
    assert overlaps.near_identical_rows(parts, groups) == looked
    assert [each.where for each in looked] == ["training set, test set"] * (noise is not None)


def test_identical_rows_of_selections_are_those_of_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = signals(900, 5)
    whole[700:703] = whole[:3]
    whole[800], whole[10] = 0, -0.0  # flat
    rows = {"train": np.arange(600), "held_out": np.arange(600, 900)}
    looked = overlaps.identical_rows({name: whole[each] for name, each in rows.items()})
    assert looked[0].what.startswith("3 of 300")
    monkeypatch.setattr(overlaps, "_CELLS", 1000)
    parts = {name: overlaps.Selection(whole, each) for name, each in rows.items()}
    assert overlaps.identical_rows(parts) == looked


def test_columns_are_judged_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, label = signals(200, 0), np.arange(200) % 2
    columns[:, 40] += 1e6 * label
    columns[:7, 60] = np.nan
    names = [f"sample {n}" for n in range(100)]
    labels = Labels(label, ["no", "yes"], ids(200, 1, "p"))
    looked = revealing_columns(columns, names, labels)
    monkeypatch.setattr(column_checks, "_CELLS", 2000)
    assert revealing_columns(columns, names, labels) == looked
    assert [code.name for each in looked for code in each.codes] == ["sample 40"]


def test_a_copied_person_is_found_among_people_alike() -> None:
    parts, _ = parts_of(codes, 2)
    rarest = np.argsort(-(parts["train"] * np.arange(200)).sum(axis=1))[:3]
    parts["tuning"][:3] = parts["train"][rarest]
    (found,) = overlaps.identical_rows(parts)
    assert found.where == "training set, validation set"
    assert found.what.startswith("3 of 300")


def test_data_of_which_all_is_doubled_are_found() -> None:
    parts, groups = parts_of(signals, 4)
    rng = np.random.default_rng(0)
    original = parts["train"][:300]
    for rows in (slice(300, 600), slice(600, 900)):
        parts["train"][rows] = original * rng.normal(1, 0.01, size=original.shape)
    parts["held_out"][:] = original * rng.normal(1, 0.01, size=original.shape)
    (found,) = overlaps.near_identical_rows(parts, groups)
    assert int(found.what.split()[0]) > 100
    assert found.where == "training set, test set"


@pytest.mark.parametrize("noise", [0.002, 0.01, 0.02])
@pytest.mark.parametrize("copies", [1, 30])
def test_planted_copies_with_noise_are_found(noise: float, copies: int) -> None:
    parts, groups = parts_of(signals, 2)
    original = parts["train"][100 : 100 + copies]
    size = original.std(axis=1, keepdims=True) * noise
    changed = original + np.random.default_rng(0).normal(size=original.shape) * size
    parts["tuning"][:copies] = changed
    assert overlaps.identical_rows(parts) == []
    (found,) = overlaps.near_identical_rows(parts, groups)
    assert found.where == "training set, validation set"
    assert found.what.startswith(f"{copies} of 300 rows of the validation set")


def test_a_copy_is_found_among_few_rows() -> None:
    parts, groups = parts_of(signals, 2)
    few = {name: rows[:100].copy() for name, rows in parts.items()}
    few["held_out"][0] = few["train"][5] * 1.001
    (found,) = overlaps.near_identical_rows(
        few, {name: each[:100] for name, each in groups.items()}
    )
    assert (
        found.what
        == "1 of 100 rows of the test set is nearly identical to a row of the training set"
    )


def test_by_chance_an_area_is_as_large_in_one_of_a_thousand_tables() -> None:
    is_class, group = np.arange(30) < 10, ids(30, 1, "g")
    deviation = np.sqrt((10 + 20 + 1) / (12 * 10 * 20))  # of the rank sum, as a share of pairs
    (alone, among_five) = (
        0.5 + stats.norm.isf(0.001 / 2 / looked_at) * deviation for looked_at in (1, 5)
    )
    assert least_area(is_class, group, 1, 0.5) == pytest.approx(alone)
    assert least_area(is_class, group, 5, 0.5) == pytest.approx(among_five)
    assert least_area(is_class, group, 1, 0.99) == 0.99


def test_a_copied_group_is_found_though_its_rows_are_each_others_neighbours() -> None:
    parts, groups = parts_of(signals, 3)
    rng = np.random.default_rng(0)
    alike = parts["train"][0] + rng.normal(size=(40, 100))
    parts["train"][:20], parts["held_out"][:20] = alike[:20], alike[20:]
    groups["train"][:20], groups["held_out"][:20] = "a", "b"
    (found,) = overlaps.near_identical_rows(parts, groups)
    assert found.what.startswith("20 of 300 rows of the test set")


def test_a_large_part_is_looked_at_in_steps() -> None:
    rng = np.random.default_rng(0)
    known, rows = rng.normal(size=(200, 30)), rng.normal(size=(5_000, 30))
    rows[::3] = known[np.arange(1_667) % 200] + rng.normal(size=(1_667, 30)) * 0.005
    groups = {"train": ids(200, 1, "a"), "held_out": ids(5_000, 1, "b")}
    (found,) = overlaps.near_identical_rows({"train": known, "held_out": rows}, groups)
    assert found.what.startswith("1667 of 1667 rows")


def test_overlapping_groups_are_counted() -> None:
    groups = {
        "train": np.array(["a", "a", "b", "c"]),
        "tuning": np.array(["d"]),
        "held_out": np.array(["c", "c", "b", "e"]),
    }
    (found,) = overlaps.overlapping_groups(groups, "recording")
    assert found == Finding(
        "overlapping groups",
        "leak",
        ("train", "held_out"),
        {"shared": 2, "found": 3, "all": 4},
        {"unit": "recording"},
    )
    assert found.in_words() == {
        "check": "overlapping groups",
        "what": "2 recordings are in both parts, with 3 of 4 examples of the test set",
        "where": "training set, test set",
        "severity": "leak",
        "remedy": "split by recording",
    }


def test_labels_of_one_class_are_found() -> None:
    both = np.array([0, 1, 1])
    assert overlaps.one_class({"train": both, "held_out": both}, ["alive", "dead"]) == []
    (found,) = overlaps.one_class({"train": both, "held_out": np.zeros(9, int)}, ["alive", "dead"])
    assert (found.what, found.where) == ("all 9 labels are 'alive'", "test set")
    labels = {
        "train": np.array([0, 1, 2]),
        "tuning": np.array([2, 0]),
        "held_out": np.array([], int),
    }
    (found,) = overlaps.one_class(labels, ["x", "y", "z"])
    assert found.what == "there is no example of 'y', which other parts have"
    assert found.where == "validation set"
    alone = overlaps.one_class({"train": np.array([1, 1])}, ["alive", "dead"])
    assert alone[0].what == "all 2 labels are 'dead'"


@pytest.mark.parametrize("make", [signals, table, codes])
@pytest.mark.parametrize("n_groups", [4, 10, 200])
def test_columns_that_know_nothing_are_not_accused(make: Any, n_groups: int) -> None:
    for seed in range(5):
        columns = make(1_000, seed)
        group = np.arange(1_000) % n_groups
        columns[:, 0] = np.random.default_rng(seed).normal(size=n_groups)[group]
        label = np.random.default_rng(seed + 50).integers(0, 2, size=n_groups)[group]
        names = [f"c{index}" for index in range(columns.shape[1])]
        assert revealing_columns(columns, names, Labels(label, ["no", "yes"], group)) == []


@pytest.mark.parametrize("sign", [1, -1])
def test_the_label_under_another_name_is_found(sign: int) -> None:
    rng = np.random.default_rng(0)
    columns = table(400, 0)
    label = (rng.random(400) < 0.2).astype(np.int64)
    columns[:, 1] = sign * (label + rng.normal(size=400) * 0.2)
    columns[::9, 1] = np.nan
    present = ~np.isnan(columns[:, 1])
    area = sklearn.metrics.roc_auc_score(label[present], sign * columns[present, 1])
    labels = Labels(label, ["no", "died"], ids(400, 1, "p"))
    (found,) = revealing_columns(columns, ["age", "risk", "sex", "unit"], labels)
    assert found.check == "columns that reveal the outcome"
    assert found.where == f"risk ({area:.3f})"
    assert found.what == "its values alone predict 'died' with an AUROC above 0.9"
    assert found.severity == "suspicion"


def test_a_column_missing_for_one_class_is_found() -> None:
    columns = np.random.default_rng(0).normal(size=(300, 3))
    label = np.arange(300) % 3
    columns[label == 2, 1] = np.nan
    labels = Labels(label, ["x", "y", "z"], ids(300, 1, "p"))
    (found,) = revealing_columns(columns, ["a", "b", "c"], labels)
    assert found.what.startswith("whether it is missing alone predicts 'z'")
    assert found.where == "b (1.000)"


def test_a_revealing_code_is_found() -> None:
    rng = np.random.default_rng(0)
    label = (rng.random(500) < 0.3).astype(np.int64)
    has = codes(500, 1)
    has[:, 150] = label
    has[rng.choice(500, 10, replace=False), 150] = 1
    names = [f"I{index}" for index in range(200)]
    people = ids(500, 1, "p")
    labels = Labels(label, ["alive", "dead"], people)
    (found,) = revealing_codes(csr_array(has), names, labels)
    area = sklearn.metrics.roc_auc_score(label, has[:, 150])
    having = len(np.unique(people[has[:, 150] == 1]))
    assert found.where == f"I150 ({area:.3f} in {having} subjects)"
    clean = csr_array(codes(500, 1))
    assert revealing_codes(clean, names, labels) == []


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=30))
def test_areas_are_those_of_scikit_learn(rows: list[tuple[int, bool]]) -> None:
    value = np.array([np.nan if value == 0 else value for value, _ in rows])
    label = np.array([event for _, event in rows], dtype=np.int64)
    # So many groups that nothing is put down to chance: repeat the rows under new names.
    value, label = np.tile(value, 400), np.tile(label, 400)
    labels = Labels(label, ["no", "yes"], ids(len(value), 1, "p"))
    found = revealing_columns(value[:, None], ["c"], labels)
    expected = []
    present = ~np.isnan(value)
    for score, rated in ((value[present], label[present]), (1.0 * ~present, label)):
        if len(set(rated.tolist())) == 2:
            area = sklearn.metrics.roc_auc_score(rated, score)
            expected += [max(area, 1 - area)] * bool(max(area, 1 - area) > 0.9 + 1e-9)
    assert [one.where for one in found] == [f"c ({area:.3f})" for area in expected]


def test_nothing_is_found_in_nothing() -> None:
    empty = {"train": np.empty((0, 3)), "held_out": np.empty((0, 3))}
    nobody = {name: np.array([], dtype=np.str_) for name in empty}
    no_label = {name: np.array([], dtype=np.int64) for name in empty}
    assert overlaps.identical_rows(empty) == []
    assert overlaps.near_identical_rows(empty, nobody) == []
    assert overlaps.overlapping_groups(nobody, "subject") == []
    assert overlaps.one_class(no_label, ["no", "yes"]) == []


def records(rng: np.random.Generator, n: int, codes: int = 400, each: int = 12) -> csr_array:
    chosen = np.stack([rng.choice(codes, each, replace=False) for _ in range(n)])
    table = np.zeros((n, codes), np.float32)
    np.put_along_axis(table, chosen, 1, axis=1)
    return csr_array(table)


def test_a_copied_record_is_found_between_its_parts_alone() -> None:
    rng = np.random.default_rng(1)
    parts = {name: records(rng, n) for name, n in (("train", 200), ("tuning", 60), ("held", 60))}
    assert overlaps.identical_records(parts) == []
    table = parts["held"].toarray()
    table[7] = parts["train"].toarray()[3]
    (found,) = overlaps.identical_records({**parts, "held": csr_array(table)})
    assert found.where == "training set, held"
    assert found.what.startswith("1 of 60 rows of held is identical to a row of the training set")


def test_a_form_that_fills_in_many_codes_is_no_copy() -> None:
    """Two hundred people with one of ten forms of 40 codes each: all alike, and nobody copied."""
    rng = np.random.default_rng(2)
    form = rng.integers(0, 10, 200)
    table = np.zeros((200, 400), np.float32)
    for row, one in enumerate(form):
        table[row, 40 * one : 40 * one + 40] = 1
    parts = {"train": csr_array(table[:150]), "held": csr_array(table[150:])}
    assert overlaps.identical_records(parts) == []
    assert overlaps.identical_records({"train": csr_array((5, 4)), "held": csr_array((5, 4))}) == []


@pytest.mark.parametrize("unit", [1, 0.1, 0.001])
def test_the_last_digit_of_a_measurement_is_judged(unit: float) -> None:
    rng = np.random.default_rng(0)
    label, whole = rng.integers(0, 2, 400), rng.normal(100, 20, 400).round()
    planted, person = 2 * whole + label, np.arange(400).astype(np.str_)
    columns = np.stack([whole, np.where(rng.random(400) < 0.1, np.nan, planted)], axis=1) * unit
    how = "whether its last digit is even alone predicts"
    labels = Labels(label, ["no", "yes"], person)
    (found,) = revealing_columns(columns, ["pulse", "other"], labels)
    assert (found.facts["how"], found.where) == (how, "other (1.000)")
    few = label + rng.integers(0, 2, 400) * 4.0  # a score of few values, of which each counts
    assert not last_digit_is_even(few).any()
    assert not last_digit_is_even(rng.normal(size=400)).any()
    assert not last_digit_is_even(np.full(400, np.nan)).any()
