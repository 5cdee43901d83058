"""PhysioNet 2012: descriptors, days without a time of day, and sets as folder or archive."""

import shutil
import tarfile
import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from sequela.datasets.catalog import EXCERPTS
from sequela.errors import DataError, DataNotFoundError, SequelaError, SettingError
from sequela.tables.hospitals import build
from sequela.tables.sources.physionet2012 import read

ORIGIN = datetime(2000, 1, 1)


def test_descriptors_and_measurements(physionet2012: Path, made: Any) -> None:
    built = made("physionet2012", physionet2012)
    mine = [row for row in built.rows if row["subject_id"] == 132539]
    assert [(r["code"], r["time"], r["numeric_value"]) for r in mine] == [
        ("GENDER//F", None, None),
        ("AGE", ORIGIN, 54.0),
        ("HOSPITAL_ADMISSION//ICU", ORIGIN, None),
        ("ICU_ADMISSION//surgical", ORIGIN, None),
        ("CHART//GCS", datetime(2000, 1, 1, 0, 7), 15.0),
        ("SCORE//SAPS-I", datetime(2000, 1, 2), 6.0),
        ("SCORE//SOFA", datetime(2000, 1, 2), 1.0),
        ("CHART//HR", datetime(2000, 1, 2, 23, 37), 73.5),
        ("FOLLOW_UP_END", datetime(2000, 1, 6, 23, 59, 59), None),
        ("HOSPITAL_DISCHARGE//UNKNOWN", datetime(2000, 1, 6, 23, 59, 59), None),
        ("HOSPITAL_OUTCOME//alive", datetime(2000, 1, 6, 23, 59, 59), None),
    ]
    assert {row["visit_id"] for row in mine} == {132539}
    aside = built.table("records").set_aside
    assert aside == {"-1: the descriptor was not recorded": 4}
    # The other's length of stay is missing.
    assert built.times("HOSPITAL_OUTCOME//expired") == [datetime(2000, 1, 3, 23, 59, 59)]
    assert built.times("MEDS_DEATH") == [datetime(2000, 1, 11, 23, 59, 59)]
    assert "GENDER//M" in built.codes()


@pytest.mark.parametrize("days", [0, 1])
def test_who_died_was_alive_for_the_two_days_that_every_stay_lasted(
    days: int, physionet2012: Path, made: Any
) -> None:
    """``Survival`` counts midnights: 1 is a death up to the end of the third day."""
    path = physionet2012 / "Outcomes-a.txt"
    path.write_text(path.read_text().replace("-1,9,1", f"-1,{days},1"))
    built = made("physionet2012", physionet2012)
    assert built.times("MEDS_DEATH") == [datetime(2000, 1, 3, 23, 59, 59)]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives_give_the_same(kind: str, physionet2012: Path, made: Any) -> None:
    folder = made("physionet2012", physionet2012)
    files = sorted((physionet2012 / "set-a").iterdir())
    path = physionet2012 / f"set-a.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in files:
                archive.write(file, f"set-a/{file.name}")
    else:
        with tarfile.open(path, "w:gz") as tar:
            for file in files:
                tar.add(file, f"set-a/{file.name}")
    shutil.rmtree(physionet2012 / "set-a")
    assert made("physionet2012", physionet2012, out="again").rows == folder.rows


def test_sets_are_read_together_or_alone(physionet2012: Path, tmp_path: Path) -> None:
    shutil.copytree(physionet2012 / "set-a", physionet2012 / "set-b")
    for file in (physionet2012 / "set-b").iterdir():
        other = f"2{file.stem[1:]}"
        text = file.read_text().replace(file.stem, other)
        file.with_name(f"{other}.txt").write_text(text)
        file.unlink()
    outcomes = (physionet2012 / "Outcomes-a.txt").read_text()
    (physionet2012 / "Outcomes-b.txt").write_text(outcomes.replace("\n1", "\n2"))
    counts = [
        build(
            "physionet2012", tmp_path / f"of-{name}", root=physionet2012, sets=list(name)
        ).subjects
        for name in ("a", "ba", "")
    ]
    assert counts == [2, 4, 4]
    for sets, message in (("c", "no Outcomes-c.txt"), ("x", "unknown set of PhysioNet 2012 'x'")):
        with pytest.raises(SequelaError, match=message):
            build("physionet2012", tmp_path / "none", root=physionet2012, sets=[sets])
    with pytest.raises(SettingError, match="--sets is for physionet2012: leave it out for mimic3"):
        build("mimic3", tmp_path / "none", root=physionet2012, sets=["a"])
    with pytest.raises(DataNotFoundError, match="holds set a alone: name the folder of set-b"):
        build(
            "physionet2012", tmp_path / "none", root=EXCERPTS / "physionet2012.parquet", sets=["b"]
        )


def test_a_record_without_outcome_and_the_other_way(physionet2012: Path, made: Any) -> None:
    with (physionet2012 / "Outcomes-a.txt").open("a") as file:
        file.write("7,1,1,5,-1,0\n")
    built = made("physionet2012", physionet2012)
    assert built.table("outcomes").set_aside == {"its record is not in the set": 1}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("HR,73.5", "HR,fast"), "132539.txt, line 9: found a line of the form '99:99,aa,aaaa'"),
        (("HR,73.5", "HR"), "132539.txt, line 9: found a line of the form '99:99,aa'; expected"),
        (
            ("Parameter", "Name"),
            "line 1: found a line of the form 'aaaa,aaaa,aaaaa'; expected",
        ),
        (("47:37", "4737"), "line 9: found a line of the form '9999,aa,99.9'"),
        (("47:37", "48:37"), "line 9: found a line of the form '99:99,aa,99.9'"),
        (("HR,73.5", "HR,0x10"), "line 9: found a line of the form '99:99,aa,9a99'"),
        (("HR,73.5", "HR,-5"), "a Value that its Parameter cannot have in 1 of"),
        (("Gender,0", "Gender,0.5"), "a Value that its Parameter cannot have in 1 of"),
        (("HR,73.5", "Temp,61"), "a Value that its Parameter cannot have in 1 of"),
        (("HR,73.5", "HX,73"), "a Parameter that the challenge does not have in 1 of"),
        (("RecordID,132539", "RecordID,132540"), "132539.txt, line 2: expected its RecordID"),
        (("HR,73.5", "RecordID,132540"), "a Value that its Parameter cannot have in 1 of"),
        (("Time,Parameter", "Parameter,Time"), "line 1: found a line of the form"),
    ],
)
def test_bad_records(change: tuple[str, str], said: str, physionet2012: Path, made: Any) -> None:
    path = physionet2012 / "set-a" / "132539.txt"
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(DataError) as raised:
        made("physionet2012", physionet2012)
    assert said in str(raised.value)


def test_blank_parameters_and_unknown_pressures_are_counted(physionet2012: Path, made: Any) -> None:
    """As 2,403 and 224 rows of set c are; its outcomes are in a folder of their own."""
    (physionet2012 / "set-a").rename(physionet2012 / "set-c")
    (physionet2012 / "outcomes").mkdir()
    outcomes = physionet2012 / "Outcomes-a.txt"
    outcomes.rename(physionet2012 / "outcomes" / "outcomes-c.txt")
    path = physionet2012 / "set-c" / "132539.txt"
    with path.open("a") as file:
        file.write("47:38,,-5\n47:38,MAP,-1\n47:39,MAP,70\n")
    built = made("physionet2012", physionet2012)
    assert built.table("records").set_aside == {
        "-1: the descriptor was not recorded": 4,
        "-1: the blood pressure was not recorded": 1,
        "blank Parameter": 1,
    }
    pressures = [row["numeric_value"] for row in built.rows if row["code"] == "CHART//MAP"]
    assert pressures == [70.0]


def test_an_outcome_that_is_neither(physionet2012: Path, made: Any) -> None:
    path = physionet2012 / "Outcomes-a.txt"
    published = path.read_text()
    first, row, *rows = published.splitlines()
    for number, wrong, words in ((-1, 7, "In-hospital_death neither 0"), (1, -2, "'saps_i' holds")):
        cells = row.split(",")
        cells[number] = str(wrong)
        path.write_text("\n".join([first, ",".join(cells), *rows, ""]))
        with pytest.raises(DataError, match=words):
            made("physionet2012", physionet2012)
    path.write_text(f"{first}\n")
    with pytest.raises(DataError, match=r"Outcomes-a.txt: found no row, expected one a stay"):
        dict(read(physionet2012))


def test_what_is_missing(physionet2012: Path, made: Any) -> None:
    (physionet2012 / "set-a.tar.gz").write_bytes(b"\x1f\x8b broken")
    shutil.rmtree(physionet2012 / "set-a")
    with pytest.raises(DataError, match=r"set-a.tar.gz is damaged"):
        made("physionet2012", physionet2012)
    (physionet2012 / "set-a.tar.gz").unlink()
    with pytest.raises(DataNotFoundError, match=r"nor as \.zip or \.tar\.gz"):
        made("physionet2012", physionet2012)
    (physionet2012 / "Outcomes-a.txt").unlink()
    with pytest.raises(DataNotFoundError, match="Outcomes-a"):
        made("physionet2012", physionet2012)


def test_another_parquet_file_is_refused(tmp_path: Path, made: Any) -> None:
    file = tmp_path / "other.parquet"
    for content in (pa.table({"recordid": [132539]}), None):
        if content is None:
            file.write_bytes(b"PAR1")
        else:
            parquet.write_table(content, file)
        with pytest.raises(DataError, match="is not the excerpt of PhysioNet 2012"):
            made("physionet2012", file)


def test_a_survival_that_cannot_be_is_not_known(physionet2012: Path, made: Any) -> None:
    """As one row of set-b has: the stay and its outcome are used all the same."""
    path = physionet2012 / "Outcomes-a.txt"
    path.write_text(path.read_text().replace("132539,6,1,5,-1,0", "132539,6,1,5,-23,0"))
    built = made("physionet2012", physionet2012)
    assert len(built.times("HOSPITAL_OUTCOME//alive")) == 1
    assert len(built.times("FOLLOW_UP_END")) == 1
    notes = {rule: n for table in built.account.tables for rule, n in table.notes.items()}
    assert notes["Survival is below -1, which cannot be: it is read as -1 (unknown)"] == 1
