"""Comparison of improved models with their baselines."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sequela.evaluation.metrics import Metric, named
from sequela.report.entry import Entry
from sequela.runs.compare import Compared, compare_opened

BETTER, WORSE, UNKNOWN = "yes", "no, worse", "inconclusive"


@dataclass(frozen=True)
class Improvement:
    """A baseline and its improved model, evaluated on the same test set.

    Attributes:
        title: The title of the family.
        metric: The name of the metric.
        baseline: The first one's number.
        improved: The second one's, with the paired difference.
        cost: The operations of the improved model divided by those of the baseline.
    """

    title: str
    metric: str
    baseline: Compared
    improved: Compared
    cost: float

    @property
    def answer(self) -> str:
        """Yes or no if the 95 % interval of the difference excludes zero."""
        difference = self.improved.difference
        if difference is None or difference.interval.low <= 0 <= difference.interval.high:
            return UNKNOWN
        up = difference.value > 0
        return BETTER if up == (self.measure.better == "higher") else WORSE

    @property
    def measure(self) -> Metric:
        """The metric that is compared."""
        return named(self.metric)


def improvements(
    entries: Mapping[str, Entry], families: Iterable[tuple[str, str, str]]
) -> list[Improvement]:
    """Compare the pairs of which both models were run.

    Args:
        entries: Models by their registry name, all with one split.
        families: The title of each family, and its baseline and improved model.
    """
    found = []
    for title, *names in families:
        pair = [entries[name] for name in names if name in entries]
        if len(pair) < len(names):
            continue
        compared = compare_opened([entry.run for entry in pair])
        operations = [entry.facts["operations"] for entry in pair]
        baseline, improved = compared.runs
        cost = operations[1] / operations[0]
        found.append(Improvement(title, compared.metric, baseline, improved, cost))
    return found
