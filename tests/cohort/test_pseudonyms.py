"""Ids are hashed under a key of the user, which is not in the run."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sequela.cohort.split import Split, draw
from sequela.errors import OutputError, SettingError, SplitError
from sequela.identity.fingerprint import tokens
from sequela.identity.pseudonyms import PLAIN, Pseudonyms, named, own

IDS = np.array([f"{number}" for number in range(10_000, 10_040)])


def _split() -> Split:
    label = np.arange(40) % 2
    return draw(label=label, ids={"subject": IDS}, unit="subject", seed=0)[0]


def test_ids_without_a_key_are_those_of_earlier_versions() -> None:
    # `printf Z001 | sha256sum`
    assert PLAIN.distinct(np.array(["Z001", "Z001"])) == ["d64e96d2cd1bfee1"]
    assert PLAIN.name == ""


def test_ids_under_a_key_are_their_hmac() -> None:
    # `printf Z001 | openssl dgst -sha256 -mac HMAC -macopt hexkey:5e5e...`
    assert own() == Pseudonyms(bytes.fromhex("5e" * 32))
    assert own().distinct(np.array(["Z001", "Z001"])) == ["d8a51dcb418be7b9"]
    two = own().distinct(np.array(["b", "a"]))
    assert two == sorted(two)


def test_trying_all_ids_finds_none_in_a_split() -> None:
    record = str(_split().to_json())
    found = [number for number in range(10_000, 10_040) if PLAIN.of(str(number)) in record]
    assert found == []
    assert "5e5e" not in record


def test_codes_cannot_be_tried_one_by_one_in_marks() -> None:
    where, days = np.zeros(1, np.int64), np.array([3])
    assert tokens(["ICD//I21"], where, days, how=own()) != tokens(["ICD//I21"], where, days)


def test_a_key_is_made_once_for_its_owner_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "home" / "config" / "key"
    monkeypatch.setenv("SEQUELA_KEY", str(path))
    made = own()
    assert (made, len(made.secret)) == (own(), 32)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["key"]


def test_processes_that_start_at_once_share_one_key(tmp_path: Path) -> None:
    code = "from sequela.identity.pseudonyms import own; print(own().name)"
    environment = {**os.environ, "SEQUELA_KEY": str(tmp_path / "key")}
    begun = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment)
        for _ in range(4)
    ]
    said = {process.communicate()[0] for process in begun}
    assert len(said) == 1
    assert len(said.pop().strip()) == 16


def test_the_key_of_another_user_is_not_made_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = _split()
    held_out = [each for each in IDS if own().of(each) in split.ids["subject"]["held_out"]]
    assert split.holds_out(np.array(held_out))
    monkeypatch.setenv("SEQUELA_KEY", str(tmp_path / "none"))
    assert named(split.key) is None
    assert not (tmp_path / "none").exists()
    # Ids can only be counted then.
    split.check_covers("subject", "held_out", np.array(held_out))
    assert not split.holds_out(np.array(held_out))
    with pytest.raises(SplitError, match="ids of the held_out predictions are not"):
        split.check_covers("subject", "held_out", np.array(held_out[1:]))


def test_a_split_of_an_earlier_version_is_read_without_a_key() -> None:
    record = _split().to_json()
    for parts in record["ids"].values():
        for name, hashes in parts.items():
            parts[name] = sorted(PLAIN.of(each) for each in IDS if own().of(each) in hashes)
    del record["key"]
    old = Split.from_json(record)
    held_out = [each for each in IDS if PLAIN.of(each) in old.ids["subject"]["held_out"]]
    old.check_covers("subject", "held_out", np.array(held_out))
    assert old.pseudonyms == PLAIN


@pytest.mark.parametrize(
    ("text", "mode", "said"),
    [
        *((text, 0o600, "holds no key of subject ids: expected 64 hexadecimal")
          for text in ("", "no key", "5e" * 31, "5e" * 33, "\xe9")),
        ("5e" * 32, 0o644, "chmod 600"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_key_or_that_everybody_may_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, mode: int, said: str
) -> None:
    path = tmp_path / "key"
    path.write_text(text, "utf-8")
    path.chmod(mode)
    monkeypatch.setenv("SEQUELA_KEY", str(path))
    with pytest.raises(SettingError, match=said):
        own()


def test_a_key_that_cannot_be_made_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SEQUELA_KEY", str(tmp_path / "file" / "key"))
    with pytest.raises(OutputError):
        own()
