"""The page of a network study: sites, their mean and spread, and the interval for a next one."""

from itertools import chain
from pathlib import Path

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm

from sequela.analysis import network as rules
from sequela.analysis.network import Network, Summary, Synthesis
from sequela.evaluation.intervals import Estimate, Interval
from sequela.evaluation.number import number, plural
from sequela.figures.figure import Figure
from sequela.figures.forest import ForestLine, ForestScale, forest
from sequela.report.page import write_page
from sequela.report.picture import picture

TITLES = {"auroc": "AUROC", "o_e": "observed / expected", "slope": "calibration slope"}
_LARGEST = 100  # two sites with wide intervals leave O:E without an upper end


def build_network(network: Network, out: Path) -> Path:
    """Write the page. The same releases give the same bytes on one machine."""
    pictures = {}
    for place, model in enumerate(network.models):
        for name, synthesis in model.measures.items():
            if synthesis.sites:
                figure = _forest(TITLES[name], synthesis)
                pictures[model.key, name] = picture(figure, f"{name.replace('_', '-')}-{place}")
    releases = chain.from_iterable(model.releases for model in network.models)
    title = f"{network.study} at {plural(len({r.site for r in releases}), 'site')}"
    values = {"network": network, "pictures": pictures, "titles": TITLES, "rules": rules}
    return write_page(
        "network.html.j2", out, title=title, ends=ends, at=at, spread=spread, **values
    )


def ends(low: float | None, high: float | None) -> str:
    """Write both ends of an interval."""
    return f"{_end(low)} to {_end(high)}"


def at(value: float | None, low: float | None, high: float | None) -> str:
    """Write a value with its interval."""
    return f"{_end(value)} ({ends(low, high)})"


def spread(measure: str, summary: Summary) -> str:
    """Write the SD between sites with its interval, for an AUROC on its own scale."""
    spreads = np.array([summary.spread, summary.spread_low, summary.spread_high])
    if measure == "auroc" and summary.mean is not None:
        quantiles = norm.ppf(np.linspace(0, 1, 202)[1:-1])
        spreads = expit(logit(summary.mean) + spreads[:, None] * quantiles).std(axis=1)
    return "{:.3f} ({:.3f} to {:.3f})".format(*spreads)


def _end(value: float | None) -> str:
    return number(value, ".2f") if value is not None and value <= _LARGEST else f"over {_LARGEST}"


def _forest(title: str, synthesis: Synthesis) -> Figure:
    """Draw each site, the pooled value and the interval for a next site."""
    measures = [site.measure for site in synthesis.sites]
    bars: list[tuple[str, float | None, float | None, float | None]] = [
        (s.site[:32], s.measure.value, s.measure.low, s.measure.high) for s in synthesis.sites
    ]
    if all_sites := synthesis.primary:
        mean = all_sites.mean
        bars.append(("all sites", mean, all_sites.low, all_sites.high))
        bars.append(("next site", mean, all_sites.next_low, all_sites.next_high))
    # A bar may be endless, so the axis ends at a usual interval from the sites.
    room = np.ptp([m.value for m in measures]) + np.median([m.high - m.low for m in measures])
    least = min(m.value for m in measures) - room
    most = max(m.value for m in measures) + room
    lines = []
    for name, value, low, high in bars:
        numbers = [most if end is None else end for end in (value, low, high)]
        point, first, last = np.clip(numbers, least, most).tolist()
        words = ends(low, high) if name == "next site" else at(value, low, high)
        interval = Interval(first, last, 0.95, "", 0, 0)
        lines.append(ForestLine(f"{name}: {words}", Estimate(point, interval)))
    reference = 1.0 if title != TITLES["auroc"] and least < 1 < most else None
    text = f"{title} by site, with 95 % intervals. {'; '.join(line.words for line in lines)}."
    rows = [dict(zip(("name", "value", "low", "high"), bar, strict=True)) for bar in bars]
    return forest(lines, ForestScale([title], ".2f", reference), text=text, rows=rows)
