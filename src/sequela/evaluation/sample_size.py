"""Sample sizes: the patients that a model and its evaluation need, by published criteria.

Two classes or times to an event: Riley and others, Statistics in Medicine 2019, 38:1276-1296,
doi:10.1002/sim.7992. Several classes: Pate and others, Statistical Methods in Medical Research
2023, 32:555-571, doi:10.1177/09622802231151220. An evaluation: Riley and others, Statistics in
Medicine 2021, 40:4230-4251, doi:10.1002/sim.9025. All assume that patients are independent, and
that parameters were chosen without a look at the outcome.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sequela.errors import SettingError

SHRINKAGE = 0.9  # least mean slope of the model on new patients
OPTIMISM = 0.05  # most by which Nagelkerke's R² of the training set may be too high
MARGIN = 0.05  # half the width of the 95 % interval of the overall risk
WIDTHS = {"O:E": 0.2, "calibration slope": 0.2, "AUROC": 0.1}
"""Widths of the 95 % intervals of an evaluation that count as precise: pmvalsampsize's defaults."""
CHANCE = 0.5  # AUROC and concordance without any information
HIGHEST = 0.999  # AUROC above which the classes hardly overlap, and no approximation holds
_Z = 1.96  # of a 95 % interval, as published
_NODES = 201  # of the quadrature: R² and slope are exact to eight digits
_LARGEST = 10**9  # patients
_STEP = 0.0001  # of the standard error of O:E, in its search


@dataclass(frozen=True)
class Need:
    """The patients that a criterion needs, with the events (or rarest class) expected in them."""

    criterion: str
    patients: int
    events: int


def cox_snell(auroc: float, prevalence: float) -> float:
    """Return the R² of Cox and Snell that an AUROC implies.

    The linear predictor is normal in both classes, with the same variance (Riley and others,
    Statistics in Medicine 2021, 40:859-864, doi:10.1002/sim.8806). Their simulation of a million
    patients is an integral here.

    Example:
        >>> f"{cox_snell(0.8, 0.12):.4f}"
        '0.1283'
    """
    scores, weights = _scores(auroc, prevalence)
    risk = np.exp(-np.logaddexp(0, -scores))
    loss = risk * np.logaddexp(0, -scores) + (1 - risk) * np.logaddexp(0, scores)
    return r2_of_loss(float(weights @ loss), prevalence, 1 - prevalence)


def cox_snell_of_times(concordance: float, events: float) -> float:
    """Return the R² of Cox and Snell that a concordance implies, with so many events a patient.

    The concordance gives Royston's D (Jinks and others, BMC Medical Research Methodology 2015,
    15:82, doi:10.1186/s12874-015-0078-y), and D the likelihood, as in Riley 2019.

    Example:
        >>> f"{cox_snell_of_times(0.69, 0.1346):.3f}"
        '0.052'
    """
    _check(CHANCE, HIGHEST, concordance=concordance)
    d = 5.5 * (concordance - CHANCE) + 10.26 * (concordance - CHANCE) ** 3
    return float(1 - (1 + math.pi / 8 * d**2) ** -events)


def r2_of_loss(loss: float, *shares: float) -> float:
    """Return the R² of Cox and Snell of a model with a log loss, for the shares of the classes."""
    return -math.expm1(2 * (loss + sum(share * math.log(share) for share in shares)))


def for_classes(
    parameters: int,
    shares: Sequence[float],
    pairs: Sequence[float],
    r2: float,
    shrinkage: float = SHRINKAGE,
) -> list[Need]:
    """Return the patients that each criterion needs to train a model for classes.

    Args:
        parameters: Candidate parameters of each class but one.
        shares: Share of patients of each class; of two classes, the event is last.
        pairs: R² of Cox and Snell of a model for each two classes alone, in the order (0, 1),
            (0, 2)..., (1, 2)...; of two classes, that of the model.
        r2: R² of Cox and Snell of the model on new patients; see :func:`cox_snell`.
        shrinkage: Least mean slope of the models for two classes on new patients.
    """
    _check(prevalence=shares[-1])
    two = len(shares) == 2  # noqa: PLR2004
    # All patients are more than those of a pair of classes, by the share of the pair.
    first = max(
        math.ceil(_patients(parameters, of_pair, shrinkage)) / (a + b)
        for (a, b), of_pair in zip(combinations(shares, 2), pairs, strict=True)
    )
    # Shares of several classes are estimated at once, so the level is divided (Bonferroni).
    z = _Z if two else NormalDist().inv_cdf(1 - 0.025 / len(shares))
    risk = (z / MARGIN) ** 2 * max(share * (1 - share) for share in shares)
    second = _for_optimism((len(shares) - 1) * parameters, r2, r2_of_loss(0, *shares))
    return _needs(shrinkage, shares[-1] if two else min(shares), first, second, risk)


def for_times(
    parameters: int,
    rate: float,
    horizon: float,
    follow_up: float,
    r2: float,
    shrinkage: float = SHRINKAGE,
) -> list[Need]:
    """Return the patients that each criterion needs to train a model for times to an event.

    The ``rate`` of events, the ``horizon`` of the prediction and the mean ``follow_up`` have one
    unit of time. For ``r2`` see :func:`cox_snell_of_times`, for the rest :func:`for_classes`.
    """
    events = rate * follow_up  # of a patient
    _check(0, math.inf, rate=rate, horizon=horizon, **{"follow-up": follow_up})
    _check(0, 1, **{"rate times follow-up": events})  # one event at most
    _check(0, 20, **{"rate times horizon": rate * horizon})  # somebody stays without an event
    # The lower end of the interval is further from the risk than the upper one.
    change = math.log1p(MARGIN * math.exp(rate * horizon))
    risk = rate / follow_up * (_Z * horizon / change) ** 2
    highest = -math.expm1(2 * (events * math.log(events) - events))
    first, second = _patients(parameters, r2, shrinkage), _for_optimism(parameters, r2, highest)
    return _needs(shrinkage, events, first, second, risk)


def for_evaluation(prevalence: float, auroc: float) -> list[Need]:
    """Return the patients for intervals of an evaluation that are as narrow as :data:`WIDTHS`."""
    # By the steps of the authors' program, which ends above the width.
    error = _STEP * (math.floor(math.asinh(WIDTHS["O:E"] / 2) / (_Z * _STEP)) + 1)
    slope, c, d = _variances(prevalence, auroc)
    v = (WIDTHS["AUROC"] / (2 * _Z)) ** 2
    counts = (
        (1 - prevalence) / (prevalence * error**2),
        slope / (WIDTHS["calibration slope"] / (2 * _Z)) ** 2,
        (d + math.sqrt(d**2 + 4 * v * c)) / (2 * v),  # c / n² + d / n = v
    )
    return [
        _need(f"{name}: interval of width {width:g}", count, prevalence)
        for (name, width), count in zip(WIDTHS.items(), counts, strict=True)
    ]


def precision(patients: int, prevalence: float, auroc: float) -> dict[str, float]:
    """Return the widths of the 95 % intervals of an evaluation with a number of patients.

    The model is calibrated, and its linear predictor is normal in both classes. The standard errors
    are those of Riley 2021, equations 6 (O:E), 9 (slope) and 11 (AUROC, by Newcombe).
    """
    _check(0, math.inf, patients=patients)
    slope, c, d = _variances(prevalence, auroc)
    log_ratio = math.sqrt((1 - prevalence) / (prevalence * patients))
    errors = math.sqrt(slope / patients), math.sqrt(c / patients**2 + d / patients)
    # The interval of O:E is one of its logarithm.
    widths = 2 * math.sinh(_Z * log_ratio), *(2 * _Z * error for error in errors)
    return dict(zip(WIDTHS, widths, strict=True))


def _variances(prevalence: float, auroc: float) -> tuple[float, float, float]:
    """Return v, c and d: v / n is the variance of the slope, c / n² + d / n that of the AUROC."""
    scores, weights = _scores(auroc, prevalence)
    information = np.exp(-np.logaddexp(0, scores) - np.logaddexp(0, -scores)) * weights
    mean = information @ scores / information.sum()
    size = auroc * (1 - auroc) / (prevalence * (1 - prevalence))
    pairs = (1 - auroc) / (2 - auroc) + auroc / (1 + auroc)
    return float(1 / (information @ (scores - mean) ** 2)), size * (1 - pairs), size * pairs / 2


def _patients(parameters: int, r2: float, shrinkage: float) -> float:
    if parameters < 1:
        raise SettingError(f"parameters is {parameters}: expected 1 or more")
    _check(shrinkage=shrinkage)
    _check(0, shrinkage, **{"R²": r2})
    return parameters / ((shrinkage - 1) * math.log1p(-r2 / shrinkage))


def _for_optimism(parameters: int, r2: float, highest: float) -> float:
    _check(0, highest, **{"R²": r2})  # the highest for these events
    # The criterion asks for the shrinkage that goes with its optimism.
    return _patients(parameters, r2, r2 / (r2 + OPTIMISM * highest))


def _needs(
    slope: float, events: float, shrinkage: float, optimism: float, risk: float
) -> list[Need]:
    return [
        _need(f"shrinkage of {slope:g} or more", shrinkage, events),
        _need(f"Nagelkerke's R² at most {OPTIMISM:g} too high", optimism, events),
        _need(f"overall risk within {MARGIN:g}", risk, events),
    ]


def _need(criterion: str, patients: float, events: float) -> Need:
    """Round up, for so many events a patient."""
    if patients > _LARGEST:
        raise SettingError(f"{criterion}: more than {_LARGEST:,} patients are needed")
    return Need(criterion, math.ceil(patients), math.ceil(math.ceil(patients) * events))


def _check(low: float = 0, high: float = 1, **values: float) -> None:
    for name, value in values.items():
        if not low < value < high:
            most = f" and less than {high:.3g}" if high < math.inf else ""
            raise SettingError(f"{name} is {value:.3g}: expected more than {low:g}{most}")


def _scores(auroc: float, prevalence: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return logits of a calibrated model with an AUROC, and their weights."""
    _check(prevalence=prevalence)
    _check(CHANCE, HIGHEST, AUROC=auroc)
    variance = 2 * NormalDist().inv_cdf(auroc) ** 2
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights /= weights.sum()
    # With equal variances the logit of the risk is the linear predictor itself if, without the
    # outcome, its mean is this one.
    mean = math.log(prevalence / (1 - prevalence)) - variance / 2
    without = mean + math.sqrt(variance) * nodes
    scores = np.concatenate([without, without + variance])
    return scores, np.concatenate([(1 - prevalence) * weights, prevalence * weights])
