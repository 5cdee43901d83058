"""The commands and the program of the page on models in use run."""

from pathlib import Path

import pytest
from tests.test_docs import call, commands, fences

PAGE = Path(__file__).parents[2] / "docs" / "serving.md"


def test_its_commands_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    no_data: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands(PAGE):
        if words[0] in ("train", "export") and len(words) > 2:  # a night is in tests/serving
            call(words)
    capsys.readouterr()
    exec(compile("\n".join(fences(PAGE, "python")), str(PAGE), "exec"), {})  # noqa: S102 - the page's own
    assert "(2, 5) (2, 5)" in capsys.readouterr().out
