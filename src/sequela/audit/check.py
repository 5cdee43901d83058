"""The checks of the audit by code: what each is about, and the searches that report it.

A search is a function that reads an :class:`~sequela.audit.input.AuditInput` and yields findings of
one or more checks; several searches may report one check, for inputs of different forms. The
package declares its own in ``checks.toml`` and adds them as a plugin does.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from sequela.errors import SettingError
from sequela.registry import Registry

if TYPE_CHECKING:
    from sequela.audit.finding import Finding
    from sequela.audit.input import AuditInput

IGNORED = "left out with --ignore"
"""The reason why a check with an ignored code was not made."""
Design = Literal["", "task", "rows"]


@dataclass(frozen=True)
class Effect:
    """The AUROC of a baseline model with a problem, without it, and the difference's interval."""

    auroc: float
    without: float
    low: float
    high: float


Measured: TypeAlias = "tuple[Finding, Effect | None]"
Found: TypeAlias = "Finding | Measured"


@dataclass(frozen=True)
class Search:
    """A function that looks for leaks in inputs of one form.

    Attributes:
        title: What it looks for, in words; ``{unit}`` is the kind of unit of the input.
        find: The function, from an input to findings, or its place, ``module:function``, which is
            imported when an input has what the function needs.
        needs: What it reads of an input: keys of :data:`sequela.audit.input.NEEDS`.
    """

    title: str
    find: "str | Callable[[AuditInput], Iterable[Found]]"
    needs: tuple[str, ...] = ()

    def run(self, data: "AuditInput") -> "Iterable[Measured]":
        """Return the findings in an input, each with its measured effect, if it has one."""
        find = self.find
        if isinstance(find, str):
            module, _, function = find.partition(":")
            find = getattr(import_module(module), function)
        for finding in find(data):
            yield finding if isinstance(finding, tuple) else (finding, None)


@dataclass(frozen=True)
class Check:
    """One kind of leak.

    Attributes:
        code: A stable code, such as ``SQ001``, by which a user can leave the check out.
        name: The name that findings have.
        what: The sentence on the problem; a finding fills in its counts, facts and places.
        remedy: The sentence on what to do.
        searches: The searches that report it.
        missing: The sentence for a part that lacks some classes.
        reference: The literature.
        by_design: The choice that such a finding follows from: a ``task`` that is declared to leak,
            or a split by ``rows``.
    """

    code: str
    name: str
    what: str
    remedy: str
    searches: tuple[Search, ...] = ()
    missing: str = ""
    reference: str = ""
    by_design: Design = ""


def _check_new(code: str, check: Check) -> None:
    if code in CHECKS or check.name in {known.name for known in CHECKS.values()}:
        raise SettingError(
            f"a check '{code}' or '{check.name}' is registered already: choose another code and "
            "name"
        )
    if not re.fullmatch(r"[A-Z]{2,8}\d{3}", code):
        raise SettingError(
            f"a check cannot have the code '{code}': expected capital letters and three digits, "
            "such as LAB001"
        )


CHECKS: Registry[Check] = Registry("check", Check, _check_new)
"""All checks by code; :func:`sequela.register.check` adds others."""
_UNKNOWN = Check(
    "",
    "",
    "a check of a plugin that is not loaded reports something",
    "name the plugin in SEQUELA_PLUGINS to read the sentence",
)


def check_named(name: str) -> Check:
    """Return the check whose findings have a name; one without a code for an unknown name."""
    return next((check for check in CHECKS.values() if check.name == name), _UNKNOWN)


@dataclass(frozen=True)
class Unchecked:
    """A check that was not made, and the reason."""

    code: str
    check: str
    reason: str


@dataclass(frozen=True)
class AuditOutcome:
    """What an audit found, what it looked for, and what it did not check."""

    found: tuple[Measured, ...]
    titles: tuple[str, ...]
    unchecked: tuple[Unchecked, ...]


def run_checks(data: "AuditInput", ignored: Sequence[str] = ()) -> AuditOutcome:
    """Run all searches that an input has the data for, except for checks with ignored codes.

    Raises:
        UnknownNameError: If no check has an ignored code.
    """
    wanted = {*CHECKS} - {CHECKS.lookup(code).code for code in ignored}
    names = {CHECKS[code].name for code in wanted}
    searches = dict.fromkeys(SEARCHES.values())
    searches |= dict.fromkeys(search for check in CHECKS.values() for search in check.searches)
    serving = {search for code in wanted for search in CHECKS[code].searches}
    fitting = [s for s in searches if s in serving and not data.lacking.keys() & {*s.needs}]
    found: list[Measured] = [(finding, None) for finding in data.selected or ()]
    for search in fitting:
        # Events are searched when the examples of a run are selected, and everything else later.
        if ("events" in search.needs) == (data.events is not None):
            found += search.run(data)
    unit = next(iter(data.units), "row")
    titles = dict.fromkeys(search.title.replace("{unit}", unit) for search in fitting)
    return AuditOutcome(
        tuple(pair for pair in found if pair[0].check in names),
        tuple(titles),
        tuple(_unchecked(data, wanted, {*fitting})),
    )


def _unchecked(data: "AuditInput", wanted: set[str], run: set[Search]) -> Iterable[Unchecked]:
    """Yield the checks that no search was run for."""
    for code, check in CHECKS.items():
        if code not in wanted:
            yield Unchecked(code, check.name, IGNORED)
        elif run.isdisjoint(check.searches):
            # The search of which most needs are met is the one for inputs of this form.
            met = [sum(need not in data.lacking for need in s.needs) for s in check.searches]
            nearest = check.searches[met.index(max(met))]
            first = next(need for need in nearest.needs if need in data.lacking)
            yield Unchecked(code, check.name, data.lacking[first])


def _declared() -> dict[str, Search]:
    """Add the checks of the package, and return its searches in the order in which they run."""
    text = Path(__file__).with_name("checks.toml").read_text("utf-8")
    declared = tomllib.loads(text)
    searches, codes = dict[str, Search](), dict[str, list[str]]()
    for key, entry in declared["searches"].items():
        codes[key] = entry.pop("reports")
        searches[key] = Search(entry["title"], entry["find"], tuple(entry["needs"]))
    designs = {
        code: design for design in declared["by_design"] for code in declared["by_design"][design]
    }
    for heading, sentences in declared["checks"].items():
        code, _, name = heading.partition(" ")
        reporting = tuple(searches[key] for key in searches if code in codes[key])
        design = designs.get(code, "")
        check = Check(code, name, searches=reporting, by_design=design, **sentences)
        CHECKS.add(check, code)
    return searches


SEARCHES = _declared()
