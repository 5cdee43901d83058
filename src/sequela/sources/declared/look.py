"""Inspection of tables: kinds of columns, ranges, keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sequela.errors import DataError, DataNotFoundError, without_values
from sequela.files import temporary
from sequela.sources.declarations import Kind
from sequela.sources.declared.texts import text_of
from sequela.sources.engine import FORMS, connect_duckdb, csv_problem
from sequela.sources.stored_tables import parquet_files
from sequela.sources.tables import SUFFIXES, files_under

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_FEW = 8
"""The largest number of different values that are listed."""
_CODES = ("code", "icd", "ndc", "atc", "drg", "ops", "loinc", "zip")
"""The parts of column names whose numbers are text: 0042 is not 42."""
WRITTEN = tuple(
    f"{day}{clock}"
    for day in ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y")
    for clock in (" %H:%M:%S", " %H:%M", "")
)
"""The formats of times that are not ISO 8601; day first where both orders are possible."""
_KEPT = (Kind.INTEGER, Kind.NUMBER, Kind.TIME)


@dataclass(frozen=True)
class Column:
    """A column as inspected.

    Attributes:
        name: In lower case.
        kind: Kind of all its values.
        rows: Rows of the table.
        filled: Rows in which it is not blank.
        distinct: Number of different values.
        least: The smallest value, as text; empty for text columns.
        most: The largest one.
        dates: All its times are dates, or midnight.
        values: The different values, where there are few.
        forms: For times that are not in ISO 8601: the formats that fit all.
    """

    name: str
    kind: Kind
    rows: int
    filled: int
    distinct: int
    least: str = ""
    most: str = ""
    dates: bool = False
    values: tuple[str, ...] = ()
    forms: tuple[str, ...] = ()

    @property
    def moment(self) -> str:
        """Its time, as an expression of a declaration."""
        return f"time_in({self.name}, '{self.forms[0]}')" if self.forms else self.name

    @property
    def unique(self) -> bool:
        """True if it identifies a row."""
        return 0 < self.rows == self.filled == self.distinct

    def describe(self) -> str:
        """Describe the column in one line."""
        blank = f", {self.rows - self.filled:,} blank" * (self.filled < self.rows)
        span = f", {self.least} to {self.most}" * bool(self.least)
        listed = f": {', '.join(self.values)}" * bool(self.values and not self.least)
        return f"{self.distinct:,} value{'s' * (self.distinct != 1)}{blank}{span}{listed}"


@dataclass(frozen=True)
class Seen:
    """A table as inspected.

    Attributes:
        name: Name of its file, without ending.
        columns: In the file's order.
        rows: Number of rows.
    """

    name: str
    columns: tuple[Column, ...]
    rows: int

    def named(self, name: str) -> Column | None:
        """Return the column with a name."""
        return next((each for each in self.columns if each.name == name), None)


def look(root: Path) -> list[Seen]:
    """Inspect the tables of a folder.

    Raises:
        DataNotFoundError: If there is none.
        DataError: If a file cannot be read.
    """
    import duckdb

    files = files_under(root)
    tables = {
        path.name.lower().removesuffix(".gz").removesuffix(".csv"): [path]
        for path in files
        if path.name.lower().endswith(SUFFIXES)
    }
    tables = {**parquet_files(files, root), **tables}
    if not tables:
        raise DataNotFoundError(
            f"{root}: no table there; expected files that end in .csv, .csv.gz or .parquet"
        )
    with temporary() as work:
        connection = connect_duckdb(work)
        try:
            return [_seen(name, paths, connection) for name, paths in sorted(tables.items())]
        except duckdb.Error as error:
            words = csv_problem(str(error)) or f"{root}: {without_values(error)}"
            raise DataError(words) from None
        finally:
            connection.close()


def _seen(name: str, paths: Sequence[Path], connection: "DuckDBPyConnection") -> Seen:
    relation, names = text_of(paths, connection)
    view = f"table {name}"
    relation.create(view)
    rows = int(connection.table(f'"{view}"').count("*").fetchall()[0][0])
    columns = tuple(_column(each, view, rows, connection) for each in names)
    connection.execute(f'DROP TABLE "{view}"')
    return Seen(name, columns, rows)


def _column(name: str, view: str, rows: int, connection: "DuckDBPyConnection") -> Column:
    text = f"nullif(trim(\"{name}\"), '')"
    kinds = ", ".join(f"count_if(regexp_full_match({text}, '{FORMS[kind]}'))" for kind in _KEPT)
    zeros = f"count_if(regexp_full_match({text}, '0[0-9]+'))"
    midnight = f"count_if(regexp_full_match({text}, '.{{10}}([ T]00:00(:00([.]0+)?)?)?'))"
    query = (
        f'SELECT count({text}), count(DISTINCT {text}), {kinds}, {zeros}, {midnight} FROM "{view}"'  # noqa: S608
    )
    filled, distinct, whole, number, times, leading, dates = connection.execute(query).fetchall()[0]
    kind = Kind.TEXT
    if filled and times == filled:
        kind = Kind.TIME
    elif filled and number == filled and not leading and not any(c in name for c in _CODES):
        kind = Kind.INTEGER if whole == filled else Kind.NUMBER
    if kind is Kind.TEXT and filled and (forms := _forms(text, view, filled, connection)):
        dates = all("%H" not in form for form in forms)
        return Column(name, Kind.TIME, rows, filled, distinct, dates=dates, forms=forms)
    if kind is Kind.TEXT:
        listed = f'SELECT DISTINCT {text} AS v FROM "{view}" WHERE v IS NOT NULL ORDER BY v'  # noqa: S608
        values = connection.execute(listed).fetchmany(_FEW) if distinct < _FEW else []
        return Column(name, kind, rows, filled, distinct, values=_texts(values))
    ordered = text if kind is Kind.TIME else f"{text}::DOUBLE"
    span = f'SELECT min({ordered}), max({ordered}) FROM "{view}"'  # noqa: S608
    least, most = connection.execute(span).fetchall()[0]
    if kind is Kind.TIME:
        least, most = least[:4], most[:4]
    else:
        least, most = f"{least:g}", f"{most:g}"
    return Column(
        name, kind, rows, filled, distinct, least, most, kind is Kind.TIME and dates == filled
    )


def _forms(text: str, view: str, filled: int, connection: "DuckDBPyConnection") -> tuple[str, ...]:
    """Return the formats in which all values are times."""
    fits = ", ".join(f"count(try_strptime({text}, '{form}'))" for form in WRITTEN)
    counts = connection.execute(f'SELECT {fits} FROM "{view}"').fetchall()[0]  # noqa: S608
    return tuple(form for form, n in zip(WRITTEN, counts, strict=True) if n == filled)


def _texts(rows: Sequence[tuple[Any, ...]]) -> tuple[str, ...]:
    return tuple(str(row[0]) for row in rows)
