"""The content of each subject's record, as marks by which copies are recognised."""

import numpy as np
from numpy.typing import NDArray

from sequela.cohort.fingerprint import Content, of_records, tokens
from sequela.cohort.pseudonyms import Pseudonyms
from sequela.sequences.flat import Sequences

_DAY = np.timedelta64(1, "D")


def content_of(sequences: Sequences, how: Pseudonyms) -> Content:
    """Compute the marks of the codes and measurements of each subject, over all examples.

    A code counts with the days since the subject's step before: shifting all dates by the same time
    gives the same marks. Codes that the vocabulary lacks do not count.

    Args:
        sequences: Sequences of all examples.
        how: The key that subjects and codes are hashed with: marks under two keys never agree.
    """
    subjects, subject = np.unique(sequences.subject_id, return_inverse=True)
    of_step = np.repeat(subject, sequences.lengths)
    days = _days_since(of_step, sequences.step_time)
    step = np.repeat(np.arange(len(of_step)), np.diff(sequences.code_offsets))
    measured = np.repeat(np.arange(len(of_step)), np.diff(sequences.value_offsets))
    known = sequences.codes > 0
    step, codes = step[known], sequences.codes[known].astype(np.int64)
    bits = np.ascontiguousarray(sequences.values).view(np.int32).astype(np.int64)
    channels = sequences.channels.astype(np.int64)
    return of_records(
        how.each(subjects.astype(np.str_)).tolist(),
        np.concatenate([of_step[step], of_step[measured]]),
        np.concatenate(
            [
                tokens(sequences.vocabulary, codes, days[step], how=how),
                tokens(sequences.channel_names, channels, days[measured], bits, how=how),
            ]
        ),
    )


def _days_since(subject: NDArray[np.int64], time: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Count whole days since the subject's step before at another time; -1 where there is none."""
    order = np.lexsort((time, subject))
    subject, time = subject[order], time[order]
    new = np.ones(len(time), np.bool_)
    new[1:] = (subject[1:] != subject[:-1]) | (time[1:] != time[:-1])
    first = np.flatnonzero(new)  # first row of each time of each subject
    gap = np.full(len(first), -1)
    same = subject[first[1:]] == subject[first[:-1]]
    gap[1:][same] = ((time[first[1:]] - time[first[:-1]]) // _DAY)[same]
    days = np.empty(len(time), np.int64)
    days[order] = gap[np.cumsum(new) - 1]
    return days
