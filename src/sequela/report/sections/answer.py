"""The first screen of a page: a summary, four cards, and a picture of all models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sequela.disclosure import Hidden
from sequela.evaluation.number import number
from sequela.report.picture import HALF, WIDE, Picture
from sequela.report.sections.comparison import Row, Standing
from sequela.report.sections.leak import Leak
from sequela.report.sentences import events_in_words
from sequela.studies.verdicts import UNTESTABLE

if TYPE_CHECKING:
    from sequela.report.sections.group import Group

Content = Mapping[str, Any]
_THOUSAND = 1000
FEWEST_GROUPS = 20
"""Groups of a test set below which an interval is not reliable."""


@dataclass(frozen=True)
class Line:
    """The text of a card on one study."""

    study: str
    first: str
    rest: str
    bad: bool = False


def lead(contents: Sequence[Content]) -> list[str]:
    """Return the conclusion of each study, then what was done on which data."""
    is_only = len(contents) == 1
    sentences = [
        ("" if is_only else f"{content['study'].title}: ") + make(content)
        for make in (_conclusion, _done)
        for content in contents
    ]
    for study in {content["study"].cited: content["study"] for content in contents}.values():
        first, cited, rest = "\n".join(sentences).partition(study.cited)
        sentences = (first + cited + rest.replace(study.cited, study.report)).split("\n")
    return sentences


def _conclusion(content: Content) -> str:
    """Return the result in words: the report's networks, the default or best model, and leaks."""
    main: Group = content["main"]
    standing: Standing = content["standing"]
    if leaking := [finding for finding in main.findings if finding["severity"] == "leak"]:
        return f"The scores cannot be trusted, because there is a leak: {leaking[0]['what']}."
    if main.quick:
        return "This is a quick run, so its numbers are not results."
    if main.too_few or not standing.best:
        return "The data have too few examples of a class for a conclusion."
    default = content["default_model"]
    name = default["model"] if default else standing.best.entry.name
    row = next((row for row in standing.rows if row.entry.name == name), standing.best)
    added = [_added(leak, row) for leak in content["leaks"]]
    return " ".join(filter(None, (_networks(content), _predicts(content, row), *added)))


def _networks(content: Content) -> str:
    """Compare the best of a report's networks with the best baseline model, in a sentence."""
    main: Group = content["main"]
    standing: Standing = content["standing"]
    networks_of_report: set[str] = set()
    for _, *names in main.study.families:
        networks_of_report.update(names)
    network = next((row for row in standing.rows if row.entry.name in networks_of_report), None)
    baseline = next((row for row in standing.rows if not row.entry.is_network), None)
    if not (network and baseline and tests_claims(content)):
        return ""
    theirs, ours = map(_score, (network, baseline))
    against = f"{network.entry.title} has {theirs}, {baseline.entry.title} {ours}."
    report = main.study.report
    if network.value <= baseline.value:
        return f"No network of {report} scored higher than the best baseline model: {against}"
    apart = standing.between(baseline, network)
    first = f"The best network of {report} scored higher than the best baseline model"
    sure = apart and apart.interval.low > 0
    return f"{first}{'' if sure else ', but not clearly'}: {against}"


def _score(row: Row) -> str:
    """Return the number of a model: of 100 examples where it is an accuracy."""
    if row.entry.metric.name == "accuracy":
        return f"{number(100 * row.value, '.0f')} of 100 {row.entry.data.example}s right"
    return f"{row.entry.metric.title} {number(row.value, row.entry.metric.form)}"


def _predicts(content: Content, row: Row) -> str:
    """Return how well the default model, or else the best, does on new data, in a sentence."""
    metric, data, models = row.entry.metric, row.entry.data, len(content["main"].plain)
    who = f"{row.entry.title}, the best of {models} models," if models > 1 else row.entry.title
    if content["default_model"]:
        who = f"Sequela's default model, {row.entry.title},"
    scale = 100 if metric.name == "accuracy" else 1
    form = ".0f" if metric.name == "accuracy" else metric.form
    ends = " to ".join(number(scale * end, form) for end in row.interval or ())
    within = f" (95 % interval {ends})" if ends else ""
    sentence = f"{who} has {_score(row)} on new {data.unit}s{within}"
    if metric.name == "auroc":
        pairs = number(100 * row.value, ".0f")
        sentence += f": of a {data.example} with the event and one without, the first gets the "
        sentence += f"higher probability in {pairs} of 100 pairs"
    if metric.name == "concordance":
        pairs = number(100 * row.value, ".0f")
        sentence += (
            f": of two {data.example}s, the one with the earlier event gets the higher risk in "
        )
        sentence += f"{pairs} of 100 pairs"
    selected = models > 1 and not content["default_model"]
    caution = " It was chosen on the same test data." if selected else ""
    return f"{sentence}.{caution}"


def _added(leak: Leak, row: Row) -> str:
    """Return how much each kind of a leak inflates the score of a model, in sentences."""
    metric = row.entry.metric
    inflated_runs = [run for run in leak.rows if run.entry.name == row.entry.name]
    unit = " percentage points" if metric.points else ""
    return " ".join(
        f"{leak.planned.adds.format(leak=leak.planned.leaking[inflated.entry.leak])} changes its "
        f"{metric.title} by {metric.apart(inflated.by.value)}{unit} ("
        f"{' to '.join(map(metric.apart, inflated.by.interval))})."
        for inflated in inflated_runs
    )


def _done(content: Content) -> str:
    main: Group = content["main"]
    many = len(main.plain)
    models = "One model was" if many == 1 else f"{many} models were"
    sentences = (
        f"Question: {main.data.question}. {models} trained and tested on {content['holds']}."
    )
    count, example = main.best.test.examples, main.data.example
    if main.split.folds:
        repeats = main.split.repeats
        often = "once" if repeats == 1 else f"{repeats} times"
        sentences += f" Each {example} was in a test set {often}."
    else:
        few = isinstance(count, Hidden)
        size = f"fewer than {main.best.smallest}" if few else f"{count:,}"
        sentences += f" The test set has {size} {example}{'s' * (count != 1)}."
    if tests_claims(content):
        claims = "claims" if len(content["judged"]) > 1 else "claim"
        sentences += (
            f" Of {len(content['judged'])} {claims} of {main.study.cited}, {content['tally']}."
        )
    return sentences


def tests_claims(content: Content) -> bool:
    """Return whether a claim of a report can be tested on these runs."""
    return any(verdict.verdict != UNTESTABLE for verdict in content["judged"])


def cards(contents: Sequence[Content]) -> list[tuple[str, list[Line]]]:
    """Return the cards on data, best model, cost and limitations, each for all studies."""
    titles = ("Data", "Best model", "Cost of the best model", "Limitations")
    makers = dict(zip(titles, (_data, _best, _cost, _caveat), strict=True))
    is_only = len(contents) == 1
    return [
        (title, [make("" if is_only else content["study"].title, content) for content in contents])
        for title, make in makers.items()
    ]


def pictures(contents: Sequence[Content]) -> list[Picture]:
    """Return a picture for each study: all models with intervals against their operations."""
    shown_models, is_only = [], len(contents) == 1
    for content in contents:
        standing: Standing = content["standing"]
        caption = "" if is_only else f"{content['study'].title}. "
        caption += f"{standing.metric.heading} with 95 % intervals."
        if content is contents[0]:
            caption += " A filled point marks a model that no model with fewer operations beats."
            if any(row.entry.run.facts.operations is None for row in standing.rows):
                caption += " Diamonds mark models whose operations are not counted."
        name = f"{content['study'].name}-models-picture"
        shown_models.append(standing.against_operations(name, caption, WIDE if is_only else HALF))
    return [shown for shown in shown_models if shown]


def _data(study: str, content: Content) -> Line:
    main: Group = content["main"]
    data, split = main.data, main.split
    has_subjects = data.subjects not in (None, data.examples)
    whose = f"{data.subjects:,} subjects" if has_subjects else ""
    recordings = f"{data.recordings:,} recordings" if data.recordings is not None else ""
    recordings += f" of {data.sessions:,} sessions" if data.sessions is not None else ""
    counted = ", ".join(filter(None, (whose, recordings)))
    how = f"{split.folds} folds" if split.folds else "test set split off"
    events = events_in_words(data)
    first = f"{data.examples:,} {data.example}s"
    counts = ", ".join(filter(None, (counted and f"of {counted}", events)))
    parts = (counts, data.title, f"{_capital(how)} by {split.by}")
    return Line(study, first, " ".join(f"{part}." for part in parts if part))


def _best(study: str, content: Content) -> Line:
    main: Group = content["main"]
    standing: Standing = content["standing"]
    best = standing.best
    if not best:
        hidden = f"{standing.metric.heading} is hidden: a class has too few people."
        return Line(study, main.best.title, hidden)
    score = f"{standing.metric.heading} {_with_interval(best, standing)}"
    selection = f", {main.chosen}" if main.chosen else ""
    return Line(study, best.entry.title, f"{score}{selection}.{_simpler(standing)}")


def _simpler(standing: Standing) -> str:
    """Return whether a smaller model would do, in a sentence; nothing where that is not known."""
    if row := standing.simplest:
        metric, worse = standing.metric, "lower" if standing.metric.better == "higher" else "higher"
        value = f"its {metric.title}, {_with_interval(row, standing)}, is not significantly {worse}"
        return f" {row.entry.title} has fewer parameters, and {value}."
    compared = [row for row in standing.simpler if row.apart and row.apart.difference]
    if compared and len(compared) == len(standing.simpler):
        return " The 95 % interval of its difference from every simpler model excludes 0."
    return ""


def _with_interval(row: Row, standing: Standing) -> str:
    form = standing.metric.form
    value = number(row.value, form).replace("%", " %")
    if not row.interval:
        return value
    low, high = (number(end, form).replace("%", " %") for end in row.interval)
    return f"{value} ({low} to {high})" if row.interval[0] != row.interval[1] else value


def _cost(study: str, content: Content) -> Line:
    best = content["best"]
    operations = best.run.facts.operations
    first = "Operations not counted." if operations is None else f"{operations:,} operations"
    per_example = "" if operations is None else f"per {best.data.example}. "
    parameters = f"{best.run.facts.parameters:,} parameter{'s' * (best.run.facts.parameters != 1)}"
    microseconds, models = best.run.facts.inference_us, len(best.run.runs)
    took = f"training took {number(best.run.facts.train_seconds / models, '.3g')} s"
    if models > 1:
        took += f" for each of {models} models"
    if microseconds:
        timed = number(microseconds, ",.3g" if microseconds < _THOUSAND else ",.0f")
        took = f"a prediction takes {timed} µs, {took}"
    return Line(study, first, f"{per_example}{parameters}; {took}, on one thread.")


def _caveat(study: str, content: Content) -> Line:
    """Return the worst limitation, and the titles of the others."""
    limitations = caveats(content)
    if not limitations:
        return Line(study, "No data leak found", f"{_tested(content['main'])}.")
    first, rest = limitations[0]
    further = "; ".join(title[:1].lower() + title[1:] for title, _ in limitations[1:])
    return Line(study, first, f"{rest} {f'Also: {further}.' if further else ''}".strip(), bad=True)


def caveats(content: Content) -> list[tuple[str, str]]:
    """Return the title and explanation of each limitation, the worst first."""
    main: Group = content["main"]
    standing: Standing = content["standing"]
    data = main.data
    leaking = [finding for finding in main.findings if finding["severity"] == "leak"]
    limitations = [
        (_capital(finding["check"]), f"{_capital(finding['what'])}.") for finding in leaking[:1]
    ]
    if main.quick:
        limitations.append(
            ("Quick run", "Networks had few epochs, so the numbers are not results.")
        )
    if isinstance(count := main.best.test.groups, Hidden) or count < FEWEST_GROUPS:
        limitations.append((_tested(main), "Intervals of so few are unreliable."))
    if main.too_few:
        limitations.append((_capital(main.too_few), f"{main.rarer_is} {main.rarer_shown}."))
    if unbeaten := standing.unbeaten:
        reference = unbeaten.entry
        many = f"{unbeaten.parameters:,} parameter{'s' * (unbeaten.parameters != 1)}"
        why = f"It is a baseline model with {many}."
        limitations.append((f"No network is clearly better than {reference.title}", why))
    if data.subjects is None:
        why = f"A split by {main.first.settings.split} can put one patient into several sets."
        limitations.append(("Patients are not identified", why))
    for worst in main.study.caveats[:1]:
        title, rest = limitations.pop(0) if limitations else (worst.removesuffix("."), "")
        limitations.insert(0, (title, f"{rest} {worst}" if rest else ""))
    if not main.too_few and main.rarer < main.study.few:
        many = f"{main.rarer_is} {main.rarer_shown}"
        limitations.append((many, "Intervals are wide."))
    if content["chosen"]:
        limitations.append(("Settings were chosen on other splits of these data", ""))
    suspicious = [finding for finding in main.findings if finding["severity"] != "leak"]
    limitations += [
        (_capital(finding["what"]), f"Suspicious: {finding['check']}.") for finding in suspicious
    ]
    return limitations


def _tested(main: "Group") -> str:
    sets = "The test sets together have" if main.first.folds else "The test set has"
    count, smallest = main.best.test.groups, main.best.smallest
    many = f"fewer than {smallest}" if isinstance(count, Hidden) else f"{count:,}"
    return f"{sets} {many} {main.data.unit}{'s' * (count != 1)}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def claims_of(contents: Sequence[Content]) -> str:
    """Return the reports whose claims are tested, for the title; nothing where there are none."""
    reports = dict.fromkeys(c["study"].report for c in contents if tests_claims(c))
    return f": the claims of {' and '.join(reports)}, tested" if reports else ""
