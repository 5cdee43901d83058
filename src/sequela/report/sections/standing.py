"""All models of a question in one forest plot, with their difference from the best model."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from sequela.analysis.compare import Compared, compare_opened
from sequela.disclosure import Hidden
from sequela.evaluation.metrics import Metric
from sequela.figures.pareto import accuracy_against_operations
from sequela.report.entry import Entry
from sequela.report.picture import Picture, picture
from sequela.runs.find import Run
from sequela.runs.released import Released

_TICKS = 5
_MARGIN = 0.04
_WIDTH = 340  # pixels of the picture of costs: phones have 360, less the margins


@dataclass(frozen=True)
class Row:
    """One model in the plot, its number on the test set and the 95 % interval.

    ``models`` are the numbers of each fold, repeat and seed, where there are several, without those
    with too few people of a class in the test set. ``apart`` is its paired difference from the
    best; ``None`` for the best itself, and where the two cannot be compared.
    """

    entry: Entry
    value: float
    interval: tuple[float, float] | None
    models: tuple[float, ...]
    apart: Compared | None = None

    @property
    def parameters(self) -> int:
        """The number of parameters of the model."""
        return int(self.entry.run.facts.parameters)

    @property
    def train_seconds(self) -> float:
        """The training time of one model: of several, such as folds, the mean."""
        return float(self.entry.run.facts.train_seconds) / len(self.entry.run.runs)

    @property
    def as_good(self) -> bool:
        """``True`` if the interval of the difference from the best model includes zero."""
        difference = self.apart and self.apart.difference
        return bool(difference and difference.interval.low <= 0 <= difference.interval.high)


@dataclass(frozen=True)
class Standing:
    """The models of a question, ranked by a metric; operations are counted for an ``example``.

    The best model is ``None`` where its number is hidden.
    """

    rows: tuple[Row, ...]
    best: Row | None
    metric: Metric
    example: str

    @classmethod
    def of(cls, entries: Sequence[Entry], best: Entry) -> "Standing":
        """Make it from the models of one question; models whose number is hidden are left out."""
        metric = best.metric
        public = [e for e in entries if not isinstance(e.test.get(metric.key), Hidden | None)]
        public.sort(key=lambda e: (e is not best, -e.value))
        # A difference from a hidden number would reveal it.
        is_best_shown = any(e is best for e in public)
        apart = _apart(best, public) if is_best_shown else {}
        rows = tuple(_row(entry, metric, apart.get(entry.key)) for entry in public)
        return cls(rows, rows[0] if is_best_shown else None, metric, best.data.example)

    @property
    def simpler(self) -> tuple[Row, ...]:
        """The models with fewer parameters than the best, the simplest first."""
        if not self.best:
            return ()
        most = self.best.parameters
        # Parameters measure simplicity: they are known for networks and baseline models alike.
        fewer = [row for row in self.rows if row.parameters < most]
        return tuple(sorted(fewer, key=lambda row: row.parameters))

    @property
    def simplest(self) -> Row | None:
        """The simplest model that is simpler than the best and not clearly worse."""
        return next((row for row in self.simpler if row.as_good), None)

    def beats(self, row: Row, baseline: Row) -> bool:
        """Return whether the interval of the paired difference of two models is above zero."""
        compared = _apart(baseline.entry, [row.entry]).get(row.entry.key)
        return bool(compared and compared.difference and compared.difference.interval.low > 0)

    @cached_property
    def ends(self) -> tuple[float, float]:
        """The ends of the axis: a bit more than the intervals and the folds reach."""
        numbers: list[float] = []
        for row in self.rows:
            numbers += (row.value, *(row.interval or ()), *row.models)
        low, high = min(numbers), max(numbers)
        # The margin keeps the marks at the ends whole.
        margin = _MARGIN * ((high - low) or 1)
        least, most = self.metric.bounds
        return max(least, low - margin), min(most, high + margin)

    def at(self, value: float) -> str:
        """Return the place of a number on the axis, in percent of its width."""
        low, high = self.ends
        return f"{100 * (value - low) / (high - low):.2f}%"

    @property
    def ticks(self) -> list[tuple[str, float]]:
        """The place and value of round numbers on the axis."""
        low, high = self.ends
        # The finest round step that gives at most five ticks: more labels touch on a phone.
        step = next(s for s in (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1) if (high - low) / s <= _TICKS)
        first = int(low / step) + 1
        values = [i * step for i in range(first, int(high / step) + 1)]
        return [(self.at(value), value) for value in values]

    def against_operations(self, name: str) -> Picture | None:
        """Return the picture of all models: their number against their operations."""
        rows = [
            {
                "model": row.entry.title,
                "operations": row.entry.run.facts.operations,
                "accuracy": row.value,
                "low": row.interval[0] if row.interval else row.value,
                "high": row.interval[1] if row.interval else row.value,
            }
            for row in self.rows
        ]

        if len(rows) <= 2:  # noqa: PLR2004 - of two, the table shows as much
            return None
        names = {"number": self.metric.title, "example": self.example}
        return picture(accuracy_against_operations(rows, width=_WIDTH, **names), name)


def _row(entry: Entry, metric: Metric, apart: Compared | None) -> Row:
    ci = entry.test.get(f"{metric.key}_ci")
    models = []
    if len(entry.run.runs) > 1:
        released = [Released(run, entry.smallest) for run in entry.run.runs]
        models = [fold.test.get(metric.key) for fold in released if not fold.of_few]
    numbers = tuple(n for n in models if isinstance(n, float))
    interval = (ci[0], ci[1]) if ci else None
    return Row(entry, entry.test[metric.key], interval, numbers, apart)


def _apart(best: Entry, entries: Sequence[Entry]) -> dict[str, Compared]:
    # Folds and seeds are paired one by one, so both runs must have the same number of each.
    comparable = [e for e in entries if e is not best and _design(e.run) == _design(best.run)]
    if not comparable or not best.metric.better:
        return {}
    comparison = compare_opened([best.run, *(entry.run for entry in comparable)], best.metric.name)
    return {entry.key: row for entry, row in zip(comparable, comparison.runs[1:], strict=True)}


def _design(run: Run) -> tuple[int, int, int]:
    return run.folds, run.repeats, run.seeds
