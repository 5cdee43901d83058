"""The first screen of a page: what was done on whom, four cards, and a picture of all models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sequela.evaluation.number import number
from sequela.report.comparison import Row, Standing
from sequela.report.picture import HALF, WIDE, Picture

if TYPE_CHECKING:
    from sequela.report.group import Group

Content = Mapping[str, Any]
_THOUSAND = 1000


@dataclass(frozen=True)
class Line:
    """What a card says of one study.

    Attributes:
        study: Its title; empty where the page has one study.
        first: What stands out.
        rest: What follows.
        bad: Whether it is a warning.
    """

    study: str
    first: str
    rest: str
    bad: bool = False


def lead(contents: Sequence[Content]) -> list[str]:
    """What was done, on whom: a paragraph for each study."""
    return [_done(content) for content in contents]


def _done(content: Content) -> str:
    main: Group = content["main"]
    many = len(main.plain)
    models = "One model was" if many == 1 else f"{many} models were"
    done = f"The question: {main.data['question']}. {models} tested on {content['holds']}."
    if content["judged"]:
        claims = "claims" if len(content["judged"]) > 1 else "claim"
        done += f" {len(content['judged'])} {claims} of {main.study.report}: {content['tally']}."
    return done


def cards(contents: Sequence[Content]) -> list[tuple[str, list[Line]]]:
    """Data, best model, cost and main caveat, each of all studies."""
    makers = {
        "Data": _data,
        "Best model": _best,
        "Cost of the best": _cost,
        "What is wrong with it": _caveat,
    }
    alone = len(contents) == 1
    return [
        (title, [make("" if alone else content["study"].title, content) for content in contents])
        for title, make in makers.items()
    ]


def pictures(contents: Sequence[Content]) -> list[Picture]:
    """Of each study, all models with intervals against their operations."""
    alone = len(contents) == 1
    drawn = (_picture(c, alone=alone, first=c is contents[0]) for c in contents)
    return [each for each in drawn if each]


def _picture(content: Content, *, alone: bool, first: bool) -> Picture | None:
    standing: Standing = content["standing"]
    caption = "" if alone else f"{content['study'].title}. "
    caption += f"{standing.metric.heading} with 95 % intervals."
    if first:
        caption += " Filled: no model with fewer operations is better. Diamonds: not counted."
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
    how = f"{split['folds']} folds" if split["folds"] else "test part held out"
    events = ""
    if "outcome" in data:
        share = number(100 * data["positives"] / data["examples"], ".1f")
        events = f"{data['positives']:,} {data['outcome']['many']} ({share} %)"
    first = f"{data['examples']:,} {data['example']}s"
    whole = ", ".join(filter(None, (of and f"of {of}", events)))
    said = (whole, data["title"], f"{_capital(how)} by {split['by']}")
    return Line(study, first, " ".join(f"{each}." for each in said if each))


def _best(study: str, content: Content) -> Line:
    main: Group = content["main"]
    standing: Standing = content["standing"]
    best = standing.best
    if not best:
        return Line(
            study, main.best.title, f"{standing.metric.heading}: hidden, as it tells of few."
        )
    said = f"{standing.metric.heading} {_with_interval(best, standing)}"
    chosen = f", {main.chosen}" if main.chosen else ""
    return Line(study, best.entry.title, f"{said}{chosen}.{_simpler(standing)}")


def _simpler(standing: Standing) -> str:
    """Whether a simpler model would do; nothing where that is not known."""
    if row := standing.simplest:
        found = f"{row.entry.title}, {_with_interval(row, standing)}"
        return f" Simpler and not clearly worse: {found}."
    compared = [row for row in standing.simpler if row.apart and row.apart.difference]
    if compared and len(compared) == len(standing.simpler):
        return " Each simpler model is clearly worse."
    return ""


def _with_interval(row: Row, standing: Standing) -> str:
    form = standing.metric.form
    value = number(row.value, form).replace("%", " %")
    if not row.interval:
        return value
    low, high = (number(end, form).replace("%", " %") for end in row.interval)
    return f"{value} ({low} to {high})"


def _cost(study: str, content: Content) -> Line:
    best = content["best"]
    operations = best.facts["operations"]
    first = f"{operations:,} operations" if operations else "Operations not counted"
    each = f" per {best.data['example']}" if operations else ""
    seconds = number(best.facts["train_seconds"], ".3g")
    rest = f"{each.strip()}{'; ' if each else ''}{best.facts['parameters']:,} parameters; "
    used = best.facts["inference_us"]
    timed = f"{number(used, ',.3g' if used < _THOUSAND else ',.0f')} µs for each; " if used else ""
    return Line(study, first, f"{rest}{timed}trained in {seconds} s, all on one thread.")


def _caveat(study: str, content: Content) -> Line:
    """The first of what makes the numbers say less than they seem to."""
    found = caveats(content)
    if not found:
        return Line(study, "None was found", "The audit looked for leaks and found none.")
    first, rest = found[0]
    others = "; ".join(title[:1].lower() + title[1:] for title, _ in found[1:])
    return Line(study, first, f"{rest} {f'Also: {others}.' if others else ''}".strip(), bad=True)


def caveats(content: Content) -> list[tuple[str, str]]:
    """All of them, the worst first: what, and why."""
    main: Group = content["main"]
    standing: Standing = content["standing"]
    data = main.data
    leaking = [each for each in main.findings if each["severity"] == "leak"]
    found = [(_capital(each["check"]), f"{_capital(each['what'])}.") for each in leaking[:1]]
    if main.quick:
        found.append(("Quick run", "Networks had few epochs: the numbers are not results."))
    if main.too_few:
        many = f"The rarer class has {main.rarer_shown} examples."
        found.append((_capital(main.too_few), many))
    if unbeaten := standing.unbeaten:
        reference = unbeaten.entry
        many = f"It is a reference model of {unbeaten.parameters:,} parameters."
        found.append((f"No network clearly beats {reference.title}", many))
    if data["subjects"] is None:
        split = f"a split by {data['unit']} is not one by patient"
        found.append(("Patients are not identified", f"{_capital(split)}."))
    for worst in main.study.caveats[:1]:
        title, rest = found.pop(0) if found else (worst.removesuffix("."), "")
        found.insert(0, (title, f"{rest} {worst}" if rest else ""))
    if not main.too_few and main.rarer < main.study.few:
        many = f"The rarer class has {main.rarer_shown} examples"
        found.append((many, "Intervals are wide."))
    suspicious = [each for each in main.findings if each["severity"] != "leak"]
    found += [(_capital(each["check"]), f"{_capital(each['what'])}.") for each in suspicious]
    return found


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def claims_of(contents: Sequence[Content]) -> str:
    """Whose claims are tested, for the title; nothing where there are none."""
    reports = dict.fromkeys(c["study"].report for c in contents if c["study"].claims)
    return f": the claims of {' and '.join(reports)}, tested" if reports else ""
