"""The first screen of a page: a summary, four cards, and a picture of all models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sequela.evaluation.disclosure import Hidden
from sequela.evaluation.number import number
from sequela.report.comparison import Row, Standing
from sequela.report.picture import HALF, WIDE, Picture
from sequela.report.sentences import events_in_words
from sequela.studies.verdicts import UNTESTABLE

if TYPE_CHECKING:
    from sequela.report.group import Group

Content = Mapping[str, Any]
_THOUSAND = 1000
_FEW = 20
"""Groups of a test set below which an interval is not reliable."""


@dataclass(frozen=True)
class Line:
    """The text of a card on one study.

    Attributes:
        study: Its title; empty where the page has one study.
        first: The bold text.
        rest: The text after it.
        bad: Whether it is a warning.
    """

    study: str
    first: str
    rest: str
    bad: bool = False


def lead(contents: Sequence[Content]) -> list[str]:
    """Return what was done on which data: a paragraph for each study."""
    return [_done(content) for content in contents]


def _done(content: Content) -> str:
    main: Group = content["main"]
    many = len(main.plain)
    models = "One model was" if many == 1 else f"{many} models were"
    done = f"Question: {main.data['question']}. {models} trained and tested on {content['holds']}."
    count, example = main.best.test["examples"], main.data["example"]
    if main.split["folds"]:
        repeats = main.split["repeats"]
        often = "once" if repeats == 1 else f"{repeats} times"
        done += f" Each {example} was in a test set {often}."
    else:
        few = isinstance(count, Hidden)
        shown = f"fewer than {main.best.smallest}" if few else f"{count:,}"
        done += f" The test set has {shown} {example}{'s' * (count != 1)}."
    if tests_claims(content):
        claims = "claims" if len(content["judged"]) > 1 else "claim"
        cited = f" ({main.study.citation})" if main.study.citation else ""
        of = f"{len(content['judged'])} {claims} of {main.study.report}{cited}"
        done += f" Of {of}, {content['tally']}."
    return done


def tests_claims(content: Content) -> bool:
    """Return whether a claim of a report can be tested on these runs."""
    return any(each.main.verdict != UNTESTABLE for each in content["judged"])


def cards(contents: Sequence[Content]) -> list[tuple[str, list[Line]]]:
    """Return the cards on data, best model, cost and limitations, each for all studies."""
    makers = {
        "Data": _data,
        "Best model": _best,
        "Cost of the best model": _cost,
        "Limitations": _caveat,
    }
    alone = len(contents) == 1
    return [
        (title, [make("" if alone else content["study"].title, content) for content in contents])
        for title, make in makers.items()
    ]


def pictures(contents: Sequence[Content]) -> list[Picture]:
    """Return a picture for each study: all models with intervals against their operations."""
    alone = len(contents) == 1
    drawn = (_picture(c, alone=alone, first=c is contents[0]) for c in contents)
    return [each for each in drawn if each]


def _picture(content: Content, *, alone: bool, first: bool) -> Picture | None:
    standing: Standing = content["standing"]
    caption = "" if alone else f"{content['study'].title}. "
    caption += f"{standing.metric.heading} with 95 % intervals."
    if first:
        caption += " A filled point marks a model that no model with fewer operations beats."
        if any(row.entry.facts["operations"] is None for row in standing.rows):
            caption += " Diamonds mark models whose operations are not counted."
    name = f"{content['study'].name}-models-picture"
    return standing.against_operations(name, caption, WIDE if alone else HALF)


def _data(study: str, content: Content) -> Line:
    main: Group = content["main"]
    data, split = main.data, main.split
    named = data["subjects"] not in (None, data["examples"])
    whose = f"{data['subjects']:,} subjects" if named else ""
    recordings = f"{data['recordings']:,} recordings" if "recordings" in data else ""
    recordings += f" of {data['sessions']:,} sessions" if "sessions" in data else ""
    of = ", ".join(filter(None, (whose, recordings)))
    how = f"{split['folds']} folds" if split["folds"] else "test set split off"
    events = events_in_words(data) if "outcome" in data else ""
    first = f"{data['examples']:,} {data['example']}s"
    whole = ", ".join(filter(None, (of and f"of {of}", events)))
    said = (whole, data["title"], f"{_capital(how)} by {split['by']}")
    return Line(study, first, " ".join(f"{each}." for each in said if each))


def _best(study: str, content: Content) -> Line:
    main: Group = content["main"]
    standing: Standing = content["standing"]
    best = standing.best
    if not best:
        hidden = f"{standing.metric.heading} is hidden: a class has too few people."
        return Line(study, main.best.title, hidden)
    said = f"{standing.metric.heading} {_with_interval(best, standing)}"
    chosen = f", {main.chosen}" if main.chosen else ""
    return Line(study, best.entry.title, f"{said}{chosen}.{_simpler(standing)}")


def _simpler(standing: Standing) -> str:
    """Return whether a simpler model would do, in a sentence; nothing where that is not known."""
    if row := standing.simplest:
        metric, worse = standing.metric, "lower" if standing.metric.better == "higher" else "higher"
        value = f"its {metric.title}, {_with_interval(row, standing)}, is not significantly {worse}"
        return f" {row.entry.title} is simpler, and {value}."
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
    operations = best.facts["operations"]
    first = "Operations not counted." if operations is None else f"{operations:,} operations"
    each = "" if operations is None else f"per {best.data['example']}. "
    held = f"{best.facts['parameters']:,} parameter{'s' * (best.facts['parameters'] != 1)}"
    used, models = best.facts["inference_us"], len(best.run.runs)
    took = f"training{f' of all {models} models' * (models > 1)} took"
    if used:
        timed = number(used, ",.3g" if used < _THOUSAND else ",.0f")
        took = f"a prediction takes {timed} µs, {took}"
    seconds = number(best.facts["train_seconds"], ".3g")
    return Line(study, first, f"{each}{held}; {took} {seconds} s, on one thread.")


def _caveat(study: str, content: Content) -> Line:
    """Return the worst limitation, and the titles of the others."""
    found = caveats(content)
    if not found:
        return Line(study, "No data leak found", f"{_tested(content['main'])}.")
    first, rest = found[0]
    others = "; ".join(title[:1].lower() + title[1:] for title, _ in found[1:])
    return Line(study, first, f"{rest} {f'Also: {others}.' if others else ''}".strip(), bad=True)


def caveats(content: Content) -> list[tuple[str, str]]:
    """Return the title and explanation of each limitation, the worst first."""
    main: Group = content["main"]
    standing: Standing = content["standing"]
    data = main.data
    leaking = [each for each in main.findings if each["severity"] == "leak"]
    found = [(_capital(each["check"]), f"{_capital(each['what'])}.") for each in leaking[:1]]
    if main.quick:
        found.append(("Quick run", "Networks had few epochs, so the numbers are not results."))
    if few := _few_tested(main):
        found.append((few, "Intervals of so few are unreliable."))
    if main.too_few:
        found.append((_capital(main.too_few), f"The smallest class has {main.rarer_shown}."))
    if unbeaten := standing.unbeaten:
        reference = unbeaten.entry
        many = f"{unbeaten.parameters:,} parameter{'s' * (unbeaten.parameters != 1)}"
        why = f"It is a baseline model with {many}."
        found.append((f"No network is clearly better than {reference.title}", why))
    if data["subjects"] is None:
        why = f"A split by {main.first.settings.split} may put one patient into several sets."
        found.append(("Patients are not identified", why))
    for worst in main.study.caveats[:1]:
        title, rest = found.pop(0) if found else (worst.removesuffix("."), "")
        found.insert(0, (title, f"{rest} {worst}" if rest else ""))
    if not main.too_few and main.rarer < main.study.few:
        many = f"The smallest class has {main.rarer_shown}"
        found.append((many, "Intervals are wide."))
    suspicious = [each for each in main.findings if each["severity"] != "leak"]
    found += [(_capital(each["what"]), f"Suspicious: {each['check']}.") for each in suspicious]
    return found


def _tested(main: "Group") -> str:
    """Return how many groups the test sets have."""
    sets = "The test sets together have" if main.first.folds else "The test set has"
    count, smallest = main.best.test["groups"], main.best.smallest
    many = f"fewer than {smallest}" if isinstance(count, Hidden) else f"{count:,}"
    return f"{sets} {many} {main.data['unit']}{'s' * (count != 1)}"


def _few_tested(main: "Group") -> str:
    """Return how many groups the test sets have, if these are few."""
    count = main.best.test["groups"]
    return _tested(main) if isinstance(count, Hidden) or count < _FEW else ""


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def claims_of(contents: Sequence[Content]) -> str:
    """Return the reports whose claims are tested, for the title; nothing where there are none."""
    reports = dict.fromkeys(c["study"].report for c in contents if tests_claims(c))
    return f": the claims of {' and '.join(reports)}, tested" if reports else ""
