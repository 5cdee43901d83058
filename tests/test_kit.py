"""The kit for an installation without internet: what is in it, and that changes are refused."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from scripts import install_kit, make_kit

INFO = "Metadata-Version: 2.1\nName: tiny-package\nVersion: 1.5\n"
WHEEL = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture
def kit(tmp_path: Path) -> Path:
    """A kit of one wheel."""
    (tmp_path / "docs" / "_sources").mkdir(parents=True)
    (tmp_path / "docs" / "start.html").write_text("<html></html>", "utf-8")
    place = tmp_path / "kit" / "wheels" / "tiny_package-1.5-py3-none-any.whl"
    place.parent.mkdir(parents=True)
    with zipfile.ZipFile(place, "w") as wheel:
        wheel.writestr("tiny_package.py", "")
        wheel.writestr("tiny_package-1.5.dist-info/METADATA", INFO)
        wheel.writestr("tiny_package-1.5.dist-info/WHEEL", WHEEL)
        wheel.writestr("tiny_package-1.5.dist-info/RECORD", "")
    make_kit.complete(tmp_path / "kit", tmp_path / "docs")
    return tmp_path / "kit"


def refusal(kit: Path, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, kit / "install.py", kit.parent / "new", *options],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    return line


def test_what_is_in_a_kit(kit: Path) -> None:
    (wheel,) = (kit / "wheels").iterdir()
    line = f"tiny-package==1.5 --hash=sha256:{install_kit.sha256(wheel)}\n"
    assert (kit / "requirements.txt").read_text("utf-8") == line
    names = {path.relative_to(kit).as_posix() for path in kit.rglob("*") if path.is_file()}
    assert names == {
        "README.txt", "SHA256SUMS", "docs/start.html", "install.py", "machine.txt",
        "requirements.txt", f"wheels/{wheel.name}",
    }  # fmt: skip
    listed = (kit / "SHA256SUMS").read_text("utf-8").splitlines()
    assert {line.split("  ")[1] for line in listed} == names - {"SHA256SUMS"}
    assert install_kit.check(kit) == install_kit.sha256(kit / "SHA256SUMS")


@pytest.mark.skipif(not shutil.which("sha256sum"), reason="no sha256sum")
def test_sha256sum_reads_the_sums(kit: Path) -> None:
    command = ["sha256sum", "--check", "--quiet", "SHA256SUMS"]
    assert subprocess.run(command, cwd=kit, check=False).returncode == 0


def test_a_changed_kit_is_refused(kit: Path) -> None:
    page = kit / "docs" / "start.html"
    page.write_text("<html>else</html>", "utf-8")
    assert "docs/start.html has another SHA-256" in refusal(kit)
    page.unlink()
    assert "docs/start.html is missing" in refusal(kit)
    page.write_text("<html></html>", "utf-8")
    (kit / "wheels" / "other-1-py3-none-any.whl").touch()
    assert "other-1-py3-none-any.whl is not listed" in refusal(kit)
    (kit / "machine.txt").write_text("Python 2.7, Plan9 mips\n", "utf-8")
    assert re.search("this kit is for Python 2.7, Plan9 mips; this is Python 3", refusal(kit))
    (kit.parent / "new").mkdir()
    assert "is there already; name a new folder" in refusal(kit)


def test_pip_reads_no_index(kit: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[tuple[Any, ...]] = []
    monkeypatch.setattr("venv.create", lambda folder, **_: folder.mkdir())
    monkeypatch.setattr(install_kit, "run", lambda *words, **_: commands.append(words))
    monkeypatch.setattr(install_kit, "__file__", str(kit / "install.py"))
    monkeypatch.setattr(sys, "argv", ["install.py", str(tmp_path / "new")])
    install_kit.main()
    pip, *check = ([str(word) for word in words] for words in commands)
    programs = tmp_path / "new" / install_kit.PROGRAMS
    options = ["--no-index", "--find-links", str(kit / "wheels"), "--require-hashes", "--no-deps"]
    assert pip[:3] == [str(programs / "python"), "-m", "pip"]
    assert pip[-7:] == [*options, "-r", str(kit / "requirements.txt")]
    assert check == [[str(programs / "sequela"), *words] for words in install_kit.CHECK]
    # This Python's pip accepts the wheel by its hash, and refuses another one.
    dry = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", *pip[5:]]
    assert subprocess.run(dry, capture_output=True, check=False).returncode == 0
    lines = (kit / "requirements.txt").read_text("utf-8")
    (kit / "requirements.txt").write_text(re.sub("sha256:.", "sha256:", lines) + "0", "utf-8")
    assert subprocess.run(dry, capture_output=True, check=False).returncode == 1


def test_the_makefile_has_the_target() -> None:
    text = (Path(make_kit.__file__).parents[1] / "Makefile").read_text("utf-8")
    (command,) = re.findall(r"^kit: dist docs\n(?:\t.*\n)*\t(.*make_kit.*)$", text, re.MULTILINE)
    assert "dist/*.whl build/docs kit" in command
