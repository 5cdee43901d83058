"""Content of sequences: how many days a step is after the one before."""

import numpy as np

from sequela.sequences.flat import _days_since


def test_days_are_counted_from_the_step_before_at_another_time_of_the_same_subject() -> None:
    subject = np.array([2, 1, 1, 1, 2, 1])
    hours = np.array([0, 0, 49, 49, 30, 120])
    time = np.datetime64("2130-01-01", "us") + hours * np.timedelta64(1, "h")
    assert _days_since(subject, time).tolist() == [-1, -1, 2, 2, 1, 2]


def test_subjects_who_come_at_the_same_time_have_no_step_before() -> None:
    time = np.full(3, np.datetime64("2130-01-01", "us"))
    assert _days_since(np.array([1, 2, 3]), time).tolist() == [-1, -1, -1]
