"""Sentences computed from the numbers of a run."""

import numpy as np

from sequela.runs.folder import RunFolder

_GAP = 0.05
"""Training minus test accuracy above which a model over-fits."""


def discuss(run: RunFolder) -> list[str]:
    """Return sentences on over-fitting, stopping and confusions of one run."""
    parts = run.metrics.parts
    train, test = parts.train, parts.held_out
    gap = train["accuracy"] - test["accuracy"]
    both = (
        f"{train['accuracy']:.1%} on training {run.data.example}s, "
        f"{test['accuracy']:.1%} on test {run.data.example}s"
    )
    fit = (
        f"It over-fits: {both}, a gap of {100 * gap:.1f} points."
        if gap > _GAP
        else f"No notable over-fitting: {both}."
    )
    return [fit, *_stopping(run), confusions(test.confusion, run.metrics.data.classes)]


def _stopping(run: RunFolder) -> list[str]:
    tuning = [r for r in run.history if r.part == "tuning"]
    if not tuning or run.settings.training.keep == "last":
        return []
    best, last = int(run.metrics.best_epoch), tuning[-1]
    kept = tuning[best - 1]
    if last.epoch == best:
        return [
            f"Its validation loss was lowest at the last epoch ({best}); more epochs might help."
        ]
    rise = last.loss - kept.loss
    lowest = f"Its validation loss was lowest, {kept.loss:.2f}, after epoch {best} of {last.epoch}"
    return [f"{lowest}; after the last epoch it was {rise:.2f} higher."]


def confusions(confusion: list[list[int]], classes: list[str]) -> str:
    """Return the two pairs of classes that are confused most, and their share of all errors."""
    counts = np.asarray(confusion)
    pairs = [
        (int(counts[i, j] + counts[j, i]), classes[i], classes[j])
        for i in range(len(classes))
        for j in range(i + 1, len(classes))
    ]
    errors = sum(count for count, _, _ in pairs)
    if not errors:
        return "It made no error."
    most = [pair for pair in sorted(pairs, key=lambda pair: -pair[0])[:2] if pair[0]]
    named = " and ".join(f"{a} / {b} ({count / errors:.0%} of all errors)" for count, a, b in most)
    return f"Most frequent confusions: {named}."
