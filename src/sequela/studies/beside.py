"""A study's default model compared with its other models: performance and cost.

The default model was fixed before any training (:mod:`sequela.models.defaults`). It is compared
with the best models of each kind on the same test examples.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sequela.analysis.compare import compare_opened
from sequela.evaluation.metrics import Metric, headline, named
from sequela.evaluation.number import number
from sequela.models.defaults import default_for
from sequela.models.reference import REFERENCE_MODELS
from sequela.models.registry import title_of
from sequela.runs.find import Run
from sequela.studies.registry import planned_leak
from sequela.studies.study import Study
from sequela.studies.verdicts import LEVEL


@dataclass(frozen=True)
class Rival:
    """A model that the default model is compared with, the best of a kind.

    The difference is the default model's value minus its own, with a 95 % interval; the p-value is
    two-sided and corrected for the number of rivals (Holm). The default model is significantly
    ``better`` or worse, ``None`` if neither. ``operations`` are its own divided by those of the
    default model; ``None`` where they are not counted.
    """

    model: str
    kind: str
    difference: float
    interval: tuple[float, float]
    p_value: float
    better: bool | None
    operations: float | None

    @classmethod
    def of(cls, kind: str, own: Run, run: Run, compared: Any, metric: Metric) -> "Rival":
        """Turn around ``compared``, the comparison of the rival ``run`` with ``own``."""
        value, interval = -compared.difference.value, compared.difference.interval
        better = (value > 0) == (metric.better == "higher")
        theirs, ours = run.facts.operations, own.facts.operations
        return cls(
            model=compared.model,
            kind=kind,
            difference=value,
            interval=(-interval.high, -interval.low),
            p_value=compared.corrected_p,
            better=better if compared.corrected_p < LEVEL else None,
            operations=theirs / ours if theirs and ours else None,
        )

    def in_words(self, metric: Metric) -> str:
        """Return the end of a sentence: better or worse than the rival, and at which cost."""
        answer = {
            True: "significantly better than",
            False: "significantly worse than",
            None: "not significantly different from",
        }[self.better]
        unit = " points" if metric.points else ""
        low, high = map(metric.apart, self.interval)
        chance = "below 0.001" if self.p_value < 0.001 else f"{self.p_value:.3f}"  # noqa: PLR2004
        words = (
            f"{answer} {title_of(self.model)}, {self.kind}: {metric.apart(self.difference)}{unit} "
            f"({low} to {high}; p {chance})"
        )
        if self.operations is None:
            return words
        times = number(self.operations, ".1f"), number(1 / self.operations, ".1f")
        if "1.0" in times:
            return f"{words}, with about as many operations"
        if self.operations > 1:
            return f"{words}, with 1/{number(self.operations, '.2g')} of its operations"
        return f"{words}, with {times[1]} times its operations"


@dataclass(frozen=True)
class Beside:
    """The default model and the best of a study's own models: networks, and baseline models."""

    model: str
    metric: str
    value: float
    models: int
    rivals: tuple[Rival, ...]

    @property
    def sentence(self) -> str:
        """The comparison in one line."""
        metric = named(self.metric)
        said = " ".join(f"It is {each.in_words(metric)}." for each in self.rivals)
        over = f" (mean of {self.models} models)" if self.models > 1 else ""
        n = len(self.rivals)
        corrected = f", corrected for {n} comparisons" * (n > 1)
        return (
            f"{title_of(self.model)}, the default model for these data, has {metric.title} "
            f"{number(self.value, metric.form).replace('%', ' %')}{over}. {said} “Significantly” "
            f"means p below {LEVEL}{corrected}."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison for ``results.json``."""
        names = {"interval": "ci", "operations": "operations_ratio"}
        rivals = [{names.get(k, k): v for k, v in asdict(each).items()} for each in self.rivals]
        found = {"model": self.model, self.metric: self.value, "beside": rivals}
        return {**found, "sentence": self.sentence}


def default_beside(study: Study, runs: Sequence[Run]) -> Beside | None:
    """Compare the default model with a study's own models, from evaluated runs on one question.

    It is ``None`` where the study has no such run, or no model to compare with.
    """
    plain = _plain(runs)
    if not (study.default and plain):
        return None
    name = default_for(next(iter(plain.values())).data).model
    own = plain.pop(name, None)
    if own is None:
        return None
    kinds = {
        f"the best of the other models of {study.report}"
        if name in study.training
        else f"the best of the models of {study.report}": study.training,
        "the best baseline model": [model for model in plain if model in REFERENCE_MODELS],
    }
    found = {
        kind: _best(plain[model] for model in some if model in plain)
        for kind, some in kinds.items()
    }
    rivals = {kind: run for kind, run in found.items() if run}
    if not rivals:
        return None
    compared = compare_opened([own, *rivals.values()])
    metric = named(compared.metric)
    first, *others = compared.runs
    return Beside(
        model=name,
        metric=metric.name,
        value=first.value,
        models=len(own.runs),
        rivals=tuple(
            Rival.of(kind, own, run, each, metric)
            for (kind, run), each in zip(rivals.items(), others, strict=True)
        ),
    )


def improvements(study: Study, runs: Sequence[Run]) -> list[str]:
    """Compare each improved model of a study with its baseline, in a sentence."""
    plain, sentences = _plain(runs), []
    for _, baseline, improved in study.families:
        if not {baseline, improved} <= plain.keys():
            continue
        own, run = plain[improved], plain[baseline]
        compared = compare_opened([own, run])
        metric = named(compared.metric)
        rival = Rival.of("its baseline", own, run, compared.runs[1], metric)
        sentences.append(f"{title_of(improved)} is {rival.in_words(metric)}.")
    return sentences


def _plain(runs: Sequence[Run]) -> dict[str, Run]:
    """Return runs by model, without planned leaks and weighted classes."""
    return {
        run.settings.model: run
        for run in runs
        if not planned_leak(run) and not run.settings.training.class_weights
    }


def _best(runs: Iterable[Run]) -> Run | None:
    def value(run: Run) -> float:
        metric = headline(run.data.classes, run.test)
        sign = 1 if metric.better == "higher" else -1
        return sign * float(run.test.get(metric.key) or 0.0)

    return max(runs, key=value, default=None)
