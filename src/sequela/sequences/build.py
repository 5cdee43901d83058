"""Sequences built from a cohort, in one pass over the events and in bounded memory."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

import sequela.cohort
import sequela.sequences
from sequela.cohort.events import create_table, one_row
from sequela.cohort.selection import Cohort
from sequela.cohort.split import PARTS
from sequela.config import SequenceSettings
from sequela.datasets import codes
from sequela.errors import DataError, DataNotFoundError, SplitError
from sequela.listeners import broadcast
from sequela.sequences.cut import cut
from sequela.sequences.flat import Sequences, open_sequences, writing_sequences
from sequela.sequences.vocabulary import UNKNOWN, Terms, Vocabulary, bin_name, known
from sequela.tables import meds_events
from sequela.tables.engine import MEMORY_LIMIT
from sequela.version import __version__

Connection = duckdb.DuckDBPyConnection
TRAIN = PARTS.index("train")
PIECE = 4_000_000  # codes and measurements that are in memory at once

VOCABULARY = """
SELECT p.item, count(DISTINCT a.subject_id) AS subjects
FROM present AS p JOIN steps AS s USING (step) JOIN asked AS a USING (example)
WHERE a.part = $train
GROUP BY p.item ORDER BY p.item
"""
# Codes measured in the training set are channels, if the vocabulary has them.
CHANNELS = """
SELECT v.term, count(DISTINCT a.subject_id) AS subjects
FROM visible AS v JOIN asked AS a USING (example)
WHERE a.part = $train AND v.value IS NOT NULL AND v.term IS NOT NULL
GROUP BY v.term ORDER BY v.term
"""
ITEMS = "SELECT DISTINCT item FROM present"
EDGES = "SELECT term, list(edge ORDER BY edge) AS ends FROM edges GROUP BY term"
SHARES = """
SELECT a.part, count(*), count(*) FILTER (w.place IS NULL)
FROM present AS p JOIN steps AS s USING (step) JOIN asked AS a USING (example)
LEFT JOIN words AS w ON w.item = p.item
GROUP BY a.part
"""
EXAMPLES = """
SELECT subject_id, prediction_time, label, part, age, followed FROM asked
WHERE example >= $first AND example < $end ORDER BY example
"""
STEPS = """
SELECT example, step_time, step FROM steps
WHERE example >= $first AND example < $end ORDER BY step
"""
CODES = """
SELECT p.step, coalesce(w.place, 0) AS code
FROM present AS p LEFT JOIN words AS w ON w.item = p.item
WHERE p.step >= $first AND p.step < $end
"""
VALUES = """
SELECT s.step, c.place AS channel, v.value
FROM visible AS v
JOIN steps AS s ON s.example = v.example AND s.kind = v.kind AND s.place = v.place
JOIN channels AS c ON c.term = v.term
WHERE v.value IS NOT NULL AND s.step >= $first AND s.step < $end
ORDER BY s.step, c.place, v.time, v.value
"""
LOAD = """
SELECT
    (SELECT count(*) FROM asked),
    (SELECT count(*) FROM present) + (SELECT count(value) FROM visible)
"""


def build_sequences(
    cohort: Cohort,
    part: NDArray[np.integer],
    folder: Path,
    settings: SequenceSettings | None = None,
    memory_limit: str = MEMORY_LIMIT,
    of_model: Vocabulary | None = None,
) -> Sequences:
    """Cut a cohort's events into sequences, or open those cut from the same inputs before.

    Args:
        cohort: Events, task and labels.
        part: (example,), for each row of ``cohort.labels`` an index into
            :data:`sequela.cohort.split.PARTS`. The vocabulary is learnt from the first part alone.
        folder: Folder of the arrays. If it holds sequences of the same events, labels, parts,
            settings and code they are opened; others are replaced.
        settings: Settings of steps and codes.
        memory_limit: Memory limit of DuckDB; larger data go to disk.
        of_model: Vocabulary of a trained model that will read the sequences: they use its codes,
            and nothing is learnt, so no training set is needed. A code that it lacks becomes its
            unknown code, and a measurement that it lacks is left out.

    Raises:
        SplitError: If a subject is in two parts, or the training set is empty.
    """
    settings = settings or SequenceSettings()
    parts = np.asarray(part, np.uint8)
    _check_parts(cohort, parts)
    if of_model is None and not (parts == TRAIN).any():
        raise SplitError(
            "the training set is empty, so there is no vocabulary to learn: give "
            "the split a training set"
        )
    digest = digest_of(cohort, parts, settings, of_model)
    with suppress(DataError, DataNotFoundError):  # there are none, or others
        return open_sequences(folder, digest=digest)
    with cohort.events.connect(memory_limit) as connection:
        terms = cut(connection, cohort, parts, TRAIN, settings, of_model)
        header = {
            "digest": digest,
            "version": __version__,
            "task": cohort.task.to_dict(),
            "settings": settings.model_dump(exclude_none=True),
            "parts": list(PARTS),
            **_vocabulary(connection, terms, settings, of_model),
        }
        with writing_sequences(folder, header) as writer:
            for piece in _pieces(connection):
                writer.append(**piece)
    return open_sequences(folder, digest=digest)


def digest_of(
    cohort: Cohort,
    part: NDArray[np.uint8],
    settings: SequenceSettings,
    of_model: Vocabulary | None = None,
) -> str:
    """Compute the SHA-256 of everything that determines the arrays, this program included."""
    decides = {
        "cohort": cohort.digest,
        "part": hashlib.sha256(part.tobytes()).hexdigest(),
        "settings": settings.model_dump(exclude_none=True),
        "of_model": of_model and of_model.to_dict(),
        "code": _code_digest(),
    }
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()


@cache
def _code_digest() -> str:
    """Compute the SHA-256 of the files that make cohorts and sequences, so that caches expire."""
    total = hashlib.sha256()
    rooms = [Path(str(room.__file__)).parent for room in (sequela.cohort, sequela.sequences)]
    paths = [*chain.from_iterable(sorted(room.glob("*.py")) for room in rooms)]
    paths += [Path(str(module.__file__)) for module in (codes, meds_events)]
    for path in paths:
        total.update(path.name.encode() + b"\0" + path.read_bytes())  # \0 ends the name: no two mix
    return total.hexdigest()


def _check_parts(cohort: Cohort, part: NDArray[np.uint8]) -> None:
    subject = cohort.subject_id
    if len(part) != len(subject):
        raise SplitError(f"the split is of {len(part)} examples, and the cohort has {len(subject)}")
    moved = np.flatnonzero((subject[1:] == subject[:-1]) & (part[1:] != part[:-1]))
    if len(moved):
        raise SplitError(
            f"one subject's examples are in two parts (found {len(moved):,} such); split by subject"
        )


def _vocabulary(
    connection: Connection, terms: Terms, settings: SequenceSettings, of_model: Vocabulary | None
) -> dict[str, object]:
    """Learn the known items and channels, and record the share of unknown ones in each part."""
    base = settings.bins + 1

    def name(item: int) -> str:
        term, quantile = divmod(item, base)
        return bin_name(terms.names[term], quantile) if quantile else terms.names[term]

    subjects: list[int] = []
    if of_model is None:
        of_model, subjects = _learn(connection, terms, name, settings)
    words = {code: place for place, code in enumerate(of_model.vocabulary) if place}
    items = connection.execute(ITEMS).fetchnumpy()["item"].tolist()
    _create_places(connection, "words", "item", {item: words.get(name(item)) for item in items})
    of_channel = {channel: place for place, channel in enumerate(of_model.channels)}
    measured = {number: of_channel.get(term) for number, term in enumerate(terms.names)}
    _create_places(connection, "channels", "term", measured)
    shares = {PARTS[p]: (n, lost) for p, n, lost in connection.execute(SHARES).fetchall()}
    (empty,) = one_row(connection, "SELECT count(*) FROM steps WHERE kind IS NULL")
    return {
        **of_model.to_dict(),
        "training_subjects": subjects,
        "unknown": {
            part: {"codes": n, "unknown": lost, "share": lost / n}
            for part, (n, lost) in sorted(shares.items())
        },
        "examples_without_events": empty,
    }


def _learn(
    connection: Connection, terms: Terms, name: Callable[[int], str], settings: SequenceSettings
) -> tuple[Vocabulary, list[int]]:
    """Learn the vocabulary of the training set, and count its subjects with each code."""

    def learnt(query: str, key: str, name_of: Callable[[int], str]) -> dict[int, tuple[str, int]]:
        """Return each known item or term, in vocabulary order: its name and its subjects."""
        columns = connection.execute(query, {"train": TRAIN}).fetchnumpy()
        keys, subjects = columns[key].tolist(), columns["subjects"]
        names = [*map(name_of, keys)]
        places = known(names, subjects, settings.min_subjects)
        return {keys[i]: (names[i], int(subjects[i])) for i in places}

    items = learnt(VOCABULARY, "item", name)
    channels = learnt(CHANNELS, "term", terms.names.__getitem__)
    ends = dict(connection.execute(EDGES).fetchall()) if settings.bins else {}
    vocabulary = Vocabulary(
        vocabulary=(UNKNOWN, *(word for word, _ in items.values())),
        channels=tuple(channel for channel, _ in channels.values()),
        edges=tuple(tuple(ends.get(term, ())) for term in channels),
    )
    return vocabulary, [0, *(subjects for _, subjects in items.values())]


def _create_places(
    connection: Connection, table: str, key: str, places: Mapping[int, int | None]
) -> None:
    """Create a table of the keys that have a place in the vocabulary."""
    placed = {number: place for number, place in places.items() if place is not None}
    columns = {key: np.array([*placed], np.int64), "place": np.array([*placed.values()], np.int64)}
    create_table(connection, table, columns)


def _pieces(connection: Connection) -> Iterator[dict[str, Any]]:
    """Yield the arrays of whole examples, in pieces that bound the memory."""
    examples, load = one_row(connection, LOAD)
    at_once = max(1, min(examples, PIECE * examples // max(load, 1)))  # by their average load
    for first in range(0, examples, at_once):
        end = min(first + at_once, examples)
        yield _piece(connection, {"first": first, "end": end})
        broadcast("on_rows", "writing codes and measurements", load * end // examples, load)


def _piece(connection: Connection, examples: dict[str, int]) -> dict[str, Any]:
    """Return the arrays of the examples from ``first`` up to ``end``."""
    columns = connection.execute(EXAMPLES, examples).fetchnumpy()
    columns["age"] = np.ma.filled(columns["age"], np.nan)  # DuckDB returns masked arrays
    columns["followed"] = np.ma.filled(columns["followed"], 0)
    steps = connection.execute(STEPS, examples).fetchnumpy()  # at least one of each example
    n, origin = len(steps["step"]), int(steps["step"][0])
    within = {"first": origin, "end": origin + n}
    of_step, codes = _distinct(connection.execute(CODES, within).fetchnumpy())
    values = connection.execute(VALUES, within).fetchnumpy()
    n_examples = examples["end"] - examples["first"]
    lengths = np.bincount(steps["example"] - examples["first"], minlength=n_examples)
    return {
        "examples": columns,
        "steps_per_example": lengths,
        "step_time": steps["step_time"],
        "codes_per_step": np.bincount(of_step - origin, minlength=n),
        "codes": codes,
        "values_per_step": np.bincount(values["step"] - origin, minlength=n),
        "channels": values["channel"],
        "values": values["value"],
    }


def _distinct(
    codes: Mapping[str, NDArray[np.integer]],
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the distinct pairs of ``step`` and ``code``, sorted; unknown codes are one."""
    base = int(codes["code"].max(initial=0)) + 1
    pairs = np.sort(codes["step"] * base + codes["code"])  # np.unique hashes, ten times slower
    step, code = np.divmod(pairs[np.diff(pairs, prepend=-1) > 0], base)
    return step, code.astype(np.int32)
