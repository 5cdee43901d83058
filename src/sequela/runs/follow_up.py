"""Checks of times to an event: immortal time, and censoring that depends on the risk.

Estimates that weight for censoring are right if follow-up ends independently of the risk. Time in
which nobody can have the event, because those who had it were not included, makes the risk too low
(Suissa 2008, Am J Epidemiol 167, 492-499).
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack

from sequela.audit import small_models
from sequela.audit.finding import Finding
from sequela.audit.input import AuditInput, Labels
from sequela.evaluation.survival import TimesToEvent, concordance
from sequela.models.reference import Times
from sequela.sequences.feature_tables import bag_of_codes, static_table
from sequela.sequences.flat import Sequences
from sequela.sequences.input_checks import form_of

_EXPECTED = 10.0  # events to expect in a time without any: chance has a probability of e^-10
_FAR = 0.1  # least difference of a concordance from 0.5 that is reported
_FEWEST_ENDS = 50  # least number of examples whose follow-up ended


def find_in_times(data: AuditInput) -> list[Finding]:
    """Find immortal time in all examples, and dependent censoring outside of the test set."""
    times, (parts,) = data.times_to_event, data.splits
    judged = np.sort(np.concatenate([rows for name, rows in parts.items() if name != "held_out"]))
    findings = [immortal(times), dependent(times, data.records, judged)]
    return [finding for finding in findings if finding is not None]


def immortal(times: Times) -> Finding | None:
    """Report a time from the prediction without any event, where many were to be expected."""
    events = np.unique(times.time[times.event == 1].round(3))
    if len(events) < 3:  # noqa: PLR2004
        return None
    first, unit = float(events[0]), float(np.diff(events).min())
    if first < 2 * unit:  # dates have no time of day
        return None
    # If events came as often before the first of them as in the equally long time after it, so
    # many would be expected there. Dozens of expected events and none mean that whoever had one
    # early was not included.
    rate = np.sum((times.event == 1) & (times.time <= 2 * first)) / _person_time(  # events a day
        times.time, first, 2 * first
    )
    expected = float(rate * _person_time(times.time, 0, first))
    if expected < _EXPECTED:
        return None
    return Finding.of("immortal time", "labels", first=round(first, 1), expected=round(expected))


def _person_time(time: NDArray[np.float64], start: float, end: float) -> float:
    return float((time.clip(start, end) - start).sum()) or np.inf


def dependent(times: Times, sequences: Sequences, rows: NDArray[np.int64]) -> Finding | None:
    """Report follow-up that ends sooner, or later, for those with a high risk.

    The risk is that of a logistic regression on age, codes, counts and times, out of fold.
    """
    rows = small_models.at_most(rows)
    time, event = times.time[rows], times.event[rows]
    label = sequences.label[rows].astype(np.int64)
    ended = (event == 0) & (time < times.intervals.horizons[-1])
    subject = sequences.subject_id[rows]
    if min(ended.sum(), label.sum()) < _FEWEST_ENDS:
        return None
    columns = np.column_stack([form_of(sequences)[rows], static_table(sequences)[rows]])
    columns = np.nan_to_num(columns)
    deviation = columns.std(axis=0)
    columns = (columns - columns.mean(axis=0)) / np.where(deviation > 0, deviation, 1)
    codes = bag_of_codes(sequences, rows, "presence")
    table = csr_array(hstack([codes, csr_array(columns)], "csr"))
    # The end of follow-up is taken for the event: its concordance with the risk is 0.5 if it does
    # not depend on the risk.
    risk = small_models.out_of_fold(table, Labels(label, (), subject))  # of the event
    group = np.unique(subject, return_inverse=True)[1]
    ends = TimesToEvent(time, ended.astype(np.int64), group)
    index = float(concordance(ends, risk).estimate)
    if abs(index - 0.5) < _FAR:
        return None
    sooner = "sooner" if index > 0.5 else "later"  # noqa: PLR2004
    counts, check = (
        {"ended": int(ended.sum()), "all": len(rows)},
        "censoring that depends on the risk",
    )
    return Finding.of(check, "labels", counts=counts, sooner=sooner, index=index)
