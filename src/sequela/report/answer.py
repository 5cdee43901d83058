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


def sentence(contents: Sequence[Content]) -> str:
    """What was done, on whom."""
    return " ".join(_done(content) for content in contents)


def _done(content: Content) -> str:
    main: Group = content["main"]
    many = len(main.plain)
    models = "One model predicts" if many == 1 else f"{many} models predict"
    done = f"{models} {main.data['question']}, on {content['holds']}."
    if content["judged"]:
        claims = "the claims" if len(content["judged"]) > 1 else "the claim"
        done += f" {len(content['judged'])} {claims.removeprefix('the ')} of {main.study.report}: "
        done += f"{content['tally']}."
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
    width = WIDE if len(contents) == 1 else HALF
    drawn = (_picture(content, width) for content in contents)
    return [each for each in drawn if each]


def _picture(content: Content, width: int) -> Picture | None:
    standing: Standing = content["standing"]
    what = f"{standing.metric.heading} with 95 % intervals. Filled: no model with fewer operations "
    caption = f"{what}is better. Diamonds: reference models."
    return standing.against_operations(f"{content['study'].name}-models-picture", caption, width)


def _data(study: str, content: Content) -> Line:
    main: Group = content["main"]
    data, split = main.data, main.split
    named = data["subjects"] not in (None, data["examples"])
    whose = f"{data['subjects']:,} subjects" if named else ""
    recordings = f"{data['recordings']:,} recordings" if "recordings" in data else ""
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
    said = f"{standing.metric.heading} {_with_interval(best, standing)}"
    chosen = f", {main.chosen}" if main.chosen else ""
    simplest = standing.simplest
    rest = f"{said}{chosen}."
    if simplest:
        rest += (
            f" As good and simpler: {simplest.entry.title}, {_with_interval(simplest, standing)}."
        )
    elif len(standing.rows) > 1:
        rest += " No simpler model is as good."
    return Line(study, best.entry.title, rest)


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
    return Line(study, first, f"{rest}trained in {seconds} s on one thread.")


def _caveat(study: str, content: Content) -> Line:
    """The first of what makes the numbers say less than they seem to."""
    found = caveats(content)
    if not found:
        return Line(study, "None was found", "The audit looked for leaks and found none.")
    first, rest = found[0]
    others = " ".join(f"{title}." for title, _ in found[1:])
    return Line(study, first, " ".join(filter(None, (rest, others))), bad=True)


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
        found.append((_capital(main.too_few), f"{main.rarer_shown} of the rarer class."))
    if unbeaten := standing.unbeaten:
        found.append((f"The networks do not beat {unbeaten.entry.title}", "It is far simpler."))
    if data["subjects"] is None:
        split = f"a split by {data['unit']} is not one by patient"
        found.append(("Patients are not identified", f"{_capital(split)}."))
    if not main.too_few and main.rarer < main.study.few:
        many = f"Only {main.rarer_shown} examples of the rarer class"
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
