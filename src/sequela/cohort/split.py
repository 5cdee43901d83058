"""The split of a run: by subject, session, recording, site or time, or (as a leak) by row.

A split carries its own proof. It lists the hashed ids of every part, and reading it counts again
which ids are in two parts; a split whose parts overlap cannot be used. A split by site or by time
keeps subjects whole as well: see :func:`at_first` and :func:`periods`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import chain, combinations, pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from sequela.audit.finding import SET_NAMES
from sequela.errors import SplitError
from sequela.identity.fingerprint import Content, copies, matches
from sequela.identity.pseudonyms import Ids, Pseudonyms, in_words, named, own

if TYPE_CHECKING:
    from sequela.config import RunSettings, SplitUnit

PARTS = ("train", "tuning", "held_out")
"""The parts of a split, by index."""
SETS = {part: SET_NAMES[part] for part in PARTS}  # the names of the parts for readers
# Words for the unit of a split, where its name is not clear enough.
WORDS: "Mapping[SplitUnit, str]" = {"site": "site (hospital)", "time": "time of the prediction"}
# The number of sites with an event, or without, below which the two are drawn together.
FEW_SITES = 5
_TRIES = 100
# For each deal, the units that stay and the units that are dealt out.
_Deals = list[tuple[NDArray[np.int64], NDArray[np.int64]]]


@dataclass(frozen=True)
class Split:
    """The parts of a data set, and the hashed ids that prove them disjoint."""

    # The unit of the split: all rows of a ``subject``, ``session`` (recordings made at the same
    # time), ``recording`` or ``site`` are in one part; with ``time``, all rows of a subject, and
    # the parts follow each other; with ``row``, each row is assigned alone.
    unit: "SplitUnit"
    seed: int  # the seed of the draw
    fractions: tuple[float, float, float]  # requested shares of train, tuning and held_out
    n_examples: Mapping[str, int]  # examples in each part
    # For each kind of id (``row``, ``recording``, ``session``, ``subject``, ``site``; those that
    # the data have) and each part, the hashed ids. Rows and sites are listed only where they are
    # the unit.
    ids: Mapping[str, Mapping[str, list[str]]]
    # With ``time``, the first and the last time of prediction in each part.
    times: Mapping[str, tuple[str, str]] | None = None
    # Marks of the content of units, by hashed id, by which other data are recognised as the same
    # under any name; ``None`` in runs of earlier versions.
    content: Content | None = field(default=None, compare=False)
    # The name of the key that the ids are hashed with; empty in runs of earlier versions.
    key: str = ""
    # The split of the model that was updated: it has seen people too. Its ids name the same people
    # only in the same data set.
    parent: "Split | None" = field(default=None, compare=False)
    same_ids: bool = False

    @property
    def pseudonyms(self) -> Pseudonyms | None:
        """The hashing of its ids; ``None`` where this user does not have the key."""
        return named(self.key)

    @property
    def whole(self) -> "SplitUnit":
        """The kind of id that is not divided: the unit, or subjects where the unit is the time."""
        return "subject" if self.unit == "time" else self.unit

    @property
    def leaks(self) -> bool:
        """True if rows of one recording or subject are in several parts, by design."""
        return self.unit == "row"

    def shared(self) -> dict[str, dict[str, int]]:
        """Count the ids in both parts, for each kind of id and each pair of parts."""
        return {
            kind: {
                f"{a} and {b}": len(set(parts[a]) & set(parts[b]))
                for a, b in combinations(PARTS, 2)
            }
            for kind, parts in self.ids.items()
        }

    def check_kinds(self) -> None:
        """Check the types of ids and counts, which a file may have wrong."""
        parts = chain.from_iterable(by_part.values() for by_part in self.ids.values())
        if not all(isinstance(text, str) for text in chain([self.key], *parts)):
            raise TypeError("an id, or the name of their key, is not a text")
        if not all(type(number) is int for number in (self.seed, *self.n_examples.values())):
            raise TypeError("the seed or a number of examples is not a whole number")

    def check(self) -> Self:
        """Return the split itself, if no id of its unit is in two parts."""
        for kind, pairs in self.shared().items():
            if (self.leaks and kind != "row") or (self.unit, kind) == ("recording", "session"):
                continue  # which the audit finds
            for pair, n_shared in pairs.items():
                if n_shared:
                    raise SplitError(
                        f"the split is by {self.unit}, but {kind} ids in both {pair}: {n_shared}; "
                        "no number computed on this split can be trusted: split the data again"
                    )
        if self.times is not None:
            for earlier, later in pairwise(PARTS):
                # With equal times on both sides, predictions of one moment would be in two parts.
                if self.times[earlier][1] >= self.times[later][0]:
                    raise SplitError(
                        f"the split is by time, but {earlier} ends after {later} begins: no "
                        "number computed on this split can be trusted; split the data again"
                    )
        return self

    def check_covers(self, kind: str, part: str, ids: Ids) -> None:
        """Check that the ids of a part's predictions are those the split lists.

        Without the key, only their number is compared.
        """
        if kind not in self.ids:
            return
        listed, how = sorted(self.ids[kind][part]), self.pseudonyms
        # Without the key the ids cannot be compared, only counted.
        if (len(np.unique(ids)) != len(listed)) if how is None else how.distinct(ids) != listed:
            raise SplitError(
                f"the {kind} ids of the {part} predictions are not those that split.json lists: "
                "the files belong to different runs; train again"
            )

    def holding(self, content: Content) -> Self:
        """Return the split with the marks of its units' content."""
        return replace(self, content=content)

    def seen(self, content: Content) -> NDArray[np.bool_]:
        """Find units with the content of training or validation units, under whatever name.

        A copy of a test unit does not count as a copy of a seen unit, even if it resembles one. The
        result is bool (unit,).
        """
        nobody = np.zeros(len(content.units), np.bool_)
        of_parent = self.parent.seen(content) if self.parent else nobody
        if self.content is None:
            return of_parent
        parts = self.ids[self.whose]
        # A test unit may resemble a training unit by chance; new data that match it are not seen.
        # Validation units count as seen: they chose the model and its threshold.
        trained = {*parts["train"], *parts["tuning"]}
        unseen = set(parts["held_out"]) - trained
        units = np.array(self.content.units, np.str_)
        old, new = (np.isin(units, np.array([*ids], np.str_)) for ids in (trained, unseen))
        return of_parent | copies(matches(self.content, content), old, new, len(content.units))

    def copied(self, content: Content, ids: Ids, how: Pseudonyms) -> NDArray[np.bool_]:
        """Find examples whose unit, by ``ids`` (example,), has such content: bool (example,)."""
        return np.isin(how.each(ids), np.array(content.units, np.str_)[self.seen(content)])

    def named(self, ids: Mapping[str, Ids], how: Pseudonyms | None) -> NDArray[np.bool_]:
        """Find examples with an id of the training or validation set: bool (example,).

        ``ids`` are (example,) by kind; without their key, ``how``, none is found.
        """
        trained = {kind: (*self.ids[kind]["train"], *self.ids[kind]["tuning"]) for kind in ids}
        by_kind = [np.isin(how.each(ids[kind]), trained[kind]) for kind in ids] if how else []
        if self.parent and self.same_ids:
            listed = {kind: ids[kind] for kind in ids if kind in self.parent.ids}
            by_kind.append(self.parent.named(listed, self.parent.pseudonyms))
        return np.asarray(np.logical_or.reduce(by_kind))

    @property
    def group(self) -> str:
        """The kind of id of groups: sites where they are the unit, else subjects if known."""
        return "site" if "site" in self.ids else self.whose

    @property
    def whose(self) -> str:
        """The kind of id of independent units: subjects if known, else sessions if known."""
        return next(k for k in ("subject", "session", "recording") if k in self.ids)

    def holds_out(self, ids: Ids) -> bool:
        """Return whether any of these ids, of the kind ``whose``, is in the test set."""
        how = self.pseudonyms
        return how is not None and not set(how.distinct(ids)).isdisjoint(
            self.ids[self.whose]["held_out"]
        )

    def to_json(self) -> dict[str, Any]:
        """Return the split and its proof, ready for ``split.json``."""
        record: dict[str, object] = {
            "unit": self.unit,
            "leaks": self.leaks,
            "seed": self.seed,
            "fractions": list(self.fractions),
            "n_examples": dict(self.n_examples),
            "proof": {"ids_in_two_parts": self.shared()},
            "hash": in_words(self.key),
            "key": self.key,
        }
        if self.times:
            record["times"] = {part: [*ends] for part, ends in self.times.items()}
        record["ids"] = {kind: dict(parts) for kind, parts in self.ids.items()}
        if self.content is not None:
            record["content"] = self.content.to_json()
        if self.parent is not None:
            record |= {"parent": self.parent.to_json(), "same_ids": self.same_ids}
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Restore a split, and count its proof again."""
        try:
            split = cls(
                unit=record["unit"],
                seed=record["seed"],
                fractions=tuple(record["fractions"]),
                n_examples={part: record["n_examples"][part] for part in PARTS},
                ids={k: {p: list(v[p]) for p in PARTS} for k, v in record["ids"].items()},
                times={p: tuple(record["times"][p]) for p in PARTS}
                if record["unit"] == "time"
                else None,
                content=Content.from_json(record["content"]) if "content" in record else None,
                key=record.get("key", ""),
                parent=cls.from_json(record["parent"]) if "parent" in record else None,
                same_ids=bool(record.get("same_ids")),
            )
            stated = record["proof"]["ids_in_two_parts"]
            split.check_kinds()
        except KeyError as error:
            raise SplitError(f"split.json lacks {error}: expected the split of a run") from error
        except (TypeError, AttributeError, ValueError) as error:
            raise SplitError(f"split.json is not the split of a run: {error}") from error
        if not all(split.ids.get(split.whole, {}).get(part) for part in PARTS):
            raise SplitError(
                f"split.json is by {split.unit} but lists no {split.whole} ids for a part"
            )
        # The proof is counted again, so that an edited file cannot state another one.
        if stated != split.shared():
            raise SplitError("split.json has a proof that does not follow from its ids")
        return split.check()


def shares(fractions: tuple[float, float, float], folds: int) -> tuple[float, float, float]:
    """Return the shares of the parts: ``fractions``, or those with one of ``folds`` held out."""
    if not folds:
        return fractions
    # The validation set has the same share of what is not tested as without folds.
    tuning_share = fractions[1] / (fractions[0] + fractions[1])
    rest_share = 1 - 1 / folds
    return rest_share * (1 - tuning_share), rest_share * tuning_share, 1 / folds


def draw(
    *,
    label: NDArray[np.int64],
    ids: Mapping[str, Ids],
    unit: "SplitUnit",
    seed: int,
    fractions: tuple[float, float, float] = (0.6, 0.2, 0.2),
    folds: int = 0,
    fold: int = 0,
) -> tuple[Split, NDArray[np.int64]]:
    """Draw a split, stratified by class.

    ``label`` and each of ``ids`` are (example,). With ``folds``, one of them is held out, and train
    and tuning share the others in the ratio of ``fractions``; numbers from ``folds`` on are folds
    of further repeats. The result is the split, and for each example the index of its part in
    ``PARTS``.
    """
    if unit not in ids:
        raise SplitError(f"these data have no {unit} ids to split by; they have: {', '.join(ids)}")
    stratum, inverse = _strata(ids[unit], label)
    _check_fractions(fractions)
    # A class may be at fewer sites than there are parts, so few sites are drawn without strata.
    if unit == "site" and np.bincount(stratum).min() < max(folds, FEW_SITES):
        stratum[:] = 0  # the classes at each site are considered below
    if folds:
        fewest = int(np.bincount(np.unique(stratum, return_inverse=True)[1]).min())
        if not 2 <= folds <= fewest:  # noqa: PLR2004
            raise SplitError(
                f"folds: {folds}, {unit} ids: {len(stratum)}, {fewest} of them in the smallest "
                f"class; expected 2 to {fewest} folds: choose fewer"
            )
    tuning_share = fractions[1] / (fractions[0] + fractions[1])
    fractions = shares(fractions, folds)
    try:
        counts = None
        if unit == "session":
            table = np.zeros((len(stratum), int(label.max()) + 1), np.int64)
            np.add.at(table, (inverse, label), 1)
            counts = table.tobytes()
        of_parts = (tuning_share, fractions[2])
        members = _drawn(stratum.tobytes(), counts, of_parts, seed=seed, folds=folds, fold=fold)
    except ValueError as error:
        sizes = np.unique(stratum, return_counts=True)[1]
        rarest = f", {sizes.min()} of them in the smallest class" if len(sizes) > 1 else ""
        raise SplitError(
            f"{unit} ids: {len(stratum)}{rarest}; too few for a training, validation and test set "
            f"with shares of {fractions} and each class in each: give more of them, or change "
            "the shares"
        ) from error
    part_of_unit = np.empty(len(stratum), dtype=np.int64)
    for index, name in enumerate(PARTS):
        part_of_unit[members[name]] = index
    part = part_of_unit[inverse]
    if unit in ("site", "session"):
        finer = "subject" if unit == "site" else "recording"
        instead = "fewer folds" if folds else f"another seed, or a split by {finer}"
        _check_classes(label, part, instead)
    ids = {kind: values for kind, values in ids.items() if kind != "row" or unit == "row"}
    return _proven(part, ids, unit, seed, fractions), part


def draw_for(
    settings: "RunSettings", label: NDArray[np.int64], ids: Mapping[str, Ids]
) -> tuple[Split, NDArray[np.int64]]:
    """Draw the split that the settings of a run name; see :func:`draw`."""
    return draw(
        label=label,
        ids=ids,
        unit=settings.split,
        seed=settings.seed_of_split,
        fractions=settings.fractions,
        folds=settings.folds,
        fold=settings.fold,
    )


def _proven(
    part: NDArray[np.int64],
    ids: Mapping[str, Ids],
    unit: "SplitUnit",
    seed: int,
    fractions: tuple[float, float, float],
    times: Mapping[str, tuple[str, str]] | None = None,
) -> Split:
    """Build a split with its proof: the hashed ids of each part."""
    rows = {name: part == i for i, name in enumerate(PARTS)}
    hashed = {
        kind: {name: own().distinct(values[inside]) for name, inside in rows.items()}
        for kind, values in ids.items()
    }
    counts = {name: int(inside.sum()) for name, inside in rows.items()}
    return Split(unit, seed, fractions, counts, hashed, times, key=own().name).check()


def _check_fractions(fractions: tuple[float, float, float]) -> None:
    if not math.isclose(sum(fractions), 1) or min(fractions) <= 0:
        raise SplitError(f"fractions {fractions} must be positive and sum to 1")


def _check_classes(label: NDArray[np.int64], part: NDArray[np.int64], instead: str) -> None:
    for i, name in enumerate(PARTS):
        if len(np.unique(label[part == i])) < len(np.unique(label)):
            raise SplitError(
                f"{name} would have {int((part == i).sum())} examples and none of a class, so it "
                f"could not be learnt from or judged: choose {instead}"
            )


def at_first(subject: Ids, where: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Test whether each example is at the site, or in the period, of its subject's first example.

    Parts of a split by site or time consist of whole sites or periods, and subjects stay whole too.
    So a subject belongs to the site or period of its first example; its other examples are left
    out. The examples of each subject are in the order of time.

    Example:
        >>> at_first(np.array(["a", "a", "b"]), np.array([4, 5, 5])).tolist()
        [True, False, True]
    """
    _, first, inverse = np.unique(subject, return_index=True, return_inverse=True)
    return np.asarray(where[first][inverse] == where)


def periods(
    subject: Ids, time: NDArray[np.datetime64], fractions: tuple[float, float, float]
) -> NDArray[np.int64]:
    """Return the part that each example's prediction time falls into, the earliest into train.

    The shares of subjects whose first prediction falls into each period are ``fractions``, as
    nearly as equal times allow: equal times are in one period. The result is int64 (example,), an
    index into ``PARTS``.
    """
    _check_fractions(fractions)
    # The periods are cut at quantiles of the subjects' first predictions, not of all predictions:
    # else subjects with many of them would decide.
    _, inverse = np.unique(subject, return_inverse=True)
    first = np.full(inverse.max() + 1, time.max())
    np.minimum.at(first, inverse, time)
    ordered = np.sort(first)  # subjects by their first prediction
    before = np.cumsum(fractions)[:-1]
    begins = ordered[np.minimum(np.round(before * len(ordered)).astype(int), len(ordered) - 1)]
    if not ordered[0] < begins[0] < begins[1]:
        raise SplitError(
            f"{len(ordered)} subjects have {len(np.unique(ordered))} different times of a first "
            "prediction, too few for an early, a later and a latest part: split by subject"
        )
    return np.searchsorted(begins, time, side="right")


def divided_by_time(
    *,
    label: NDArray[np.int64],
    subject: Ids,
    time: NDArray[np.datetime64],
    part: NDArray[np.int64],
    seed: int,
    fractions: tuple[float, float, float],
) -> Split:
    """Build the proof of a split by time.

    All arrays are (example,); :func:`periods` returns the parts.
    """
    _check_classes(label, part, "a split by subject")
    times = {
        name: (str(np.datetime_as_string(t.min())), str(np.datetime_as_string(t.max())))
        for name, t in {name: time[part == i] for i, name in enumerate(PARTS)}.items()
    }
    return _proven(part, {"subject": subject}, "time", seed, fractions, times)


@lru_cache(maxsize=16)  # the models of a study have the same splits
def _drawn(
    strata: bytes,
    counted: bytes | None,
    shares: tuple[float, float],
    *,
    seed: int,
    folds: int,
    fold: int,
) -> dict[str, NDArray[np.int64]]:
    """Draw the units of each part; raise a ValueError if a part would lack a class."""
    from sklearn.model_selection import StratifiedKFold, train_test_split

    stratum = np.frombuffer(strata, np.int64)
    units = np.arange(len(stratum))
    counts = None if counted is None else np.frombuffer(counted, np.int64).reshape(len(units), -1)

    def deals(state: int) -> _Deals:
        if folds:
            return [*StratifiedKFold(folds, shuffle=True, random_state=state).split(units, stratum)]
        return aside(units, shares[1], state)

    def aside(members: NDArray[np.int64], share: float, state: int) -> _Deals:
        classes = stratum[members]
        return [train_test_split(members, test_size=share, stratify=classes, random_state=state)]

    # Sessions have several classes and sizes, so strata alone do not make parts alike: the most
    # even of 100 deals is taken, by the squared differences of the classes' shares.
    def most_even(deal: Callable[[int], _Deals], share: float, seed: int) -> _Deals:
        if counts is None:
            return deal(seed)

        def unevenness(dealt: _Deals) -> float:
            sums = [(counts[stay].sum(0), counts[out].sum(0)) for stay, out in dealt]
            return float(sum(np.square(b / (a + b) - share).sum() for a, b in sums))

        # Independent seeds: the deals of one seed and of the next have none in common.
        states = np.random.SeedSequence(seed).generate_state(_TRIES).tolist()
        return min((deal(state) for state in states), key=unevenness)

    repeat, place = divmod(fold, folds) if folds else (0, 0)  # later folds are of further repeats
    # All folds of a repeat share the deal of the test sets; each has a validation set of its own.
    rest, held_out = most_even(deals, shares[1], seed + repeat)[place]
    ((train, tuning),) = most_even(partial(aside, rest, shares[0]), shares[0], seed + fold)
    parts = dict(zip(PARTS, (train, tuning, held_out), strict=True))
    for name, members in parts.items():
        if len(np.unique(stratum[members])) < len(np.unique(stratum)):
            raise ValueError(f"{name} would have none of a class")
    return parts


def set_aside(
    label: NDArray[np.int64], group: NDArray[np.generic], *, fraction: float, seed: int
) -> NDArray[np.bool_]:
    """Draw a validation set from the training examples: whole groups, stratified by class.

    For each class with two or more groups, at least one is set aside and at least one is kept. The
    result is bool (example,).

    Example:
        >>> group = np.repeat(np.arange(10), 2)
        >>> aside = set_aside(group // 5, group, fraction=0.2, seed=0)
        >>> aside.sum(), np.intersect1d(group[aside], group[~aside])
        (np.int64(4), array([], dtype=int64))
    """
    stratum, inverse = _strata(group, label)
    rng = np.random.default_rng(seed)
    is_aside = np.zeros(len(stratum), np.bool_)
    for class_ in np.unique(stratum):
        members = rng.permutation(np.flatnonzero(stratum == class_))
        # At least one group is set aside, and the line below keeps one for training.
        count = max(1, round(fraction * len(members)))
        is_aside[members[: min(count, len(members) - 1)]] = True
    aside: NDArray[np.bool_] = is_aside[inverse]
    lost = np.setdiff1d(label, label[~aside])
    if not aside.any() or len(lost):
        raise SplitError(
            f"groups: {len(stratum)}, classes: {len(np.unique(label))}; too few to set "
            f"{fraction:.0%} of them aside for tuning and keep each class in training: "
            "give more groups, or tune on none"
        )
    return aside


def _strata(
    unit: NDArray[np.generic], label: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the class of each distinct unit (unit,), and the unit of each example (example,)."""
    _, first, inverse = np.unique(unit, return_index=True, return_inverse=True)
    # A unit with several classes (a subject with seizure and other segments) counts as its highest
    # label for the strata; units with one class, the usual case, are unaffected.
    stratum = label[first].copy()
    np.maximum.at(stratum, inverse, label)
    return stratum, inverse
