"""The checks of the audit by code: what each is about, and the searches that report it.

A search is a function that reads an :class:`~sequela.audit.input.AuditInput` and yields findings of
one or more checks; several searches may report one check, for inputs of different forms. The
package declares its own in ``checks.toml`` and adds them as a plugin does.
"""

import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from sequela.errors import SettingError
from sequela.registry import Registry

if TYPE_CHECKING:
    from sequela.audit.finding import Finding
    from sequela.audit.input import AuditInput

IGNORED = "left out with --ignore"  # reason why a check with an ignored code was not made


class Effect(NamedTuple):
    """The AUROC of a baseline model with a problem, without it, and the difference's interval."""

    auroc: float
    without: float
    low: float
    high: float


Measured: TypeAlias = "tuple[Finding, Effect | None]"
Found: TypeAlias = "Finding | Measured"


class Search(NamedTuple):
    """A function that looks for leaks in inputs of one form.

    The ``title`` is in words; ``{unit}`` in it is the kind of unit of the input. ``find``
    yields findings of an input; it may be a place, ``module:function``, which is imported for an
    input that has what the function ``needs``: keys of :data:`sequela.audit.input.NEEDS`.
    """

    title: str
    find: "str | Callable[[AuditInput], Iterable[Found]]"
    needs: tuple[str, ...] = ()

    def run(self, data: "AuditInput") -> Iterator[Measured]:
        """Yield the findings in an input, each with its measured effect, if it has one."""
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
    by_design: str = ""


def _check_new(code: str, check: Check) -> None:
    if code in CHECKS or any(check.name == registered.name for registered in CHECKS.values()):
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
    code="",
    name="",
    what="a check of a plugin that is not loaded reports something",
    remedy="name the plugin in SEQUELA_PLUGINS to read the sentence",
)


def check_named(name: str) -> Check:
    """Return the check whose findings have a name; one without a code for an unknown name."""
    return next((check for check in CHECKS.values() if check.name == name), _UNKNOWN)


class Unchecked(NamedTuple):
    """A check that was not made, and the reason."""

    code: str
    check: str
    reason: str


class AuditOutcome(NamedTuple):
    """The findings of an audit, what it looked for in words, and what it did not check."""

    findings: tuple[Measured, ...]
    titles: tuple[str, ...]
    unchecked: tuple[Unchecked, ...]


def run_checks(data: "AuditInput", ignored: Sequence[str] = ()) -> AuditOutcome:
    """Run all searches that an input has the data for, except for checks with ignored codes.

    Raises:
        UnknownNameError: If no check has an ignored code.
    """
    left_out = [CHECKS.lookup(code).code for code in ignored]
    checks = [check for code, check in CHECKS.items() if code not in left_out]
    names, fitting = {check.name for check in checks}, list[Search]()
    unchecked = [Unchecked(code, CHECKS[code].name, IGNORED) for code in left_out]
    for check in checks:
        fitting += [s for s in check.searches if data.lacking.keys().isdisjoint(s.needs)]
        if not {*fitting} & {*check.searches}:
            # The search of which most needs are met is the one for inputs of this form.
            nearest = max(check.searches, key=lambda s: len({*s.needs} - data.lacking.keys()))
            lacking = next(need for need in nearest.needs if need in data.lacking)
            unchecked.append(Unchecked(check.code, check.name, data.lacking[lacking]))
    searches = [s for s in SEARCHES.values() if s in fitting]
    searches += [s for s in dict.fromkeys(fitting) if s not in searches]
    findings: list[Measured] = [(finding, None) for finding in data.selected or ()]
    for search in searches:
        # Events are searched when the examples of a run are selected, and everything else later.
        if ("events" in search.needs) == (data.events is not None):
            findings += search.run(data)
    unit = next(iter(data.units), "row")
    titles = dict.fromkeys(search.title.replace("{unit}", unit) for search in searches)
    reported = tuple(pair for pair in findings if pair[0].check in names)
    return AuditOutcome(reported, tuple(titles), tuple(sorted(unchecked)))


def _declared() -> dict[str, Search]:
    """Add the checks of the package, and return its searches in the order in which they run."""
    declared = tomllib.loads(Path(__file__).with_name("checks.toml").read_text("utf-8"))
    codes = {key: entry.pop("reports") for key, entry in declared["searches"].items()}
    searches = {
        key: Search(entry["title"], entry["find"], tuple(entry["needs"]))
        for key, entry in declared["searches"].items()
    }
    for heading, sentences in declared["checks"].items():
        code, _, name = heading.partition(" ")
        reporting = tuple(searches[key] for key in searches if code in codes[key])
        design = next((d for d, of in declared["by_design"].items() if code in of), "")
        CHECKS.add(Check(code, name, searches=reporting, by_design=design, **sentences), code)
    return searches


SEARCHES = _declared()
