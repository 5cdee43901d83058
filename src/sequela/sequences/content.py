"""The content of each subject's record, as marks by which copies are recognised."""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sequela.identity.fingerprint import Content, joined, of_records, tokens
from sequela.identity.pseudonyms import Pseudonyms
from sequela.sequences.flat import Sequences, examples_of

_DAY = np.timedelta64(1, "D")
_AT_ONCE = 1 << 21  # codes and measurements, to limit memory


def content_of(sequences: Sequences, how: Pseudonyms) -> Content:
    """Compute the marks of the codes and measurements of each subject, over all examples.

    A code counts with the days since the subject's step before: shifting all dates by the same time
    gives the same marks. Codes that the vocabulary lacks do not count. Marks under two keys never
    agree.
    """
    order = np.argsort(sequences.subject_id, kind="stable")
    another = np.append(np.diff(sequences.subject_id[order]) != 0, True)
    last = np.flatnonzero(another) + 1  # of each subject
    size = np.diff((sequences.code_offsets + sequences.value_offsets)[sequences.step_offsets])
    block = np.cumsum(size[order])[last - 1] // _AT_ONCE
    ends = [0, *last[np.diff(block, append=-1) != 0].tolist()]
    return joined(
        [_of_block(examples_of(sequences, order[one:end]), how) for one, end in pairwise(ends)]
    )


def _of_block(sequences: Sequences, how: Pseudonyms) -> Content:
    subjects, subject = np.unique(sequences.subject_id, return_inverse=True)
    of_step = np.repeat(subject, sequences.lengths)
    days = _days_since(of_step, sequences.step_time)
    step = np.repeat(np.arange(len(of_step)), np.diff(sequences.code_offsets))
    measured = np.repeat(np.arange(len(of_step)), np.diff(sequences.value_offsets))
    known = sequences.codes > 0
    step, codes = step[known], sequences.codes[known].astype(np.int64)
    bits = np.ascontiguousarray(sequences.values).view(np.int32).astype(np.int64)
    channels = sequences.channels.astype(np.int64)
    of_codes = tokens(sequences.vocabulary, codes, days[step], how=how)
    of_values = tokens(sequences.channel_names, channels, days[measured], bits, how=how)
    whose = np.concatenate([of_step[step], of_step[measured]])
    ids = how.each(subjects.astype(np.str_)).tolist()
    return of_records(ids, whose, np.concatenate([of_codes, of_values]))


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
