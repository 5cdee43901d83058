"""``sequela data``: what it says, and that bad data are refused and left as they are."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.calls import Output, Refused, ran, status

from sequela.datasets.catalog import DATA_SETS, Recording
from sequela.signals.uci_seizure import recording_ids

Capture = pytest.CaptureFixture[str]
Check = Callable[..., list[str]]


@pytest.fixture
def no_good(refused: Refused) -> Check:
    """Return the parts that the refusal of data lacks, which writes nothing."""

    def files(folder: Path) -> dict[str, bytes]:
        return {str(each): each.read_bytes() for each in folder.rglob("*") if each.is_file()}

    def check(name: str, root: Path, *parts: str) -> list[str]:
        before = files(root.parent)
        line = refused("data", "check", name, "--root", root)
        assert files(root.parent) == before
        return [part for part in (str(root), *parts) if part not in line]

    return check


# What else can be wrong with the files is in tests/signals/test_bonn.py and test_uci_seizure.py.
def test_a_set_that_is_not_as_published(no_good: Check, bonn_folder: Path) -> None:
    (bonn_folder / "S/S001.txt").write_bytes(b"7\n" * 4096)
    parts = ("S/S001.txt ends at line 4096: expected 4,097 samples", "put the file as published")
    assert no_good("bonn", bonn_folder, *parts) == []


@pytest.mark.parametrize("name", ["bonn", "uci-seizure", "mimic3"])
def test_a_root_that_does_not_exist(no_good: Check, tmp_path: Path, name: str) -> None:
    assert no_good(name, tmp_path / "nowhere", "does not exist", "name another --root") == []


def test_a_csv_file_that_is_not_as_published(
    no_good: Check, tmp_path: Path, excerpt: dict[str, Recording], output_of: Output
) -> None:
    """The file of one recording, Z001, whose name is V1; then a label is wrong."""
    assert recording_ids()["V1"] == "Z001"
    samples = excerpt["Z001"].signal[0].astype(int).tolist()
    rows = [["Unnamed", *(f"X{sample}" for sample in range(1, 179)), "y"]]
    rows += [
        [f"X{chunk + 1}.V1", *map(str, samples[178 * chunk : 178 * (chunk + 1)]), "5"]
        for chunk in range(23)
    ]
    text = "".join(",".join(row) + "\n" for row in rows)
    file = tmp_path / "uci-seizure" / "seizure.csv"
    file.parent.mkdir()
    file.write_text(text)
    assert "23 of 178 samples" in output_of("data", "check", "uci-seizure", "--root", file.parent)
    file.write_text(text.replace(",5\n", ",7\n", 1))
    fault = f"{file} row 1: y is '7'; expected 5 for 'X1.V1'; use the file as published"
    assert no_good("uci-seizure", file.parent, fault) == []


def test_check_tells_what_there_is(no_data: Path, capsys: Capture) -> None:
    ran("data", "check", "bonn")
    out, error = capsys.readouterr()
    assert error == ""
    assert out.splitlines()[0] == "bonn: the excerpt that ships with sequela (all 500 recordings)"
    for text in (
        "recordings    500\n",
        "11,500 of 178 samples at 173.61 Hz\n",
        "  1,500 samples at the ends fill no whole window and are left out\n",
        "seizure       2,300 windows of 100 recordings, -1,885 to 2,047 µV\n",
        "eyes open     2,300 windows of 100 recordings, -288 to 294 µV\n",
    ):
        assert text in out


def test_check_refuses_recordings_that_are_the_same(bonn_folder: Path, capsys: Capture) -> None:
    shutil.copy(bonn_folder / "Z" / "Z001.txt", bonn_folder / "Z" / "Z009.txt")
    assert status("data", "check", "bonn", "--root", bonn_folder) == 2
    out, error = capsys.readouterr()
    assert "recordings    11\n" in out
    assert "recordings Z001 and Z009 have the same samples: expected each recording once" in error


def test_list_tells_all_in_80_columns(
    no_data: Path, output_of: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    out = output_of("data", "list")
    assert max(map(len, out.splitlines())) <= 80
    text = " ".join(out.split())
    for name, data_set in DATA_SETS.items():
        assert f"{name} {data_set.title}" in text
        assert data_set.licence in text
        assert data_set.size in text
        assert data_set.citation in text
    assert "here: the excerpt that ships with sequela (all 500 recordings)" in text
    command = f"`{sys.executable} -m pip install 'sequela[nafld]'`"  # wrapped where it is long
    assert "".join(command.split()) in "".join(out.split())


def test_list_as_json(no_data: Path, output_of: Output) -> None:
    listing = json.loads(output_of("data", "list", "--json"))
    assert list(listing) == list(DATA_SETS)
    assert listing["bonn"]["origin"] == "the excerpt that ships with sequela (all 500 recordings)"
    assert Path(listing["bonn"]["path"]).name == "bonn.parquet"
    assert (listing["meds"]["path"], listing["meds"]["origin"]) == (None, None)
    assert set(listing["meds"]) == {
        "title", "kind", "licence", "citation", "size", "homepage", "how_to_get", "path", "origin"
    }  # fmt: skip


@pytest.mark.parametrize("name", DATA_SETS)
def test_get_says_how_to_get_it(output_of: Output, no_data: Path, name: str) -> None:
    lines = output_of("data", "get", name).splitlines()
    assert lines[0] == f"{name}: {DATA_SETS[name].how_to_get}"
    located = DATA_SETS[name].find()
    assert lines[1:] == ([f"here: {located.origin}, {located.path}"] if located else [])
