"""The release of a site: results of a study's models on its patients, which may be sent.

A release is one JSON file, and one page that is made of it. It holds no patient's data and no count
of few people; what it holds is listed here, and nothing else is read. Many of its numbers can be
computed from others, and reading it computes them: an edit must change all of them.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from scipy.special import expit

from sequela.config import SMALLEST_CELL
from sequela.disclosure import has_small
from sequela.errors import RunError
from sequela.formats.opened import json_value

FILE = "release.json"
PAGE = "release.html"
MEASURES = ("auroc", "o_e", "slope")
"""The pooled measures, in the order of the covariance: each is pooled on its own scale."""
NORMAL = 1.959964  # quantile of the normal distribution for 95 %
_FROM_SCALE: Mapping[str, Callable[[float], float]] = {
    "auroc": lambda estimate: float(expit(estimate)),
    "o_e": math.exp,
    "slope": float,
}
_DIGEST = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_Count = Annotated[int, Field(ge=0)]
_Share = Annotated[float, Field(ge=0, le=1)]


class ReleasePart(BaseModel):
    """A part of a release, of which no key may be missing or more than listed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Measure(ReleasePart):
    """A measure with its 95 % interval, and its estimate on the scale on which it is pooled.

    The scale is the logit of an AUROC, the logarithm of O:E, and the slope as it is.
    """

    value: float
    low: float
    high: float
    estimate: float
    error: Annotated[float, Field(gt=0)]

    @classmethod
    def of(cls, name: str, estimate: float, error: float) -> Self:
        """Make a measure by its name, from its estimate and standard error on its scale."""
        back, reach = _FROM_SCALE[name], NORMAL * error
        value, low, high = (back(estimate + way * reach) for way in (0, -1, 1))
        return cls(value=value, low=low, high=high, estimate=estimate, error=error)

    def fits(self, name: str) -> bool:
        """Return whether the value and the interval are those of the estimate and its error."""
        computed = vars(self.of(name, self.estimate, self.error))
        return all(_close(computed[key], value) for key, value in vars(self).items())


class Bin(ReleasePart):
    """Examples with a predicted risk from ``low`` to below ``high``, and their mean risk."""

    low: _Share
    high: _Share
    examples: _Count
    events: _Count
    predicted: _Share


class CaseMix(ReleasePart):
    """The mean and the standard deviation of the predicted risk and of its logit.

    ``expected_auroc`` is the AUROC that the model would have if its risks were right, and
    ``membership`` the AUROC of a model that tells the site's patients from the lead site's.
    """

    mean_risk: _Share
    sd_risk: _Share
    mean_logit: float
    sd_logit: float
    expected_auroc: _Share
    membership: _Share | None


class Update(ReleasePart):
    """The smallest sufficient local update, with weight and bias of the logit."""

    level: Literal["none", "intercept", "intercept and slope"]
    weight: Annotated[float, Field(gt=0)]
    bias: float
    p_values: Mapping[str, _Share]
    needed: Mapping[str, _Count]


class RatesAtThreshold(ReleasePart):
    """The performance at the package's threshold; ``None`` if few people are above or below it."""

    threshold: _Share
    sensitivity: _Share | None
    specificity: _Share | None
    precision: _Share | None
    alarm_rate: _Share | None

    @classmethod
    def of(cls, threshold: float, bins: Sequence[Bin]) -> Self:
        """Compute the rates from bins with the threshold as an edge, or hide them."""
        names = ("sensitivity", "specificity", "precision", "alarm_rate")
        rates: dict[str, float | None] = dict.fromkeys(names)
        if threshold in [group.low for group in bins]:
            alarms = sum(group.examples for group in bins if group.low >= threshold)
            hits = sum(group.events for group in bins if group.low >= threshold)
            examples, events = (sum(b.examples for b in bins), sum(b.events for b in bins))
            others, false = examples - events, alarms - hits
            numbers = (hits / events, 1 - false / others, hits / alarms, alarms / examples)
            rates = dict(zip(names, numbers, strict=True))
        return cls(threshold=threshold, **rates)


class GroupResults(ReleasePart):
    """A subgroup that is large enough to be shown, and whose counts reveal no small one."""

    attribute: str
    value: str
    examples: _Count
    events: _Count
    auroc: Measure | None
    o_e: Measure | None


class Moments(ReleasePart):
    """Means and covariance (variable, variable) of a model's logit and other facts of patients."""

    examples: _Count
    names: tuple[str, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]


class Training(ReleasePart):
    """Counts of the training set of the lead site, and results on its test set."""

    patients: _Count
    examples: _Count
    events: _Count
    auroc: tuple[float, float, float] | None
    moments: Moments


class ModelResults(ReleasePart):
    """The results of one model of the package.

    A measure is missing where it is not defined: all risks are equal, or separate the classes.
    ``covariance`` is that of the estimates of the others, in the order of ``MEASURES``.
    """

    title: str
    trained: Training
    measures: Mapping[str, Measure]
    covariance: tuple[tuple[float, ...], ...]
    metrics: Mapping[str, float | None]
    case_mix: CaseMix
    calibration: tuple[Bin, ...]
    at_threshold: RatesAtThreshold
    groups: tuple[GroupResults, ...]
    update: Update


class ReleasedStep(ReleasePart):
    """A rule of the cohort, and how many it removed and left; ``None`` hides a small count."""

    rule: str
    sentence: str
    removed: _Count | None
    left: _Count | None
    positives: _Count | None


class ReleasedFlow(ReleasePart):
    """The flow of the cohort: see :class:`sequela.cohort.flow.Flow`."""

    unit: str
    candidates: _Count | None
    steps: tuple[ReleasedStep, ...]
    examples: _Count
    subjects: _Count
    positives: _Count
    notes: tuple[str, ...]


class PresentInputs(ReleasePart):
    """Codes and measurements of the models that enough patients of the site have.

    ``missing`` are the codes that are the most frequent in training among the others.
    """

    codes: _Count
    codes_present: _Count
    channels: _Count
    channels_present: _Count
    missing: tuple[str, ...]


class Release(ReleasePart):
    """All that a site sends.

    Attributes:
        format: The version of this list.
        sequela: The version of Sequela.
        package: SHA-256 of the study's package.
        question: SHA-256 of the task and the analysis, the same for packages that can be compared.
        population: SHA-256 of the question and the site's data, the same for one site's data under
            two names.
        study, lead, outcome, example: Names of the study, of the site that trained the models, of
            the predicted event, and of what is predicted for, such as a stay.
        site, data: Names of the site and of its data set.
        unit: ``subject``, ``session`` or ``recording``: the meaning of ``patients``.
        classes: The names of both classes; the second is the event.
        smallest_cell: No count of people below it is in the release.
        examples, patients, events: Counts of the cohort: stays, say, their patients, and the stays
            with the event.
        flow: The flow of the cohort, without small counts; recordings have none.
        inputs: Codes and measurements of the models at the site.
        audit: The sentences of the leak audit.
        environment: Versions of the packages.
        models: The results by the model's name in the package.
    """

    format: Literal[1]
    sequela: str
    package: _DIGEST
    question: _DIGEST
    population: _DIGEST
    study: str
    lead: str
    outcome: str
    example: str
    site: str
    data: str
    unit: Literal["subject", "session", "recording"]
    classes: tuple[str, str]
    smallest_cell: Annotated[int, Field(ge=SMALLEST_CELL)]
    examples: int
    patients: int
    events: int
    flow: ReleasedFlow | None
    inputs: PresentInputs
    audit: tuple[str, ...]
    environment: Mapping[str, str]
    models: Annotated[Mapping[str, ModelResults], Field(min_length=1)]


def seal_of(content: Mapping[str, object]) -> str:
    """Return the SHA-256 of a JSON object, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def text_of(release: ReleasePart) -> str:
    """Write a release, or a study's protocol, as JSON with its SHA-256 as ``seal``."""
    content = release.model_dump(mode="json")
    return json.dumps({**content, "seal": seal_of(content)}, indent=1, ensure_ascii=False) + "\n"


def read_release(folder: Path) -> Release:
    """Read the release in a folder, or raise a RunError if it was changed or does not add up."""
    path = folder / FILE if folder.is_dir() else folder
    try:
        text = path.read_text("utf-8")
        content = {key: value for key, value in json_value(text).items() if key != "seal"}
        release = Release.model_validate_json(json.dumps(content))
        wrong = next((what for what, fits in _sums(release) if not fits), "")
    except OSError as error:
        raise RunError(f"{path}: not found: expected the folder release of a site") from error
    except (ValueError, TypeError, AttributeError, ArithmeticError) as error:
        where = ""
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False)[0]
            where = f" ({'.'.join(map(str, first['loc']))}: {first['msg']})"
        raise RunError(
            f"{path}: is not the release of a site{where}: ask the site again"
        ) from error
    if text != text_of(release):
        raise RunError(f"{path}: was changed after the site wrote it: ask the site again")
    if wrong:
        raise RunError(f"{path}: {wrong} do not add up: ask the site again")
    return release


def _close(computed: float, stated: float) -> bool:
    return math.isclose(computed, stated, rel_tol=1e-9, abs_tol=1e-9)


def _sums(release: Release) -> Iterator[tuple[str, bool]]:
    """Compute what numbers of a release say about others: yield what, and whether it fits."""
    least, people = release.smallest_cell, release.patients
    events, others = release.events, release.examples - release.events
    yield "the counts", least <= min(people, events, others) and people <= release.examples
    if (flow := release.flow) is not None:
        counts = (flow.examples, flow.subjects, flow.positives)
        yield "the counts of the flow", counts == (release.examples, people, events)
        yield "the steps of the flow", _adds_up(flow, least)
    for name, results in release.models.items():
        for what, fits in _sums_of(results, least, events, others):
            yield f"{what} of {name}", fits


def _adds_up(flow: ReleasedFlow, least: int) -> bool:
    left, fits = flow.candidates, True
    for step in flow.steps:
        counts = [count for count in (step.removed, step.left, step.positives) if count is not None]
        if None not in (left, step.left, step.removed):
            fits &= left == (step.left or 0) + (step.removed or 0)
        fits &= not has_small(counts, least) and (step.positives or 0) <= (step.removed or least)
        left = step.left
    return fits and left in (None, flow.examples)


def _sums_of(
    results: ModelResults, least: int, events: int, others: int
) -> Iterator[tuple[str, bool]]:
    names = [name for name in MEASURES if name in results.measures]
    measures = [results.measures[name] for name in names]
    fits = all(map(Measure.fits, measures, names)) and "o_e" in names
    yield "the measures", fits and len(names) == len(results.measures)
    covariance = np.array(results.covariance)
    squares = [measure.error**2 for measure in measures]
    fits = np.allclose(covariance, covariance.T) and np.allclose(np.diag(covariance), squares, 1e-9)
    yield "the covariances", fits and np.linalg.eigvalsh(covariance).min() >= -1e-9 * sum(squares)
    bins = results.calibration
    counts = np.array([(group.events, group.examples - group.events) for group in bins])
    edges = [group.low for group in bins] + [1.0]
    fits = edges == [0.0] + [group.high for group in bins] and sorted(edges) == edges
    fits &= all(group.low <= group.predicted <= group.high for group in bins)
    fits &= counts.sum(axis=0).tolist() == [events, others] and not _few(counts, least)
    yield "the bins", fits
    expected = sum(group.examples * group.predicted for group in bins)
    yield "the events and O:E", _close(events / expected, results.measures["o_e"].value)
    mean = results.case_mix.mean_risk * (events + others)
    yield "the mean risk and the bins", _close(expected, mean)
    if (auroc := results.measures.get("auroc")) is not None:
        # Patients of two bins are in order: only the order within the bins is not known.
        with_event, without = counts.T
        sure = float(with_event @ (np.cumsum(without) - without)) / (events * others)
        unsure = float(with_event @ without) / (events * others)
        yield "the AUROC and the bins", sure - 1e-9 <= auroc.value <= sure + unsure + 1e-9
        yield "the AUROCs", _close(auroc.value, results.metrics.get("auroc") or auroc.value)
    rates = results.at_threshold
    yield "the rates", rates == RatesAtThreshold.of(rates.threshold, bins)
    keys = [(group.attribute, group.value) for group in results.groups]
    fits = len(set(keys)) == len(keys)
    for attribute in {attribute for attribute, _ in keys}:
        groups = [group for group in results.groups if group.attribute == attribute]
        counts = np.array([(group.events, group.examples - group.events) for group in groups])
        rest = np.array([events, others]) - counts.sum(axis=0)
        fits &= not _few(counts, least) and not _few(rest, least)
    pairs = [(group.auroc, "auroc") for group in results.groups]
    pairs += [(group.o_e, "o_e") for group in results.groups]
    yield "the subgroups", fits and all(m.fits(name) for m, name in pairs if m is not None)


def _few(counts: ArrayLike, least: int) -> bool:
    return bool(np.min(counts) < 0) or has_small(counts, least)
