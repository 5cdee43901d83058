"""The runs of one question on a page: one cohort, or one data set."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

from sequela.evaluation.disclosure import is_small
from sequela.report import sentences
from sequela.report.entry import Entry
from sequela.runs.find import Run
from sequela.runs.openings import Openings, openings
from sequela.studies.study import Study

TOO_FEW = "too few subjects to conclude"


@dataclass(frozen=True)
class Group:
    """The runs of one question: one cohort, or one data set.

    Attributes:
        study: Its study.
        key: Its name in ``results.json``.
        plain: Its models and reference models, as they should be.
        weighted: Its networks trained with weighted classes.
        leaking: Its models run with a leak, to show what that is worth.
    """

    study: Study
    key: str
    plain: tuple[Entry, ...]
    weighted: tuple[Entry, ...]
    leaking: tuple[Entry, ...]

    @classmethod
    def of(cls, study: Study, key: str, runs: Sequence[Run], smallest: int) -> "Group":
        """The runs of one question, each kind apart; where there are no plain ones, others are."""
        kinds: dict[str, list[Entry]] = {"plain": [], "weighted": [], "leaking": []}
        for entry in (Entry(run, study, smallest) for run in runs):
            weighted = entry.run.settings.training.class_weights
            kinds["leaking" if entry.leak else "weighted" if weighted else "plain"].append(entry)
        for instead in ("weighted", "leaking"):
            if not kinds["plain"]:
                kinds["plain"], kinds[instead] = kinds[instead], []
        plain = _told_apart(kinds["plain"])
        leaks = dict.fromkeys(entry.leak for entry in kinds["leaking"])
        leaking = [_told_apart([e for e in kinds["leaking"] if e.leak == leak]) for leak in leaks]
        others = _told_apart(kinds["weighted"])
        return cls(study, key, plain, others, tuple(chain.from_iterable(leaking)))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All of them."""
        return (*self.plain, *self.weighted, *self.leaking)

    @property
    def first(self) -> Run:
        """A run that tells what all share."""
        return self.plain[0].run

    @property
    def data(self) -> dict[str, Any]:
        """The runs' description of their data."""
        return self.plain[0].data

    @cached_property
    def split(self) -> dict[str, Any]:
        """The split, or the folds."""
        return self.first.describe_split()

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What makes the numbers too good: the same for all models."""
        return self.plain[0].findings

    @cached_property
    def rarer(self) -> int:
        """Examples of the rarer class, which may be too few to be shown."""
        counts: list[int] = self.plain[0].run.data["counts"]
        return min(counts)

    @property
    def rarer_shown(self) -> str:
        """The same in words, as it may be shown."""
        smallest = self.plain[0].cell
        return f"fewer than {smallest}" if is_small(self.rarer, smallest) else f"{self.rarer:,}"

    @property
    def too_few(self) -> str:
        """The sentence where nothing can be concluded, else nothing."""
        return TOO_FEW if self.rarer < self.study.very_few else ""

    @property
    def quick(self) -> bool:
        """Whether networks were trained for so few epochs that their numbers are no results."""
        declared = self.study.training
        return any(
            entry.run.settings.training.epochs
            < min(declared[entry.name].epochs, self.study.quick_epochs + 1)
            for entry in self.plain
            if entry.name in declared
        )

    @property
    def one_step(self) -> str:
        """The warning where recurrent models read one step in most examples, else nothing."""
        return sentences.one_step(self.plain)

    @property
    def codes(self) -> str:
        """To what level codes are cut, if they are."""
        return sentences.codes_in_words(self.data)

    @property
    def best(self) -> Entry:
        """The one with the best held-out number."""
        return max(self.plain, key=lambda entry: entry.value)

    @property
    def chosen(self) -> str:
        """Of how many models the best one is, where there are several."""
        part = "these folds" if self.first.folds else "this held-out part"
        return f"best of {len(self.plain)}, chosen on {part}" if len(self.plain) > 1 else ""

    @cached_property
    def opened(self) -> Openings:
        """How often the held-out part was opened."""
        return openings(self.first)

    @property
    def networks(self) -> tuple[Entry, ...]:
        """Those that are no reference models."""
        return tuple(entry for entry in self.plain if entry.account)

    @property
    def reference_models(self) -> str:
        """The titles of the others."""
        return ", ".join(entry.title for entry in self.plain if not entry.account)


def _told_apart(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Entries, those of one title called by their folders too."""
    titles = Counter(entry.title for entry in entries)
    folders = Counter(entry.run.path.name for entry in entries)
    found = []
    for number, entry in enumerate(entries):
        path = entry.run.path
        if titles[entry.title] > 1:
            alone = folders[path.name] == 1
            called = path.name if alone else f"{path.parent.name}/{path.name}"
            found.append(replace(entry, called=called, number=number))
        else:
            found.append(entry)
    return tuple(found)
