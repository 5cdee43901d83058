"""Copies are known under any name, and what is alike by chance is not taken for a copy."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sequela.audit.overlaps import same_content
from sequela.cohort.split import Split
from sequela.identity import fingerprint
from sequela.identity.fingerprint import (
    Content,
    joined,
    matches,
    of_records,
    of_signals,
    recognisable,
    tokens,
)

Array = NDArray[np.floating[Any]]
ATTACKS: dict[str, Any] = {
    "exact": lambda signal: signal,
    "gain 1.03, in whole microvolts": lambda signal: (1.03 * signal).round(),
    "gain 1.1": lambda signal: 1.1 * signal,
    "gain 2": lambda signal: 2 * signal,
    "offset": lambda signal: signal + 20,
    "inverted": lambda signal: -signal,
    "shifted by 1": lambda signal: signal[1:],
    "shifted by 8": lambda signal: signal[8:],
    "shifted by 89": lambda signal: signal[89:],
    "first half": lambda signal: signal[: len(signal) // 2],
    "a quarter": lambda signal: signal[1000:2024],
}


def signals(count: int, seed: int, length: int = 4097) -> list[Array]:
    """Noise that is as smooth as EEG, in whole microvolts."""
    rng = np.random.default_rng(seed)
    made: list[Array] = []
    for _ in range(count):
        signal = rng.normal(size=length)
        for index in range(1, length):
            signal[index] += 0.95 * signal[index - 1]
        made.append((20 * signal).round())
    return made


def names(count: int, letter: str) -> list[str]:
    return [f"{letter}{index}" for index in range(count)]


def content(several: list[Array], letter: str = "a") -> Content:
    return of_signals(names(len(several), letter), [each[np.newaxis] for each in several])


@pytest.fixture(scope="module")
def originals() -> list[Array]:
    return signals(20, seed=0)


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_changed_recording_is_a_copy(originals: list[Array], attack: str) -> None:
    copies = content([ATTACKS[attack](each) for each in originals], "b")
    found = matches(content(originals), copies)
    assert found.reference.tolist() == found.query.tolist() == list(range(20))
    assert found.copy.all()


def test_overlapping_recordings_are_copies_of_each_other(originals: list[Array]) -> None:
    firsts, lasts = (content([each[cut] for each in originals]) for cut in
                     (slice(0, 3000), slice(1500, 4097)))  # fmt: skip
    found = matches(firsts, lasts)
    assert found.reference.tolist() == found.query.tolist() == list(range(20))


def test_other_recordings_are_not_accused(originals: list[Array]) -> None:
    assert not len(matches(content(originals), content(signals(20, seed=9))).reference)
    assert not len(matches(*2 * [content(originals)]).reference)


def test_what_is_flat_short_or_periodic_has_no_mark() -> None:
    time = np.arange(4097) / 173.61
    plain = [
        np.zeros(4097),
        np.full(4097, 0.1),
        np.arange(54.0),
        np.sin(2 * np.pi * 10 * time),
        np.sign(np.sin(2 * np.pi * 3 * time)),
        np.empty(0),
    ]
    for several in (plain, [each + 5 for each in plain]):
        made = content(several)
        assert not len(matches(made, made).reference)
    assert not len(content(plain[:3]).mark)


def test_the_first_channel_that_is_not_flat_is_marked(originals: list[Array]) -> None:
    both = np.stack([np.zeros(4097), originals[0]])
    assert np.array_equal(of_signals(["a"], [both]).mark, content(originals[:1]).mark)


@given(st.lists(st.integers(0, 2**64 - 1), max_size=12), st.data())
def test_marks_of_one_sign_apart_are_all_found(marks: list[int], data: st.DataObject) -> None:
    flips = data.draw(
        st.lists(st.tuples(st.integers(0, 11), st.sets(st.integers(0, 63), max_size=3)))
    )
    others = [
        marks[which] ^ sum(1 << bit for bit in bits) for which, bits in flips if which < len(marks)
    ]
    pairs = fingerprint._within_one_sign(np.array(marks, np.uint64), np.array(others, np.uint64))
    plain = {
        (i, j)
        for i, one in enumerate(marks)
        for j, other in enumerate(others)
        if (one ^ other).bit_count() <= 1
    }
    assert set(zip(*(each.tolist() for each in pairs), strict=True)) == plain


def records(count: int, seed: int) -> list[list[tuple[int, int]]]:
    """Of each patient some of 300 codes, each with the days since the step before."""
    rng = np.random.default_rng(seed)
    share = 0.4 / np.arange(1, 301) ** 0.7
    return [
        [(int(code), int(rng.integers(-1, 60))) for code in np.flatnonzero(rng.random(300) < share)]
        for _ in range(count)
    ]


def of_patients(patients: list[list[tuple[int, int]]], letter: str = "a") -> Content:
    unit = np.repeat(np.arange(len(patients)), [len(each) for each in patients])
    code, days = np.array([pair for each in patients for pair in each], np.int64).reshape(-1, 2).T
    found = tokens([f"ICD//{index}" for index in range(300)], code, days)
    return of_records(names(len(patients), letter), unit, found)


def test_records_are_recognisable_if_a_copy_of_them_is_found() -> None:
    known = of_patients(records(300, seed=0), "k")
    patients = [each[: 1 + row % 12] for row, each in enumerate(records(60, seed=5))]
    asked = of_patients(patients)
    expected = recognisable(known, asked, matches(known, asked))
    found = []
    for row, patient in enumerate(patients):
        both = joined([known, of_patients([patient], "x")])
        pairs = matches(both, asked)
        found.append(bool(np.any((pairs.reference == 300) & (pairs.query == row))))
    assert 10 < sum(found) < 50
    assert np.mean(expected == found) > 0.95


@pytest.mark.parametrize("attack", ["exact", "one code changed", "a tenth dropped"])
def test_a_patient_under_a_second_id_is_found(attack: str) -> None:
    patients = [each for each in records(300, seed=0) if len(each) >= 10]
    rng = np.random.default_rng(1)
    changes: dict[str, Any] = {
        "exact": lambda each: each,
        "one code changed": lambda each: [(299, 3), *each[1:]],
        "a tenth dropped": lambda each: [pair for pair in each if rng.random() > 0.1],
    }
    again = [changes[attack](each) for each in patients]
    found = matches(of_patients(patients), of_patients(again, "b"))
    assert found.reference.tolist() == found.query.tolist()
    assert len(found.reference) > 0.95 * len(patients)
    assert found.copy.all()


def test_patients_alike_or_of_few_codes_are_not_accused() -> None:
    patients = records(600, seed=2)
    patients[:200] = [[(0, 0), (1, 0), (2, 0)]] * 200
    everybody = of_patients(patients)
    assert not len(matches(everybody, everybody).reference)


@given(st.lists(st.sets(st.integers(0, 40), max_size=12), min_size=2, max_size=8))
def test_all_that_share_half_of_their_marks_are_weighed(sets: list[set[int]]) -> None:
    unit = np.repeat(np.arange(len(sets)), [len(each) for each in sets])
    token = np.array([one for each in sets for one in sorted(each)], np.uint64)
    made = of_records(names(len(sets), "a"), unit, token)
    rows = fingerprint._incidence(made, made)
    telling = np.ones(rows.shape[0], np.bool_)
    one, other = fingerprint._sharing_rare(rows, len(sets), telling, same=False)
    if len(one):
        alike = fingerprint._half_shared(rows, one, other)
        one, other = one[alike], other[alike]
    plain = {
        (i, j)
        for i, first in enumerate(sets)
        for j, second in enumerate(sets)
        if len(first & second) >= max(4, len(first | second) / 2)
    }
    assert {(i, j - len(sets)) for i, j in zip(one.tolist(), other.tolist(), strict=True)} >= plain
    upper = np.stack(fingerprint._sharing_rare(rows, len(sets), telling, same=True)).T.tolist()
    assert {(i, j - len(sets)) for i, j in upper} >= {(i, j) for i, j in plain if i < j}


def test_marks_that_a_record_lacks_are_not_shared() -> None:
    """Records of fewer marks than the longest; the rarest mark of all counts as any other."""
    sets = [{1, 2, 3, 4}, {5, 6, 7, 8}, {1, 2, 9, 10}, {1, 2, 3, 4}, {*range(20, 32)}, {0, 1}, {0}]
    unit = np.repeat(np.arange(len(sets)), [len(each) for each in sets])
    token = np.array([one for each in sets for one in sorted(each)], np.uint64)
    made = of_records(names(len(sets), "a"), unit, token)
    rows = fingerprint._incidence(made, of_records(["b"], np.zeros(1, np.int64), token[-1:]))
    one, other = (each.ravel() for each in np.indices((len(sets), len(sets))))
    half = [
        2 * len(sets[i] & sets[j]) >= len(sets[i] | sets[j])
        for i, j in zip(one, other, strict=True)
    ]
    assert fingerprint._half_shared(rows, one, other).tolist() == half


@pytest.mark.parametrize(("agreeing", "copy"), [(3, True), (2, False)])
def test_a_copy_shares_most_marks_of_the_stretch_to_its_last_mark(
    agreeing: int, *, copy: bool
) -> None:
    """Of 4 marks of the stretch 3 are enough, and 2 are not: 2 of 3 would be."""
    place = np.arange(4) * 100
    both = [
        Content("signal", (name,), np.zeros(4, np.int64), place, mark)
        for name, mark in (
            ("a", np.array([3, 2**20, 2**40, 2**60 + 7], np.uint64)),
            ("b", np.array([3, 2**20, 2**40, 2**60 + 7], np.uint64)),
        )
    ]
    both[1].mark[agreeing:] = ~both[1].mark[agreeing:]
    found = matches(*both)
    assert found.reference.tolist() == [0]
    assert found.copy.tolist() == [copy]


def test_only_the_smallest_distinct_hashes_are_kept() -> None:
    token = np.array([5, 5, *range(100, 0, -1)], np.uint64)
    made = of_records(["a", "b"], np.ones(len(token), np.int64), token)
    assert made.mark.tolist() == list(range(1, 33))
    assert made.offsets.tolist() == [0, 0, 32]


def test_marks_are_written_and_read_back(originals: list[Array]) -> None:
    for made in (content(originals[:3]), of_patients([*records(5, 0), []]), content([])):
        again = Content.from_json(made.to_json())
        assert (again.kind, again.units) == (made.kind, made.units)
        for name in ("unit", "place", "mark", "offsets"):
            assert np.array_equal(getattr(again, name), getattr(made, name))


def test_marks_do_not_depend_on_the_machine(originals: list[Array]) -> None:
    assert tokens(["ICD//I21"], np.zeros(1, np.int64), np.array([3])).tolist() == [
        8019907461533935544
    ]
    steps = np.arange(140) ** 3 % 101.0
    assert content([steps]).mark.tolist() == [6001303235707560166, 7011226623400176041]


def test_only_units_of_different_parts_and_names_are_reported(originals: list[Array]) -> None:
    several = content([*originals, originals[0], -originals[1]])
    parts = {"train": names(20, "a"), "held_out": ["a20", "a21", "a5"]}
    (found,) = same_content(several, parts, "recording")
    assert found.severity == "leak"
    assert found.what == (
        "2 of 3 recordings of the test set are copies of recordings of the training set, "
        "under another name"
    )
    assert same_content(several, {"train": names(22, "a"), "held_out": names(22, "a")}, "x") == []


def test_noisy_copies_are_leaks_or_suspicions(originals: list[Array]) -> None:
    rng = np.random.default_rng(0)
    noisy = [each + 0.12 * each.std() * rng.normal(size=len(each)) for each in originals]
    parts = {"train": names(20, "a"), "held_out": [f"a{index}" for index in range(20, 40)]}
    found = same_content(content([*originals, *noisy]), parts, "recording")
    severity = {each.check: each.severity for each in found}
    assert severity["resembling content"] == "suspicion"
    assert sum(int(each.what.split()[0]) for each in found) >= 18


def test_what_was_trained_on_is_seen_and_what_was_held_out_is_not(originals: list[Array]) -> None:
    ids = {"train": names(18, "a"), "tuning": ["a18"], "held_out": ["a19"]}
    named = {"recording": ids}
    split = Split("recording", 0, (0.6, 0.2, 0.2), {}, named, content=content(originals))
    new = content([*originals[::-1], *signals(1, seed=5)], "b")
    assert split.seen(new).tolist() == [False, *[True] * 19, False]
    assert Split("recording", 0, (0.6, 0.2, 0.2), {}, {"recording": ids}).seen(new).sum() == 0


def test_marks_of_signals_that_are_computed_together_are_those_of_each_alone() -> None:
    rng = np.random.default_rng(3)
    several = [rng.normal(size=(1, n)).cumsum(axis=1) for n in (178, 178, 90, 178, 40, 3000)]
    several.append(np.zeros((1, 178)))
    called = ["a", "b", "a", "c", "d", "e", "f"]
    together, alone = of_signals(called, several), [*map(of_signals, zip(called), zip(several))]
    assert together.units == ("a", "b", "c", "d", "e", "f")
    first, second, *_, fifth = (together.unit == unit for unit in range(5))
    assert np.array_equal(together.mark[second], alone[1].mark)
    assert np.array_equal(together.place[fifth], alone[5].place)
    # Of the first unit, the second signal begins behind the first.
    assert np.array_equal(together.mark[first], np.concatenate([alone[0].mark, alone[2].mark]))
    places = np.concatenate([alone[0].place, alone[2].place + 2 * 178])
    assert np.array_equal(together.place[first], places)
