"""The release of a site: results of a study's models on its patients, which may be sent.

A release is one JSON file, and one page that is made of it. It has no patient's data, no count of
few people, and nothing that is not listed here. Many numbers follow from others, and are computed
again when it is read: an edit must change all of them.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError
from scipy.special import expit

from sequela.cohort.flow import Flow
from sequela.config import SMALLEST_CELL
from sequela.disclosure import has_small
from sequela.errors import RunError
from sequela.formats.opened import json_value, problem

FILE = "release.json"
PAGE = "release.html"
MEASURES = ("auroc", "o_e", "slope")
"""The pooled measures, in the order of the covariance: each is pooled on its own scale."""
_REMEDY = "ask the site for its release again"
NORMAL = 1.959964  # quantile of the normal distribution for 95 %
FROM_SCALE: Mapping[str, Callable[[float], float]] = {"auroc": expit, "o_e": np.exp, "slope": float}
Part = TypeVar("Part", bound="ReleasePart")
_DIGEST = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
_NAME = Annotated[str, Field(pattern="^[a-z0-9][a-z0-9-]*$")]
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
        ends = (estimate, estimate - NORMAL * error, estimate + NORMAL * error)
        with np.errstate(over="ignore"):
            value, low, high = (float(FROM_SCALE[name](end)) for end in ends)
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
    """Mean and standard deviation of the predicted risk and of its logit.

    ``expected_auroc`` is the AUROC of a model with these risks if they were right, ``membership``
    that of a model that tells the site's patients from the lead site's.
    """

    mean_risk: _Share
    sd_risk: _Share
    mean_logit: float
    sd_logit: float
    expected_auroc: _Share
    membership: _Share | None


class Update(ReleasePart):
    """The smallest sufficient local update: level, weight and bias of the logit, and the tests."""

    level: Annotated[str, Field(pattern="^(none|intercept|intercept and slope)$")]
    weight: Annotated[float, Field(gt=0)]
    bias: float
    p_values: Mapping[str, _Share]
    needed: Mapping[str, _Count]


class GroupResults(ReleasePart):
    """A subgroup that is large enough to be shown, and whose counts reveal no small one."""

    attribute: str
    value: str
    examples: _Count
    events: _Count
    auroc: Measure | None
    o_e: Measure


class Moments(ReleasePart):
    """Means and covariance (variable, variable) of a model's logit and other facts of patients."""

    examples: _Count
    names: tuple[str, ...]
    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]


class Training(ReleasePart):
    """The lead site: counts of its training set; AUROC and moments in its test set."""

    patients: _Count
    examples: _Count
    events: _Count
    auroc: tuple[float, float, float] | None
    moments: Moments


class ModelResults(ReleasePart):
    """The results of one model of the package.

    A measure is missing where it is not defined: all risks are equal, or separate the classes.
    ``covariance`` is that of the estimates of the others, in the order of ``MEASURES``. See
    :func:`rates_at` for the ``rates`` at the package's ``threshold``.
    """

    title: str
    trained: Training
    measures: Mapping[str, Measure]
    covariance: tuple[tuple[float, ...], ...]
    metrics: Mapping[str, float]
    case_mix: CaseMix
    calibration: tuple[Bin, ...]
    threshold: _Share
    rates: Mapping[str, float]
    groups: tuple[GroupResults, ...]
    update: Update


class Release(ReleasePart):
    """The results that a site sends.

    ``question`` is the SHA-256 of the task and the analysis, which packages that can be compared
    share; ``population`` that of the question and the site's people, also under another name; and
    ``package`` that of the package of the site ``lead``. Counts are of examples (such as stays), of
    their patients (or another ``unit``), and of examples with the event, the second of ``classes``;
    none is of fewer people than ``smallest_cell``. Recordings have no ``flow``. ``codes_present``
    is the share of the codes of a training patient that occur at the site.
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
    flow: Mapping[str, JsonValue] | None
    codes_present: _Share
    audit: tuple[str, ...]
    environment: Mapping[str, str]
    models: Annotated[Mapping[_NAME, ModelResults], Field(min_length=1)]


def seal_of(content: Mapping[str, object]) -> str:
    """Return the SHA-256 of a JSON object, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def text_of(release: ReleasePart) -> str:
    """Write a release, or a study's protocol, as JSON with its SHA-256 as ``seal``."""
    content = release.model_dump(mode="json")
    return json.dumps({**content, "seal": seal_of(content)}, indent=1, ensure_ascii=False) + "\n"


def parsed(kind: type[Part], text: str, where: str, expected: str, remedy: str) -> Part:
    """Read what :func:`text_of` wrote, or raise a RunError if it was changed."""
    try:
        content = {key: value for key, value in json_value(text).items() if key != "seal"}
        part = kind.model_validate_json(json.dumps(content))
    except ValidationError as error:
        reason = problem(error, kind, content, expected)
        raise RunError(f"{where}: {reason}: {remedy}") from error
    except (ValueError, AttributeError) as error:
        raise RunError(f"{where} is not {expected}: {remedy}") from error
    if text != text_of(part):
        raise RunError(f"{where} was changed after it was written: {remedy}")
    return part


def read_release(folder: Path) -> Release:
    """Read the release in a folder, or raise a RunError if it was changed or does not add up."""
    path = folder / FILE if folder.is_dir() else folder
    try:
        text = path.read_text("utf-8", errors="replace")
    except OSError as error:
        raise RunError(f"{path}: not found: expected the folder release of a site") from error
    release = parsed(Release, text, f"{path}", "the release of a site", _REMEDY)
    try:
        wrong = next((what for what, fits in _sums(release) if not fits), "")
    except (ValueError, TypeError, LookupError, ArithmeticError):
        wrong = "its parts"
    if wrong:
        raise RunError(f"{path}: {wrong} do not add up: {_REMEDY}")
    return release


def rates_at(threshold: float, bins: Sequence[Bin]) -> dict[str, float]:
    """Compute rates from bins with the threshold as an edge; none if few are beyond it."""
    above = [group for group in bins if group.low >= threshold]
    if not above or above[0].low != threshold:
        return {}
    hits, alarms = (sum(getattr(b, name) for b in above) for name in ("events", "examples"))
    events, examples = (sum(getattr(b, name) for b in bins) for name in ("events", "examples"))
    return {
        "sensitivity": hits / events,
        "specificity": 1 - (alarms - hits) / (examples - events),
        "precision": hits / alarms,
        "alarm_rate": alarms / examples,
    }


def _close(computed: float, stated: float) -> bool:
    return math.isclose(computed, stated, rel_tol=1e-9, abs_tol=1e-9)


def _few(counts: ArrayLike, least: int) -> bool:
    return bool(np.min(counts) < 0) or has_small(counts, least)


def _sums(release: Release) -> Iterator[tuple[str, bool]]:
    """Compute numbers of a release from others: yield their names, and whether they fit."""
    least, people = release.smallest_cell, release.patients
    classes = np.array([release.events, release.examples - release.events])
    yield "the counts", least <= min(people, *classes) and people <= release.examples
    if release.flow is not None:
        yield "the steps of the flow", _flow_fits(Flow.from_dict(release.flow), release)
    for name, results in release.models.items():
        for what, fits in _sums_of(results, least, classes):
            yield f"{what} of {name}", fits


def _flow_fits(flow: Flow, release: Release) -> bool:
    counts = (release.examples, release.patients, release.events)
    fits, before = (flow.examples, flow.subjects, flow.positives) == counts, flow.candidates
    for step in flow.steps:  # None is a hidden count
        numbers = [n for n in (step.removed, step.left, step.positives) if n is not None]
        fits &= not _few([0, *numbers], release.smallest_cell)
        if None not in (before, step.left, step.removed):
            fits &= before == step.left + step.removed
        before = step.left
    return fits and before in (None, flow.examples)


def _sums_of(
    results: ModelResults, least: int, classes: NDArray[np.int64]
) -> Iterator[tuple[str, bool]]:
    measures, bins, examples = results.measures, results.calibration, int(classes.sum())
    fits = all(measure.fits(name) for name, measure in measures.items())
    yield "the measures", fits and {"o_e"} <= measures.keys() <= {*MEASURES}
    covariance = np.array(results.covariance)
    squares = [measures[name].error ** 2 for name in MEASURES if name in measures]
    fits = np.allclose(covariance, covariance.T) and np.allclose(np.diag(covariance), squares, 1e-9)
    yield "the covariances", fits and np.linalg.eigvalsh(covariance).min() >= -1e-9 * sum(squares)
    counts = np.array([(group.events, group.examples - group.events) for group in bins])
    edges = [group.low for group in bins]
    fits = [*edges, 1.0] == [0.0, *(group.high for group in bins)] and sorted(edges) == edges
    fits &= all(b.low - 1e-9 <= b.predicted <= b.high + 1e-9 for b in bins)
    yield "the bins", fits and (counts.sum(0) == classes).all() and not _few(counts, least)
    expected = sum(group.examples * group.predicted for group in bins)
    fits = _close(expected, results.case_mix.mean_risk * examples)
    yield "the risks", fits and _close(classes[0] / expected, measures["o_e"].value)
    if "auroc" in measures:
        # Examples of two bins are in order: only the order within bins is not known.
        events, without = counts.T
        sure, unsure = events @ (np.cumsum(without) - without), events @ without
        pairs, value = classes.prod(), measures["auroc"].value
        fits = sure / pairs - 1e-9 <= value <= (sure + unsure) / pairs + 1e-9
        yield "the AUROC and the bins", fits and _close(results.metrics["auroc"], value)
    yield "the rates", results.rates == rates_at(results.threshold, bins)
    groups, fits = list(results.groups), True
    for attribute in {group.attribute for group in groups}:
        members = [group for group in groups if group.attribute == attribute]
        counts = np.array([(group.events, group.examples - group.events) for group in members])
        fits &= len({group.value for group in members}) == len(members)
        fits &= not _few([*counts, classes - counts.sum(axis=0)], least)
    fits &= all(group.auroc is None or group.auroc.fits("auroc") for group in groups)
    yield "the subgroups", fits and all(group.o_e.fits("o_e") for group in groups)
