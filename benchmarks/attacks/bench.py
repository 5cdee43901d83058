"""The bench: small copies of the data that ship with the package, on which attacks run."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from benchmarks.attacks.attack import Outcome
from numpy.typing import NDArray
from pyarrow import parquet

from sequela.audit.finding import Finding
from sequela.cohort.events import open_events
from sequela.cohort.selection import select_cohort
from sequela.cohort.stays import create_stays
from sequela.cohort.tasks import in_hospital
from sequela.config import CohortSettings, RunSettings
from sequela.datasets.catalog import EXCERPTS
from sequela.errors import SequelaError
from sequela.runs.audit import audit
from sequela.runs.data import Examples, load
from sequela.runs.signals import load as load_signals
from sequela.signals.bonn import N_TIMES, SETS, read
from sequela.tables.account import ACCOUNT
from sequela.tables.build import build
from sequela.tables.hospitals import source_of

Signals = Mapping[str, NDArray[np.float64]]

# The stay of each label, and the rank of the label in its class, from 0, in an arbitrary order.
ASKED = """
CREATE TABLE asked AS
SELECT
    l.subject_id, l.prediction_time, l.boolean_value AS died, s.visit_id, s.admitted,
    row_number() OVER (ORDER BY l.subject_id, l.prediction_time) AS n,
    (row_number() OVER (PARTITION BY l.boolean_value ORDER BY hash(s.visit_id)) - 1)
        / count(*) OVER (PARTITION BY l.boolean_value) AS share
FROM given AS l ASOF JOIN stays AS s
    ON s.subject_id = l.subject_id AND l.prediction_time >= s.admitted
"""
WRITE = """
COPY (SELECT * FROM planted ORDER BY subject_id, time, code)
TO '{path}' (FORMAT parquet)
"""


@dataclass(frozen=True)
class Bench:
    """The data that attacks are carried out on.

    Attributes:
        work: Folder for all intermediate files.
    """

    work: Path

    @cached_property
    def recordings(self) -> dict[str, NDArray[np.float64]]:
        """One recording of each session that ships with the package: id to samples in µV."""
        found = {each.session_id: each for each in read(EXCERPTS / "bonn.parquet")}
        return {each.recording_id: each.signal[0].astype(np.float64) for each in found.values()}

    @cached_property
    def clean_recordings(self) -> Examples:
        """The unchanged recordings, in parts."""
        return self.load_recordings(self.recordings, "clean")

    @cached_property
    def said_of_recordings(self) -> list[Finding]:
        """The findings of the audit on the unchanged recordings."""
        return audit(self.clean_recordings)

    def write_recordings(self, signals: Signals, name: str) -> Path:
        """Write the recordings to a file, in whole µV."""
        values = np.concatenate([np.round(signal) for signal in signals.values()])
        bounds = np.iinfo(np.int16)
        samples = pa.array(np.clip(values, bounds.min, bounds.max).astype(np.int16))
        path = self.work / "recordings" / f"{name}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = {
            "recording_id": pa.array([*signals]),
            "signal": pa.FixedSizeListArray.from_arrays(samples, N_TIMES),
        }
        parquet.write_table(pa.table(columns), path)
        return path

    def load_recordings(self, signals: Signals, name: str) -> Examples:
        """Load the recordings in the parts of a split, as a run reads them."""
        settings = RunSettings(model="majority-class", data="bonn")
        return load_signals(settings, self.write_recordings(signals, name), self.work)

    def pairs(self) -> list[tuple[str, str]]:
        """Return for each class the ids of a training recording and of a test recording."""
        data = self.clean_recordings
        train, held_out = (
            {id_[0]: id_ for id_ in np.unique(data.arrays.recording_id[data.rows(part)]).tolist()}
            for part in ("train", "held_out")
        )
        return [(train[letter], held_out[letter]) for letter in SETS]

    @cache  # noqa: B019 - there is one bench
    def events(self, data: str) -> Path:
        """Build the events of hospital tables, once."""
        out = self.work / "events" / data
        build(source_of(data), EXCERPTS / data, out)
        return out

    @cache  # noqa: B019 - there is one bench
    def labels(self, data: str) -> pa.Table:
        """Label the stays of hospital tables, once."""
        return select_cohort(open_events(self.events(data)), in_hospital()).labels

    def plant(self, data: str, name: str, statements: Sequence[str]) -> Path:
        """Copy the events, plant something, and return the MEDS data set.

        Args:
            data: Hospital tables.
            name: Name of the copy.
            statements: SQL on the table ``planted``, which holds the events. The tables ``stays``
                and ``asked`` are there too: ``asked`` lists the examples of the task
                ``in-hospital`` (subject, time, stay), whether the patient ``died``, and ``share``,
                from 0 to 1 in each class.
        """
        root = self.work / "planted" / name.replace("/", " ")
        (root / "data").mkdir(parents=True)
        events, labels = open_events(self.events(data)), self.labels(data)
        parquet.write_table(labels, root / "labels.parquet")
        with events.connect() as connection:
            create_stays(connection)
            connection.register("given", labels)
            connection.execute(ASKED)
            connection.execute("CREATE TABLE planted AS SELECT * FROM events")
            _run(connection, statements)
            connection.execute(WRITE.format(path=root / "data/0.parquet"))
        shutil.copy(events.root / ACCOUNT, root / ACCOUNT)
        return root

    def audit_events(self, root: Path, labels: Path | None = None) -> Outcome:
        """Audit a MEDS data set in a run of the task ``in-hospital`` that reads all codes."""
        return self.audit_tables("meds", root, labels)

    def audit_tables(self, data: str, root: Path, labels: Path | None = None) -> Outcome:
        """Audit hospital tables in such a run."""
        named = str(labels) if labels else None
        settings = RunSettings(
            model="prevalence",
            data=data,
            split="subject",
            cohort=CohortSettings(task="in-hospital", labels=named),
        )
        try:
            return said(audit(load(settings, root, root / "work")))
        except SequelaError as error:
            return Outcome("blocked", str(error))


def said(findings: Sequence[Finding], before: Sequence[Finding] = ()) -> Outcome:
    """Return the outcome of an attack from the findings on its data.

    Args:
        findings: Findings on the data.
        before: Findings on the same data with nothing planted. One of these counts again only if
            its number has grown.
    """
    known = {(each.check, each.where): _number(each) for each in before}
    new = [each for each in findings if _number(each) > known.get((each.check, each.where), -1)]
    checks = dict.fromkeys(f"{each.check} ({each.severity})" for each in new)
    return (
        Outcome("found", ", ".join(checks)) if checks else Outcome("missed", "nothing is reported")
    )


def _number(finding: Finding) -> int:
    """Return the number a finding's sentence begins with."""
    first = finding.what.split()[0]
    return int(first) if first.isdecimal() else 0


def _run(connection: duckdb.DuckDBPyConnection, statements: Sequence[str]) -> None:
    for statement in statements:
        connection.execute(statement)
