"""Censoring: deaths are dropped at the rate at which survivors are lost to follow-up.

A follow-up that ends before the horizon hides the outcome at the horizon, so the example is left
out. For a subject who died before the horizon, only the death is on record, not how long follow-up
would have lasted. If all of them were included, there would be too many deaths among the remaining
examples. So each is kept with the probability that a follow-up which had lasted to the death would
have reached the horizon. The remaining examples then represent all candidates without weights. This
is inverse-probability-of-censoring weighting (Robins and Finkelstein 2000, Biometrics 56, 779-788)
carried out by drawing.
"""

import hashlib
from collections.abc import Sequence

import duckdb
import numpy as np
from numpy.typing import NDArray

from sequela.cohort.events import create_table

# For remaining candidates: how long follow-up lasted, and whether a death ended it.
FOLLOWED = """
SELECT
    rowid AS row, subject_id,
    epoch_us(prediction_time) AS asked,
    epoch_us(followed_until) - epoch_us(prediction_time) AS time,
    epoch_us(horizon) - epoch_us(prediction_time) AS horizon,
    coalesce(date_trunc('day', death) = date_trunc('day', followed_until), false) AS died
FROM candidates
WHERE followed_until IS NOT NULL AND NOT ({gone})
ORDER BY subject_id, asked, visit_id
"""


def mark_lost(connection: duckdb.DuckDBPyConnection, gone: Sequence[str]) -> int:
    """Add the column ``lost`` to the table ``candidates``: died, and drawn as lost to follow-up.

    ``gone`` are the SQL conditions of the rules already applied. The number of marked candidates is
    returned.
    """
    connection.execute("ALTER TABLE candidates ADD COLUMN lost BOOLEAN DEFAULT false")
    conditions = " OR ".join(f"coalesce({condition}, false)" for condition in gone) or "false"
    candidates = connection.execute(FOLLOWED.format(gone=conditions)).fetchnumpy()
    time, died, horizon = (candidates[name] for name in ("time", "died", "horizon"))
    probability = probability_of_seeing(time, died, horizon)
    draws = _draws(candidates["subject_id"], candidates["asked"])
    # Only deaths before the horizon are drawn: a later death shows that follow-up reached it.
    lost = died & (time < horizon) & (draws >= probability)
    create_table(connection, "lost_rows", {"row": candidates["row"][lost]})
    connection.execute(
        "UPDATE candidates SET lost = true WHERE rowid IN (SELECT row FROM lost_rows)"
    )
    return int(lost.sum())


def probability_of_seeing(
    time: NDArray[np.int64], died: NDArray[np.bool_], horizon: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the probability that each follow-up that lasted to ``time`` reaches ``horizon``.

    The Kaplan-Meier estimate of the time to the end of follow-up, in which deaths are censored.
    Where a death and an end of follow-up have the same time, the death comes first. All arrays are
    (candidate,), and the times of one unit.

    Example:
        >>> time, died = np.array([1, 2, 2, 3, 9]), np.array([False, True, False, True, False])
        >>> probability_of_seeing(time, died, np.full(5, 5)).round(3)
        array([0.533, 0.667, 0.667, 1.   , 1.   ])
    """
    if died.all():
        # Where each follow-up ends with a death, nobody was lost.
        return np.ones(len(time))
    from scipy.stats import CensoredData, ecdf  # takes long to load, and few tasks need it

    # The roles are reversed: the end of follow-up is the event, and a death censors it. Deaths come
    # first at equal times, so they are moved back by a microsecond.
    ends = CensoredData(time[~died].astype(np.float64), right=(time[died] - 1).astype(np.float64))
    survival = ecdf(ends).sf
    # The curve just before a time is the chance that follow-up lasted up to it.
    to_horizon, so_far = survival.evaluate(horizon - 1.0), survival.evaluate(time - 1.0)
    # The chance to reach the horizon, given follow-up up to the death, is S(horizon) / S(death).
    reached = np.minimum(to_horizon, so_far)
    return np.divide(reached, so_far, out=np.ones(len(time)), where=so_far > 0)


def _draws(subject: NDArray[np.int64], time: NDArray[np.int64]) -> NDArray[np.float64]:
    """Draw a number from 0 to 1 for each candidate, independent of the other candidates."""
    # A hash and not a random generator: another subject in the data does not change this draw.
    texts = (f"{s} {t}".encode() for s, t in zip(subject.tolist(), time.tolist(), strict=True))
    # 48 bits of the hash, which a double holds exactly.
    heads = [int.from_bytes(hashlib.sha256(text).digest()[:6], "big") for text in texts]
    return np.array(heads, np.float64) / 2**48
