"""The glossary of a page: each term is explained at its first use, and all terms at the end."""

from markupsafe import Markup

TERMS = {
    "accuracy": "Share of the examples whose most probable class is the true one.",
    "AUROC": "Probability that an example with the event is ranked above one without. 0.50 is "
    "chance, 1.00 is perfect.",
    "average precision": "Mean precision over all recalls. Chance is the share of the event.",
    "95 % interval": "Values that are compatible with the data. It includes the sampling of people "
    "or recordings and, for a mean over several models, the variation of training.",
    "test set": "Examples that a model was not trained on and that chose nothing in its run. "
    "Models are evaluated on it when they are finished.",
    "validation set": "Examples on which the epoch, the threshold and the settings are chosen.",
    "fold": "One of several parts of the data. Each is the test set once, for models trained on "
    "the others.",
    "baseline model": "A simple model to compare networks with.",
    "operations": "Additions and multiplications for one example.",
    "leak": "Information that is not available at prediction time, or examples of one person in "
    "both the training and the test set. A leak inflates the score.",
    "calibration": "Agreement of predictions and outcomes: events predicted with 30 % happen in "
    "30 % of the examples.",
    "net benefit": "True positives minus false positives weighted by the threshold, per example.",
    "Brier score": "Mean squared error of the probabilities. 0 is perfect.",
    "recall": "Share of the examples of a class that are predicted as this class.",
}
"""The meaning of each term, in one sentence or two."""


class Glossary:
    """The terms of one page, each explained at its first use."""

    def __init__(self) -> None:
        self._explained: set[str] = set()

    def __call__(self, word: str, text: str = "") -> str | Markup:
        """Return the word, with its meaning as a tooltip and a link at its first use."""
        key = next((term for term in TERMS if term.lower() == word.lower()), "")
        if not key or key in self._explained:
            return text or word
        self._explained.add(key)
        return Markup('<a class="term" href="#{}" title="{}">{}</a>').format(
            anchor(key), TERMS[key], text or word
        )


def anchor(term: str) -> str:
    """Return the id of a term in the list at the end."""
    return "glossary-" + "".join(c if c.isalnum() else "-" for c in term.lower())
