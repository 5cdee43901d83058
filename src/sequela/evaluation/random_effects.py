"""Results of several sites: their mean, their spread, and the interval for a next site.

The true value of each site is drawn from a normal distribution: on the logit scale for an AUROC, on
the logarithm for O:E, as it is for a calibration slope (Snell and others, Statistical Methods in
Medical Research 2018, 27:3505, doi:10.1177/0962280217705678). The spread is its standard deviation.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.integrate import cumulative_trapezoid
from scipy.optimize import brentq
from scipy.special import expit, ndtr

Floats = NDArray[np.floating]
Prior = Callable[[Floats], Floats]
"""A function from spreads, (n,), to their log density, (n,), up to a constant."""
_SPREADS = 10 * np.linspace(0, 1, 1_001) ** 4  # finest at 0; none of the three scales reaches 10
_TAIL = 0.025  # on each side of an interval
# The spread of the AUROC of 469 models: mean 0.055, SD 0.015 (van Leeuwen and others, Statistics in
# Medicine 2025, 44:e70011, doi:10.1002/sim.70011).
_AUROC_PRIOR = stats.lognorm(0.26785, scale=0.053062)
# Half-t, as Debray and others propose (Statistical Methods in Medical Research 2019, 28:2768,
# doi:10.1177/0962280218785504), with scales of our own.
_PRIORS = {"o_e": stats.t(3, scale=0.5), "slope": stats.t(3, scale=0.25)}


@dataclass(frozen=True)
class Pooled:
    """The mean of all sites, their spread, and the value of a next site, with 95 % intervals."""

    next_mixture: tuple[Floats, Floats, Floats] = field(repr=False)  # weights, means, errors
    mean: float
    low: float
    high: float
    spread: float
    spread_low: float
    spread_high: float
    next_low: float
    next_high: float

    def below(self, limit: float, error: float = 0.0) -> float:
        """Return the probability that a next site, measured with an error, is below a limit."""
        weights, means, errors = self.next_mixture
        return float(weights @ ndtr((limit - means) / np.hypot(errors, error)))


def pooled(values: Floats, errors: Floats, prior: Prior | None = None) -> Pooled:
    """Pool the values of two or more sites, (site,), with standard errors above 0, (site,).

    Without a prior, the spread maximises the restricted likelihood (REML), and the interval of the
    mean is that of Hartung and Knapp. The other two average over the confidence distribution of the
    spread (Nagashima and others, Statistical Methods in Medical Research 2019, 28:1689,
    doi:10.1177/0962280218773520): with one estimated spread, the interval for a next site is too
    narrow (docs/contributing/simulations.md). With a prior of the spread, and a flat one of the
    mean, all are of the posterior distribution.
    """
    design = np.ones((len(values), 1))
    coefficients, covariance, squares, log_likelihood = _fits(values, errors, design, _SPREADS)
    means, mean_errors = coefficients[:, 0], np.sqrt(covariance[:, 0, 0])
    if prior is None:
        # At the true spread the squares have this distribution.
        below = stats.chi2.sf(squares, len(values) - 1)
    else:
        log_density = log_likelihood + prior(_SPREADS)
        density = np.exp(log_density - log_density.max())
        below = cumulative_trapezoid(density, _SPREADS, initial=0)
        below /= below[-1]
    weights = np.gradient(below)
    weights[[0, -1]] += below[0], 1 - below[-1]
    weights /= weights.sum()
    if prior is None:
        (mean,), (error,), spread = _by_reml(values, errors, design)
        reach = stats.t.isf(_TAIL, len(values) - 1) * error
        low, high = mean - reach, mean + reach
    else:
        mean, spread = weights @ means, weights @ _SPREADS
        low, high = _middle(weights, means, mean_errors)
    spread_interval = np.interp([_TAIL, 1 - _TAIL], below, _SPREADS)
    mixture = (weights, means, np.hypot(mean_errors, _SPREADS))
    numbers = (mean, low, high, spread, *spread_interval, *_middle(*mixture))
    return Pooled(mixture, *map(float, numbers))


def prior_of(measure: str, mean: float) -> Prior:
    """Return the prior of the spread of ``auroc`` (its logit has this mean), o_e or slope."""
    if measure != "auroc":
        return _PRIORS[measure].logpdf
    slope = expit(mean) * expit(-mean)  # of the AUROC over its logit
    return lambda spreads: np.asarray(_AUROC_PRIOR.logpdf(slope * spreads))


def regression(values: Floats, errors: Floats, characteristic: Floats) -> tuple[float, ...]:
    """Regress three or more sites on a characteristic, by REML and Hartung and Knapp.

    Returns the slope, its interval, its p-value, and the spread around the line.
    """
    design = np.stack([np.ones(len(values)), characteristic], axis=1)
    (_, slope), (_, error), spread = _by_reml(values, errors, design)
    reach = stats.t.isf(_TAIL, len(values) - 2) * error
    p_value = 2 * stats.t.sf(abs(slope) / error, len(values) - 2)
    return float(slope), float(slope - reach), float(slope + reach), float(p_value), spread


def _fits(values: Floats, errors: Floats, design: Floats, spreads: Floats) -> tuple[Floats, ...]:
    """Return coefficients, their covariance, squares and restricted log likelihood by spread."""
    weights = 1 / (errors**2 + spreads[:, None] ** 2)  # (spread, site)
    weighted = weights[:, :, None] * design  # (spread, site, column)
    covariance = np.linalg.inv(design.T @ weighted)
    coefficients = ((values @ weighted)[:, None] @ covariance)[:, 0]
    squares = (weights * (values - coefficients @ design.T) ** 2).sum(axis=1)
    log_determinants = np.log(weights).sum(axis=1) + np.linalg.slogdet(covariance)[1]
    return coefficients, covariance, squares, (log_determinants - squares) / 2


def _by_reml(values: Floats, errors: Floats, design: Floats) -> tuple[Floats, Floats, float]:
    """Return coefficients, their errors by Hartung and Knapp, and the spread by REML."""
    spreads = _SPREADS
    for _ in range(5):  # each round divides the distance of neighbours by 50
        coefficients, covariance, squares, log_likelihood = _fits(values, errors, design, spreads)
        # Of spreads that are equally likely but for rounding, the smallest: 0 is exactly 0.
        best = int((log_likelihood > log_likelihood.max() - 1e-13).argmax())
        spread = float(spreads[best])
        neighbours = spreads[max(best - 1, 0)], spreads[min(best + 1, len(spreads) - 1)]
        spreads = np.linspace(*neighbours, 101)
    # Sites that are alike by chance give no smaller errors than their own.
    factor = max(squares[best] / (len(values) - design.shape[1]), spread == 0)
    return coefficients[best], np.sqrt(factor * np.diagonal(covariance[best])), spread


def _middle(weights: Floats, means: Floats, errors: Floats) -> tuple[float, float]:
    """Return the ends of the middle 95 % of a mixture of normal distributions."""
    ends = (means - 50 * errors).min(), (means + 50 * errors).max()

    def end(share: float) -> float:
        return float(brentq(lambda x: weights @ ndtr((x - means) / errors) - share, *ends))

    return end(_TAIL), end(1 - _TAIL)
