"""A run in words: sentences that its page, card and checklist share, from its folder alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sequela.evaluation.disclosure import Hidden
from sequela.evaluation.number import number
from sequela.models.registry import is_recurrent
from sequela.report.entry import Entry, measures
from sequela.runs.released import of_people

KEPT = {"best": "the epoch with the lowest tuning loss", "last": "the last epoch"}
"""Whose weights a run has, by its setting ``keep``."""
_MOST = 0.5
"""Share of examples of one step above which a recurrent model is warned of."""


def parts_in_words(entry: Entry) -> Iterator[tuple[str, str]]:
    """Each part of the split, and what it holds; of folds, those of the first."""
    data = entry.data
    for name, numbers in entry.metrics["parts"].items():
        if "parts" in data:
            held = data["parts"][name]
            sites = f" at {held['sites']:,} sites" if "sites" in held else ""
            yield (
                name,
                (
                    f"{held['examples']:,} examples of {held['subjects']:,} subjects{sites}, "
                    f"{held['positives']:,} with the event"
                ),
            )
        else:
            counted = f"{numbers['examples']:,} {data['example']}s of {numbers['groups']:,}"
            said = f"{counted} {data['unit']}s"
            if isinstance(numbers["confusion"], Hidden):
                yield name, said
                continue
            counts = [sum(row) for row in numbers["confusion"]]
            classes = ", ".join(
                f"{count} {label}" for label, count in zip(data["classes"], counts, strict=True)
            )
            yield name, f"{said} ({classes})"


def how_split(entry: Entry) -> str:
    """How the data were divided, in a sentence with its proof."""
    split = entry.run.describe_split()
    seeds = split.get("seeds", 1)
    trained = f", each trained with {seeds} seeds" * (seeds > 1)
    shared = sum(n for pairs in split["ids_in_two_parts"].values() for n in pairs.values())
    proof = f"{shared} ids in two parts, counted from hashed ids"
    if split["folds"]:
        return f"{folds_in_words(split)}, drawn with seed {split['seed']}{trained}; {proof}"
    shares = " / ".join(f"{100 * share:.0f}" for share in split["fractions"])
    how = f"training, tuning and held-out (test) part by {split['by']} ({shares} %"
    if "times" in split:
        return f"{how} of the subjects), {periods_in_words(split)}{trained}; {proof}"
    return f"{how}), drawn with seed {split['seed']}{trained}; {proof}"


def periods_in_words(split: Mapping[str, Any]) -> str:
    """The years of a split by time, and where a subject of several predictions is."""
    years = ", ".join(
        f"{name} in {first}" if first == last else f"{name} from {first} to {last}"
        for name, (first, last) in split["times"].items()
    )
    return f"{years}; each subject is in the part of its first prediction"


def folds_in_words(split: Mapping[str, Any]) -> str:
    """How a cross-validation divides the data."""
    repeats = split["repeats"]
    times = f" (cross-validation repeated {repeats} times)" if repeats > 1 else ""
    return (
        f"{split['folds']} folds by {split['by']}{times}, each held out once, with a tuning part "
        "drawn from the other folds"
    )


def data_in_words(data: Mapping[str, Any]) -> str:
    """What the data hold."""
    if "recordings" in data:
        sessions = f" of {data['sessions']:,} sessions" if "sessions" in data else ""
        return (
            f"{data['recordings']:,} recordings{sessions}, "
            f"{data['examples']:,} {data['example']}s of "
            f"{data['n_times']} samples at {data['sfreq']} Hz"
        )
    sites = f" at {data['sites']:,} sites" if "sites" in data else ""
    held = f"{data['examples']:,} {data['example']}s of {data['subjects']:,} subjects{sites}"
    if "outcome" not in data:
        return held
    share = data["positives"] / data["examples"]
    return f"{held}, {data['positives']:,} {data['outcome']['many']} ({100 * share:.1f} %)"


def steps_in_words(sequences: Mapping[str, Any]) -> str:
    """How many steps examples have; runs of earlier versions say the mean alone."""
    found = f"An example has {sequences['steps']:.1f} steps on average"
    spread = sequences.get("steps_distribution")
    if not spread:
        return f"{found}."
    least, lower, middle, upper, many = spread["quantiles"].values()
    return (
        f"{found}: the middle half has {_span(lower, upper)}, nine of ten {_span(least, many)} "
        f"(median {middle}, maximum {spread['most']}), and {100 * spread['share_of_one']:.0f} % "
        "have one."
    )


def _span(low: int, high: int) -> str:
    return f"{low}" if low == high else f"{low} to {high}"


def one_step(entries: Sequence[Entry]) -> str:
    """The sentence where recurrent models read one step in most examples, else nothing."""
    names = list(dict.fromkeys(e.title for e in entries if is_recurrent(e.name)))
    spread = entries[0].data.get("sequences", {}).get("steps_distribution")
    if not (names and spread) or spread["share_of_one"] <= _MOST:
        return ""
    return (
        f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} recurrent, and "
        f"{100 * spread['share_of_one']:.0f} % of the examples have one step. Of one step a "
        "recurrent model remembers nothing, so these numbers do not show what recurrence is worth"
    )


def codes_in_words(data: Mapping[str, Any]) -> str:
    """To what level ICD codes are cut, if they are."""
    digits = data.get("sequences", {}).get("settings", {}).get("icd_digits")
    if digits is None:
        return ""
    kept = f" and {digits} characters after it" if digits else ""
    return f"ICD codes are cut to their category (three characters, E codes four){kept}"


def looked_for(entry: Entry) -> str:
    """What the audit of the run looked for; runs of version 0.1.0 do not say it."""
    return str(entry.metrics.get("looked_for", "the checks of version 0.1.0"))


def hides(entry: Entry) -> str:
    """What is not shown of people, and what counts as too few; nothing where nobody is counted."""
    if not of_people(entry.data):
        return ""
    if entry.smallest == 1:
        return "Nothing is hidden: this shows counts of single patients, and must stay inside."
    return (
        f"Hidden: counts of 1 to {entry.smallest - 1} people, their names, and the numbers from "
        "which such counts could be worked out."
    )


def performance(entry: Entry) -> str:
    """The held-out numbers with their intervals, in words: the one that judges first leads."""
    had = [m for m in measures([entry]) if entry.test[m.key] is not None]
    return "; ".join(f"{m.title} {m.of(entry.test)}" for m in had)


def main_number(entry: Entry) -> str:
    """The number that decides which model is best, with its interval."""
    metric = entry.metric
    form = metric.form
    ci = entry.test.get(f"{metric.key}_ci")
    between = f" (95 % interval {number(ci[0], form)} to {number(ci[1], form)})" if ci else ""
    said = f"{metric.title} {number(entry.test.get(metric.key), form)}{between}"
    return said.replace("%", " %").replace("  %", " %")
