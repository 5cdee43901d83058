"""The TRIPOD+AI checklist of a run: answers from the run, and items open for a person."""

from dataclasses import dataclass

from sequela.models.registry import MODELS
from sequela.report.commands import commands
from sequela.report.entry import Entry
from sequela.report.sentences import (
    KEPT,
    how_split,
    parts_in_words,
    performance,
    periods_in_words,
)
from sequela.report.tripod_items import ITEMS, SOURCE, Item
from sequela.sources import catalog

Said = tuple[str, str]
"""The answer from the run, and the part left open; either may be empty."""


@dataclass(frozen=True)
class Answer:
    """One item of the checklist with its answer.

    Attributes:
        item: The item of TRIPOD+AI.
        said: The answer from the run; empty if there is none.
        left: The part that only a person can answer; empty if there is none.
    """

    item: Item
    said: str
    left: str

    @property
    def state(self) -> str:
        """``filled``, ``in part`` or ``open``."""
        return "open" if not self.said else "in part" if self.left else "filled"


@dataclass(frozen=True)
class Checklist:
    """TRIPOD+AI of one run.

    Attributes:
        title: The model's name for people.
        answers: One for each of the 52 items and sub-items.
    """

    title: str
    answers: tuple[Answer, ...]
    source = SOURCE

    def count(self, state: str) -> int:
        """Count the items that are ``filled``, ``in part`` or ``open``."""
        return sum(answer.state == state for answer in self.answers)

    @property
    def share(self) -> float:
        """Share of the items that are filled."""
        return self.count("filled") / len(self.answers)

    @property
    def summary(self) -> str:
        """The counts of filled and open items, in a sentence."""
        return (
            f"{self.count('filled')} of {len(self.answers)} items are filled in from the run "
            f"({100 * self.share:.0f} %) and {self.count('in part')} in part; "
            f"{self.count('open')} are open, for a person to answer"
        )


def checklist(entry: Entry) -> Checklist:
    """Fill the checklist of a run from its folder alone."""
    said: dict[str, Said] = {}
    for part in (_front, _data, _outcome, _preparation, _analysis, _model, _after, _results):
        said |= part(entry)
    return Checklist(
        entry.title, tuple(Answer(item, *said.get(item.number, ("", ""))) for item in ITEMS)
    )


def _front(entry: Entry) -> dict[str, Said]:
    data = entry.data
    kind = (
        "Prognostic: the model predicts an event before it happens."
        if "task" in data
        else "Diagnostic: the model classifies a state while it is recorded."
    )
    return {
        "1": (
            (
                f"Development and evaluation of a model ({entry.title}) on {data['title']}: "
                f"{data['question']}."
            ),
            "",
        ),
        "2": ("", "the abstract"),
        "3a": (kind, "context, rationale and existing models"),
        "3b": ("", "the target population, the point of care, and the intended users"),
        "3c": ("", "known health inequalities"),
        "4": (
            (
                f"To develop the model and to evaluate it on {_held_out(entry)} of the same data; "
                "no other data were used."
            ),
            "",
        ),
    }


def _held_out(entry: Entry) -> str:
    """Return what the test set consists of, in words."""
    split = entry.run.settings.split
    if split == "time":
        return "the latest predictions, of subjects who were not seen before,"
    return f"a test set of other {split}s"


def _data(entry: Entry) -> dict[str, Said]:
    data = entry.data
    rules = data["flow"]["steps"] if "flow" in data else []
    eligible = (
        "Excluded, in this order: " + "; ".join(step["sentence"] for step in rules) + "."
        if rules
        else f"All {data.get('recordings', data['examples']):,} "
        f"{'recordings' if 'recordings' in data else 'examples'} of the data."
    )
    cited = f"{data['title']}. {data['citation']}".strip()
    centres = "location" if "sites" in data else "number and location"
    return {
        "5a": (
            f"One source for development and evaluation: {cited}",
            "why these data, and which population they represent",
        ),
        "5b": _dates(entry),
        "6a": (
            f"{data['sites']:,} sites (hospitals)." if "sites" in data else "",
            f"the setting, and the {centres} of centres (see the publication of the data)",
        ),
        "6b": (eligible, "" if rules else "how the publisher selected them"),
        "6c": ("", "which treatments were received, and how they affect the outcome"),
    }


def _dates(entry: Entry) -> Said:
    split = entry.run.describe_split()
    left = "the dates of data collection"
    if "times" not in split:
        return "", left
    return f"Predictions: {periods_in_words(split)}.", f"{left} and the end of follow-up"


def _outcome(entry: Entry) -> dict[str, Said]:
    data = entry.data
    judged = data.get("outcome", {}).get("one") != "death"
    return {
        "8a": (
            f"{data['question'][0].upper()}{data['question'][1:]}.",
            (
                "how the outcome was assessed, why it was chosen, and whether it was assessed "
                "in the "
                "same way for all groups"
            ),
        ),
        "8b": (
            ("", "who assigned the classes (see the publication of the data)")
            if judged
            else ("Death needs no subjective assessment.", "")
        ),
        "8c": ("", "whether the assessors of the outcome knew the predictors"),
        "9a": (_predictors(entry), ""),
        "9b": _when_known(entry),
        "9c": (
            ("", "who coded the diagnoses and procedures")
            if "sequences" in data
            else ("Samples are measured; they need no subjective assessment.", "")
        ),
    }


def _when_known(entry: Entry) -> Said:
    """Return how and when predictors were measured, and the leaks of the run."""
    data = entry.data
    if "task" not in data:
        return f"The potential in µV, at {data['sfreq']} samples per second.", ""
    leaks = [finding["what"] for finding in entry.findings if finding["severity"] == "leak"]
    when = (
        f"LEAKS: {'; '.join(leaks)}."
        if leaks
        else "The model reads nothing from after the prediction time; the audit checks this."
    )
    return (
        f"Each code or measurement has the time at which it became available. {when}",
        "how they were measured or coded in the hospitals",
    )


def _predictors(entry: Entry) -> str:
    data = entry.data
    if "sequences" not in data:
        return "All samples of the segment, without selection."
    inputs = ", ".join(data["task"]["inputs"]) or "all"
    sequences = data["sequences"]
    known = f"Families of codes: {inputs}. {sequences['codes'] - 1:,} codes are in the vocabulary"
    return f"{known}, each of at least {sequences['settings']['min_subjects']} training subject(s)."


def _preparation(entry: Entry) -> dict[str, Said]:
    data, test = entry.data, entry.test
    if "sequences" in data:
        sequences = data["sequences"]
        size = f"{data['examples']:,} examples, {data['positives']:,} with the event"
        unknown = ", ".join(
            f"{100 * part['share']:.1f} % of the codes of {name}"
            for name, part in sequences["unknown"].items()
        )
        ready = (
            "Tables are converted to events, each at the time at which it became available, and "
            f"events to sequences of visits or windows ({sequences['steps']:.1f} steps on average)."
        )
        missing = (
            "Missing records are left out; nothing is imputed. Examples without any code: "
            f"{sequences['examples_without_events']:,} examples. Not in the vocabulary: "
            f"{unknown}."
        )
        form = (
            "Each code has its own weights; the weights of the codes in a step are summed."
            if entry.name in MODELS
            else "Codes of the whole record without order, and summaries of measurements "
            "(boosting)."
        )
    else:
        size = f"{data['examples']:,} segments of {data['recordings']:,} recordings"
        ready = f"Recordings are cut into non-overlapping segments of {data['n_times']} samples."
        missing = "Every segment is complete; remaining samples are left out. Nothing is imputed."
        form = "Each channel is scaled by its mean and standard deviation in the training set."
    return {
        "7": (
            (
                f"{ready} No step depends on the subject. Checks include identical examples in "
                "two sets."
            ),
            "",
        ),
        "10": (
            (
                f"All available data: {size}; {test['examples']:,} are in the test set"
                f"{'s of the folds' if entry.run.folds else ''}. No sample size was calculated; "
                "the intervals show the precision."
            ),
            "whether the sample size is sufficient",
        ),
        "11": (missing, ""),
        "12b": (form, ""),
    }


def _analysis(entry: Entry) -> dict[str, Said]:
    settings = entry.run.settings
    training = settings.training
    fitted = (
        "the mean of the probabilities of its members" + ", with its own threshold" * entry.two
        if entry.members
        else f"{training.epochs} epochs at most, batch size {training.batch_size}, Adam at "
        f"{training.learning_rate:g}; {KEPT[training.keep]} is "
        f"kept ({entry.facts['best_epoch']:g} of {entry.facts['epochs']})"
        if entry.is_network
        else "its settings are chosen on the validation set"
    )
    return {
        "12a": (f"{how_split(entry)}.", ""),
        "12c": (
            (
                f"{entry.title}, {entry.facts['parameters']:,} parameters; {fitted}. All settings: "
                "config.toml."
            ),
            "why this type of model",
        ),
        "12d": _clusters(entry),
        "12e": (_measures(entry), ""),
        "12f": (
            (
                "The model is not updated. Results after temperature scaling, fitted on the "
                "validation set, are reported too."
            ),
            "",
        ),
        "12g": (
            ("By the model in model.safetensors; predictions.parquet holds each prediction."),
            "",
        ),
        "13": (
            "Classes are weighted by the inverse of their share in training."
            if training.class_weights
            else "No adjustment in training.",
            "",
        ),
        "14": (
            "None in training; performance is reported by subgroup, where subgroups are known.",
            "",
        ),
    }


def _clusters(entry: Entry) -> Said:
    if entry.run.settings.split == "site":
        whole = "Whole sites are held out: performance is measured at sites new to the model"
        return f"{whole}. Intervals resample sites. The model does not use them.", "each site alone"
    if "unit" in entry.run.attributes:
        return "Performance is reported by unit; the model does not use clusters.", ""
    return "", "differences between hospitals or units, which the run does not record"


def _measures(entry: Entry) -> str:
    whole = f" of {entry.data['example']}s" + " and recordings" * (
        "recording_accuracy" in entry.test
    )
    ranked = "AUROC, average precision, sensitivity and specificity at two thresholds, net benefit"
    named = ranked if entry.two else f"Accuracy{whole}, recall of each class"
    interval = entry.test["interval"]
    how = f" 95 % intervals: {interval['method']}." if interval else ""
    return f"{named}; calibration, Brier score, log loss.{how}"


def _model(entry: Entry) -> dict[str, Said]:
    points = entry.test.get("operating_points", [])
    chosen = (
        f" An alarm at probabilities of {points[-1]['threshold']:.3f} or more "
        f"({points[-1]['chosen_for']})."
        if points
        else " The most probable class is predicted."
    )
    return {
        "15": (f"A probability for each class.{chosen}", ""),
        "16": (_differs(entry), ""),
        "17": ("", "who approved the study, and consent"),
        "22": (
            (
                f"model.safetensors holds the {entry.facts['parameters']:,} parameters and what is "
                "needed to apply them."
            ),
            "who may use it, and under which terms",
        ),
        "24": ("None: the model was not updated.", ""),
    }


def _differs(entry: Entry) -> str:
    """Return how the evaluation data differ from the development data, in words."""
    split = entry.run.settings.split
    if split == "site":
        return "Other sites of the same data."
    if split == "time":
        return (
            f"Later predictions of the same data: {periods_in_words(entry.run.describe_split())}."
        )
    return "None: all sets are drawn from the same data."


def _after(entry: Entry) -> dict[str, Said]:
    data = entry.data
    listed = catalog.DATA_SETS.get(data["name"])
    published = bool(listed and listed.citation)
    limits = [finding["what"] for finding in entry.findings]
    limits.append("one data source, so results may differ in other places or years")
    if data.get("subjects") is None:
        limits.append("people are not identified, so two sets may share a person")
    return {
        "18a": ("", "who paid"),
        "18b": ("", "conflicts of interest"),
        "18c": ("", "a protocol, or that there was none"),
        "18d": ("", "a registration, or that there was none"),
        "18e": (
            (f"{data['title']}: {listed.homepage} ({data['licence']}).", "")
            if listed and published
            else ("", "where the data are available")
        ),
        "18f": (
            f"Sequela {entry.run.environment['sequela']} (Apache-2.0): "
            + "; ".join(commands([entry.run])),
            "",
        ),
        "19": ("", "whether patients or the public were involved"),
        "25": ("", "what the numbers mean, including fairness"),
        "26": (f"From the run: {'; '.join(limits)}.", "all other limitations"),
        "27a": ("", "how to handle poor or missing inputs"),
        "27b": ("", "what users must do and know"),
        "27c": ("", "next steps"),
    }


def _results(entry: Entry) -> dict[str, Said]:
    data = entry.data
    first = " (first fold)" if entry.run.of_many else ""
    parts = f"{'; '.join(f'{name}: {held}' for name, held in parts_in_words(entry))}{first}."
    if "flow" in data:
        flow = data["flow"]
        came = (
            f"{flow['candidates']:,} {flow['unit']}, {flow['examples']:,} examples of "
            f"{flow['subjects']:,} subjects after the rules, {flow['positives']:,} with the event."
        )
    else:
        came = f"{data['recordings']:,} recordings, {data['examples']:,} segments. {parts}"
    known = ", ".join(entry.run.attributes) if entry.two else ""  # subgroups need two classes
    units = "unit" in entry.run.attributes
    return {
        "20a": (came, ""),
        "20b": (
            (f"By {known}, in the test set: see the subgroups.", "all other characteristics")
            if known
            else ("", "characteristics of the participants")
        ),
        "20c": (
            "Numbers of examples and events in each set: see item 21.",
            "the distribution of important predictors",
        ),
        "21": (parts, ""),
        "23a": (
            f"Test set: {performance(entry)}.{' By subgroup: see the subgroups.' if known else ''}",
            "",
        ),
        "23b": (
            ("See the subgroups by unit.", "")
            if units
            else ("", "differences between clusters, which the run does not record")
        ),
    }
