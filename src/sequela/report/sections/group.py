"""The runs of one question on a page: one cohort, or one data set."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

from sequela.disclosure import Hidden
from sequela.evaluation.number import plural
from sequela.integrity.openings import Openings, openings
from sequela.models.registry import is_recurrent
from sequela.report.entry import Entry
from sequela.runs.find import Run
from sequela.runs.record import DataRecord, SplitRecord
from sequela.studies.study import Study

TOO_FEW = "too few examples of a class to conclude"
FEWEST_GROUPS = 20  # groups of a test set below which an interval is not reliable
MOST_OF_ONE_STEP = 0.5
"""Share of sequences of one step above which the page warns of recurrent models."""


@dataclass(frozen=True)
class Group:
    """The runs of one question: one cohort, or one data set.

    ``key`` is its name in ``results.json``. Its runs are ``plain`` networks and baseline models,
    networks with ``weighted`` classes, and models with a leak, to show how much it inflates scores.
    """

    study: Study
    key: str
    plain: tuple[Entry, ...]
    weighted: tuple[Entry, ...]
    leaking: tuple[Entry, ...]

    @classmethod
    def of(cls, study: Study, key: str, runs: Sequence[Run], hide_below: int | None) -> "Group":
        """Sort the runs of one question by kind; without plain runs, another kind counts as it."""
        kinds: dict[str, list[Entry]] = {"plain": [], "weighted": [], "leaking": []}
        for entry in (Entry(run, hide_below, study) for run in runs):
            is_weighted = entry.run.settings.training.class_weights
            kinds["leaking" if entry.leak else "weighted" if is_weighted else "plain"].append(entry)
        # A page of control runs alone needs a main result too.
        for instead in ("weighted", "leaking"):
            if not kinds["plain"]:
                kinds["plain"], kinds[instead] = kinds[instead], []
        plain = _told_apart(kinds["plain"])
        leaks = dict.fromkeys(entry.leak for entry in kinds["leaking"])
        leaking = [_told_apart([e for e in kinds["leaking"] if e.leak == leak]) for leak in leaks]
        weighted = _told_apart(kinds["weighted"])
        return cls(study, key, plain, weighted, tuple(chain.from_iterable(leaking)))

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The runs of all kinds."""
        return (*self.plain, *self.weighted, *self.leaking)

    @property
    def first(self) -> Run:
        """The first run, for facts that all runs share."""
        return self.plain[0].run

    @property
    def data(self) -> DataRecord:
        """The runs' description of their data."""
        return self.plain[0].data

    @cached_property
    def split(self) -> SplitRecord:
        """The split, or the folds."""
        return self.first.describe_split()

    @property
    def findings(self) -> list[dict[str, str]]:
        """The leaks and suspicions of the data: the same for all models."""
        return self.plain[0].findings

    @cached_property
    def rarer(self) -> int:
        """The number of examples of the smallest class, which may be too small to be shown.

        Of times to an event it is that of the rarer kind of event.
        """
        data = self.plain[0].run.data
        return min(data.counts[1:] if data.horizons else data.counts)

    @property
    def rarest(self) -> str:
        """A sentence with that number, such as ``The smallest class has fewer than 10 stays``."""
        what = "The rarest event came in" if self.data.horizons else "The smallest class has"
        return f"{what} {plural(self.rarer, self.data.example, smallest=self.plain[0].smallest)}"

    @property
    def few_tested(self) -> bool:
        """``True`` if the test set has too few groups for reliable intervals."""
        count = self.best.test.groups
        return isinstance(count, Hidden) or count < FEWEST_GROUPS

    @property
    def tested(self) -> str:
        """The size of the test set in a sentence, such as ``The test set has 80 sessions``."""
        what = "The test sets together have" if self.first.folds else "The test set has"
        groups = plural(self.best.test.groups, self.data.unit, smallest=self.best.smallest)
        return f"{what} {groups}"

    @property
    def too_few(self) -> str:
        """The warning where nothing can be concluded, else nothing."""
        return TOO_FEW if self.rarer < self.study.very_few else ""

    @property
    def quick(self) -> bool:
        """``True`` if networks were trained for too few epochs for their numbers to be results."""
        declared = self.study.training
        return any(
            entry.run.settings.training.epochs
            < min(declared[entry.name].epochs, self.study.quick_epochs + 1)
            for entry in self.plain
            if entry.name in declared
        )

    @property
    def recurrent(self) -> list[str]:
        """The titles of recurrent models, if most sequences have one step, else nothing."""
        sequences = self.data.sequences
        spread = sequences and sequences.steps_distribution
        if not spread or spread.share_of_one <= MOST_OF_ONE_STEP:
            return []
        return list(dict.fromkeys(e.title for e in self.plain if is_recurrent(e.name)))

    @property
    def best(self) -> Entry:
        """The run with the best number on the test set."""
        # The best of several is optimistic: comparisons with it are corrected (Holm).
        return max(self.plain, key=lambda entry: entry.value)

    @property
    def leak(self) -> str:
        """The first leak of the data, in words; nothing without one."""
        return next((f["what"] for f in self.findings if f["severity"] == "leak"), "")

    @cached_property
    def opened(self) -> Openings:
        """The number of evaluations on the test set."""
        return openings(self.first)

    @property
    def networks(self) -> tuple[Entry, ...]:
        """The networks among the plain runs."""
        return tuple(entry for entry in self.plain if entry.is_network)


def _told_apart(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return the entries; those with the same title get the name of their folder too."""
    titles = Counter(entry.title for entry in entries)
    folders = Counter(entry.run.path.name for entry in entries)
    distinct = []
    for number, entry in enumerate(entries):
        path = entry.run.path
        if titles[entry.title] > 1:
            is_unique = folders[path.name] == 1
            label = path.name if is_unique else f"{path.parent.name}/{path.name}"
            entry = replace(entry, called=label, number=number)  # noqa: PLW2901
        distinct.append(entry)
    return tuple(distinct)
