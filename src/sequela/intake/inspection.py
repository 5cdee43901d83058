"""Inspection of tables: the form of csv files; kinds of columns, ranges, keys."""

import codecs
import io
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

from sequela.errors import DataError, DataNotFoundError
from sequela.formats.csv_files import PLAIN, SEPARATORS, Date, Format, utf8, utf8_copy
from sequela.formats.opened import opened
from sequela.tables.declarations import Kind
from sequela.tables.engine import FORMS, usual_text
from sequela.tables.stored_tables import (
    connection_for,
    files_under,
    is_csv,
    parquet_files,
    quoted,
    sheets,
    text_of,
    work_of,
)

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Show = Callable[[str], None]
FormKeys: TypeAlias = dict[str, Any]  # of a :class:`Format`
_LISTED = 8  # largest number of different values that are listed
# The parts of column names whose numbers are text: 0042 is not 42.
_CODES = ("code", "icd", "ndc", "atc", "drg", "ops", "loinc", "zip")
_NUMBERS = (
    Format(),
    Format(decimal=","),
    Format(thousands=","),
    Format(decimal=",", thousands="."),
    Format(thousands="'"),
)
_TIMES = tuple(Format(date=date) for date in get_args(Date) if date != PLAIN.date)
_FORMS = (*_NUMBERS, *_TIMES)
_NUMBER = "[+-]?[0-9]+([.,][0-9]+)?"
# The cells of a column of measurements: what they are, and their form; the first that fits.
_SORTS = {
    "numbers": _NUMBER,
    "limits": f"[<>≤≥]=? ?{_NUMBER}.*",
    "numbers with a unit": f"{_NUMBER} ?[%A-Za-zµμ°].*",
    "words": ".*",
}
_MOST_NUMBERS = 0.5  # share of the cells of a column from which on the others are named
# Cells that are not words, and their form, of which the second part is alike in all cells.
_UNUSUAL = {
    "numbers with a unit": f"^{_NUMBER} ?([%A-Za-zµμ°].*)$",
    "dates with two digits of the year": "^([0-9]{1,2})([./-])[0-9]{1,2}[./-][0-9]{2}$",
}
_MOST_UNITS = 3  # different ones in a column of numbers with a unit
_MISSING = (-9, -99, -999, -9999, 999, 9999, 99999)  # numbers that often mean missing
_SAMPLE = 1 << 20  # bytes
_LARGE = 20e6  # bytes of a table from which on its progress is shown
_FIRST_TESTED = 100  # different values that are tested first
_TESTED = (Kind.INTEGER, Kind.TIME)  # kinds whose usual form is tested


@dataclass(frozen=True)
class InspectedColumn:
    """A column as inspected."""

    name: str  # in lower case
    kind: Kind
    rows: int
    filled: int  # rows in which it is not blank
    distinct: int
    least: str = ""  # empty for text columns
    most: str = ""
    dates: bool = False  # True if all its times are dates, or midnight
    values: tuple[str, ...] = ()  # the distinct ones, where these are few
    fits: tuple[Format, ...] = ()  # forms that fit all numbers with a mark, or all times
    cells: tuple[tuple[str, int, str], ...] = ()
    """Of numbers and other texts in one column: what they are, their count, the most frequent."""
    missing: int = 0  # blanks that are codes

    @property
    def number(self) -> str:
        """Its number, as an expression of a declaration."""
        mark = ", ','" if any(form.decimal == "," for form in self.fits) else ""
        return f"number_in({self.name}{mark})" if self.cells else self.name

    @property
    def unique(self) -> bool:
        """True if it may identify a row: a measurement does not, though no two be equal."""
        alike = self.rows == self.filled == self.distinct
        # Equal measurements are likely in larger tables, so a float does not identify a row.
        return alike and self.rows > 0 and self.kind is not Kind.NUMBER and not self.cells

    def describe(self) -> str:
        """Describe the column in one line."""
        count = self.rows - self.filled
        text = f"{self.distinct:,} value" if self.distinct == 1 else f"{self.distinct:,} values"
        if count:
            text += f", {count:,} blank ({count / self.rows:.0%})"
        if self.least:
            text += f", {self.least} to {self.most}"
        for sort, n, example in self.cells:
            text += f", {sort}: {n:,} ({example})"
        if self.values and not self.least and not self.cells:
            text += f": {', '.join(self.values)}"
        return text


@dataclass(frozen=True)
class InspectedTable:
    """A table as inspected."""

    name: str
    columns: tuple[InspectedColumn, ...]
    rows: int
    form: FormKeys = field(default_factory=dict)  # what its CSV file shows; empty for others
    doubts: tuple[str, ...] = ()  # what a person must decide about it

    def named(self, name: str) -> InspectedColumn | None:
        """Return the column with a name."""
        return next((column for column in self.columns if column.name == name), None)


def inspect(
    root: Path, show: Show = lambda _: None, missing: Sequence[str] = (), sheet: str = ""
) -> list[InspectedTable]:
    """Inspect the tables of a folder or file, or a ``sheet``; ``missing`` are codes of blanks."""
    files = [root] if root.is_file() else files_under(root)
    csv = {re.sub(r"\.csv(\.gz|\.zip)?$", "", p.name.lower()): [p] for p in files if is_csv(p)}
    tables = {
        **sheets(files, sheet),
        **parquet_files(files, root if root.is_dir() else root.parent),
        **csv,
    }
    if not tables:
        raise DataNotFoundError(
            f"{root}: no table there; expected files that end in .csv, .csv.gz, .csv.zip, .parquet "
            "or .xlsx; rename a file of text, such as .txt or .tsv, to .csv"
        )
    with connection_for(root) as connection:
        return [_inspect(*table, connection, show, [*missing]) for table in sorted(tables.items())]


def _inspect(
    name: str, paths: list[Path], connection: "DuckDBPyConnection", show: Show, missing: list[str]
) -> InspectedTable:
    large = sum(path.stat().st_size for path in paths if path.exists()) > _LARGE
    if large:
        show(f"{name}: reading")
    csv = is_csv(paths[0])
    form, doubts = _sniffed(paths[0], connection) if csv else ({}, [])
    relation, names = text_of(paths, connection, Format(**form))
    view = f"table {name}"
    relation.create(view)
    rows = int(connection.table(f'"{view}"').count("*").fetchall()[0][0])
    columns = []
    for number, column in enumerate(names, start=1):
        if large:
            show(f"{name}: {rows:,} rows, column {number} of {len(names)}")
        blanks = blanked(connection, view, column, missing) if missing else 0
        columns.append(replace(_column(column, view, rows, connection), missing=blanks))
        if missing:
            doubts += _questions(columns[-1], connection)
    if csv:
        _add_numbers(form, columns, doubts)
    _add_dates(form, columns, doubts)
    connection.execute(f'DROP TABLE "{view}"')
    return InspectedTable(name, tuple(columns), rows, form, tuple(doubts))


def encoding_of(path: Path) -> tuple[FormKeys, list[str]]:
    """Find the encoding of a CSV file, and what a person must decide about it."""
    encoding, letters = _encoding(path)
    form: FormKeys = {} if encoding == "ascii" else {"encoding": encoding}
    doubts: list[str] = []
    if not encoding.startswith(("ascii", "utf")):
        doubts.append(
            f"it is not UTF-8. Read as {encoding}, its letters beyond ASCII are "
            f"{' '.join(sorted(letters))}: are these right? Else name its encoding under [format], "
            "such as cp850 or cp1250"
        )
    return form, doubts


def _sniffed(path: Path, connection: "DuckDBPyConnection") -> tuple[FormKeys, list[str]]:
    """Find the encoding, the separator and the quotation mark of a CSV file."""
    form, doubts = encoding_of(path)
    with utf8(path, "a table", Format(**form)) as stream:
        first = stream.readline().decode("utf-8-sig", "replace")
    place = utf8_copy(path, Format(**form), work_of(connection))
    import duckdb

    query = "SELECT Delimiter, Quote, SkipRows FROM sniff_csv(?, all_varchar = true)"
    frequent = max(SEPARATORS, key=first.count)
    try:
        separator, quote, skipped = connection.execute(query, [str(place)]).fetchall()[0]
        if separator == "," not in first and frequent in first:  # a decimal comma
            query, values = query.replace("true", "true, delim = ?"), [str(place), frequent]
            separator, quote, skipped = connection.execute(query, values).fetchall()[0]
    except duckdb.Error:
        raise DataError(
            f"{path}: its lines are not rows of one table; expected the names of the columns in "
            "line 1, and as many cells in each line below: delete other lines, or save it as csv"
        ) from None
    if skipped:
        raise DataError(
            f"{path}: the first {skipped} lines have other columns than the lines below them; "
            "expected the names of the columns in line 1: delete the lines above them"
        )
    if separator in first:
        form["separator"] = separator
    if quote in {"'", '"'}:
        form["quote"] = quote
    return form, doubts


def _encoding(path: Path) -> tuple[str, set[str]]:
    """Return the encoding of a file, and its letters beyond ASCII."""
    with opened(path, "a table") as stream:
        marked = stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    # From narrow to wide: each ASCII file is UTF-8 too, and Latin-1 decodes any bytes.
    for name in ("utf-16",) if marked else ("ascii", "utf-8", "latin-1", "cp1252", "cp850"):
        letters: set[str] = set()
        with (
            suppress(UnicodeError),
            opened(path, "a table") as stream,
            io.TextIOWrapper(stream, name, newline="") as text,
        ):
            while chunk := text.read(_SAMPLE):
                letters |= set() if chunk.isascii() else set(re.findall(r"[^\x00-\x7f]", chunk))
            if name == "latin-1":
                _check_one_encoding(path)
            if name != "latin-1" or min(letters) >= "\xa0":  # below, Latin-1 has no letters
                return name, letters
    raise DataError(
        f"{path}: not text in UTF-16, whose mark it begins with; save it again as UTF-8"
    )


def _check_one_encoding(path: Path) -> None:
    """Refuse a file with lines of letters beyond ASCII in UTF-8, and lines that are not UTF-8."""
    broken, in_utf8 = list[int](), 0
    with opened(path, "a table") as stream:
        for number, line in enumerate(stream, start=1):
            text = line.decode("utf-8", "replace")
            if "\ufffd" in text:
                broken.append(number)
            else:
                in_utf8 += not text.isascii()
    if in_utf8:
        raise DataError(
            f"{path}, line {broken[0]}: not UTF-8 (such lines: {len(broken):,}); other lines are "
            f"UTF-8 beyond ASCII: {in_utf8:,}; expected one encoding: save the file as UTF-8"
        )


def _add_numbers(form: FormKeys, columns: Sequence[InspectedColumn], doubts: list[str]) -> None:
    """Add to a form the decimal mark and the sign between thousands that fit its columns."""
    # 1,234 has a decimal comma or a comma between thousands: all columns decide that together.
    marked = [c for c in columns if c.fits and c.kind is not Kind.TIME]
    possible = [f for f in _NUMBERS if all(_fits(c, f) for c in marked)]
    # A sign between thousands is assumed only where no form without it fits all columns.
    simple = [f for f in possible if not (f.thousands and Format(decimal=f.decimal) in possible)]
    names = ", ".join(c.name for c in marked)
    if not marked:
        return
    likely = simple[0] if simple else PLAIN
    if not simple:
        doubts.append(
            f"{names} have several decimal marks: declare one, and the columns with another one as "
            "text, which number_in reads"
        )
    elif len(simple) > 1:
        doubts.append(
            f"is the mark in the numbers of {names} a decimal mark? Then decimal = "
            f"{likely.decimal!r}. Else it is between thousands: decimal = {simple[1].decimal!r} "
            f"and thousands = {simple[1].thousands!r}"
        )
    elif likely.thousands and not any(all(f.thousands for f in c.fits) for c in marked):
        doubts.append(
            f"is {likely.thousands!r} between thousands in some numbers of {names}? Then thousands "
            f"= {likely.thousands!r}"
        )
    form |= {"decimal": likely.decimal, "thousands": likely.thousands}


def _fits(column: InspectedColumn, form: Format) -> bool:
    return form in column.fits or Format(decimal=form.decimal) in column.fits


def _add_dates(form: FormKeys, columns: Sequence[InspectedColumn], doubts: list[str]) -> None:
    """Add to a form the order of day, month and year that fits its columns."""
    dated = [c for c in columns if c.fits and c.kind is Kind.TIME]
    possible = [time for time in _TIMES if all(time in c.fits for c in dated)]
    names = ", ".join(c.name for c in dated)
    if not dated:
        return
    form["date"] = possible[0].date if possible else dated[0].fits[0].date
    if not possible:
        doubts.append(
            f"{names} have several forms of dates: declare one, and the columns with another one "
            "as text, which time_in reads"
        )
    elif len(possible) > 1:
        first, second = possible[:2]
        doubts.append(
            f'is the day first in {names}? Then date = "{first.date}". Else date = "{second.date}"'
        )
    elif unclear := ", ".join(c.name for c in dated if len(c.fits) > 1):
        doubts.append(f"is the date {form['date']} in {unclear}, as in other columns?")


def _column(name: str, view: str, rows: int, connection: "DuckDBPyConnection") -> InspectedColumn:
    # The different values are tested, not the rows: a column of a million rows may have ten.
    text = f"nullif(trim(\"{name}\"), '')"
    grouped = (  # a column may be named v or n
        f'SELECT {text} AS v, count(*) AS n FROM "{view}" WHERE {text} IS NOT NULL GROUP BY ALL'  # noqa: S608
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE seen AS {grouped}")
    filled, distinct = connection.execute("SELECT sum(n), count(*) FROM seen").fetchall()[0]
    filled = int(filled or 0)
    holds = _holding(connection, distinct) if filled else set()
    fits = tuple(f for f in _NUMBERS if f in holds)
    coded = any(c in name for c in _CODES)
    kind = Kind.TEXT
    if Kind.TIME in holds:
        kind = Kind.TIME
    elif fits and "plain" in holds and not coded:
        kind = Kind.INTEGER if Kind.INTEGER in holds else Kind.NUMBER
    dated = tuple(f for f in _TIMES if f in holds)
    if kind is Kind.TEXT and dated:
        dates = "midnight" in holds
        return InspectedColumn(name, Kind.TIME, rows, filled, distinct, dates=dates, fits=dated)
    if kind is Kind.TEXT:
        listed = connection.execute("SELECT v FROM seen ORDER BY v LIMIT ?", [_LISTED]).fetchall()
        values = tuple(str(v) for (v,) in listed) if distinct < _LISTED else ()
        cells, fits = ((), ()) if coded or not filled else _cells(filled, connection)
        return InspectedColumn(
            name, kind, rows, filled, distinct, values=values, cells=cells, fits=fits
        )
    fits = () if "whole" in holds or kind is Kind.TIME else fits
    form = fits[0] if fits else PLAIN
    ordered = "v" if kind is Kind.TIME else f"{usual_text('v', kind, form)}::DOUBLE"
    span = f"SELECT min({ordered}), max({ordered}) FROM seen"  # noqa: S608
    least, most = connection.execute(span).fetchall()[0]
    if kind is Kind.TIME:
        # Only years: a proposal may be shared, and the dates of patients must not be.
        least, most = least[:4], most[:4]
    else:
        least, most = f"{least:g}", f"{most:g}"
    dates = kind is Kind.TIME and "midnight" in holds
    return InspectedColumn(name, kind, rows, filled, distinct, least, most, dates, fits=fits)


def blanked(connection: "DuckDBPyConnection", table: str, column: str, codes: list[str]) -> int:
    """Set the cells of a column that hold a code for missing to NULL, and return their number."""
    # A code such as -99 may be written as -99.0 by programs that made the column a float.
    cell = f"lower(regexp_replace(trim({quoted(column)}), '[.,]0+$', ''))"
    change = f"UPDATE {quoted(table)} SET {quoted(column)} = NULL WHERE list_contains(?, {cell})"  # noqa: S608
    return int(connection.execute(change, [codes]).fetchall()[0][0])


def _questions(column: InspectedColumn, connection: "DuckDBPyConnection") -> Iterator[str]:
    """Yield questions about numbers with a unit, and numbers that may be codes for missing."""
    name, most = column.name, _MOST_NUMBERS * column.filled
    words = column.kind is Kind.TEXT and column.distinct > _LISTED
    for what, pattern in _UNUSUAL.items() if words else ():
        sign = f"nullif(regexp_extract(v, '{pattern}', 2), '')"
        query = f"SELECT sum(n), count(DISTINCT {sign}) FROM seen WHERE {sign} IS NOT NULL"  # noqa: S608
        count, signs = connection.execute(query).fetchall()[0]
        if count and count > most and signs <= _MOST_UNITS:
            yield (
                f"are the words in '{name}' {what}? {count:,} of {column.filled:,} cells have this "
                f"form: expected numbers alone, and years of four digits; correct the cells, or "
                f"leave the column out by --omit {name}"
            )
    if column.kind not in {Kind.INTEGER, Kind.NUMBER}:
        return
    form = column.fits[0] if column.fits else PLAIN
    number = f"(SELECT {usual_text('v', column.kind, form)}::DOUBLE AS x, n FROM seen)"  # noqa: S608
    query = f"SELECT x, sum(n) FROM {number} WHERE x IN {_MISSING} GROUP BY x ORDER BY x"  # noqa: S608
    codes = connection.execute(query).fetchall()
    query = f"SELECT min(x), max(x) FROM {number} WHERE x NOT IN {_MISSING}"  # noqa: S608
    least, largest = connection.execute(query).fetchall()[0] if codes else (None, None)
    for code, count in codes:
        # A code for missing is far away: below all measurements, or above twice the largest.
        if least is not None and count > 1 and (code < 0 <= least or code > 2 * largest > 0):
            yield (
                f"is {code:g} in '{name}' a code for missing? {count:,} cells hold it, the others "
                f"are from {least:g} to {largest:g}: answer by --format missing={code:g}, or by "
                "--format missing= if it is a measurement"
            )


def _cells(
    filled: int, connection: "DuckDBPyConnection"
) -> tuple[tuple[tuple[str, int, str], ...], tuple[Format, ...]]:
    """Count the cells of a column of text by sort, if most are numbers, and find their form."""
    whens = " ".join(f"WHEN regexp_full_match(v, '{f}') THEN '{w}'" for w, f in _SORTS.items())
    query = (
        f"SELECT CASE {whens} END AS sort, sum(n)::BIGINT, arg_max(v, n), "  # noqa: S608
        "sum(n * contains(v, ',')::INT), sum(n * contains(v, '.')::INT) FROM seen GROUP BY ALL"
    )
    sorts = {sort: rest for sort, *rest in connection.execute(query).fetchall()}
    numbers = sorts.get("numbers")
    if numbers is None or not _MOST_NUMBERS * filled <= numbers[0] < filled:
        return (), ()
    cells = tuple((sort, sorts[sort][0], sorts[sort][1]) for sort in _SORTS if sort in sorts)
    _, _, commas, points = numbers
    return cells, (Format(decimal="," if commas > points else "."),) if commas or points else ()


def _holding(connection: "DuckDBPyConnection", distinct: int) -> set[Kind | str | Format]:
    """Return what holds for all values: kinds, forms, plain numbers, midnight."""
    full = "regexp_full_match({}, '{}')"
    tests: dict[Kind | str | Format, str] = {k: full.format("v", FORMS[k]) for k in _TESTED}
    tests["plain"] = "NOT regexp_full_match(v, '0[0-9]+')"
    tests["whole"] = "regexp_full_match(v, '[+-]?[0-9]+')"
    tests["midnight"] = "regexp_full_match(v, '[^ T]+([ T]00:00(:00([.]0+)?)?)?')"
    tests["begun"] = "regexp_matches(v, '^[+-]?[.,]?[0-9]')"  # as each number and time begins
    for form in _NUMBERS:
        tests[form] = full.format(usual_text("v", Kind.NUMBER, form), FORMS[Kind.NUMBER])
    for form in _TIMES:
        usual = usual_text("v", Kind.TIME, form)
        is_time = f" AND try_cast({usual} AS TIMESTAMP) IS NOT NULL"
        tests[form] = full.format(usual, FORMS[Kind.TIME]) + is_time
    # Most tests fail on a few values; forms cost most, and come last.
    few = [f"(FROM seen LIMIT {_FIRST_TESTED})"] if distinct > _FIRST_TESTED else []
    for values, are_forms in product([*few, "seen"], (False, True)):
        # Whole numbers fit each form of numbers and none of times; ISO times have one form.
        if are_forms and tests.keys() & {"whole", Kind.TIME}:
            continue
        names = [name for name in tests if isinstance(name, Format) == are_forms]
        columns = ", ".join(f"bool_and({tests[name]})" for name in names)
        results = connection.execute(f"SELECT {columns} FROM {values}").fetchall()[0]  # noqa: S608
        for name, holds in zip(names, results, strict=True):
            if not holds:
                del tests[name]
        if "begun" not in tests or (are_forms and not tests.keys() & {*_FORMS}):
            return set()
    return {*tests} - ({*_TIMES} if "whole" in tests else set())
