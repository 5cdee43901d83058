"""The split and its proof, against slow plain counting."""

import hashlib
import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sequela.cohort.split import PARTS, Split, _check_classes, draw, set_aside
from sequela.config import SplitUnit
from sequela.datasets.catalog import Recording
from sequela.errors import SplitError
from sequela.identity.fingerprint import of_signals
from sequela.identity.pseudonyms import PLAIN, own
from sequela.serving.overlap import Overlap
from sequela.signals.bonn import CLASSES
from sequela.signals.segments import cut


def many(
    *, recordings: int = 40, segments: int = 6, classes: int = 4, seed: int = 0
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], dict[str, np.ndarray[Any, np.dtype[np.str_]]]]:
    """Labels and ids of shuffled segments; a subject has two recordings of one class."""
    order = np.random.default_rng(seed).permutation(recordings * segments)
    recording = np.arange(recordings * segments)[order] // segments
    return (recording // 2) % classes, {
        "row": np.char.mod("row%d", order),
        "recording": np.char.mod("rec%d", recording),
        "subject": np.char.mod("sub%d", recording // 2),
    }


def proven(unit: SplitUnit = "recording") -> dict[str, Any]:
    """The ``split.json`` of a split."""
    label, ids = many()
    if unit == "recording":
        del ids["subject"]
    return draw(label=label, ids=ids, unit=unit, seed=0)[0].to_json()


@given(
    sizes=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 9)), min_size=3, max_size=60),
    unit=st.sampled_from(["subject", "recording"]),
    seed=st.integers(0, 2**31 - 1),
)
@settings(max_examples=60, deadline=None)
def test_parts_share_no_unit(sizes: list[tuple[int, int]], unit: SplitUnit, seed: int) -> None:
    label = np.array([kind for kind, n in sizes for _ in range(n)] * 5, np.int64)
    named = np.array([i for i, (_, n) in enumerate(sizes) for _ in range(n)])
    group = np.concatenate([named + k * len(sizes) for k in range(5)])
    ids: dict[str, Any] = {
        "row": np.char.mod("r%d", np.arange(len(label))),
        unit: np.char.mod("g%d", group),
    }
    try:
        split, part = draw(label=label, ids=ids, unit=unit, seed=seed)
    except SplitError as error:
        assert "too few" in str(error)  # noqa: PT017 - whether it is raised depends on the example
        return
    holders: dict[str, set[int]] = {}
    for name, index in zip(ids[unit].tolist(), part.tolist(), strict=True):
        holders.setdefault(name, set()).add(index)
    assert all(len(parts) == 1 for parts in holders.values())
    for index, name in enumerate(PARTS):
        members = [g for g, parts in holders.items() if parts == {index}]
        assert split.ids[unit][name] == own().distinct(np.array(members))
        assert split.n_examples[name] == part.tolist().count(index)
        assert {label[ids[unit] == g][0] for g in members} == set(label.tolist())
    assert sum(split.n_examples.values()) == len(label)
    assert Split.from_json(split.to_json()) == split


@pytest.mark.parametrize("unit", ["subject", "recording", "row"])
def test_each_class_has_its_share_of_each_part(unit: SplitUnit) -> None:
    label, ids = many(recordings=80, segments=5, classes=4)
    if unit == "recording":
        del ids["subject"]
    _, part = draw(label=label, ids=ids, unit=unit, seed=3)
    for index, share in enumerate((0.6, 0.2, 0.2)):
        counts = np.bincount(label[part == index], minlength=4)
        assert counts.tolist() == [round(100 * share)] * 4


def test_a_unit_of_several_classes_counts_as_its_highest() -> None:
    group = np.repeat(np.arange(50), 4)
    label = np.where((group < 10) & (np.arange(200) % 4 == 3), 1, 0)
    ids = {"row": np.char.mod("%d", np.arange(200)), "subject": np.char.mod("s%d", group)}
    _, part = draw(label=label, ids=ids, unit="subject", seed=0)
    assert [int(label[part == i].sum()) for i in range(3)] == [6, 2, 2]


def test_the_order_of_the_examples_does_not_matter() -> None:
    label, ids = many()
    split, _ = draw(label=label, ids=ids, unit="subject", seed=5)
    turned, _ = draw(
        label=label[::-1].copy(),
        ids={kind: each[::-1].copy() for kind, each in ids.items()},
        unit="subject",
        seed=5,
    )
    assert split == turned


def test_rows_leak_and_say_so() -> None:
    label, ids = many()
    split, part = draw(label=label, ids=ids, unit="row", seed=0)
    record = split.to_json()
    assert split.leaks
    assert record["leaks"] is True
    in_part = [set(ids["recording"][part == i].tolist()) for i in range(3)]
    assert record["proof"]["ids_in_two_parts"]["recording"] == {
        "train and tuning": len(in_part[0] & in_part[1]),
        "train and held_out": len(in_part[0] & in_part[2]),
        "tuning and held_out": len(in_part[1] & in_part[2]),
    }
    assert min(record["proof"]["ids_in_two_parts"]["recording"].values()) > 0
    assert set(record["proof"]["ids_in_two_parts"]["row"].values()) == {0}


def test_recordings_of_one_subject_in_two_parts_are_refused() -> None:
    label, ids = many()
    with pytest.raises(SplitError, match=r"by recording, but subject ids in both .*: \d+"):
        draw(label=label, ids=ids, unit="recording", seed=0)


@pytest.mark.parametrize(
    ("unit", "stated", "message"),
    [
        ("recording", 1, "recording ids in both train and held_out: 1"),
        ("recording", 0, "a proof that does not follow from its ids"),
        ("row", 1, "by row, but row ids in both .*: 1"),
    ],
)
def test_an_id_in_two_parts_is_refused(unit: SplitUnit, stated: int, message: str) -> None:
    """Whatever the proof says of it."""
    record = proven(unit)
    record["ids"][unit]["held_out"].append(record["ids"][unit]["train"][0])
    record["proof"]["ids_in_two_parts"][unit]["train and held_out"] = stated
    with pytest.raises(SplitError, match=message):
        Split.from_json(record)


@pytest.mark.parametrize("unit", ["recording", "row"])
@pytest.mark.parametrize("key", ["unit", "seed", "fractions", "n_examples", "ids", "proof"])
def test_an_incomplete_record_is_refused(unit: SplitUnit, key: str) -> None:
    record = proven(unit)
    del record[key]
    with pytest.raises(SplitError, match=r"split\.json lacks"):
        Split.from_json(record)


@pytest.mark.parametrize(
    "change",
    [
        {"ids": []},
        {"ids": {"recording": ["a"]}},
        {"proof": None},
        {"n_examples": [1, 2, 3]},
        {"unit": "patient"},
        {"fractions": 3},
    ],
)
def test_a_record_of_another_form_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(SplitError, match=r"split\.json"):
        Split.from_json({**proven(), **change})


def test_removed_ids_are_refused() -> None:
    without_kind = proven()
    del without_kind["ids"]["recording"]
    del without_kind["proof"]["ids_in_two_parts"]["recording"]
    with pytest.raises(SplitError, match="lists no recording ids"):
        Split.from_json(without_kind)
    without_part = proven()
    del without_part["ids"]["recording"]["tuning"]
    with pytest.raises(SplitError, match="lacks 'tuning'"):
        Split.from_json(without_part)
    emptied = proven()
    emptied["ids"]["recording"]["train"] = []
    with pytest.raises(SplitError, match="no recording ids"):
        Split.from_json(emptied)


def test_predictions_of_other_ids_are_refused() -> None:
    label, ids = many()
    split, part = draw(label=label, ids=ids, unit="subject", seed=0)
    held_out = ids["recording"][part == 2]
    split.check_covers("recording", "held_out", held_out)
    for wrong in (held_out[held_out != held_out[0]], ids["recording"][part == 1]):
        with pytest.raises(SplitError, match="belong to different runs"):
            split.check_covers("recording", "held_out", wrong)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"unit": "subject"}, "have no subject ids to split by; they have: row, recording"),
        ({"fractions": (0.6, 0.2, 0.3)}, "must be positive and sum to 1"),
        ({"fractions": (0.8, 0.2, 0.0)}, "must be positive and sum to 1"),
    ],
)
def test_a_draw_that_cannot_be_made(changes: dict[str, Any], message: str) -> None:
    label, ids = many()
    del ids["subject"]
    with pytest.raises(SplitError, match=message):
        draw(**{"label": label, "ids": ids, "unit": "recording", "seed": 0, **changes})


def test_too_few_recordings() -> None:
    label, ids = many(recordings=4, classes=2)
    del ids["subject"]
    with pytest.raises(SplitError, match=r"recording ids: 4, 2 of them in .*; too few"):
        draw(label=label, ids=ids, unit="recording", seed=0)


@given(
    groups=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 4)), min_size=1, max_size=30),
    fraction=st.floats(0.05, 0.9),
    seed=st.integers(0, 2**31 - 1),
)
@settings(max_examples=100, deadline=None)
def test_a_tuning_part_takes_whole_groups_of_each_class(
    groups: list[tuple[int, int]], fraction: float, seed: int
) -> None:
    label = np.array([kind for kind, n in groups for _ in range(n)], np.int64)
    group = np.array([i for i, (_, n) in enumerate(groups) for _ in range(n)])
    of_class = [sum(kind == each for kind, _ in groups) for each in range(3)]
    if max(of_class) < 2:
        with pytest.raises(SplitError, match="too few"):
            set_aside(label, group, fraction=fraction, seed=seed)
        return
    aside = set_aside(label, group, fraction=fraction, seed=seed)
    assert not set(group[aside]) & set(group[~aside])
    for each, n in enumerate(of_class):
        taken = len(set(group[aside & (label == each)]))
        assert taken == min(max(1, round(fraction * n)), max(0, n - 1))
    again = set_aside(label, group, fraction=fraction, seed=seed)
    assert np.array_equal(aside, again)


def test_a_class_that_only_whole_other_groups_hold_is_not_lost_in_silence() -> None:
    label, group = np.array([0, 1, 1, 1]), np.array([7, 7, 8, 9])
    kept = 0
    for seed in range(20):
        try:
            aside = set_aside(label, group, fraction=0.3, seed=seed)
        except SplitError:
            continue
        kept += 1
        assert not aside[0]
    assert 0 < kept < 20


def test_the_split_of_the_published_segments_stays_what_it_was(
    excerpt: dict[str, Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers that stand in run folders and reports rest on this draw."""
    monkeypatch.setattr("sequela.cohort.split.own", lambda: PLAIN)
    segments = cut(list(excerpt.values()), 178, CLASSES)
    ids = {"row": segments.segment_id, "recording": segments.recording_id}
    split, part = draw(label=segments.label, ids=ids, unit="recording", seed=0)
    record = split.to_json()
    assert record.pop("key") == ""
    content = json.dumps(record).encode() + part.tobytes()
    assert hashlib.sha256(content).hexdigest() == (
        "3f521f9f856d40161a4e6c7b5176f14cff8f3e43647cd36dc3b5963de4c9d761"
    )


@given(
    units=st.lists(st.lists(st.booleans(), min_size=1, max_size=4), min_size=6, max_size=50),
    folds=st.integers(2, 6),
    seed=st.integers(0, 2**31 - 1),
    repeat=st.integers(0, 3),
)
@settings(max_examples=60, deadline=None)
def test_folds_hold_each_unit_out_once(
    units: list[list[bool]], folds: int, seed: int, repeat: int
) -> None:
    """Against plain sets: parts disjoint, each class in each part, each unit held out once."""
    label = np.array([one for unit in units for one in unit], np.int64)
    subject = np.char.mod("s%d", [i for i, unit in enumerate(units) for _ in unit])
    ids = {"row": np.char.mod("r%d", np.arange(len(label))), "subject": subject}
    highest = {f"s{i}": max(unit) for i, unit in enumerate(units)}
    held_out: list[str] = []
    for fold in range(repeat * folds, (repeat + 1) * folds):
        try:
            split, part = draw(
                label=label, ids=ids, unit="subject", seed=seed, folds=folds, fold=fold
            )
        except SplitError as error:
            # whether depends on the example
            assert "too few" in str(error) or "in the smallest class" in str(error)  # noqa: PT017
            return
        members = [set(subject[part == index].tolist()) for index in range(3)]
        assert sum(map(len, members)) == len(set.union(*members)) == len(units)
        for some, name in zip(members, PARTS, strict=True):
            assert {highest[one] for one in some} == set(highest.values())
            assert split.ids["subject"][name] == own().distinct(np.array(sorted(some)))
        assert abs(len(members[2]) - len(units) / folds) <= 1
        assert sum(split.fractions) == pytest.approx(1)
        assert split.fractions[2] == pytest.approx(1 / folds)
        assert split.fractions[1] / split.fractions[0] == pytest.approx(1 / 3)
        assert Split.from_json(json.loads(json.dumps(split.to_json()))) == split
        held_out += members[2]
    assert sorted(held_out) == sorted(highest)


def test_folds_are_decided_by_seed_fold_and_repeat() -> None:
    label, ids = many()

    def parts(seed: int = 0, folds: int = 0, fold: int = 0) -> list[int]:
        found = draw(label=label, ids=ids, unit="subject", seed=seed, folds=folds, fold=fold)
        drawn: list[int] = found[1].tolist()
        return drawn

    assert parts(folds=4, fold=1) == parts(folds=4, fold=1)
    assert parts(seed=9) == parts(seed=9)
    different = [
        parts(folds=4, fold=1),
        parts(folds=4, fold=2),
        parts(folds=4, fold=5),
        parts(folds=4, fold=1, seed=9),
        parts(folds=5, fold=1),
        parts(),
        parts(seed=9),
    ]
    assert len({tuple(one) for one in different}) == len(different)


@pytest.mark.parametrize(
    ("positives", "folds", "message"),
    [
        (2, 0, "subject ids: 100, 2 of them in the smallest class; too few"),
        (4, 0, ""),
        (4, 5, "4 of them in the smallest"),
        (40, 1, "folds: 1, subject ids: 100"),
    ],
)
def test_a_part_without_a_class_is_refused(positives: int, folds: int, message: str) -> None:
    """Nothing could be tuned or judged on it, and it would be seen only after training."""
    for seed in range(10):
        label = (np.arange(100) < positives).astype(np.int64)
        named = np.char.mod("%d", np.arange(100))
        ids = {"row": named, "subject": named}
        if message:
            with pytest.raises(SplitError, match=message):
                draw(label=label, ids=ids, unit="subject", seed=seed, folds=folds)
        else:
            _, part = draw(label=label, ids=ids, unit="subject", seed=seed, folds=folds)
            assert np.bincount(part[label == 1], minlength=3).tolist() == [2, 1, 1]


def test_a_class_that_one_part_lacks_is_missed_whichever_part_it_is() -> None:
    label, part = np.array([0, 1, 0, 1, 0, 1]), np.array([0, 0, 1, 1, 2, 2])
    _check_classes(label, part, "another seed")
    for lacking, name in enumerate(PARTS):
        some = label.copy()
        some[part == lacking] = 0
        with pytest.raises(SplitError, match=f"{name} would have 2 examples and none of a class"):
            _check_classes(some, part, "another seed")


def sessions(seed: int) -> tuple[Any, dict[str, Any]]:
    """Recordings of sessions that differ in size, some with recordings of two classes."""
    rng = np.random.default_rng(seed)
    session = np.repeat(np.arange(60), rng.integers(1, 9, 60))
    label = session % 4
    label[(session % 12 == 3) & (rng.random(len(session)) < 0.5)] = 2
    names = np.char.mod("r%03d", np.arange(len(session)))
    return label, {"row": names, "recording": names, "session": np.char.mod("s%d", session)}


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.slow) for n in (1, 2))])
def test_sessions_stay_whole_and_classes_even(seed: int) -> None:
    """More even than when the first deal is taken, and each recording is held out once."""
    label, ids = sessions(seed)
    held_out = np.zeros(len(label), np.int64)
    spread = {}
    for unit in ("session", "subject"):
        shares = []
        for fold in range(5):
            split, part = draw(
                label=label,
                ids={"row": ids["row"], unit: ids["session"]},
                unit=unit,
                seed=seed,
                folds=5,
                fold=fold,
            )
            assert not any(split.shared()[unit].values())
            held_out += (part == 2) * (unit == "session")
            shares.append(np.bincount(label[part == 2], minlength=4) / np.bincount(label))
        spread[unit] = np.square(np.array(shares) - 0.2).sum()
    assert (held_out == 1).all()
    assert spread["session"] < spread["subject"]


def test_a_recording_is_not_taken_for_a_session_of_its_name() -> None:
    """Marks are of sessions: session 1 is held out, and recording 1 was trained on."""
    rng = np.random.default_rng(0)
    signals = [rng.normal(size=(1, 4000)) for _ in range(3)]
    names = own().each(np.array(["1", "2", "3"])).tolist()
    parts = {"train": ["2"], "tuning": ["3"], "held_out": ["1"]}
    recordings = {"train": ["1"], "tuning": ["2"], "held_out": ["3"]}
    hashed = [
        {p: own().each(np.array(i)).tolist() for p, i in ids.items()} for ids in (parts, recordings)
    ]
    ids = dict(zip(("session", "recording"), hashed, strict=True))
    split = Split("session", 0, (0.6, 0.2, 0.2), {}, ids, content=of_signals(names, signals))
    assert split.seen(of_signals(["a", "b", "c"], signals)).tolist() == [False, True, True]
    known = Overlap(None, np.zeros(0, np.bool_), PLAIN).by_name(replace(split, key=own().name))
    assert known.names(["1", "2"], "session") == ["2"]
    assert known.names(["1", "2", "3"], "recording") == ["1", "2"]


def test_a_split_by_recording_may_divide_a_session() -> None:
    """The audit finds that; a session in two parts of a split by session is refused."""
    label, ids = sessions(0)
    split, _ = draw(label=label, ids=ids, unit="recording", seed=0)
    assert sum(split.shared()["session"].values()) > 0
    again = Split.from_json(split.to_json())
    assert again.whose == again.group == "session"
    record = draw(label=label, ids=ids, unit="session", seed=0)[0].to_json()
    record["ids"]["session"]["train"].append(record["ids"]["session"]["held_out"][0])
    record["proof"]["ids_in_two_parts"]["session"]["train and held_out"] = 1
    with pytest.raises(SplitError, match=r"by session, but session ids in both .*: 1"):
        Split.from_json(record)
