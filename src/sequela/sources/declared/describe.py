"""Declarations proposed from existing hospital tables."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import tomlkit

from sequela.errors import SettingError
from sequela.sources.catalog import lookup
from sequela.sources.declarations import Kind
from sequela.sources.declared.declaration import DECIDE
from sequela.sources.declared.look import Column, Seen, look
from sequela.sources.declared.source import place_of

_ID = r"(_?(id|nr|no|num|number|key))?"
_PERSON = re.compile(rf"(patient|subject|person|pat|client|mrn|pid){_ID}")
_STAY = re.compile(rf"(stay|visit|encounter|admission|adm|hadm|case|episode|hospital_stay){_ID}")
_WORDS: Mapping[str, re.Pattern[str]] = {
    role: re.compile(words)
    for role, words in {
        "birth": "birth|born|dob",
        "sex": "sex|gender",
        "death": "death|died|dod|dead|deceas|expire|outcome",
        "admitted": "admi|arriv|in_?time|start|begin",
        "discharged": "disch|left|leav|out_?time|end",
        "code": "code|icd|ndc|atc|ops|drg|item|test|name|drug|label|kind|type",
        "value": "value|result|amount|dose|number",
        "unit": "unit|uom",
        "read": "report|store|valid|sign|final|known",
    }.items()
}
_ICD = "icd"
_DIED = re.compile("died|dead|death|expire|deceas|1|yes|true", re.IGNORECASE)


def shown(name: str) -> str:
    """Return the declaration of a published data set.

    Raises:
        UnknownNameError: If there is no such data set.
        SettingError: If it is not declared in a file.
    """
    lookup(name)
    place = place_of(name)
    if not place.exists():
        raise SettingError(
            f"{name} is not declared in a file; expected one of {', '.join(declared_names())}, or "
            "the path of your own data: its facts and their times are listed in docs/sources.md"
        )
    return place.read_text(encoding="utf-8")


def declared_names() -> list[str]:
    """Return the published data sets that are declared in files."""
    return sorted(path.stem for path in place_of("any").parent.glob("*.toml"))


def propose(root: Path) -> str:
    """Propose a ``tables.toml`` for the tables of a folder.

    Open decisions are marked; a build refuses a declaration with marks.

    Raises:
        DataNotFoundError: If there is no table.
        DataError: If a file cannot be read.
    """
    return _Proposal(root, look(root)).text()


@dataclass
class _Proposal:
    root: Path
    tables: Sequence[Seen]
    lines: list[str] = field(default_factory=list)
    person: str = ""
    people: Seen | None = None
    stay: str = ""
    stays: Seen | None = None

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
        self._people()
        self._stays()
        roles = [table for table in (self.people, self.stays) if table is not None]
        for table in [*roles, *(each for each in self.tables if each not in roles)]:
            self._table(table)
        return "\n".join(self.lines).rstrip() + "\n"

    def _role(self, pattern: re.Pattern[str], words: Sequence[str]) -> tuple[str, Seen | None]:
        """Return the column of an id, and the table that has one row for each id."""
        found = [(t, c) for t in self.tables for c in t.columns if pattern.fullmatch(c.name)]
        alone = [(t, c) for t, c in found if c.unique]
        alone.sort(key=lambda each: -sum(bool(_column(each[0], word)) for word in words))
        if alone:
            return alone[0][1].name, alone[0][0]
        return (found[0][1].name if found else ""), None

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
        left = _column(self.stays, "discharged", Kind.TIME)
        self.lines += [
            "# One row a hospital stay. `gives`: what rows of other tables get from theirs.",
            "[stays]",
            f"table = {_quoted(self.stays.name)}",
            f"id = {_quoted(self.stay)}",
            f"subject = {_quoted(self.person)}",
            *([f"gives.discharge = {_quoted(_at(left))}"] if left else []),
            "",
        ]

    def _table(self, table: Seen) -> None:
        self.lines += [f"# {table.rows:,} rows", f"[tables.{_key(table.name)}]"]
        role = self.people is table or self.stays is table
        named = {self.person, self.stay}
        key = next((c.name for c in table.columns if c.unique and c.name not in named), None)
        if key and not role:
            self.lines.append(f"key = [{_quoted(key)}] # no two rows have one")
        if self.stays is not None and not role and not table.named(self.stay):
            self.lines.append("# Its rows name no stay.")
        if not role and self.person and not table.named(self.person) and not table.named(self.stay):
            self.decide("which column is the subject?", "subject = ")
        self.lines += ["", f"[tables.{_key(table.name)}.columns]"]
        for column in table.columns:
            kind = "text" if column.forms else column.kind.name.lower()
            form = f", a time as {column.forms[0]}" if column.forms else ""
            self.lines.append(f'{_key(column.name)} = "{kind}" # {column.describe()}{form}')
            if len(column.forms) > 1:
                self.decide(f"is the day first in {column.name}? Else it is {column.forms[1]}")
        self.lines.append("")
        if self.people is table:
            self._facts_of_people(table)
        if self.stays is table:
            self._facts_of_stays(table)
        if not role:
            self._facts_of_events(table)

    def _facts_of_people(self, table: Seen) -> None:
        if born := _column(table, "birth", Kind.TIME):
            self.fact(table, "MEDS_BIRTH", born.moment, "at birth", "dated then")
        if sex := _column(table, "sex"):
            code = f"GENDER//{{{sex.name}}}"
            self.fact(table, code, None, "", "assumed not to change")
        if died := _column(table, "death", Kind.TIME):
            why = "dated then. A label, never an input"
            self.fact(table, "MEDS_DEATH", _at(died), "at death", why)

    def _facts_of_stays(self, table: Seen) -> None:
        came = _column(table, "admitted", Kind.TIME)
        left = _column(table, "discharged", Kind.TIME)
        if came is None or left is None:
            self.decide("which columns hold the begin and end of a stay?")
            return
        used = {came.name, left.name, self.person, self.stay}
        ended = _column(table, "death", but=used)
        kind = next(
            (c for c in table.columns if c.kind is Kind.TEXT and c.name not in used and c != ended),
            None,
        )
        template = f"//{{{kind.name}|UNKNOWN}}" if kind else ""
        if kind:
            self.decide(f"is {kind.name} known on arrival? Else take it out of the code")
        self.fact(
            table, f"HOSPITAL_ADMISSION{template}", _at(came), "at admission", "staff wrote it then"
        )
        self.fact(table, "HOSPITAL_DISCHARGE", _at(left), "at discharge", "staff wrote it then")
        if ended is None:
            self.decide(
                "no column records deaths in the stay: without one, deaths of patients are used"
            )
            return
        self._outcome(table, ended, _at(left))

    def _outcome(self, table: Seen, ended: Column, left: str) -> None:
        """Write the facts about the end of a stay."""
        if ended.kind is Kind.TIME:
            died = f"{ended.name} is not None"
        else:
            values = ended.values or ("0", "1")
            value = next((v for v in values if _DIED.fullmatch(v)), values[-1])
            died = f"{ended.name} == {value if ended.kind is Kind.INTEGER else repr(value)}"
        self.decide(f"does this record a death in the stay ({ended.describe()})?")
        why = "a label, never an input"
        self.fact(table, "HOSPITAL_OUTCOME//expired", left, "at discharge", why, where=died)
        alive = f"{ended.name} is None" if ended.kind is Kind.TIME else died.replace("==", "!=")
        self.fact(table, "HOSPITAL_OUTCOME//alive", left, "at discharge", why, where=alive)

    def _facts_of_events(self, table: Seen) -> None:
        used = {self.person, self.stay, *(c.name for c in table.columns if c.unique)}
        times = [c for c in table.columns if c.kind is Kind.TIME]
        value = _column(table, "value", Kind.NUMBER, but=used) or next(
            (c for c in table.columns if c.kind is Kind.NUMBER and c.name not in used), None
        )
        used |= {value.name} if value else set()
        code = _column(table, "code", but={*used, *(c.name for c in times)})
        unit = _column(table, "unit", Kind.TEXT)
        if code is None:
            self.decide("no column looks like a code: write its facts, or delete the table")
            return
        billed = _ICD in code.name or _ICD in table.name
        prefix = "ICD10CM" if billed else table.name.upper()
        name = code.name
        if billed:
            self.lines += [
                f"[tables.{_key(table.name)}.derived]",
                "# Codes of ICD are written without their dot.",
                f"undotted = \"without({name}, '.')\"",
                "",
            ]
            name = "undotted"
            self.decide("which version of ICD is it: ICD9CM, ICD10CM?")
        template = f"{prefix}//{{{name}}}"
        if unit is not None and unit is not code:
            template += f"//{{{unit.name}|UNKNOWN}}"
        if times and not billed:
            at = _column(table, "read", Kind.TIME) or times[0]
            others = "".join(f" or {c.name}" for c in times if c is not at)
            self.decide(f"could this be read at {at.name}{others}, or later? State when and why")
            why = "staff wrote it down then"
            self.fact(table, template, _at(at), f"at {at.name}", why, value=value)
            return
        self.decide("when was such a row known? What is coded for the bill is known at discharge")
        why = "" if billed else "its table has no time column"
        time = "discharge" if self.stays else ""
        self.fact(table, template, time, "at discharge", why, value=value)

    def decide(self, asked: str, line: str = "") -> None:
        """Mark an open decision."""
        self.lines.append(f"# {DECIDE}: {asked}")
        if line:
            self.lines.append(f"# {line}")

    def fact(
        self,
        table: Seen,
        code: str,
        time: str | None,
        known: str,
        why: str,
        *,
        value: Column | None = None,
        where: str = "",
    ) -> None:
        """Write a fact."""
        said = {
            "code": code,
            "time": time,
            "known": known,
            "why": why,
            "value": value.name if value else "",
            "where": where,
        }
        self.lines.append(f"[[tables.{_key(table.name)}.facts]]")
        self.lines += [f"{key} = {_quoted(text)}" for key, text in said.items() if text]
        self.lines.append("")


def _column(
    table: Seen, role: str, kind: Kind | None = None, but: Iterable[str] = ()
) -> Column | None:
    """Return the first column whose name suggests a role."""
    return next(
        (
            column
            for column in table.columns
            if _WORDS[role].search(column.name)
            and kind in {None, column.kind}
            and column.name not in but
        ),
        None,
    )


def _at(column: Column) -> str:
    """Return the column, or the end of its day where it has no time of day."""
    return f"end_of_day({column.moment})" if column.dates else column.moment


def _quoted(text: str) -> str:
    return tomlkit.item(text).as_string()


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)
