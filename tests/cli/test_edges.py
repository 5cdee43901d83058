"""What the system or the folder refuses: one line, status 2, and nothing half written."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.calls import Output, Refused, ran, status

from sequela.errors import OutputError, SequelaError
from sequela.files import whole, writing
from sequela.runs.folder import RunFolder
from sequela.studies.registry import STUDIES
from sequela.tables.hospitals import hospitals


def everything(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


def full(self: Path, *_: object, **__: object) -> None:
    self.touch()
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def read_only(self: Path, *_: object, **__: object) -> None:
    raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(self))


@pytest.mark.parametrize("command", ["report", "card", "explain", "compare"])
def test_a_folder_where_a_file_is_expected(command: str, tmp_path: Path, refused: Refused) -> None:
    """It is refused before anything is read."""
    said = refused(command, "nowhere", "--out", tmp_path)
    assert f"{tmp_path}: it is a folder, and a file is expected; name a file in it" in said
    assert everything(tmp_path) == []


@pytest.mark.parametrize(
    "case",
    [
        ("write_text", full, "no space is left there"),
        ("mkdir", read_only, "its file system is read-only"),
    ],
)
@pytest.mark.parametrize("command", ["report", "card", "train"])
def test_a_disk_that_takes_nothing(
    command: str,
    case: tuple[str, Callable[..., None], str],
    run: Path,
    synthetic: Path,
    tmp_path: Path,
    refused: Refused,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    method, fault, said = case
    asked: list[str | Path] = [command, run]
    if command == "train":
        asked = ["train", "mlp-baseline", "--data", "bonn", "--root", synthetic]
    monkeypatch.setattr(Path, method, fault)
    name = {"report": "it.html", "card": "it.md"}.get(command, "it")
    assert said in refused(*asked, "--out", tmp_path / "new" / name)
    assert everything(tmp_path) == []


def test_a_file_on_the_way(run: Path, synthetic: Path, refused: Refused) -> None:
    below = run / "config.toml" / "new"
    before = everything(run)
    asked = ("train", "mlp-baseline", "--data", "bonn", "--root", synthetic)
    for command in (("report", run), ("card", run), asked, ("reproduce", "mortality", "--quick")):
        name = {"report": "it.html", "card": "it.md"}.get(command[0], "it")
        said = refused(*command, "--out", below / name)
        assert "a file is where a folder is expected; name another place" in said
        assert str(run / "config.toml") in said
    assert everything(run) == before


def test_what_only_the_system_can_mend_has_another_status(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), "metrics.json")

    monkeypatch.setattr(RunFolder, "json", broken)
    assert status("report", run, "--out", tmp_path / "page.html") == 1
    assert capsys.readouterr().err == (
        "sequela: error: metrics.json: it cannot be read or written (Input/output error)\n"
    )


def test_an_error_of_another_file_is_told_of_that_file(tmp_path: Path) -> None:
    def read() -> None:
        with writing(tmp_path / "out" / "page.html"):
            (tmp_path / "in").read_text("utf-8")

    with pytest.raises(OutputError, match=f"^{tmp_path}/in: it does not exist"):
        read()


def test_an_error_of_ours_is_left_as_it_is(tmp_path: Path) -> None:
    ours = SequelaError("what is in it is wrong")

    def write() -> None:
        with whole(tmp_path / "page.html"):
            raise ours

    with pytest.raises(SequelaError) as caught:
        write()
    assert caught.value is ours


def sequela(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sequela", *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )


@pytest.mark.slow
def test_workers_hand_on_what_the_system_refused(
    synthetic: Path, tmp_path: Path, refused: Refused
) -> None:
    """The runs' folder is a broken link, on which only a worker stumbles."""
    (tmp_path / "runs").symlink_to(tmp_path / "nowhere" / "runs")
    (tmp_path / "nowhere").touch()
    asked = ("reproduce", "seizure", "--quick", "--root", synthetic, "--out", tmp_path)
    line = refused(*asked, "--processes", "1")
    assert line.startswith(f"sequela: error: {tmp_path}/runs")


PLAIN = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}


def test_where_only_ascii_can_be_printed() -> None:
    for environment in ({"PYTHONIOENCODING": "ascii"}, PLAIN):
        done = sequela("--help", **environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.isascii()
        assert "?" not in done.stdout
        assert "sequela COMMAND" in done.stdout


@pytest.mark.parametrize(
    "command", ["cost gru-baseline --derive", "data list", "data check bonn", "evaluate", "train"]
)
def test_in_ascii(
    command: str, run: Path, synthetic: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more: dict[str, list[str | Path]] = {
        "evaluate": [run],
        "train": [
            "mlp-baseline", "--data", "bonn", "--root", synthetic, "--epochs", "1",
            "--out", tmp_path / "run",
        ],
    }  # fmt: skip
    printed, wrong = (io.TextIOWrapper(io.BytesIO(), "ascii") for _ in range(2))
    monkeypatch.setattr("sys.stdout", printed)
    monkeypatch.setattr("sys.stderr", wrong)
    ran(*command.split(), *more.get(command, []))
    said = [(stream.seek(0), stream.read())[1] for stream in (printed, wrong)]
    assert said[1] == ""
    assert "?" not in said[0]
    assert "\x1b" not in said[0]
    assert {"data check bonn": r" \xb5V", "data list": "bonn"}.get(command, "") in said[0]
    assert ("test set" in said[0]) == (command in more)
    assert len(said[0]) > 100


def test_json_is_the_same_where_only_ascii_can_be_printed(
    output_of: Output,
) -> None:
    plain = sequela("data", "list", "--json", PYTHONIOENCODING="ascii").stdout
    assert json.loads(plain) == json.loads(output_of("data", "list", "--json"))


def test_a_full_disk_behind_standard_output() -> None:
    with open("/dev/full", "w") as disk:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "sequela", "data", "list"],
            check=False, stdout=disk, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith("standard output: no space is left there; free some, or name another disk")


# Resuming, and the folder of another study ----------------------------------------------------


def test_the_same_command_resumes_a_run(run: Path, synthetic: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(run, out)
    for name in ("metrics.json", "manifest.json"):
        (out / name).unlink()  # as if interrupted before its end
    ran("train", "majority-class", "--data", "bonn", "--resume", "--out", out, "--root", synthetic)
    assert RunFolder(out).complete
    assert (out / "config.toml").read_bytes() == (run / "config.toml").read_bytes()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("--seed 3", "settings differ: seed is 0 in the folder and 3 in the command:"),
        (
            "--epochs 7 --class-weights",
            "epochs is 60 in the folder and 7 in the command; class_weights is off in",
        ),
        ("--task landmark", "--task is an option for hospital records, and bonn holds recordings"),
        ("--folds 3", "is not empty"),
    ],
)
def test_resuming_says_what_differs(more: str, said: str, run: Path, refused: Refused) -> None:
    asked = ("train", "majority-class", "--data", "bonn", "--resume", "--out", run)
    assert said in refused(*asked, *more.split())


@pytest.mark.slow
def test_folds_are_resumed_as_they_were_begun(synthetic: Path, tmp_path: Path) -> None:
    out = tmp_path / "folds"
    asked = ("train", "majority-class", "--data", "bonn", "--root", synthetic, "--folds", "3",
             "--repeats", "2", "--out", out)  # fmt: skip
    ran(*asked)
    before = (out / "folds.json").read_bytes()
    (out / "folds.json").unlink()
    ran(*asked, "--resume")
    assert (out / "folds.json").read_bytes() == before


@pytest.mark.parametrize(
    ("held", "asked", "said"),
    [
        (["--quick"], [], "0.98 in the folder and 0.99 in the command: give the options"),
        ([], ["--quick"], "average is 0.99 in the folder and 0.98 in the command"),
        (["--seed", "1"], [], "settings differ: seed is 1 in the folder and 0 in the command"),
        (
            ["--data", "uci-seizure"],
            [],
            "data is uci-seizure in the folder and bonn in the command",
        ),
    ],
)
def test_the_folder_of_another_study(
    held: list[str], asked: list[str], said: str, tmp_path: Path, refused: Refused
) -> None:

    seed = 1 if "--seed" in held else 0
    data = "uci-seizure" if "--data" in held else "bonn"
    runs = STUDIES["seizure"].runs((data, ""), seed=seed, quick="--quick" in held)
    settings = next(iter(runs.values()))
    folds = STUDIES["seizure"].folds_for(None, settings.split, quick="--quick" in held)
    name = f"{settings.model}.by-{settings.split}"
    folder = RunFolder(tmp_path / "runs" / name / "fold-00")
    folder.write("config.toml", settings.model_copy(update={"folds": folds}).to_toml())
    assert said in refused("reproduce", "seizure", *asked, "--out", tmp_path)


# What is named ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", hospitals())
def test_hospital_tables_are_checked(name: str, tmp_path: Path, refused: Refused) -> None:
    said = refused("data", "check", name, "--root", tmp_path)
    assert str(tmp_path) in said


def test_what_a_check_of_tables_says_and_refuses(
    tmp_path: Path, refused: Refused, output_of: Output
) -> None:
    (tmp_path / "nafld1.csv").write_text(
        "id,age,male,weight,height,bmi,case.id,futime,status\n1,60,1,,,,1,500,0\n", "utf-8"
    )
    tests = ["id,days,test,value", *(f"1,{day},hdl,1.5" for day in range(20)), "2,3,hdl,1\n"]
    (tmp_path / "nafld2.csv").write_text("\n".join(tests), "utf-8")
    (tmp_path / "nafld3.csv").write_text("id,days,event\n1,9,stroke\n", "utf-8")
    before = everything(tmp_path)
    said = output_of("data", "check", "nafld", "--root", tmp_path)
    assert "nafld2: 21 rows read, 20 used for 20 events, 1 set aside" in said
    assert "1 set aside: its subject is not in nafld1" in said
    assert "of 1 subjects" in said
    assert everything(tmp_path) == before
    few = "\n".join([*tests[:10], tests[-1]])
    (tmp_path / "nafld2.csv").write_text(few, "utf-8")
    said = refused("data", "check", "nafld", "--root", tmp_path)
    assert "nafld2.csv: 1 of 10 rows would be set aside, most of them since its subject is" in said
    (tmp_path / "nafld2.csv").write_text("\n".join(tests), "utf-8")
    text = (tmp_path / "nafld1.csv").read_text("utf-8")
    (tmp_path / "nafld1.csv").write_text(text.replace(",500,0", ",500,7"), "utf-8")
    said = refused("data", "check", "nafld", "--root", tmp_path)
    assert "status neither 0 nor 1 in 1 of 1 rows" in said


def test_the_same_run_twice(
    run: Path, tmp_path: Path, refused: Refused, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"{run}: named twice" in refused("compare", run, run)
    assert "named twice" in refused("compare", run, run / ".." / run.name)
    shutil.copytree(run, tmp_path / "copy")
    ran("compare", run, tmp_path / "copy", "--json")
    printed = capsys.readouterr()
    assert printed.err == (
        "sequela: warning: copy has the same probabilities as the first run: is it the same "
        "model?\n"
    )
    assert [each["same"] for each in json.loads(printed.out)["runs"]] == [False, True]


@pytest.mark.parametrize(
    ("sign", "word"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")]
)
def test_other_separators(sign: str, word: str, tmp_path: Path, refused: Refused) -> None:
    uci = tmp_path / "uci.csv"
    uci.write_text(sign.join(["", *(f"X{n}" for n in range(1, 179)), "y"]) + "\n", "utf-8")
    said = refused("data", "check", "uci-seizure", "--root", uci)
    assert f"{uci}, line 1: the columns are separated by {word}; expected commas" in said
    for table in ("PATIENTS", "ADMISSIONS"):
        (tmp_path / f"{table}.csv").write_text(sign.join(["subject_id", "x"]) + "\n", "utf-8")
    said = refused("data", "check", "mimic3", "--root", tmp_path)
    assert f"PATIENTS.csv, line 1: the columns are separated by {word}" in said
    challenge = tmp_path / "Outcomes-a.txt"
    challenge.write_text(sign.join(["RecordID", "SAPS-I"]) + "\n", "utf-8")
    said = refused("data", "check", "physionet2012", "--root", tmp_path)
    assert "Outcomes-a.txt, line 1: found a line of the form" in said


def test_an_empty_file_is_named_so(tmp_path: Path, refused: Refused) -> None:
    for name in ("uci.csv", "PATIENTS.csv", "ADMISSIONS.csv", "Outcomes-a.txt"):
        (tmp_path / name).touch()
    for name, file in (("uci-seizure", "uci.csv"), ("mimic3", "")):
        said = refused("data", "check", name, "--root", tmp_path / file)
        assert ": empty; expected a header and rows" in said
    said = refused("data", "check", "physionet2012", "--root", tmp_path)
    assert "Outcomes-a.txt, line 1: found an empty line; expected" in said
