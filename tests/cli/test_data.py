import gzip
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sequela.cli.app import main
from sequela.sources.catalog import DATA_SETS
from sequela.sources.recordings import Recording
from sequela.sources.uci_seizure import recording_ids

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line here: exit status, standard output, standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        status = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as end:
            status = int(end.code or 0)
        output = capsys.readouterr()
        return status, output.out, output.err

    return call


def files(folder: Path) -> dict[str, bytes]:
    return {str(each): each.read_bytes() for each in folder.rglob("*") if each.is_file()}


def refused(run: Run, name: str, root: Path, *parts: str) -> None:
    """Check that a data set is refused in one line that holds the parts, and nothing is written."""
    before = files(root.parent)
    status, out, error = run("data", "check", name, "--root", root)
    assert status == 2
    assert out == ""
    assert error.startswith("sequela: error: ")
    assert error.count("\n") == 1
    assert error.endswith("\n")
    for part in (str(root), *parts):
        assert part in error
    assert files(root.parent) == before


# The Bonn data: what can be wrong with a folder, and what must be said of it.


def test_an_empty_folder(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bonn").mkdir()
    refused(run, "bonn", tmp_path / "bonn", "lacks sets Z, O, N, F, S", "put what is missing there")


def test_a_missing_set(run: Run, bonn_folder: Path) -> None:
    shutil.rmtree(bonn_folder / "S")
    refused(run, "bonn", bonn_folder, "lacks set S", "S001.txt", "S.zip")


def test_an_empty_set(run: Run, bonn_folder: Path) -> None:
    for file in (bonn_folder / "S").iterdir():
        file.unlink()
    refused(run, "bonn", bonn_folder, "S holds no recording", "expected S001.txt to S100.txt")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"7\n" * 4096, "ends at line 4096: expected 4,097 samples"),
        (b"", "ends at line 0: expected 4,097 samples"),
        (b"7\n" * 4098, "has 4,098 lines: expected 4,097 samples"),
        (b"7\n" * 9 + b"seven\n" + b"7\n" * 4087, "line 10: found 'seven', expected a whole"),
        (b"7\n" * 9 + b"NaN\n" + b"7\n" * 4087, "line 10: found 'NaN', expected a whole"),
        (b"7\n" * 9 + b"inf\n" + b"7\n" * 4087, "line 10: found 'inf', expected a whole"),
        (b"7\n" * 9 + b"7.5\n" + b"7\n" * 4087, "line 10: found '7.5', expected a whole"),
        (b"7\n" * 9 + b"40000\n" + b"7\n" * 4087, "line 10: found '40000', expected a whole"),
        (b"\x7fELF\x02\x01\x00" * 900, "line 1: found binary data, expected a whole"),
    ],
)
def test_a_file_that_is_no_recording(
    run: Run, bonn_folder: Path, content: bytes, found: str
) -> None:
    file = bonn_folder / "F" / "F002.txt"
    file.write_bytes(content)
    refused(run, "bonn", bonn_folder, f"{file} {found}", "put the file as published in its place")


def test_a_recording_that_is_there_twice(run: Run, bonn_folder: Path) -> None:
    content = (bonn_folder / "Z" / "Z001.txt").read_bytes()
    shutil.rmtree(bonn_folder / "Z")
    with zipfile.ZipFile(bonn_folder / "Z.zip", "w") as archive:
        archive.writestr("Z/Z001.txt", content)
        archive.writestr("Z001.txt", content)
    refused(run, "bonn", bonn_folder, "is a second Z001 in this set; remove one of them")


def test_a_broken_zip_file(run: Run, bonn_folder: Path) -> None:
    shutil.rmtree(bonn_folder / "O")
    (bonn_folder / "O.zip").write_bytes(b"PK\x03\x04 broken off")
    refused(
        run, "bonn", bonn_folder, "O.zip is damaged (File is not a zip file)", "or a set's zip file"
    )


@pytest.mark.parametrize("name", ["bonn", "uci-seizure", "mimic3"])
def test_a_root_that_does_not_exist(run: Run, tmp_path: Path, name: str) -> None:
    root = tmp_path / "nowhere"
    refused(run, name, root, "does not exist", "name another --root")


def test_a_root_that_is_a_file(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bonn.txt").touch()
    refused(run, "bonn", tmp_path / "bonn.txt", "is a file: expected a folder")


# The UCI data.


@pytest.fixture
def rows(excerpt: dict[str, Recording]) -> list[list[str]]:
    """The header and the rows of one recording, Z001, whose name is V1."""
    assert recording_ids()["V1"] == "Z001"
    samples = excerpt["Z001"].signal[0].astype(int).tolist()
    header = ["Unnamed", *(f"X{sample}" for sample in range(1, 179)), "y"]
    chunks = [
        [f"X{chunk + 1}.V1", *map(str, samples[178 * chunk : 178 * (chunk + 1)]), "5"]
        for chunk in range(23)
    ]
    return [header, *chunks]


def as_text(rows: list[list[str]]) -> str:
    return "".join(",".join(row) + "\n" for row in rows)


def spoil_column(rows: list[list[str]]) -> None:
    for row in rows:
        del row[8]


def spoil_header(rows: list[list[str]]) -> None:
    rows[0][-1] = "label"


def repeat_row(rows: list[list[str]]) -> None:
    rows.insert(9, rows[4])


def spoil_label(rows: list[list[str]]) -> None:
    rows[11][-1] = "7"


def drop_chunks(rows: list[list[str]]) -> None:
    del rows[20:22]


def spoil_sample(rows: list[list[str]]) -> None:
    rows[3][40] = "NaN"


def spoil_name(rows: list[list[str]]) -> None:
    rows[3][0] = "X3.W1"


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (spoil_column, ["line 1: column X8 is missing (1 of 179 are)"]),
        (spoil_header, ["line 1: column y is missing (1 of 179 are)"]),
        (repeat_row, ["line 10: found id 'X4.V1' again, expected it only on line 5"]),
        (spoil_label, ["line 12: found y = 7 (outside 1 to 5), expected 5 for 'X11.V1'"]),
        (drop_chunks, ["recording Z001 (name V1) lacks chunk 20, 21 of 23"]),
        (spoil_sample, ["line 4: found 'NaN' in column X40, expected a whole number"]),
        (spoil_name, ["line 4: found id 'X3.W1', expected X1 to X23, a dot, and the name"]),
    ],
)
def test_a_csv_file_that_is_not_as_published(
    run: Run,
    tmp_path: Path,
    rows: list[list[str]],
    spoil: Callable[[list[list[str]]], None],
    parts: list[str],
) -> None:
    root = tmp_path / "uci-seizure"
    root.mkdir()
    file = root / "seizure.csv"
    file.write_text(as_text(rows))
    status, out, _ = run("data", "check", "uci-seizure", "--root", root)
    assert (status, "23 of 178 samples" in out) == (0, True)
    spoil(rows)
    file.write_text(as_text(rows))
    refused(run, "uci-seizure", root, str(file), *parts, "use the file as published")


def test_a_folder_without_a_csv_file(run: Run, tmp_path: Path) -> None:
    root = tmp_path / "uci-seizure"
    root.mkdir()
    refused(run, "uci-seizure", root, "found none, expected one .csv or .csv.gz file")


def test_a_compressed_file_that_is_broken_off(
    run: Run, tmp_path: Path, rows: list[list[str]]
) -> None:
    root = tmp_path / "uci-seizure"
    root.mkdir()
    content = gzip.compress(as_text(rows).encode())
    (root / "seizure.csv.gz").write_bytes(content[: len(content) // 2])
    refused(run, "uci-seizure", root, "seizure.csv.gz is damaged", "use the file as published")


# The commands themselves.


def test_check_tells_what_there_is(run: Run, no_data: Path) -> None:
    status, out, error = run("data", "check", "bonn")
    assert (status, error) == (0, "")
    assert out.splitlines()[0] == "bonn: the excerpt that ships with sequela (400 recordings)"
    for text in (
        "1 channel of 4,097 samples (400 recordings) at 173.61 Hz",
        "9,200 of 178 samples",
        "seizure       80 recordings, -1,872 to 2,047 µV",
        "0 recordings, 0 segments",
    ):
        assert text in out


def test_check_refuses_recordings_that_are_the_same(run: Run, bonn_folder: Path) -> None:
    shutil.copy(bonn_folder / "Z" / "Z001.txt", bonn_folder / "Z" / "Z009.txt")
    status, out, error = run("data", "check", "bonn", "--root", bonn_folder)
    assert status == 2
    assert "1 recordings, 23 segments" in out
    assert "such as Z001 = Z009: expected each recording once" in error


def test_check_of_tables_that_are_not_here(run: Run, no_data: Path) -> None:
    status, _, error = run("data", "check", "mimic4")
    assert status == 2
    assert "mimic4 was not found" in error
    assert "https://physionet.org/content/mimiciv/" in error


def test_list_tells_all_in_80_columns(
    run: Run, no_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    status, out, _ = run("data", "list")
    assert status == 0
    assert max(map(len, out.splitlines())) <= 80
    text = " ".join(out.split())
    for name, data_set in DATA_SETS.items():
        assert f"{name} {data_set.title}" in text
        assert data_set.licence in text
        assert data_set.size in text
        assert data_set.citation in text
    assert "here: the excerpt that ships with sequela (400 recordings)" in text
    command = f"`{sys.executable} -m pip install 'sequela[nafld]'`"  # wrapped where it is long
    assert "".join(command.split()) in "".join(out.split())


def test_list_as_json(run: Run, no_data: Path) -> None:
    status, out, _ = run("data", "list", "--json")
    listing = json.loads(out)
    assert status == 0
    assert list(listing) == list(DATA_SETS)
    assert listing["bonn"]["origin"] == "the excerpt that ships with sequela (400 recordings)"
    assert Path(listing["bonn"]["path"]).name == "bonn.parquet"
    assert (listing["meds"]["path"], listing["meds"]["origin"]) == (None, None)
    assert set(listing["meds"]) == {
        "title", "kind", "licence", "citation", "size", "homepage", "how_to_get", "path", "origin"
    }  # fmt: skip


@pytest.mark.parametrize("name", [name for name in DATA_SETS if name != "bonn"])
def test_get_says_how_to_get_what_it_cannot(run: Run, no_data: Path, name: str) -> None:
    status, out, error = run("data", "get", name)
    assert (status, out) == (2, "")
    assert error.count("\n") == 1
    assert f"{name} cannot be fetched by a command" in error
    assert DATA_SETS[name].how_to_get in error


def test_get_takes_the_address_from_the_environment(
    run: Run, no_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sequela.sources.fetch.RETRIES", 0)
    monkeypatch.setenv("SEQUELA_BONN_URL", "nowhere://here")
    status, _, error = run("data", "get", "bonn")
    assert status == 2
    assert "nowhere://here/Z.zip could not be fetched" in error
    _, _, error = run("data", "get", "bonn", "--url", "nowhere://there")
    assert "nowhere://there/Z.zip could not be fetched" in error


@pytest.mark.parametrize("command", ["get", "check"])
def test_unknown_names_get_the_nearest(run: Run, command: str) -> None:
    status, _, error = run("data", command, "bon")
    assert status == 2
    assert "did you mean 'bonn'?" in error


@pytest.mark.parametrize("command", ["list", "get", "check"])
def test_each_command_shows_an_example(run: Run, command: str) -> None:
    status, out, _ = run("data", command, "--help")
    assert status == 0
    assert f"Example: sequela data {command}" in out
    assert command in run("data", "--help")[1]


def test_help_loads_neither_torch_nor_a_data_engine() -> None:
    script = (
        "import sys; from sequela.cli.app import main\n"
        "try: main(['data', '--help'])\n"
        "except SystemExit: pass\n"
        "loaded = {'torch', 'duckdb', 'polars', 'pyarrow', 'numpy', 'pooch'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
