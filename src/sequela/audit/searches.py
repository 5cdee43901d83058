"""The searches of the audit: functions from an input to findings of one or more checks.

Several searches may report one check, for inputs of different forms. The package declares its own
in ``checks.toml`` and adds them as a plugin does.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from typing import NamedTuple

from sequela.audit.finding import CHECKS, DECLARED, Found, Measured, check_named
from sequela.audit.input import AuditInput
from sequela.errors import SettingError
from sequela.plugins import Registry

IGNORED = "left out with --ignore"  # reason why a check with an ignored code was not made


class LeakSearch(NamedTuple):
    """A function that looks for leaks in inputs of one form.

    The ``title`` is in words; ``{unit}`` in it is the kind of unit of the input. ``find``
    yields findings of an input; it may be a place, ``module:function``, which is imported for an
    input that has what the function ``needs``: keys of :data:`sequela.audit.input.NEEDS`. It
    ``reports`` the checks with these codes.
    """

    title: str
    find: str | Callable[[AuditInput], Iterable[Found]]
    needs: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()

    def run(self, data: AuditInput) -> Iterator[Measured]:
        """Yield the findings in an input, each with its measured effect, if it has one."""
        find = self.find
        if isinstance(find, str):
            module, _, function = find.partition(":")
            find = getattr(import_module(module), function)
        for item in find(data):
            finding, effect = item if isinstance(item, tuple) else (item, None)
            if not check_named(finding.check).code:
                raise SettingError(
                    f"the search for '{self.title}' reports '{finding.check}', which is the name "
                    f"of no check: expected one such as '{self.title}'"
                )
            yield finding, effect


SEARCHES: Registry[LeakSearch] = Registry("search", LeakSearch, lambda *_: None)
"""All searches, in the order in which they run."""


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


def run_checks(data: AuditInput, ignored: Sequence[str] = ()) -> AuditOutcome:
    """Run all searches that an input has the data for, except for checks with ignored codes.

    Raises:
        UnknownNameError: If no check has an ignored code.
    """
    left_out = {CHECKS.lookup(code).name: code for code in ignored}
    unchecked = [Unchecked(code, name, IGNORED) for name, code in left_out.items()]
    codes = [code for code in CHECKS if code not in ignored]
    fitting = [s for s in SEARCHES.values() if data.lacking.keys().isdisjoint(s.needs)]
    searches = [s for s in fitting if not {*s.reports}.isdisjoint(codes)]
    for code in codes:
        if any(code in search.reports for search in searches):
            continue
        # The search of which most needs are met is the one for inputs of this form.
        reporting = [search for search in SEARCHES.values() if code in search.reports]
        nearest = max(reporting, key=lambda s: len({*s.needs} - data.lacking.keys()))
        lacking = next(need for need in nearest.needs if need in data.lacking)
        unchecked.append(Unchecked(code, CHECKS[code].name, data.lacking[lacking]))
    findings: list[Measured] = [(finding, None) for finding in data.selected or ()]
    for search in searches:
        # Events are searched when the examples of a run are selected, and everything else later.
        if ("events" in search.needs) == (data.events is not None):
            findings += search.run(data)
    unit = next(iter(data.units), "row")
    titles = dict[str, None]()
    for search in searches:
        title = search.title.replace("{unit}", unit)
        without = [code for code in ignored if code in search.reports]
        titles[f"{title} (without {' and '.join(without)})" if without else title] = None
    reported = tuple(pair for pair in findings if pair[0].check not in left_out)
    return AuditOutcome(reported, tuple(titles), tuple(sorted(unchecked)))


for _key, _entry in DECLARED["searches"].items():
    SEARCHES.add(
        LeakSearch(_entry["title"], _entry["find"], tuple(_entry["needs"]), (*_entry["reports"],)),
        _key,
    )
