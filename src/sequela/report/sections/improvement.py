"""Comparison of improved models with their baselines."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sequela.analysis.compare import Compared, compare_opened
from sequela.evaluation.metrics import Metric, named
from sequela.report.entry import Entry

BETTER, WORSE, UNKNOWN = "yes", "no, worse", "inconclusive"


@dataclass(frozen=True)
class Improvement:
    """A baseline and its improved model, evaluated on the same test set.

    ``improved`` has the paired difference; ``cost`` is the operations of the improved model divided
    by those of the baseline, ``None`` where these are not counted, or none.
    """

    title: str
    metric: str
    baseline: Compared
    improved: Compared
    cost: float | None

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
    """Compare the pairs of which both models were run."""
    found = []
    for title, *names in families:
        pair = [entries[name] for name in names if name in entries]
        if len(pair) < len(names):
            continue
        compared = compare_opened([entry.run for entry in pair])
        few, many = (entry.run.facts.operations for entry in pair)
        baseline, improved = compared.runs
        cost = many / few if many and few else None
        found.append(Improvement(title, compared.metric, baseline, improved, cost))
    return found
