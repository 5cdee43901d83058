"""Declarations proposed from existing hospital tables."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import reduce
from itertools import chain, repeat
from pathlib import Path

import tomlkit

from sequela.errors import SettingError
from sequela.formats.csv_files import PLAIN
from sequela.formats.opened import DECIDE
from sequela.intake.inspection import InspectedColumn, InspectedTable, inspect
from sequela.tables.declarations import Kind
from sequela.tables.declared.source import READ_TIMES, place_of

# The usual English and German names of columns, in lower case.
_ID = r"(_?(id|nr|no|num|number|key))?"
_PERSON = re.compile(rf"(patient(en)?|subject|person|pat|client|mrn|pid){_ID}")
_STAY = re.compile(rf"((hospital_)?stay|visit|encounter|h?adm|admission|case|episode|fall\B){_ID}")
_WORDS: Mapping[str, re.Pattern[str]] = {
    role: re.compile(words)
    for role, words in {
        "birth": "birth|born|dob|^geb",
        "sex": "sex|gender|geschlecht",
        "death": "death|died|dod|dead|deceas|expire|outcome|storben|^tod|entlassgrund",
        "admitted": "admi|arriv|in_?time|start|begin|aufnahme",
        "discharged": "disch|left|leav|out_?time|end|entlassung",
        "code": "code|icd|ndc|atc|ops|drg|item|test|name|drug|label|kind|type",
        "value": "value|result|amount|dose|number|wert|ergebnis",
        "unit": "unit|uom|einheit",
    }.items()
}
_ICD = "icd"
_DIED = re.compile("died|dead|death|expire|deceas|1|yes|true", re.IGNORECASE)


def shown(name: str) -> str:
    """Return the declaration of a published data set."""
    place = place_of(name)
    if not place.exists():
        names = ", ".join(sorted(path.stem for path in place.parent.glob("*.toml")))
        raise SettingError(
            f"{name} is not declared in a file; expected one of {names}, or the path of your own "
            "data: its facts and their times are listed in docs/omop.md"
        )
    return place.read_text(encoding="utf-8")


def propose(root: Path, show: Callable[[str], None] = lambda _: None) -> str:
    """Propose a ``tables.toml`` for the tables of a folder.

    Open decisions are marked; a build refuses a declaration with marks.
    """
    return _Proposal(root, inspect(root, show)).text()


@dataclass
class _Proposal:
    root: Path
    tables: Sequence[InspectedTable]
    lines: list[str] = field(default_factory=list)
    person: str = ""
    people: InspectedTable | None = None
    stay: str = ""
    stays: InspectedTable | None = None
    form: dict[str, str] = field(default_factory=dict)

    def text(self) -> str:
        self.person, self.people = self._role(_PERSON, ("birth", "sex"))
        self.stay, self.stays = self._role(_STAY, ("admitted", "discharged"))
        self.lines += [
            f"# Proposed from the tables in {self.root.name}. Ranges and values below are of your",
            "# data: delete the comments before you share this file.",
            "",
            f"title = {_quoted(self.root.name)}",
            "",
        ]
        # The form of most tables becomes the common one, and the others state their own.
        keys = Counter(chain.from_iterable(table.form.items() for table in self.tables))
        self.form = asdict(PLAIN) | dict(pair for pair, _ in reversed(keys.most_common()))
        if self.form["thousands"] == self.form["decimal"]:  # of different tables
            self.form["thousands"] = ""
        self._format("format", asdict(PLAIN), self.form)
        self._people()
        self._stays()
        roles = [table for table in (self.people, self.stays) if table is not None]
        for table in [*roles, *(table for table in self.tables if table not in roles)]:
            self._table(table)
        return "\n".join(self.lines).rstrip() + "\n"

    def _role(
        self, pattern: re.Pattern[str], words: Sequence[str]
    ) -> tuple[str, InspectedTable | None]:
        """Return the column of an id, and the table that has one row for each id."""
        columns = chain.from_iterable(zip(repeat(t), t.columns, strict=False) for t in self.tables)
        ids = [(table, column) for table, column in columns if pattern.fullmatch(column.name)]
        # Several tables may have one row for each id, such as patients and their consent: the one
        # is meant whose columns tell the most about it.
        unique = [(table, column) for table, column in ids if column.unique]
        if not unique:
            return (ids[0][1].name if ids else ""), None
        table, column = max(unique, key=lambda pair: sum(bool(_column(pair[0], w)) for w in words))
        return column.name, table

    def _format(self, key: str, usual: Mapping[str, str], form: Mapping[str, str]) -> None:
        """Write the form of CSV files, where it differs from the usual one."""
        if lines := [f"{k} = {_quoted(v)}" for k, v in form.items() if v != usual[k]]:
            self.lines += [f"[{key}]", *lines, ""]

    def _people(self) -> None:
        if self.people is None:
            self.decide("no table has one row a subject: name it, and the column of the subject")
            self.lines += ["# [people]", "# table = ", "# id = ", ""]
            return
        self.lines += [
            "# One row a subject. Rows of other tables about anybody else are set aside.",
            "[people]",
            f"table = {_quoted(self.people.name)}",
            f"id = {_quoted(self.person)}",
            "",
        ]

    def _stays(self) -> None:
        if self.stays is None:
            self.decide("no table has one row a hospital stay: name it, or delete this part")
            self.lines += ["# [stays]", "# table = ", "# id = ", "# subject = ", ""]
            return
        discharged = _column(self.stays, "discharged", Kind.TIME)
        self.lines += [
            "# One row a hospital stay. `gives`: what rows of other tables get from theirs.",
            "[stays]",
            f"table = {_quoted(self.stays.name)}",
            f"id = {_quoted(self.stay)}",
            f"subject = {_quoted(self.person)}",
        ]
        if discharged:
            self.lines.append(f"gives.discharge = {_quoted(_at(discharged))}")
        self.lines.append("")

    def _table(self, table: InspectedTable) -> None:
        self.lines += [f"# {table.rows:,} rows", f"[tables.{_key(table.name)}]"]
        role = self.people is table or self.stays is table
        ids = {self.person, self.stay}
        key = next((c.name for c in table.columns if c.unique and c.name not in ids), None)
        if key and not role:
            self.lines.append(f"key = [{_quoted(key)}] # no two rows have one")
        if self.stays is not None and not role and not table.named(self.stay):
            self.lines.append(f"# No column is called {self.stay}. Is another one? visit = COLUMN")
        if not role and self.person and not table.named(self.person) and not table.named(self.stay):
            self.decide("which column is the subject, if no visit is named?", "subject = ")
        self.lines.append("")
        for doubt in table.doubts:
            self.decide(doubt)
        self._format(f"tables.{_key(table.name)}.format", self.form, table.form)
        self.lines.append(f"[tables.{_key(table.name)}.columns]")
        for column in table.columns:
            self.lines.append(f'{_key(column.name)} = "{column.kind}" # {column.describe()}')
        self.lines.append("")
        if self.people is table:
            self._facts_of_people(table)
        if self.stays is table:
            self._facts_of_stays(table)
        if not role:
            self._facts_of_events(table)

    def _facts_of_people(self, table: InspectedTable) -> None:
        if born := self._timed(table, "birth"):
            self.fact(table, "MEDS_BIRTH", born.name, "at birth", "dated then")
        if sex := _column(table, "sex"):
            self.fact(table, f"GENDER//{{{sex.name}}}", None, "", "assumed not to change")
        if died := self._timed(table, "death"):
            why = "dated then. A label, never an input"
            self.fact(table, "MEDS_DEATH", _at(died), "at death", why)

    def _facts_of_stays(self, table: InspectedTable) -> None:
        admitted = self._timed(table, "admitted")
        discharged = self._timed(table, "discharged")
        if admitted is None or discharged is None:
            self.decide("which columns hold the begin and end of a stay?")
            return
        used = {admitted.name, discharged.name, self.person, self.stay}
        ended = _column(table, "death", but=used)
        # A text of the stay, such as the kind of admission, makes the code of the admission.
        kind = next(
            (c for c in table.columns if c.kind is Kind.TEXT and c.name not in used and c != ended),
            None,
        )
        template = f"//{{{kind.name}|UNKNOWN}}" if kind else ""
        if kind:
            self.decide(f"is {kind.name} known on arrival? Else take it out of the code")
        begin, end, why = _at(admitted), _at(discharged), "staff wrote it then"
        self.fact(table, f"HOSPITAL_ADMISSION{template}", begin, "at admission", why)
        self.fact(table, "HOSPITAL_DISCHARGE", end, "at discharge", why)
        if ended is None:
            self.decide("no column records deaths in the stay: are those of patients enough?")
            return
        self._outcome(table, ended, end)

    def _outcome(self, table: InspectedTable, ended: InspectedColumn, end: str) -> None:
        if ended.kind is Kind.TIME:
            died = f"{ended.name} is not None"
        else:
            values = ended.values or ("0", "1")
            # Without a word for death, the last value in order is proposed: 1 of 0 and 1.
            value = next((v for v in values if _DIED.fullmatch(v)), values[-1])
            died = f"{ended.name} == {value if ended.kind is Kind.INTEGER else repr(value)}"
        self.decide(f"does this record a death in the stay ({ended.describe()})?")
        why = "a label, never an input"
        self.fact(table, "HOSPITAL_OUTCOME//expired", end, "at discharge", why, where=died)
        alive = f"{ended.name} is None" if ended.kind is Kind.TIME else died.replace("==", "!=")
        self.fact(table, "HOSPITAL_OUTCOME//alive", end, "at discharge", why, where=alive)

    def _facts_of_events(self, table: InspectedTable) -> None:
        used = {self.person, self.stay, *(c.name for c in table.columns if c.unique)}
        times = [c for c in table.columns if c.kind is Kind.TIME]
        measured = [c for c in table.columns if c.kind is Kind.NUMBER or c.cells]
        likely = (c for c in measured if _WORDS["value"].search(c.name))
        value = next(likely, measured[0] if measured else None)
        used |= {value.name} if value else set()
        code = _column(table, "code", but={*used, *(c.name for c in times)})
        unit = _column(table, "unit", Kind.TEXT)
        if code is None:
            self.decide(f"{table.name} has no column like a code: write its facts, or delete it")
            return
        if value and value.cells:
            rest = " and ".join(f"{n:,} {what}" for what, n, _ in value.cells[1:])
            self.decide(
                f"{value.name} holds {rest} besides numbers, whose events get no value: is that "
                "right? docs/tables.md reads them"
            )
        # Codes of ICD are mostly assigned for the bill, after the discharge.
        billed = _ICD in code.name or _ICD in table.name
        family, name = ("ICD10CM", "undotted") if billed else (table.name.upper(), code.name)
        if billed:
            self.lines += [
                f"[tables.{_key(table.name)}.derived]",
                "# Codes of ICD are written without their dot.",
                f"undotted = \"without({code.name}, '.')\"",
                "",
            ]
            self.decide("which version of ICD is it: ICD9CM, ICD10CM?")
        template = f"{family}//{{{name}}}"
        if unit is not None and unit is not code:
            template += f"//{{{unit.name}|UNKNOWN}}"
        if times and not billed:
            time, when, why = self._available(times, measured=value is not None)
            self.fact(table, template, time, when, why, value=value)
            return
        self.decide("when was such a row known? What is coded for the bill is known at discharge")
        why = "" if billed else "its table has no time column"
        end = "discharge" if self.stays else ""
        self.fact(table, template, end, "at discharge", why, value=value)

    def _available(
        self, times: Sequence[InspectedColumn], *, measured: bool
    ) -> tuple[str, str, str]:
        """Propose the time at which a row was known, in words too, with the reason; mark it."""
        if len(times) == 1:
            (at,) = times
            ask = f"could this be read at {at.name}, or later? State when and why"
            if measured and not READ_TIMES.search(at.name):
                ask = (
                    f"is {at.name} the time of the report, or of the sample? A result is known "
                    f"when it is reported: add the usual delay, as {at.name} + hours(2)"
                )
            self.decide(ask)
            return _at(at), f"at {at.name}", "the only time of its table"
        # Nothing of a row is known before all of it was written: the last of its times is safe.
        names = " or ".join(c.name for c in times)
        self.decide(f"could this be read at {names}, or later? State which, and why")
        later = "({0}) if {1} is None or ({0}) > {1} else {1}"
        time = reduce(later.format, map(_at, times))
        return time, f"at the last of {names}", "the last time of a row"

    def _timed(self, table: InspectedTable, role: str) -> InspectedColumn | None:
        """Return the time whose name suggests a role; mark the decision if there are several."""
        times = [c for c in table.columns if c.kind is Kind.TIME and _WORDS[role].search(c.name)]
        if len(times) > 1:
            names = " or ".join(c.name for c in times)
            self.decide(f"which is the time of '{role}': {names}? {times[0].name} comes first")
        return times[0] if times else None

    def decide(self, question: str, line: str = "") -> None:
        self.lines += [f"# {DECIDE}: {question}", *([f"# {line}"] if line else [])]

    def fact(
        self,
        table: InspectedTable,
        code: str,
        time: str | None,
        when: str,
        why: str,
        *,
        value: InspectedColumn | None = None,
        where: str = "",
    ) -> None:
        keys = {
            "code": code,
            "time": time,
            "known": when,
            "why": why,
            "value": value.number if value else "",
            "where": where,
        }
        self.lines.append(f"[[tables.{_key(table.name)}.facts]]")
        self.lines += [f"{key} = {_quoted(text)}" for key, text in keys.items() if text]
        self.lines.append("")


def _column(
    table: InspectedTable, role: str, kind: Kind | None = None, but: Iterable[str] = ()
) -> InspectedColumn | None:
    """Return the first column whose name suggests a role."""
    likely = (c for c in table.columns if _WORDS[role].search(c.name) and c.name not in but)
    return next((column for column in likely if kind in {None, column.kind}), None)


def _at(column: InspectedColumn) -> str:
    """Return the column, or the end of its day where it has no time of day."""
    return f"end_of_day({column.name})" if column.dates else column.name


def _quoted(text: str) -> str:
    return tomlkit.item(text).as_string()


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)
