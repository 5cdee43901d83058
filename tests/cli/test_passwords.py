"""No command prints or writes the password of an address."""

import tomllib
from itertools import cycle, islice
from pathlib import Path

import pytest
from tests.cli.calls import status

from sequela.config import RunSettings, SignalSettings
from sequela.errors import without_passwords
from sequela.web.schemas import document

ADDRESSES = (
    "postgresql://me:hush@nowhere.invalid/db", "DSN=nowhere;PWD=hush", "s3a://me:hush@bucket/x",
    "postgresql+psycopg://me:hush@h/db", "odbc:DSN=nowhere;UID=me;PWD=hush",
    "https://me:hush@h/x", "mysql://me:hush@h/db", "Server=me:hush@h;Database=x",
    "jdbc:postgresql://h/db?user=me&password=hush", "jdbc:oracle:thin:me/hush@h:1521:x",
    "jdbc:sqlserver://h;user=me;password=hush", "https://hush@h/x", "https://h/x?sig=hush",
    "postgresql://me:a@hush@h/db", "postgresql://me:a/hush@h/db",
    "abfss://box@a.dfs.core.windows.net/x?AccountKey=hush", "odbc:Driver={X};Password={a;hush}",
)  # fmt: skip
ALL, SOME = len(ADDRESSES), 2
COMMANDS = [
    ("audit @", ALL), ("audit . --labels @", SOME), ("data check signals --root @", ALL),
    ("data check omop --root @", ALL), ("data describe @", ALL), ("data describe . --out @", SOME),
    ("build omop --out o --root @", ALL), ("build omop --out @ --root .", SOME),
    ("build tables --out o --root . --declaration @", SOME),
    ("train auto --data omop --root @", ALL), ("train auto --data signals --root @", SOME),
    ("train auto --data table --label a --id b --root @", ALL), ("train @ --data bonn", SOME),
    ("train auto --data bonn --root . --out @", SOME), ("train auto --data=@", SOME),
    ("train auto --data meds --root . --labels @", SOME), ("--root=@ train", SOME),
    ("train auto --data signals --root . --label a --listing @", SOME),
    ("tune mlp-baseline --data bonn --root @", SOME), ("evaluate . --data omop --root @", SOME),
    ("evaluate @", SOME), ("compare @ @", SOME), ("ensemble @ --out o", SOME), ("explain @", SOME),
    ("cost @", SOME), ("report @ --out o", SOME), ("card @", SOME), ("share @ --out o", SOME),
    ("verify @", SOME), ("export @ --out o", SOME), ("predict @ --out o.csv", SOME),
    ("predict . @ --out o.csv", SOME), ("predict . --root=@ --out o.csv", SOME),
    ("scan . @ --out o", SOME), ("scan @ .", SOME), ("serve @", SOME), ("study @", SOME),
    ("reproduce --root @", SOME), ("@", SOME), ("nosuch @", SOME),
]  # fmt: skip


@pytest.mark.parametrize(("command", "addresses"), COMMANDS, ids=[each for each, _ in COMMANDS])
def test_no_command_prints_or_writes_a_password(
    command: str,
    addresses: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    start = len(command)  # so that commands try different addresses
    for address in islice(cycle(ADDRESSES), start, start + addresses):
        assert status(*(word.replace("@", address) for word in command.split())) == 2
        printed = "".join(capfd.readouterr())
        assert "sequela: error: " in printed
        assert "hush" not in printed
    assert not [*tmp_path.iterdir()]


def test_a_run_folder_has_no_password() -> None:
    """Only texts are cleaned: what is declared as JSON stays JSON."""
    table = SignalSettings(title="of odbc:DSN=x;PWD=hush", omit=("a", "mysql://me:hush@h/db"))
    written = RunSettings(model="boosting", data="table", signals=table).to_toml()
    assert "hush" not in written
    assert RunSettings.of(**tomllib.loads(written)).signals == SignalSettings(
        title="of odbc:DSN=x;PWD=***", omit=("a", "mysql://***@h/db")
    )


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_message_without_the_password(address: str) -> None:
    line = f"{Path('in') / address}: not found (at {address}); name another"
    clean = without_passwords(line)
    assert "hush" not in clean
    assert clean.startswith("in/")
    assert clean.endswith("; name another")
    assert b"hush" not in document(422, line)


@pytest.mark.parametrize(
    "line",
    [
        "expected sqlite:///FILE or postgresql://USER@HOST/NAME",
        "s3a://bucket/folder and abfss://box@a.dfs.core.windows.net/x",
        "--format KEY=VALUE, such as 'separator=;'; write to me@example.org",
        "http://127.0.0.1:8000/ with --token; tokens: 5",
        pytest.param("pwd" + "x" * 1_000_000, id="a long word"),
        pytest.param("=:" * 100_000, id="many marks"),
        pytest.param("jdbc:a:" * 20_000, id="many prefixes"),
    ],
)
def test_other_words_stay(line: str) -> None:
    assert without_passwords(line) == line
