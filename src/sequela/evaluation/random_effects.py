"""Results of several sites: their mean, their spread, and the interval for a next site.

The true value of each site is drawn from a normal distribution: on the logit scale for an AUROC, on
the logarithm for O:E, as it is for a calibration slope (Snell and others, Statistical Methods in
Medical Research 2018, 27:3505-3522, doi:10.1177/0962280217705678).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import brentq
from scipy.special import logsumexp, ndtr

from sequela.errors import DataError

Prior = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""A function from standard deviations between sites, (n,), to their log density, (n,)."""
_FEWEST = 2  # sites
_GRID = 2_001  # standard deviations between sites
_WIDEST = 10.0  # the largest of them, as a multiple of the spread of the values
_LEVEL = 0.95


@dataclass(frozen=True)
class Pooled:
    """The mean of all sites with its interval, their spread, and the interval for a next site."""

    mean: float
    low: float
    high: float
    spread: float
    next_low: float
    next_high: float


def pooled(
    values: NDArray[np.floating], errors: NDArray[np.floating], prior: Prior | None = None
) -> Pooled:
    """Pool the values of several sites.

    Without a prior the spread is the restricted maximum of the likelihood, the interval of the mean
    that of Hartung and Knapp, and the interval for a next site has the same degrees of freedom.
    With a prior of the spread all three are those of its posterior distribution.

    Args:
        values: The value of each site, (site,).
        errors: Its standard error, (site,).
        prior: Prior of the standard deviation between sites.
    """
    y, variance = np.asarray(values, np.float64), np.square(np.asarray(errors, np.float64))
    if len(y) < _FEWEST:
        raise DataError(f"{len(y)} site: expected {_FEWEST} or more")
    if not (np.isfinite(y).all() and (variance > 0).all() and np.isfinite(variance).all()):
        raise DataError("a site has no value, or no standard error above 0")
    # Even steps of the root, as small spreads need the finest steps.
    widest = _WIDEST * max(float(np.ptp(y)), float(np.sqrt(variance.min())))
    spreads = widest * np.linspace(0, 1, _GRID) ** 2
    means, mean_errors, log_likelihood = _given_spread(y, variance, spreads)
    if prior is None:
        return _by_likelihood(y, variance, spreads, log_likelihood)
    with np.errstate(divide="ignore"):
        log_density = log_likelihood + prior(spreads) + np.log(np.gradient(spreads))
    weights = np.exp(log_density - logsumexp(log_density))
    low, high = _quantiles(weights, means, mean_errors)
    next_low, next_high = _quantiles(weights, means, np.hypot(mean_errors, spreads))
    return Pooled(
        float(weights @ means), low, high, float(weights @ spreads), next_low, next_high
    )


def log_normal(mean: float, deviation: float, scale: float = 1.0) -> Prior:
    """Return a log-normal prior by its mean and standard deviation, of the spread over a scale."""
    width = np.sqrt(np.log1p((deviation / mean) ** 2))
    shape = stats.lognorm(width, scale=scale * mean / np.exp(width**2 / 2))
    return lambda spreads: np.asarray(shape.logpdf(spreads))


def half_t(scale: float, degrees: float) -> Prior:
    """Return the prior of half a Student's t distribution."""
    return lambda spreads: np.asarray(stats.t.logpdf(spreads / scale, degrees))


def _given_spread(
    y: NDArray[np.float64], variance: NDArray[np.float64], spreads: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean, its error and the restricted log likelihood of each spread."""
    weights = 1 / (variance + np.square(spreads)[:, None])  # (spread, site)
    total = weights.sum(axis=1)
    means = weights @ y / total
    deviations = (weights * (y - means[:, None]) ** 2).sum(axis=1)
    return means, 1 / np.sqrt(total), (np.log(weights).sum(axis=1) - np.log(total) - deviations) / 2


def _by_likelihood(
    y: NDArray[np.float64],
    variance: NDArray[np.float64],
    spreads: NDArray[np.float64],
    log_likelihood: NDArray[np.float64],
) -> Pooled:
    best = int(log_likelihood.argmax())
    around = spreads[max(best - 1, 0)], spreads[min(best + 1, len(spreads) - 1)]
    spread = _restricted_maximum(y, variance, *around)
    weights = 1 / (variance + spread**2)
    mean = float(weights @ y / weights.sum())
    error = np.sqrt(weights @ (y - mean) ** 2 / ((len(y) - 1) * weights.sum()))
    reach = stats.t.ppf((1 + _LEVEL) / 2, len(y) - 1)
    low, high = mean - reach * error, mean + reach * error
    beyond = reach * np.hypot(error, spread)
    return Pooled(mean, low, high, spread, mean - beyond, mean + beyond)


def _restricted_maximum(
    y: NDArray[np.float64], variance: NDArray[np.float64], lowest: float, highest: float
) -> float:
    def slope(spread: float) -> float:
        """Return the slope of the log likelihood over the variance between sites."""
        weights = 1 / (variance + spread**2)
        total = weights.sum()
        mean = weights @ y / total
        squares = weights**2
        return float((squares @ (y - mean) ** 2 - total + squares.sum() / total) / 2)

    if slope(lowest) <= 0:
        return lowest
    return float(brentq(slope, lowest, highest))


def _quantiles(
    weights: NDArray[np.float64], means: NDArray[np.float64], errors: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the ends of the middle 95 % of a mixture of normal distributions."""
    tail = (1 - _LEVEL) / 2

    def end(share: float) -> float:
        reach = 50 * errors.max()
        ends = means.min() - reach, means.max() + reach
        return float(brentq(lambda x: weights @ ndtr((x - means) / errors) - share, *ends))

    return end(tail), end(1 - tail)
