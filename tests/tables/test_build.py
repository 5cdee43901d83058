"""From declared tables to MEDS on disk: the standard, the account, and a slow plain reference."""

import json
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import meds.schema
import narwhals as nw
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sequela.tables import shards
from sequela.tables.account import Account, TableAccount
from sequela.tables.build import build
from sequela.tables.declarations import Fact, Kind, Source, Table


def sort_key(row: dict[str, Any]) -> tuple[Any, ...]:
    """Columns in the declared order; what is null comes first."""
    return tuple((value is not None, value or 0) for value in row.values())


@pytest.mark.parametrize("name", ["mimic3", "mimic4", "eicu"])
def test_it_is_valid_meds(name: str, unchanged: Any) -> None:
    built = unchanged(name)
    files = sorted((built.out / "data").rglob("*.parquet"))
    subjects: Counter[int] = Counter()
    for path in files:
        table = pq.read_table(path)
        meds.schema.DataSchema.validate(table)
        assert table.schema.field("time").type == pa.timestamp("us")
        assert table["subject_id"].null_count == table["code"].null_count == 0
        rows = table.to_pylist()
        assert rows == sorted(rows, key=lambda row: [sort_key(row)])
        assert len({tuple(row.values()) for row in rows}) == len(rows)
        subjects.update(set(table["subject_id"].to_pylist()))
    assert set(subjects.values()) == {1}, "a subject is in one shard"
    splits = pq.read_table(built.out / "metadata" / "subject_splits.parquet")
    meds.schema.SubjectSplitSchema.validate(splits)
    part = dict(zip(splits["subject_id"].to_pylist(), splits["split"].to_pylist(), strict=True))
    assert part.keys() == subjects.keys()
    for path in files:
        found = set(pq.read_table(path)["subject_id"].to_pylist())
        assert {part[subject] for subject in found} == {path.parent.name}
    codes = pq.read_table(built.out / "metadata" / "codes.parquet")
    meds.schema.CodeMetadataSchema.validate(codes)
    count = Counter(row["code"] for row in built.rows)
    assert dict(zip(codes["code"].to_pylist(), codes["events"].to_pylist(), strict=True)) == count
    described = json.loads((built.out / "metadata" / "dataset.json").read_text())
    meds.schema.DatasetMetadataSchema.validate(described)


def test_the_account_adds_up_to_the_files(unchanged: Any) -> None:
    built = unchanged("eicu")
    account = json.loads((built.out / "account.json").read_text())
    for table in account["tables"]:
        assert table["rows"] == table["used"] + sum(table["set_aside"].values())
    kept = sum(table["events"] - table["duplicates"] for table in account["tables"])
    assert account["events"] == kept == len(built.rows)
    assert account["subjects"] == len({row["subject_id"] for row in built.rows})


def test_an_account_that_does_not_add_up_is_a_bug() -> None:
    table = TableAccount("t", "t.csv", 3, 1, {"x": 1}, 1, 0, {})
    account = Account("s", "duckdb", 0, True, 1, 1, (table,), {})  # noqa: FBT003
    with pytest.raises(AssertionError, match="rows of t are unaccounted for"):
        account.check()
    table = TableAccount("t", "t.csv", 2, 1, {"x": 1}, 2, 0, {})
    with pytest.raises(AssertionError, match="events are unaccounted for"):
        Account("s", "duckdb", 0, True, 1, 1, (table,), {}).check()  # noqa: FBT003


def test_the_same_bytes_twice_and_the_same_rows_in_many_shards(
    mimic3: Any, write: Any, made: Any, unchanged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write(mimic3)
    first, second = unchanged("mimic3"), made("mimic3", root)
    files = [path.relative_to(first.out) for path in first.out.rglob("*") if path.is_file()]
    assert len(files) >= 5
    for path in files:
        assert (first.out / path).read_bytes() == (second.out / path).read_bytes()
    monkeypatch.setattr(shards, "BUCKET_EVENTS", 30)
    many = made("mimic3", root, out="many")
    few, more = (len(list((of.out / "data").rglob("*.parquet"))) for of in (first, many))
    assert few < more
    assert sorted(first.rows, key=sort_key) == sorted(many.rows, key=sort_key)


def test_only_some_tables(mimic3: Any, write: Any, made: Any) -> None:
    mimic3["CPTEVENTS"] = [{"subject_id": 1, "hadm_id": 11, "cpt_cd": "99254"}]
    root = write(mimic3)
    assert "CPT//99254" in made("mimic3", root).codes()
    some = made("mimic3", root, out="some", tables=["icustays"])
    assert "CPT//99254" not in some.codes()
    assert "ICU_ADMISSION//MICU" in some.codes()
    assert some.account.not_read == {
        "CPTEVENTS.csv": "not declared by this source, or not selected"
    }


# A slow plain reference for the engine's rows.

ORIGIN = datetime(2100, 1, 1)
ROW = st.fixed_dictionaries(
    {
        "subject_id": st.integers(1, 4),
        "day": st.one_of(st.none(), st.integers(-3, 3)),
        "code": st.one_of(st.none(), st.sampled_from(["", "x", "Y"])),
        "value": st.one_of(st.none(), st.sampled_from([-1.0, 0.5, 2.0])),
        "visit_id": st.one_of(st.none(), st.integers(1, 2)),
    }
)
DECLARED = Source(
    name="meds",
    reads=lambda root: iter([("rows", [root / "rows.parquet"])]),
    tables=(
        Table(
            "rows",
            {
                "subject_id": Kind.INTEGER,
                "day": Kind.INTEGER,
                "code": Kind.TEXT,
                "value": Kind.NUMBER,
                "visit_id": Kind.INTEGER,
            },
            (
                Fact("named", "A//{code}", "at", "", ""),
                Fact("valued", "B//{code|NONE}", "at", "", "", value="value",
                     where=nw.col("value") > 0),
                Fact("static", "C//{code}", None, "", "", where=nw.col("value") == 2),
            ),
            prepare=lambda frame, _: frame.with_columns(
                at=nw.lit(ORIGIN) + nw.col("day") * nw.lit(timedelta(days=1))
            ),
            aside={"negative": nw.col("value") < 0, "early": nw.col("day") < -2},
        ),
    ),
)  # fmt: skip


def reference(row: dict[str, Any]) -> tuple[str | None, list[tuple[Any, ...]]]:
    """Why a row is set aside, or the events it gives."""
    subject, day, value, visit = row["subject_id"], row["day"], row["value"], row["visit_id"]
    code = row["code"] or None
    if value is not None and value < 0:
        return "negative", []
    if day is not None and day < -2:
        return "early", []
    at = None if day is None else ORIGIN + timedelta(days=day)
    events: list[tuple[Any, ...]] = []
    if code and at:
        events.append((subject, at, f"A//{code}", None, visit))
    if value is not None and value > 0 and at:
        events.append((subject, at, f"B//{code or 'NONE'}", value, visit))
    if code and value == 2:
        events.append((subject, None, f"C//{code}", None, visit))
    return (None, events) if events else ("holds none of the declared facts", [])


@given(st.lists(ROW, min_size=20, max_size=60))
@example([{"subject_id": 1, "day": 0, "code": "x", "value": None, "visit_id": None}])
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_rows_against_a_plain_reference(rows: list[dict[str, Any]]) -> None:
    expected = [reference(row) for row in rows]
    made = [event for _, events in expected for event in events]
    if not made:
        return
    with TemporaryDirectory() as folder:
        root = Path(folder)
        schema = pa.schema(
            [("subject_id", pa.int64()), ("day", pa.int64()), ("code", pa.string()),
             ("value", pa.float64()), ("visit_id", pa.int64())]
        )  # fmt: skip
        pq.write_table(pa.Table.from_pylist(rows, schema), root / "rows.parquet")
        account = build(DECLARED, root, root / "out", allow_set_aside=["rows"])
        files = sorted((root / "out" / "data").rglob("*.parquet"))
        found = [tuple(row.values()) for file in files for row in pq.read_table(file).to_pylist()]
    assert Counter(found) == Counter(dict.fromkeys(made, 1))
    (table,) = account.tables
    assert table.set_aside == Counter(reason for reason, _ in expected if reason)
    assert (table.rows, table.events) == (len(rows), len(made))
    assert table.duplicates == len(made) - len(set(made))
