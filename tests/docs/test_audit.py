"""What the page on the audit shows is what happens."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.cli.calls import ran
from tests.extension.conftest import kept_registries

from sequela.sources.codes import family_of

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "audit.md").read_text("utf-8")


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield from kept_registries()


def test_the_run_is_audited(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    no_data: Path,
) -> None:
    monkeypatch.chdir(tmp_path)
    first = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)[0]
    for command in first.splitlines():
        ran(*shlex.split(command)[1:])
    assert "nothing found; looked for: " in capsys.readouterr().out


def test_the_families_are_declared() -> None:
    (script,) = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    exec(script, {})  # noqa: S102 - our own page
    assert family_of("WOUND//clean").charted
    assert family_of("SNOMED/84114007").coded_later


def test_every_check_stands_on_the_page() -> None:
    files = (ROOT / "src/sequela").glob("*/*.py")
    found = {
        name
        for file in files
        for text in [file.read_text("utf-8")]
        for name in (
            *re.findall(r'Finding\(\s*"([a-z -]+)"', text),
            *re.findall(r'_copies\("([a-z -]+)"', text),
        )
    }
    assert len(found) > 10
    assert sorted(name for name in found if f"`{name}`" not in TEXT) == []
