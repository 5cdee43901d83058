"""A run in words: sentences that its card and its checklist share, from its folder alone."""

from collections.abc import Iterator, Mapping
from typing import Any

from sequela.report.shown import Shown, measures


def described_parts(shown: Shown) -> Iterator[tuple[str, str]]:
    """Each part of the split, and what it holds, in words; of folds, those of the first."""
    data = shown.metrics["data"]
    for name, numbers in shown.metrics["parts"].items():
        if "parts" in data:
            held = data["parts"][name]
            yield (
                name,
                (
                    f"{held['examples']:,} examples of {held['subjects']:,} subjects, "
                    f"{held['positives']:,} with the event"
                ),
            )
        else:
            counts = [sum(row) for row in numbers["confusion"]]
            classes = ", ".join(
                f"{count} {label}" for label, count in zip(data["classes"], counts, strict=True)
            )
            yield (
                name,
                f"{numbers['examples']:,} segments of {numbers['groups']:,} recordings ({classes})",
            )


def how_split(shown: Shown) -> str:
    """How the data were divided, in a sentence."""
    split = shown.run.describe_split()
    unit = split["unit"]
    if split["folds"]:
        times = f", dealt {split['repeats']} times" if split["repeats"] > 1 else ""
        how = (
            f"{split['folds']} folds by {unit}{times}: each is held out once, and a tuning part is "
            "drawn from the others"
        )
    else:
        shares = " / ".join(f"{100 * share:.0f}" for share in split["fractions"])
        how = f"train, tuning and held_out by {unit} ({shares} %)"
    shared = sum(n for pairs in split["ids_in_two_parts"].values() for n in pairs.values())
    proof = f"{shared} ids stand in two parts, counted from hashed ids"
    return f"{how}, drawn with seed {split['seed']}; {proof}"


def performance(shown: Shown) -> str:
    """The held-out numbers with their intervals, in words: the one that judges first leads."""
    had = [m for m in measures([shown]) if shown.test[m.key] is not None]
    return "; ".join(f"{m.title} {m.of(shown.test)}" for m in had)


def outcome(data: Mapping[str, Any]) -> str:
    """What is predicted, in words."""
    if "question" in data:
        question: str = data["question"]
        return question
    seconds = data["n_times"] / data["sfreq"]
    return f"which of {', '.join(data['classes'])} a segment of {seconds:.2f} s of EEG is"
