"""Sentences on a run for its page, card and checklist, made from its folder alone."""

from collections.abc import Iterator, Sequence

import numpy as np

from sequela.cohort.split import SETS
from sequela.disclosure import Hidden
from sequela.evaluation.number import number
from sequela.models.registry import is_recurrent
from sequela.report.entry import Entry, measures
from sequela.runs.record import DataRecord, SequencesRecord, SplitRecord
from sequela.runs.released import of_people

KEPT = {"best": "the epoch with the lowest validation loss", "last": "the last epoch"}
"""The epoch whose weights a run has, by its setting ``keep``."""
_MOST = 0.5
"""Share of sequences of one step above which the page warns of recurrent models."""


def parts_in_words(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield the name and content of each set of the split; of folds, those of the first fold."""
    data = entry.data
    for name, numbers in entry.metrics.parts.items():
        if data.parts:
            part = data.parts[name]
            sites = "" if part.sites is None else f" at {part.sites:,} sites"
            counted = f"{part.examples:,} {data.example}s of {part.subjects:,} subjects"
            yield SETS[name], f"{counted}{sites}, {part.positives:,} with the event"
        else:
            counted = f"{numbers.examples:,} {data.example}s of {numbers.groups:,}"
            words = f"{counted} {data.unit}s"
            if isinstance(numbers.confusion, Hidden):
                yield SETS[name], words
                continue
            counts = [sum(row) for row in numbers.confusion]
            classes = ", ".join(
                f"{count} {label}" for label, count in zip(data.classes, counts, strict=True)
            )
            yield SETS[name], f"{words} ({classes})"


def how_split(entry: Entry) -> str:
    """Return how the data were divided, in a sentence with its proof."""
    split = entry.run.describe_split()
    trained = f", each trained with {split.seeds} seeds" * (split.seeds > 1)
    shared = sum(n for pairs in split.ids_in_two_parts.values() for n in pairs.values())
    proof = f"{shared} ids in two sets, counted from hashed ids"
    if split.folds:
        return f"{folds_in_words(split)}, drawn with seed {split.seed}{trained}; {proof}"
    shares = " / ".join(f"{100 * share:.0f}" for share in split.fractions)
    how = f"training, validation and test set split by {split.by} ({shares} %"
    if split.times:
        return f"{how} of the subjects), {periods_in_words(split)}{trained}; {proof}"
    return f"{how}), drawn with seed {split.seed}{trained}; {proof}"


def periods_in_words(split: SplitRecord) -> str:
    """Return the years of a split by time, and the set of a subject with several predictions."""
    years = ", ".join(
        f"{SETS[name]} {first}" if first == last else f"{SETS[name]} {first} to {last}"
        for name, (first, last) in split.times.items()
    )
    return f"{years}; each subject is in the set of its first prediction"


def folds_in_words(split: SplitRecord) -> str:
    """Return how a cross-validation divides the data, in words."""
    times = f" (cross-validation repeated {split.repeats} times)" * (split.repeats > 1)
    return (
        f"{split.folds} folds by {split.by}{times}; each is the test set once, with a "
        "validation set drawn from the other folds"
    )


def data_in_words(data: DataRecord) -> str:
    """Return how much the data hold, in words."""
    if data.recordings is not None:
        sessions = "" if data.sessions is None else f" of {data.sessions:,} sessions"
        return (
            f"{data.recordings:,} recordings{sessions}, "
            f"{data.examples:,} {data.example}s of "
            f"{data.n_times} samples at {data.sfreq} Hz"
        )
    sites = "" if data.sites is None else f" at {data.sites:,} sites"
    held = f"{data.examples:,} {data.example}s of {data.subjects:,} subjects{sites}"
    return ", ".join(filter(None, (held, events_in_words(data))))


def events_in_words(data: DataRecord) -> str:
    """Return the number of events and their share, such as ``135 deaths (7.1 %)``, if any."""
    count, outcome = data.positives, data.outcome
    if count is None or outcome is None:
        return ""
    share = number(100 * count / data.examples, ".1f")
    return f"{count:,} {outcome.one if count == 1 else outcome.many} ({share} %)"


def steps_in_words(sequences: SequencesRecord) -> str:
    """Return how many steps sequences have; runs of earlier versions give the mean alone."""
    sentence = f"A sequence has {sequences.steps:.1f} steps on average"
    spread = sequences.steps_distribution
    if not spread:
        return f"{sentence}."
    least, lower, middle, upper, many = spread.quantiles.values()
    return (
        f"{sentence} (median {middle}, maximum {spread.most}). The middle half of the sequences "
        f"have {_span(lower, upper)} and nine of ten {_span(least, many)}; "
        f"{100 * spread.share_of_one:.0f} % have one step."
    )


def _span(low: int, high: int) -> str:
    return f"{low}" if low == high else f"{low} to {high}"


def one_step(entries: Sequence[Entry]) -> str:
    """Return a warning if most sequences of recurrent models have one step, else nothing."""
    names = list(dict.fromkeys(e.title for e in entries if is_recurrent(e.name)))
    sequences = entries[0].data.sequences
    spread = sequences and sequences.steps_distribution
    if not (names and spread) or spread.share_of_one <= _MOST:
        return ""
    return (
        f"{100 * spread.share_of_one:.0f} % of the sequences have one step, where a recurrent "
        f"model ({', '.join(names)}) has no advantage"
    )


def codes_in_words(data: DataRecord) -> str:
    """Return the level to which ICD codes are cut; nothing if they are not."""
    digits = data.sequences and data.sequences.settings.get("icd_digits")
    if digits is None:
        return ""
    kept = f" and {digits} characters after it" if digits else ""
    return f"ICD codes are cut to their category (three characters, E codes four){kept}"


def looked_for(entry: Entry) -> str:
    """Return what the audit of the run looked for."""
    return entry.run.metrics.looked_for


def hides(entry: Entry) -> str:
    """Return which counts of people are hidden; nothing where nobody is counted."""
    if not of_people(entry.data):
        return ""
    if entry.smallest == 1 and entry.data.open:
        return "No count is hidden: these data are published under an open licence."
    if entry.smallest == 1:
        return (
            "No count is hidden. Counts of single patients are shown: do not publish them "
            "(sequela share hides them)."
        )
    few = "1 person" if entry.smallest == 2 else f"1 to {entry.smallest - 1} people"  # noqa: PLR2004
    return (
        f"Not shown: counts of {few}, the names of such groups, and numbers that reveal them. "
        "Curves may have fewer points, and so less area than their legend names."
    )


def performance(entry: Entry) -> str:
    """Return the test-set numbers with their intervals in words, the deciding one first."""
    had = [m for m in measures([entry]) if entry.test[m.key] is not None]
    return "; ".join(f"{m.title} {m.of(entry.test)}" for m in had)


def main_number(entry: Entry) -> str:
    """Return the number that decides which model is best, with its interval."""
    metric = entry.metric
    form = metric.form
    ci = entry.test.get(f"{metric.key}_ci")
    between = f" (95 % interval {number(ci[0], form)} to {number(ci[1], form)})" if ci else ""
    words = f"{metric.title} {number(entry.test.get(metric.key), form)}{between}"
    return words.replace("%", " %").replace("  %", " %")


def alarms(entry: Entry) -> str:
    """Return the alarms of 100 examples at the chosen threshold, and how many are true."""
    point, data = entry.test.operating_points[1], entry.data
    if isinstance(point.confusion, Hidden):
        return ""
    (_, false), (missed, true) = np.array(point.confusion) * 100 / np.sum(point.confusion)
    many = data.outcome and data.outcome.many
    return (
        f"Of 100 {data.example}s, {entry.title} gives an alarm for {false + true:.1f} at the "
        f"chosen threshold: {true:.1f} true and {false:.1f} false alarms. It misses {missed:.1f} "
        f"of the {missed + true:.1f} {many}."
    )
