"""The section on the risk over time, of tasks that predict the time to an event."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sequela.disclosure import is_small, shown
from sequela.evaluation import survival
from sequela.evaluation.calibration import Reliability
from sequela.evaluation.decision import NetBenefit
from sequela.evaluation.intervals import estimates
from sequela.evaluation.predictions import Predictions
from sequela.evaluation.statistic import stacked
from sequela.figures.decision import decision_curves
from sequela.figures.reliability import reliability_curves
from sequela.figures.survival import risk_over_time
from sequela.report.entry import Entry
from sequela.report.picture import Picture, picture

GROUPS = ("low risk", "middle risk", "high risk")
# More points do not change the look of the curve, but each costs a bootstrap.
_TIMES = 24  # times at which a curve of the observed share is computed
_BINS = 5  # groups of equal size by predicted risk, for calibration
_SHOWN = 3  # horizons whose calibration is drawn
_THRESHOLDS = np.arange(1, 31) * 2 / 100


def content(entries: Sequence[Entry], best: Entry, prefix: str) -> Mapping[str, object]:
    """Return the values of the template on the risk over time."""
    values: dict[str, object] = {
        "best": best,
        "prefix": prefix,
        "of_few": best.of_few,
        "subgroups": None,
    }
    if best.of_few:
        return values
    held_out = best.run.predictions.part("held_out")
    event = best.data.outcome.one if best.data.outcome else ""
    groups = _by_risk(held_out.risk[:, -1], len(GROUPS))
    days = np.array([0.0, *held_out.horizons])
    pictures = [
        over_time(best, held_out, groups, event, prefix),
        calibrated(best, held_out, event, prefix),
    ]
    return values | {
        "pictures": [*pictures, decided(entries, best, event, prefix)],
        "days": [0.0, *held_out.horizons],
        "at_risk": [
            (
                name,
                [shown(int(n), best.smallest) for n in _followed(held_out, groups == place, days)],
            )
            for place, name in enumerate(GROUPS)
        ],
    }


def _by_risk(risk: NDArray[np.float64], parts: int) -> NDArray[np.int64]:
    """Divide the examples into equal parts by their risk, equal risks together: (example,)."""
    # A boundary belongs to the lower part, so that equal risks are never divided.
    edges = np.quantile(risk, np.arange(1, parts) / parts)
    return np.searchsorted(edges, risk, side="left").astype(np.int64)


def _followed(
    predictions: Predictions, among: NDArray[np.bool_], days: NDArray[np.float64]
) -> NDArray[np.int64]:
    time = predictions.outcomes.time[among, None]
    return np.asarray((time > days).sum(axis=0))


def over_time(
    entry: Entry, held_out: Predictions, group_of: NDArray[np.int64], event: str, prefix: str
) -> Picture:
    """Draw the observed share with the event by groups of predicted risk.

    Where small counts are hidden, only the shares at the horizons are shown.
    """
    last = held_out.horizons[-1]
    # At a fine time only one patient may have had the event, so the curve would reveal single days.
    fine = np.unique([*np.linspace(0, last, _TIMES), *held_out.horizons])
    times = fine if entry.smallest == 1 else np.array([0.0, *held_out.horizons])
    observed, predicted = {}, {}
    for place, name in enumerate(GROUPS):
        among = group_of == place
        if not among.any():
            continue
        # Aalen and Johansen (1978): deaths of another cause are not censoring, which would count
        # these patients as still at risk.
        shares = survival.incidence(held_out.outcomes, times, among=among)
        curve = estimates(shares, np.random.default_rng(entry.run.settings.seed))
        is_observed = _followed(held_out, among, times) > 0
        observed[name] = [
            pair
            for pair, s in zip(zip(times.tolist(), curve, strict=True), is_observed, strict=True)
            if s
        ]
        means = held_out.risk[among].mean(axis=0).tolist()
        predicted[name] = list(zip(held_out.horizons, means, strict=True))
    figure = risk_over_time(observed, predicted, event=event)
    caption = (
        f"Observed share with the event (lines, with pointwise 95 % intervals) and mean predicted "
        f"risk (points) of thirds of the test set by the risk that {entry.title} predicts."
    )
    return picture(figure, f"{prefix}over-time", caption)


def calibrated(entry: Entry, held_out: Predictions, event: str, prefix: str) -> Picture:
    """Draw the observed share by fifths of the predicted risk, at up to three horizons."""
    # First, middle and last horizon: a model may be calibrated early and not late.
    size = len(held_out.horizons)
    horizons = sorted({0, size // 2, size - 1}) if size > _SHOWN else range(size)
    curves, chances = {}, {}
    for place in horizons:
        day, risk = held_out.horizons[place], held_out.risk[:, place]
        fifth = _by_risk(risk, _BINS)
        bins = [b for b in range(_BINS) if (fifth == b).any()]
        rng = np.random.default_rng(entry.run.settings.seed)
        at = np.array([day])
        shares = [survival.incidence(held_out.outcomes, at, among=fifth == b) for b in bins]
        name = f"by day {day:g}"
        curves[name] = Reliability(
            np.array([risk[fifth == b].mean() for b in bins]),
            tuple(estimates(stacked(shares), rng)),
            np.array([np.sum(fifth == b) for b in bins]),
            np.array([len(np.unique(held_out.group_id[fifth == b])) for b in bins]),
        )
        chances[name] = risk
    figure = reliability_curves(curves, chances, event=event, smallest=entry.smallest)
    caption = (
        f"Calibration of {entry.title}: the observed share with the event in fifths of the test "
        "set, estimated with follow-up that ended (Aalen-Johansen), against the predicted risk."
    )
    return picture(figure, f"{prefix}calibration", caption)


def decided(entries: Sequence[Entry], best: Entry, event: str, prefix: str) -> Picture:
    """Draw the net benefit by the last horizon of the best model and the best baseline model."""
    baselines = [entry for entry in entries if not entry.is_network]
    baseline = max(baselines, key=lambda entry: entry.value, default=best)
    curves = {entry.title: _benefit(entry) for entry in (best, baseline)}
    day = best.data.horizons[-1]
    figure = decision_curves(curves, event=event)
    caption = f"Net benefit of acting where the predicted risk by day {day:g} exceeds a threshold."
    return picture(figure, f"{prefix}decision", caption)


def _benefit(entry: Entry) -> NetBenefit:
    held_out = entry.run.predictions.part("held_out")
    ours, day, risk = held_out.outcomes, held_out.horizons[-1], held_out.risk[:, -1]
    at = np.array([day])
    share = float(survival.incidence(ours, at).estimate.item())
    # Acting on all gains the share of events, and loses the others at the odds of the threshold.
    odds = _THRESHOLDS / (1 - _THRESHOLDS)
    # Few patients above a threshold are a small cell; their net benefit would reveal their outcome.
    few = [is_small(int((risk >= t).sum()), entry.smallest) for t in _THRESHOLDS.tolist()]
    rng = np.random.default_rng(entry.run.settings.seed)
    benefits = estimates(survival.net_benefit_at(ours, risk, day, _THRESHOLDS), rng)
    curve = NetBenefit(_THRESHOLDS, tuple(benefits), share - (1 - share) * odds)
    return curve.where(~np.array(few))
