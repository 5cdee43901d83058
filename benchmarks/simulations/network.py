"""Coverage of the interval for a next site, in simulated networks of sites whose truth is known.

    python benchmarks/simulations/network.py --seed 1 --write

Each site has a true AUROC, O:E and calibration slope, drawn around those of the network, and
patients with a predicted risk and an outcome. Its numbers and their errors are computed from its
patients, as a site does. A network covers if the interval contains the true value of one more site.
``--write`` adds the seed to ``network.json``, and writes docs/contributing/simulations.md.
"""

import argparse
import json
import math
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.interpolate import RegularGridInterpolator
from scipy.special import expit, logit
from section import write_section

from sequela.evaluation.comparison import areas
from sequela.evaluation.random_effects import pooled, prior_of

Floats = NDArray[np.float64]
RESULTS = Path(__file__).with_suffix(".json")
NETWORKS = 1_000  # a cell and seed
SITES = (3, 5, 10, 30)
MEASURES = ("auroc", "o_e", "slope")
CENTRES = np.array([logit(0.75), 0.0, 1.0])  # of logit AUROC, log O:E, and slope
# The SD between sites of the AUROC, of log O:E and of the slope; None draws that of the AUROC from
# the distribution of the 469 published models.
SPREADS = {
    "small": (0.02, 0.1, 0.1),
    "typical": (0.055, 0.25, 0.2),
    "large": (0.10, 0.5, 0.3),
    "drawn": (None, 0.25, 0.2),
}
PATIENTS, EVENTS, FEWEST = (50, 2_000), (0.05, 0.30), 10
LOG_PATIENTS = math.log(PATIENTS[0]), math.log(PATIENTS[1])
METHODS = {
    "dl": "DerSimonian-Laird",
    "metafor": "REML, k - 1",
    "metamisc": "REML, k - 2",
    "ours": "ours",
    "prior": "ours, prior",
    "half_t": "wider prior",
}
HALF_T = {"auroc": 0.5, "o_e": 1.5, "slope": 0.5}  # metamisc has none for the slope
QUANTILES = stats.norm.ppf((np.arange(400) + 0.5) / 400)


@cache
def spread_of_logits() -> RegularGridInterpolator:
    """Return the SD of a normal true logit by the share with the event and the logit AUROC."""
    shares, aurocs = np.linspace(0.04, 0.31, 28), np.linspace(0.02, 3.0, 200)
    spreads = np.linspace(0.02, 9, 300)
    rows = []
    for share in shares:
        risk = expit(
            mean_of_logits(np.full(300, share), spreads)[:, None] + spreads[:, None] * QUANTILES
        )
        below = np.cumsum(1 - risk, axis=1) - (1 - risk) / 2
        auroc = (risk * below).sum(axis=1) / risk.sum(axis=1) / (1 - risk).sum(axis=1)
        rows.append(np.interp(aurocs, logit(auroc), spreads))
    return RegularGridInterpolator((shares, aurocs), np.array(rows))


def mean_of_logits(share: Floats, spread: Floats) -> Floats:
    """Return the mean of normal logits whose mean risk is this share, by bisection."""
    low, high = np.full(len(share), -60.0), np.full(len(share), 60.0)
    middle: Floats = low
    for _ in range(40):
        middle = (low + high) / 2
        above = expit(middle[:, None] + spread[:, None] * QUANTILES).mean(axis=1) > share
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return middle


def true_values(count: int, spread: tuple[Any, ...], rng: np.random.Generator) -> Floats:
    """Draw the true values of sites, (site, measure), on the scales on which they are pooled."""
    first = spread[0]
    if first is None:
        width = np.sqrt(np.log1p((0.015 / 0.055) ** 2))
        first = 0.055 * np.exp(rng.normal() * width - width**2 / 2)
    deviations = np.array([first / (0.75 * 0.25), *spread[1:]])
    values = CENTRES + rng.normal(size=(count, 3)) * deviations
    # A model is at least a little better than chance, and not turned round.
    bounds = [(logit(0.51), logit(0.95)), (-3.0, 3.0), (0.1, 3.0)]
    return np.stack([values[:, m].clip(*bounds[m]) for m in range(3)], axis=1)


def estimates(values: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw the patients of each site, and return its numbers and their errors, (site, measure)."""
    auroc, o_e, slope = values.T
    numbers, errors = np.zeros_like(values), np.zeros_like(values)
    open_sites = np.arange(len(values))
    while len(open_sites):
        share = rng.uniform(*EVENTS, len(open_sites))
        size = np.exp(rng.uniform(*LOG_PATIENTS, len(open_sites))).astype(int)
        spread = spread_of_logits()(np.stack([share, auroc[open_sites]], axis=1))
        mean = mean_of_logits(share, spread)
        predicted_spread = spread / slope[open_sites]
        # Of the mean predicted risk, which O:E gives.
        predicted = share / np.exp(o_e[open_sites])
        predicted_mean = mean_of_logits(np.minimum(predicted, 0.95), predicted_spread)
        again = []
        for row, site in enumerate(open_sites):
            normal = rng.normal(size=size[row])
            event = rng.random(size[row]) < expit(mean[row] + spread[row] * normal)
            line = predicted_mean[row] + predicted_spread[row] * normal
            few = min(event.sum(), (~event).sum()) < FEWEST
            numbers_of_site = None if few else measures(line, event)
            if numbers_of_site is None:
                again.append(site)  # such a site cannot take part
            else:
                numbers[site], errors[site] = numbers_of_site
        open_sites = np.array(again, int)
    return numbers, errors


def measures(line: Floats, event: NDArray[np.bool_]) -> tuple[Floats, Floats] | None:
    """Return logit AUROC, log O:E and slope with their errors; None if the AUROC is 1."""
    area = areas(event, line[:, None], np.arange(len(line)))
    auroc = float(area.area[0])
    if not 0 < auroc < 1:
        return None
    risk, observed = expit(line), event.sum()
    design = np.stack([np.ones(len(line)), line], axis=1)
    centre = np.array([logit(event.mean()), 0.0])
    for _ in range(30):
        chance = expit(design @ centre)
        information = (design.T * (chance * (1 - chance))) @ design
        step = np.linalg.solve(information, design.T @ (event - chance))
        centre = centre + step
        if abs(step).max() < 1e-8:
            break
    influence = np.linalg.solve(information, design.T * (event - chance))[1]  # White 1982
    numbers = [logit(auroc), np.log(observed / risk.sum()), centre[1]]
    errors = [
        np.sqrt(area.covariance[0, 0]) / (auroc * (1 - auroc)),
        np.linalg.norm(event - risk) / observed,
        np.linalg.norm(influence),
    ]
    return np.array(numbers), np.array(errors)


def der_simonian_laird(values: Floats, errors: Floats) -> tuple[float, float]:
    """Return the usual interval: the moment estimate of the spread, and normal quantiles."""
    weights = errors**-2.0
    squares = weights @ (values - np.average(values, weights=weights)) ** 2
    excess = squares - (len(values) - 1)
    variance = max(0, excess / (weights.sum() - (weights**2).sum() / weights.sum()))
    weights = 1 / (errors**2 + variance)
    mean = np.average(values, weights=weights)
    reach = stats.norm.ppf(0.975) * np.sqrt(variance + 1 / weights.sum())
    return mean - reach, mean + reach


def plug_in(values: Floats, errors: Floats, spread: float, degrees: int) -> tuple[float, float]:
    """Return the interval of one estimated spread, REML with Hartung-Knapp, as others print it."""
    weights = 1 / (errors**2 + spread**2)
    mean = np.average(values, weights=weights)
    # Others do not widen the error where the sites are alike by chance.
    error = np.sqrt(np.average((values - mean) ** 2, weights=weights) / (len(values) - 1))
    reach = stats.t.ppf(0.975, degrees) * np.hypot(error, spread)
    return mean - reach, mean + reach


def intervals(measure: str, values: Floats, errors: Floats) -> dict[str, tuple[float, float]]:
    """Return the interval for a next site by method."""
    ours, sites = pooled(values, errors), len(values)
    prior = pooled(values, errors, prior_of(measure, ours.mean))
    half_t = pooled(values, errors, lambda sd: np.asarray(stats.t.logpdf(sd / HALF_T[measure], 3)))
    return {
        "dl": der_simonian_laird(values, errors),
        "metafor": plug_in(values, errors, ours.spread, sites - 1),
        "metamisc": plug_in(values, errors, ours.spread, sites - 2),
        "ours": (ours.next_low, ours.next_high),
        "prior": (prior.next_low, prior.next_high),
        "half_t": (half_t.next_low, half_t.next_high),
    }


def cell(spread: str, sites: int, networks: int, seed: int) -> dict[str, Any]:
    """Return coverage and median width by measure and method."""
    rng = np.random.default_rng([seed, sites, list(SPREADS).index(spread)])
    hits = np.zeros((networks, len(MEASURES), len(METHODS)), bool)
    widths = np.zeros(hits.shape)
    for network in range(networks):
        true = true_values(sites + 1, SPREADS[spread], rng)
        numbers, errors = estimates(true[:-1], rng)
        for m, measure in enumerate(MEASURES):
            ends = intervals(measure, numbers[:, m], errors[:, m])
            low, high = np.array([ends[method] for method in METHODS]).T
            hits[network, m] = (low <= true[-1, m]) & (true[-1, m] <= high)
            if measure == "o_e":
                widths[network, m] = np.exp(high - low)
            else:
                on_scale = expit if measure == "auroc" else np.asarray
                widths[network, m] = on_scale(high) - on_scale(low)
    row: dict[str, Any] = {"spread": spread, "sites": sites, "networks": networks}
    for m, measure in enumerate(MEASURES):
        covered = (100 * hits[:, m].mean(axis=0)).round(2).tolist()
        width = np.median(widths[:, m], axis=0).round(3).tolist()
        row[measure] = dict(zip(METHODS, zip(covered, width, strict=True), strict=True))
    return row


HEAD = """{networks:,} simulated networks a cell, half of them with each of two seeds, by `python
benchmarks/simulations/network.py --seed SEED --write`. Sites have {low} to {high:,} patients (the
logarithm is uniform), of whom {few:.0f} to {many:.0f} % have the event; a site with fewer than
{fewest} of either class is drawn again. A cell has the coverage of the 95 % interval for the true
value of one more site, in %, and its median width: on the scale of the AUROC and of the slope, and
for O:E the upper over the lower bound. The standard error of a coverage near 95 % is {error:.1f};
the two seeds differ by at most {apart:.1f} standard errors of their difference.

"""
TITLES = {"auroc": "AUROC", "o_e": "O:E", "slope": "slope"}


def page(results: dict[str, list[dict[str, Any]]]) -> str:
    """Return the section of the page."""
    lines = [f"| measure | SD | sites | {' | '.join(METHODS.values())} |"]
    lines.append("|---|---|---:|" + "---:|" * len(METHODS))
    apart, networks = 0.0, 0  # the largest difference of two seeds, in standard errors
    for m, measure in enumerate(MEASURES):
        for rows in zip(*results.values(), strict=True):
            first = rows[0]
            if first["spread"] == "drawn" and measure != "auroc":
                continue
            networks = sum(row["networks"] for row in rows)
            numbers = np.array([[row[measure][name] for name in METHODS] for row in rows])
            shares = numbers[:, :, 0].mean(axis=0) / 100
            error = 100 * np.sqrt(2 * shares * (1 - shares) / first["networks"])
            differences = np.ptp(numbers[:, :, 0], axis=0)
            apart = max(apart, float((differences / error.clip(0.1)).max()))
            cells = [TITLES[measure], str(SPREADS[first["spread"]][m] or "drawn")]
            cells += [str(first["sites"])]
            for covered, width in numbers.mean(axis=0):
                digits = 2 if width < 10 else 0
                cells.append(f"{covered:.1f} ({width:,.{digits}f})")
            lines.append(f"| {' | '.join(cells)} |")
    head = HEAD.format(
        networks=networks,
        low=PATIENTS[0],
        high=PATIENTS[1],
        few=100 * EVENTS[0],
        many=100 * EVENTS[1],
        fewest=FEWEST,
        error=100 * np.sqrt(0.95 * 0.05 / networks),
        apart=apart,
    )
    return head + "\n".join(lines)


def main() -> None:
    """Simulate the cells of a seed, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--networks", type=int, default=NETWORKS)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    rows = []
    for spread in SPREADS:
        for sites in SITES:
            rows.append(cell(spread, sites, options.networks, options.seed))
            print(json.dumps(rows[-1]), flush=True)
    if options.write:
        results = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {}
        results[str(options.seed)] = rows
        text = json.dumps(results).replace('{"spread"', '\n{"spread"')  # one row a line
        RESULTS.write_text(text + "\n", "utf-8")
        write_section("network", page(results))


if __name__ == "__main__":
    main()
