"""The manifest of a finished folder: ``manifest.json``, the SHA-256 of each file, written last.

A folder with a manifest is finished. Its files are compared with the manifest before they are read.
This detects damaged, lost or edited files. It does not stop a forger, who can write a new manifest:
see :mod:`sequela.integrity.verify` for further checks.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from sequela.errors import OutputError, RunError
from sequela.files import held, whole, writing

MANIFEST = "manifest.json"
NOTICE = "INTERNAL.md"
SIMPLE = "simple"  # the folder in a run of the simple model that its page compares with it
GROWING = ("openings.jsonl",)
"""Files that grow after a folder is finished, and have their own checksums."""
# Types of files that a run is read from: an added file of these is an error.
_DATA = (".json", ".jsonl", ".toml", ".parquet", ".safetensors")
_PAGES = (".html", ".md")  # types of pages and cards, which commands add to a finished folder
_REMEDY = "put the original back, or train again"


@dataclass(frozen=True)
class Manifest:
    """The content of a finished folder, by path in it.

    It has the SHA-256 of each file, the seal of each subfolder with its own manifest, and the
    SHA-256 of each page or card that a command ``added`` to the finished folder.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    folders: Mapping[str, str] = field(default_factory=dict)
    added: Mapping[str, str] = field(default_factory=dict)

    @property
    def seal(self) -> str:
        """The SHA-256 of the list without added files: it never changes."""
        # Pages may be added to a sealed folder of folds, whose own manifest names this seal.
        listed = {"files": dict(self.files), "folders": dict(self.folders)}
        return hashlib.sha256(json.dumps(listed, sort_keys=True).encode()).hexdigest()

    @classmethod
    def of(cls, folder: Path) -> Self:
        """List the current content of a folder."""
        files, folders, added = {}, {}, {}
        for path in _walk(folder):
            name = path.relative_to(folder).as_posix()
            if path.is_dir():
                folders[name] = cls.read(path).seal  # one number for the whole folder
            elif path.suffix in _PAGES and path.name != NOTICE:
                added[name] = _digest(path)
            else:
                files[name] = _digest(path)
        return cls(files, folders, added)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the manifest of a folder."""
        path = folder / MANIFEST
        if path.exists() and not _is_plain(path):
            raise RunError(f"{path}: it is a link or not a file; {_REMEDY}")
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            listed = {name: dict(record[name]) for name in ("files", "folders", "added")}
        except FileNotFoundError as error:
            raise RunError(
                f"{path}: not found: the folder is not finished, or was made by an earlier "
                "version; continue it with --resume, or make it again"
            ) from error
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise RunError(f"{path}: damaged ({error}); {_REMEDY}") from error
        return cls(**listed)

    def write(self, folder: Path) -> None:
        """Write ``manifest.json``."""
        record = {
            "hash": "sha256",
            "files": dict(sorted(self.files.items())),
            "folders": dict(sorted(self.folders.items())),
            "added": dict(sorted(self.added.items())),
        }
        with whole(folder / MANIFEST) as partial:
            partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Change:
    """A file that differs from the manifest.

    A file is ``changed``, ``missing`` or ``added``. A run with a harmful change is refused; an
    added page is harmless.
    """

    path: Path
    what: str
    harmful: bool = True

    def __str__(self) -> str:
        words = {
            "changed": f"was changed after the folder was finished: {_REMEDY}",
            "missing": f"is missing, but listed in {MANIFEST}: {_REMEDY}",
            "added": f"was added after the folder was finished and is not listed in {MANIFEST}: "
            "remove it",
        }
        return f"{self.path}: {words[self.what]}"


def seal(folder: Path) -> Manifest:
    """Write the manifest of a finished folder, as the last of its files.

    All files of the folder are listed; for a subfolder with a manifest, only the manifest.
    """
    manifest = Manifest.of(folder)
    manifest.write(folder)
    return manifest


def unseal(folder: Path) -> None:
    """Remove the manifest of a folder, before its files are written again."""
    with writing(folder):
        (folder / MANIFEST).unlink(missing_ok=True)


def changes(folder: Path) -> list[Change]:
    """List files of a finished folder and its subfolders that differ from the manifest."""
    manifest = Manifest.read(folder)
    differences = []
    present = {path.relative_to(folder).as_posix(): path for path in _walk(folder)}
    for name, digest in {**manifest.files, **manifest.added}.items():
        path = present.pop(name, None)
        if path is None:
            differences.append(Change(folder / name, "missing", name in manifest.files))
        elif not _is_plain(path) or _digest(path) != digest:
            harmful = name in manifest.files or path.suffix in _DATA  # pages are not read
            differences.append(Change(path, "changed", harmful))
    for name, listed in manifest.folders.items():
        path = present.pop(name, None)
        if path is None or path.is_symlink() or not path.is_dir():  # a link leads outside
            differences.append(Change(folder / name, "missing"))
            continue
        differences += changes(path)
        if Manifest.read(path).seal != listed:
            differences.append(Change(path / MANIFEST, "changed"))
    # What is left is in no list.
    for name, path in present.items():
        # An interruption came after a simple model was moved there, and before it was listed.
        if name == SIMPLE and path.is_dir() and not path.is_symlink():
            differences += changes(path)
            continue
        differences.append(Change(path, "added", not _is_plain(path) or path.suffix in _DATA))
    return differences


def require_unchanged(folder: Path) -> None:
    """Make sure that a finished folder matches its manifest."""
    harmful = [change for change in changes(folder) if change.harmful]
    if harmful:
        message = str(harmful[0])
        if len(harmful) > 1:
            message += f" (and {len(harmful) - 1} more: see sequela verify)"
        raise RunError(message)


@contextmanager
def adding(path: Path) -> Iterator[Path]:
    """Yield a temporary name for a file, and list the file in the manifest of a finished folder.

    The file is removed from the manifest before it is written and added afterwards, so that an
    interruption leaves an unlisted file and never a wrong checksum.
    """
    folder = next(
        (parent for parent in path.absolute().parents if (parent / MANIFEST).exists()), None
    )
    if folder is None:
        with whole(path) as partial:
            yield partial
        return
    name = path.absolute().relative_to(folder).as_posix()
    if name in (MANIFEST, *Manifest.read(folder).files):
        raise OutputError(f"{path}: it is a file of {folder}; name another file")
    with held(folder):
        before = Manifest.read(folder)
        added = {file: digest for file, digest in before.added.items() if file != name}
        if name in before.added:
            Manifest(before.files, before.folders, added).write(folder)
        with whole(path) as partial:
            yield partial
        Manifest(before.files, before.folders, {**added, name: _digest(path)}).write(folder)


def _walk(folder: Path) -> Iterator[Path]:
    """Yield visible files of a folder and its subfolders; a sealed subfolder is one item."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in (MANIFEST, *GROWING):  # such as .DS_Store
            continue
        if path.is_dir() and not path.is_symlink() and not (path / MANIFEST).exists():
            yield from _walk(path)
        else:
            yield path


def _digest(path: Path) -> str:
    if not _is_plain(path):
        raise RunError(f"{path}: it is a link or not a file, and a run has files only: remove it")
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # in blocks: models may be large


def _is_plain(path: Path) -> bool:
    """Return ``True`` for a file: a link leads elsewhere, and a pipe never ends."""
    return path.is_file() and not path.is_symlink()
