"""The log of a build: each row read became events or was set aside for a reason."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypedDict

from sequela.errors import DataError, SettingError, without_passwords
from sequela.formats.opened import content, json_value
from sequela.tables.published import NOT_STATED

ACCOUNT = "account.json"
LEAKS = "LEAKS: "  # the start of the name of a rule that dates rows before they were known
# The start of the name of a rule that counts rows with a later time that may be the right one.
EARLIER = "dated by the earlier of two times: "


@dataclass(frozen=True)
class TableAccount:
    """The counts of the rows of one table."""

    table: str
    place: str  # the file or database table it was read from
    rows: int
    used: int  # rows that gave at least one event
    set_aside: dict[str, int]  # reason to the number of rows that were set aside
    events: int  # number of events from the used rows (one row can give several)
    duplicates: int  # number of events equal to another in all columns, which are kept once
    notes: dict[str, int]  # rule to the number of rows that it changed
    proof: str = ""  # the state of the file's checksum; empty where it was not read from a file

    @property
    def kept(self) -> int:
        """The number of events of this table on disk."""
        return self.events - self.duplicates


@dataclass(frozen=True)
class Account:
    """The log of a build: everything read, kept and set aside."""

    source: str
    engine: str
    seed: int
    # Whether the order of one subject's stays is known; where it is not, a stay may be used only by
    # itself.
    stays_in_order: bool
    subjects: int  # subjects with at least one event
    events: int  # events on disk
    tables: tuple[TableAccount, ...]
    not_read: dict[str, str]  # tables that are present and were not read, with the reason
    # Whether each row carries the time it became available, in any family of codes.
    dated_by_row: bool = False
    leaks: str = ""  # how the data leak the outcome: version 0.2.0 could read tables so on purpose
    title: str = ""  # name of the data, where it differs from the catalogue's
    open: bool = False  # whether the tables are those of a release under an open licence

    def check(self) -> None:
        """Check the sums; an error is a bug, not a user's mistake."""
        for table in self.tables:
            # Each row is used, or set aside for one reason. A row in neither count was lost on the
            # way, a row in both was counted twice.
            if table.rows != table.used + sum(table.set_aside.values()):
                raise AssertionError(f"rows of {table.table} are unaccounted for: {table}")
        # The number of the table is part of an event's identity (``shards.distinct_rows``), so the
        # counts of the tables add up.
        if self.events != sum(table.kept for table in self.tables):
            raise AssertionError(f"events are unaccounted for: {self}")

    def write(self, path: Path) -> None:
        """Write the account as JSON."""
        # A place may be the address of a database, so the whole text is searched for passwords.
        path.write_text(without_passwords(json.dumps(asdict(self), indent=2)) + "\n")

    def lines(self) -> Iterable[str]:
        """Format the log, a line for each table and each reason."""
        for table in self.tables:
            yield (
                f"{table.table}: {table.rows:,} rows read, {table.used:,} used for "
                f"{table.kept:,} events, {table.rows - table.used:,} set aside"
            )
            for reason, rows in table.set_aside.items():
                yield f"  {rows:,} set aside: {reason}"
            if table.duplicates:
                yield f"  {table.duplicates:,} events equal to another, kept once"
            for rule, rows in table.notes.items():
                yield f"  {rows:,} rows: {rule}"
        for name, reason in self.not_read.items():
            yield f"{name}: not read ({reason})"
        # Tables with one state share a line: in most releases all files have the same state.
        proofs = dict.fromkeys(table.proof for table in self.tables if table.proof)
        if self.source == "tables":  # nobody publishes checksums of one's own tables
            proofs.pop(NOT_STATED, None)
        for proof in proofs:
            names = [table.table for table in self.tables if table.proof == proof]
            yield f"{len(names)} of {len(self.tables)} tables: {proof} ({', '.join(names)})"
        yield f"{self.events:,} events of {self.subjects:,} subjects"
        if self.leaks:
            yield f"LEAKS: {self.leaks}"


class TableRecord(TypedDict):
    """The part of a table's counts in a log that is read again."""

    table: str
    rows: int
    used: int
    notes: dict[str, int]


class AccountRecord(TypedDict, total=False):
    """The part of a log that is read again; logs of earlier versions lack some of it."""

    source: str
    subjects: int
    not_read: dict[str, str]
    stays_in_order: bool
    dated_by_row: bool
    leaks: str
    title: str
    open: bool
    tables: list[TableRecord]


def is_built(name: str, root: Path) -> bool:
    """Return whether a folder holds events that ``sequela build`` made of a data set."""
    if not (root / ACCOUNT).is_file():
        return False
    built_from = read_account(root).get("source", "another source")
    # "meds" reads any data set of the standard, whatever source it was built from.
    if name not in {"meds", built_from}:
        raise SettingError(
            f"{root} was built from {built_from}, but the data set asked for is {name}"
        )
    return True


def leaks_of(account: AccountRecord) -> str:
    """Return the leaks that the log of a data set declares, as version 0.2.0 could write one."""
    if not account.get("leaks"):
        return ""
    # The rule's name carries the mark: the log of version 0.2.0 has no other field for it.
    rules = (f"{table}: {rows:,} rows {rule}" for table, rule, rows in _rules(account, LEAKS))
    return ". ".join([str(account["leaks"]), *rules])


def earlier_of(account: AccountRecord) -> str:
    """Return the rows that were dated by the earlier of two times, in words."""
    rules = _rules(account, EARLIER)
    return "; ".join(f"{rows:,} rows of {table}: {rule}" for table, rule, rows in rules)


def _rules(account: AccountRecord, mark: str) -> Iterator[tuple[str, str, int]]:
    """Yield the table, the rule and the rows of each rule whose name begins with a mark."""
    for table in account.get("tables", ()):
        for rule, rows in table["notes"].items():
            if rule.startswith(mark):
                yield table["table"], rule.removeprefix(mark), rows


def read_account(root: Path) -> AccountRecord:
    """Read the log of a data set that this package built."""
    path = root / ACCOUNT
    try:
        # The spread raises a TypeError where the file holds JSON that is not an object.
        written: AccountRecord = json_value(
            content(path, "an account of a build", "build the data set again")
        )
        record: AccountRecord = {**written}
    except DataError:
        raise
    except (TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: damaged ({error}); build the data set again") from error
    return record
