"""Sample sizes: the patients that a model and its evaluation need, by published criteria.

A model for two classes or for times to an event: Riley and others, Statistics in Medicine 2019,
38:1276-1296, doi:10.1002/sim.7992. An evaluation for two classes: Riley and others, Statistics in
Medicine 2021, 40:4230-4251, doi:10.1002/sim.9025. All criteria assume that patients are independent
and that the number of parameters was set before any look at the outcome.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sequela.errors import SettingError

SHRINKAGE = 0.9  # least mean slope of the model on new patients
OPTIMISM = 0.05  # most by which Nagelkerke's R² of the training set may be too high
MARGIN = 0.05  # half the width of the 95 % interval of the overall risk
WIDTHS = {"O:E": 0.2, "calibration slope": 0.2, "AUROC": 0.1}
"""Widths of the 95 % intervals of an evaluation that count as precise (Riley 2021, section 5)."""
CHANCE = 0.5  # AUROC without any information
_Z = 1.96  # of a 95 % interval, as published
_NODES = 201  # of the quadrature: R² and slope are exact to eight digits
_LARGEST = 10**9  # patients
_STEP = 0.0001  # of the standard error of O:E, in its search


@dataclass(frozen=True)
class Need:
    """The patients that one criterion needs, and the events that are expected among them."""

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
    entropy = risk * np.logaddexp(0, -scores) + (1 - risk) * np.logaddexp(0, scores)
    return -math.expm1(2 * (_null(prevalence) + float(weights @ entropy)))


def for_two_classes(
    parameters: int, prevalence: float, r2: float, shrinkage: float = SHRINKAGE
) -> list[Need]:
    """Return the patients that each criterion needs to train a model for two classes.

    Args:
        parameters: Candidate parameters of the model.
        prevalence: Share of patients with the outcome.
        r2: R² of Cox and Snell that is expected on new patients; see :func:`cox_snell`.
        shrinkage: Least mean slope of the model on new patients.
    """
    check_shares(prevalence=prevalence, r2=r2, shrinkage=shrinkage)
    highest = -math.expm1(2 * _null(prevalence))
    risk = math.ceil((_Z / MARGIN) ** 2 * prevalence * (1 - prevalence))
    return _needs(parameters, r2, highest, shrinkage, prevalence, risk)


def for_times(
    parameters: int,
    rate: float,
    horizon: float,
    follow_up: float,
    r2: float,
    shrinkage: float = SHRINKAGE,
) -> list[Need]:
    """Return the patients that each criterion needs to train a model for times to an event.

    Args:
        parameters: Candidate parameters of the model.
        rate: Events for each unit of time of follow-up.
        horizon: Time of the prediction, in the same unit.
        follow_up: Mean follow-up of a patient, in the same unit.
        r2: R² of Cox and Snell that is expected on new patients.
        shrinkage: Least mean slope of the model on new patients.
    """
    check_shares(r2=r2, shrinkage=shrinkage)
    for name, value in (("rate", rate), ("horizon", horizon), ("follow-up", follow_up)):
        if not value > 0:
            raise SettingError(f"{name} is {value:g}: expected more than 0")
    events = rate * follow_up  # of a patient
    highest = -math.expm1(2 * (events * math.log(events) - events))
    # The lower end of the interval is further from the risk than the upper one.
    change = math.log1p(MARGIN * math.exp(rate * horizon))
    risk = math.ceil(rate / follow_up * (_Z * horizon / change) ** 2)
    return _needs(parameters, r2, highest, shrinkage, events, risk)


def precision(patients: int, prevalence: float, auroc: float) -> dict[str, float]:
    """Return the widths of the 95 % intervals of an evaluation with a number of patients.

    The model is calibrated, and its linear predictor is normal in both classes. The standard errors
    are those of Riley 2021, equations 6 (O:E), 9 (slope) and 11 (AUROC, by Newcombe).
    """
    check_shares(prevalence=prevalence)
    pairs = patients / 2 - 1
    auroc_variance = auroc * (1 - auroc) / (patients**2 * prevalence * (1 - prevalence))
    auroc_variance *= 1 + pairs * ((1 - auroc) / (2 - auroc) + auroc / (1 + auroc))
    log_ratio = math.sqrt((1 - prevalence) / (prevalence * patients))
    slope = math.sqrt(slope_variance(*_scores(auroc, prevalence)) / patients)
    return {
        "O:E": 2 * math.sinh(_Z * log_ratio),  # the interval is one of its logarithm
        "calibration slope": 2 * _Z * slope,
        "AUROC": 2 * _Z * math.sqrt(auroc_variance),
    }


def for_evaluation(prevalence: float, auroc: float) -> list[Need]:
    """Return the patients for intervals of an evaluation that are as narrow as :data:`WIDTHS`."""
    needs = []
    for name, width in WIDTHS.items():
        if name == "O:E":  # by the steps of the authors' program, which ends above the width
            steps = math.floor(math.asinh(width / 2) / (_Z * _STEP)) + 1
            patients = math.ceil((1 - prevalence) / (prevalence * (steps * _STEP) ** 2))
        else:
            patients = bisect_left(
                range(_LARGEST), -width, 2, key=lambda n: -precision(n, prevalence, auroc)[name]
            )
        needs.append(
            Need(f"{name}: interval of width {width:g}", patients, math.ceil(patients * prevalence))
        )
    return needs


def slope_variance(scores: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the variance of the calibration slope, times the number of patients.

    Args:
        scores: Logits of the predicted risks of a calibrated model, (patient,).
        weights: The share of patients with each, which sum to 1.
    """
    information = np.exp(-np.logaddexp(0, scores) - np.logaddexp(0, -scores)) * weights
    mean = information @ scores / information.sum()
    return float(1 / (information @ (scores - mean) ** 2))


def check_shares(**shares: float) -> None:
    """Refuse values that are not between 0 and 1."""
    for name, value in shares.items():
        if not 0 < value < 1:
            raise SettingError(f"{name} is {value:g}: expected more than 0 and less than 1")


def _needs(
    parameters: int, r2: float, highest: float, shrinkage: float, events: float, risk: int
) -> list[Need]:
    if parameters < 1:
        raise SettingError(f"parameters is {parameters}: expected 1 or more")
    if r2 >= min(highest, shrinkage):
        raise SettingError(
            f"R² is {r2:.3g}: expected less than the shrinkage, {shrinkage:g}, and less than "
            f"{highest:.3g}, the highest for this share of events"
        )
    needs = []
    # The second criterion asks for the shrinkage that goes with its optimism.
    for name, slope in (
        (f"shrinkage of {shrinkage:g} or more", shrinkage),
        (f"Nagelkerke's R² at most {OPTIMISM:g} too high", r2 / (r2 + OPTIMISM * highest)),
    ):
        needs.append((name, math.ceil(parameters / ((slope - 1) * math.log1p(-r2 / slope)))))
    needs.append((f"overall risk within {MARGIN:g}", risk))
    return [Need(name, patients, math.ceil(patients * events)) for name, patients in needs]


def _null(prevalence: float) -> float:
    """Return the log likelihood of the prevalence, for one patient."""
    return prevalence * math.log(prevalence) + (1 - prevalence) * math.log1p(-prevalence)


def _scores(auroc: float, prevalence: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return logits of a calibrated model with an AUROC, and their weights."""
    check_shares(prevalence=prevalence)
    if not CHANCE < auroc < 1:
        raise SettingError(f"AUROC is {auroc:g}: expected more than 0.5 and less than 1")
    variance = 2 * NormalDist().inv_cdf(auroc) ** 2
    nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
    weights /= weights.sum()
    # With equal variances the logit of the risk is the linear predictor itself if, without the
    # outcome, its mean is this one.
    mean = math.log(prevalence / (1 - prevalence)) - variance / 2
    without = mean + math.sqrt(variance) * nodes
    scores = np.concatenate([without, without + variance])
    return scores, np.concatenate([(1 - prevalence) * weights, prevalence * weights])
