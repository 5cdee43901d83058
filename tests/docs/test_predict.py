"""The commands and the program of the page on new data run."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.test_docs import call, commands, fences

PAGE = Path(__file__).parents[2] / "docs" / "predict.md"


def test_its_commands_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_data: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    shown = [words for words in commands(PAGE) if "--out" in words]
    assert [words[0] for words in shown] == ["train", "export", "predict", "predict"]
    make, look = fences(PAGE, "python")
    for words in shown[:3]:
        call(words)
    exec(compile(make, str(PAGE), "exec"), {})  # noqa: S102 - the page's own
    call(shown[3])
    capsys.readouterr()
    exec(compile(look, str(PAGE), "exec"), {})  # noqa: S102
    said = capsys.readouterr().out
    assert "a sample is missing" in said
    assert said.endswith("99\n")
    assert pq.read_schema("new.parquet").names == pq.read_schema("said.parquet").names
