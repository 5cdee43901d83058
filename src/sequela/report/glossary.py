"""The words of a page: each is explained where it first stands, and all of them at the end."""

from markupsafe import Markup

TERMS = {
    "accuracy": "Share of the examples whose most probable class is the true one.",
    "AUROC": "Probability that an example with the event is ranked above one without. 0.50 is "
    "chance, 1.00 is perfect.",
    "average precision": "Mean precision over all recalls. Chance is the share of the event.",
    "95 % interval": "The values that agree with the data. It contains the draw of the people or "
    "recordings, and of several models also the training.",
    "test (held-out) part": "Examples that no model saw in training, and by which nothing was "
    "chosen. It was opened once the models were finished.",
    "tuning part": "Examples by which the epoch, the threshold and the settings are chosen.",
    "fold": "One part of several that are held out in turn, each by models trained on the others.",
    "reference model": "A simple model that a network must beat to be worth its cost.",
    "operations": "Additions and multiplications for one example.",
    "inconclusive": "The interval contains both answers: the data are too few to decide.",
    "leak": "Something that a model could not know when it predicts, or examples of one person in "
    "both training and test part. Leaks make numbers too good.",
    "calibration": "Whether events predicted with 30 % happen in 30 % of the examples.",
    "net benefit": "True positives minus false positives weighted by the threshold, per example.",
    "Brier score": "Mean squared error of the probabilities. 0 is perfect.",
    "recall": "Share of the examples of a class that are found.",
}
"""Word to its meaning, in one sentence or two."""


class Glossary:
    """Explains a word where it first stands on one page."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, word: str, said: str = "") -> str | Markup:
        """The word, with its meaning as a tooltip and a link if this is its first place.

        Args:
            word: As a term of the glossary; any other is only written.
            said: How it stands here, if not so.
        """
        key = next((term for term in TERMS if term.lower() == word.lower()), "")
        if not key or key in self._said:
            return said or word
        self._said.add(key)
        return Markup('<a class="term" href="#{}" title="{}">{}</a>').format(
            anchor(key), TERMS[key], said or word
        )


def anchor(term: str) -> str:
    """The id of a term in the list at the end."""
    return "glossary-" + "".join(c if c.isalnum() else "-" for c in term.lower())
