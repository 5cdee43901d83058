"""The commands and the programs of the pages on new data and on models in use run."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.docs.conftest import DOCS
from tests.test_docs import call, commands, fences

PAGE = DOCS / "predict.md"


def test_its_commands_run(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = [words for words in commands(PAGE, "New data") if "--out" in words]
    assert [words[0] for words in shown] == ["train", "predict", "predict"]
    make, look = fences(PAGE, "python", "New data")
    for words in shown[:2]:
        call(words)
    exec(compile(make, str(PAGE), "exec"), {})  # noqa: S102 - the page's own
    call(shown[2])
    capsys.readouterr()
    exec(compile(look, str(PAGE), "exec"), {})  # noqa: S102
    said = capsys.readouterr().out
    assert "a sample is missing" in said
    assert said.endswith("99\n")
    assert pq.read_schema("new.parquet").names == pq.read_schema("predicted.parquet").names


@pytest.mark.slow  # tests/serving/test_served.py loads such a file
def test_a_model_in_use(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands(PAGE, "A model as a file"):
        if words[0] in ("train", "export") and len(words) > 2:  # a night is in tests/serving
            call(words)
    capsys.readouterr()
    exec("\n".join(fences(PAGE, "python", "A model as a file")), {})  # noqa: S102
    assert "(2, 5) (2, 5)" in capsys.readouterr().out
