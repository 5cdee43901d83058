"""The page of a network study: sites, their mean and spread, and the interval for a next one."""

from pathlib import Path

import numpy as np

from sequela.analysis import network as rules
from sequela.analysis.network import NetworkStudy, Synthesis
from sequela.evaluation.intervals import Estimate, Interval
from sequela.evaluation.number import number
from sequela.figures.figure import Figure
from sequela.figures.forest import ForestLine, ForestScale, forest
from sequela.report.page import open_templates, write_page
from sequela.report.picture import picture

TITLES = {"auroc": "AUROC", "o_e": "observed / expected", "slope": "calibration slope"}
_LARGEST = 100  # two sites with wide intervals leave O:E without an upper end


def build_network(network: NetworkStudy, out: Path) -> Path:
    """Write the page. The same releases give the same bytes on one machine."""
    pictures = {}
    for place, model in enumerate(network.models):
        for name, synthesis in model.measures.items():
            if synthesis.sites:
                figure = _forest(TITLES[name], synthesis)
                pictures[model.title, name] = picture(figure, f"{name.replace('_', '-')}-{place}")
    study = network.releases[0].study
    return write_page("network.html.j2", out, title=study, pictures=pictures, **_values(network))


def network_text(network: NetworkStudy) -> str:
    """Write the measures and the sites that stand out as lines of a terminal."""
    template = open_templates(autoescape=False).get_template("network.txt.j2")
    return template.render(_values(network))


def _values(network: NetworkStudy) -> dict[str, object]:
    return {"network": network, "titles": TITLES, "rules": rules, "ends": ends, "at": at}


def ends(low: float | None, high: float | None) -> str:
    """Write both ends of an interval."""
    return f"{_end(low)} to {_end(high)}"


def at(value: float | None, low: float | None, high: float | None) -> str:
    """Write a value with its interval."""
    return f"{_end(value)} ({ends(low, high)})"


def _end(value: float | None) -> str:
    return number(value, ".2f") if value is not None and value <= _LARGEST else f"over {_LARGEST}"


def _forest(title: str, synthesis: Synthesis) -> Figure:
    """Draw each site, the pooled value and the interval for a next site."""
    bars: list[tuple[str, float | None, float | None, float | None]] = [
        (site[:32], m.value, m.low, m.high) for site, m in synthesis.sites.items()
    ]
    if pool := synthesis.primary:
        bars.append(("all sites", pool["mean"], pool["low"], pool["high"]))
        bars.append(("next site", pool["mean"], pool["next_low"], pool["next_high"]))
    # These two bars may be endless, so the picture ends where those of the sites are far.
    least = min(m.low for m in synthesis.sites.values())
    most = min(max(m.high for m in synthesis.sites.values()), _LARGEST)
    room = most - least
    lines = []
    for name, *numbers in bars:
        cut = np.clip(
            [_LARGEST if x is None else x for x in numbers], least - room, most + room
        ).tolist()
        estimate = Estimate(cut[0], Interval(cut[1], cut[2], 0.95, "", 0, 0))
        lines.append(ForestLine(f"{name}: {at(*numbers)}", estimate))
    text = f"{title} by site, with 95 % intervals. {'; '.join(line.words for line in lines)}."
    rows = [dict(zip(("name", "value", "low", "high"), bar, strict=True)) for bar in bars]
    scale = ForestScale([f"{title}, 95 % intervals"], ".2f", None if title == "AUROC" else 1.0)
    return forest(lines, scale, text=text, rows=rows)
