"""Unchanged copies are known under any name, and what is alike by chance is not."""

import numpy as np
import pytest
from numpy.typing import NDArray

from sequela.cohort.split import Split
from sequela.identity.exact import Exact, joined, of_records, of_windows

Windows = NDArray[np.float32]


def windows(count: int, seed: int, length: int = 178, n_chans: int = 2) -> Windows:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(count, n_chans, length)).cumsum(axis=2).round(1).astype(np.float32)


def names(count: int, letter: str) -> list[str]:
    return [f"{letter}{index}" for index in range(count)]


def copied(known: Exact, asked: Exact) -> list[bool]:
    return [*map(bool, known.copied(np.ones(len(known.units), np.bool_), asked))]


def test_a_copy_is_known_under_any_name_and_in_any_order() -> None:
    known = of_windows(names(50, "a"), [windows(50, 0)])
    new = np.concatenate([windows(50, 0)[::-1], windows(20, 1)])
    asked = of_windows(names(70, "b"), [new[:33], new[33:]])
    assert copied(known, asked) == [True] * 50 + [False] * 20
    assert asked.recognisable.all()


@pytest.mark.parametrize("change", ["gain", "offset", "inverted", "shifted"])
def test_a_changed_copy_is_not_known(change: str) -> None:
    original = windows(20, 0)
    changed = {
        "gain": original * np.float32(1.1),
        "offset": original + 20,
        "inverted": -original,
        "shifted": np.roll(original, -1, axis=2),
    }[change]
    known, asked = (of_windows(names(20, "a"), [each]) for each in (original, changed))
    assert not any(copied(known, asked))


def test_longer_windows_that_begin_together_are_known() -> None:
    whole = windows(5, 0, length=4097)
    known, asked = (of_windows(names(5, "a"), [whole[..., :n]]) for n in (4097, 4094))
    assert all(copied(known, asked))


def test_windows_that_hardly_change_have_no_hash() -> None:
    flat = np.zeros((3, 2, 178), np.float32)
    flat[1, 1, 20:35] = np.arange(15)  # fifteen changes up to the last, and one back
    flat[2, 1, 20:34] = np.arange(14)
    made = of_windows(["flat", "changing", "less"], [flat])
    assert made.recognisable.tolist() == [False, False, False]
    flat[1, 1, 20:37] = np.arange(17)
    made = of_windows(["flat", "changing", "less"], [flat])
    assert made.units == ("flat", "changing", "less")
    assert made.recognisable.tolist() == [False, True, False]


def test_of_a_long_recording_32_windows_are_kept_and_any_of_them_is_known() -> None:
    long, recordings = windows(200, 0), ["one"] * 100 + ["two"] * 100
    known = of_windows(["a"] * 200, [long], recordings)
    assert known.units == ("a",)
    assert len(known.hashes) == 64
    for of_one in (long[:100], long[100:]):
        hashes = of_windows(["x"] * 100, [of_one]).hashes
        assert np.isin(np.sort(hashes)[:32], known.hashes).all()
        assert copied(known, of_windows(["x"] * 100, [of_one])) == [True]


def test_a_patient_is_known_by_all_codes_in_any_order() -> None:
    rng = np.random.default_rng(0)
    token = rng.integers(1 << 60, size=300).astype(np.uint64)
    unit = np.repeat(np.arange(10), 30)
    known = of_records(names(10, "a"), unit, token)
    order = rng.permutation(300)
    again = np.append(order, order[:7])  # a code twice is one code
    assert copied(known, of_records(names(10, "b"), unit[again], token[again])) == [True] * 10
    changed = token.copy()
    changed[5] += np.uint64(1)
    asked = of_records(names(10, "b"), unit, changed)
    assert copied(known, asked) == [False] + [True] * 9


def test_a_hash_of_trained_and_of_other_units_proves_nothing() -> None:
    both = windows(2, 0)
    known = of_windows(["trained", "trained", "held out"], [both[[0, 1, 1]]])
    asked = of_windows(["one", "two"], [both])
    assert known.copied(np.array([True, False]), asked).tolist() == [True, False]


def test_patients_of_few_codes_have_no_hash() -> None:
    token = np.arange(15).astype(np.uint64)
    made = of_records(["eight", "seven", "none"], np.repeat([0, 1], [8, 7]), token)
    assert made.recognisable.tolist() == [True, False, False]


def test_hashes_are_written_read_back_and_joined() -> None:
    records = of_records(["r", "s"], np.repeat([0, 1], [9, 3]), np.arange(12).astype(np.uint64))
    both = joined([of_windows(["a", "b", "a"], [windows(3, 0)]), records])
    assert both.units == ("a", "b", "r", "s")
    assert both.unit.tolist() == [0, 0, 1, 2]
    again = Exact.from_json(both.to_json())
    assert again
    assert again.units == both.units
    assert np.array_equal(again.unit, both.unit)
    assert np.array_equal(again.hashes, both.hashes)
    assert Exact.from_json({"kind": "signal", "units": {"a": "AAAA"}}) is None  # marks, as before


def test_hashes_do_not_depend_on_the_machine() -> None:
    steps = (np.arange(140) ** 3 % 101).astype(np.float32)[np.newaxis, np.newaxis]
    assert of_windows(["a"], [steps]).hashes.tolist() == [356016019273293346]
    assert of_records(["a"], np.zeros(9, np.int64), np.arange(9).astype(np.uint64)).hashes == [
        18355018466797924588
    ]


def test_what_was_trained_on_is_seen_and_what_was_held_out_is_not() -> None:
    ids = {"recording": {"train": names(18, "a"), "tuning": ["a18"], "held_out": ["a19"]}}
    content = of_windows(names(20, "a"), [windows(20, 0)])
    split = Split("recording", 0, (0.6, 0.2, 0.2), {}, ids, content=content)
    new = np.concatenate([windows(20, 0)[::-1], windows(1, 5)])
    asked = of_windows(names(21, "b"), [new])
    assert split.seen(asked).tolist() == [False, *[True] * 19, False]
    assert Split("recording", 0, (0.6, 0.2, 0.2), {}, ids).seen(asked).sum() == 0
