"""Files that appear whole or not at all, and folders that leave nothing behind."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sequela.errors import OutputError, SequelaError, system_words


def require_file(path: Path) -> None:
    """Make sure, before any work is done for it, that a file can have this name.

    Raises:
        OutputError: If a folder has it.
    """
    if path.is_dir():
        raise OutputError(f"{path}: it is a folder, and a file is expected; name a file in it")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """An error of the system names ``path``, or the other file that the system names.

    Raises:
        OutputError: In place of an error of the system.
    """
    try:
        yield
    except SequelaError:
        raise
    except OSError as error:
        named = Path(path if error.filename is None else error.filename)
        made_for_it = named.parent == path.parent or named.is_relative_to(path)
        raise OutputError(system_words(error, path if made_for_it else named)) from error


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``: what is written there takes its place when all went well.

    The folder is made where it is missing. After an error, ``path`` is as it was and the temporary
    file is gone, and with it the folders that were made for it.

    Raises:
        OutputError: If a folder has the name, or the system refuses to write.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with whole(Path(folder) / "notes" / "a.txt") as partial:
        ...         _ = partial.write_text("all of it")
        ...     (Path(folder) / "notes" / "a.txt").read_text()
        'all of it'
    """
    require_file(path)
    partial = path.with_name(f"{path.name}.partial")
    with writing(path), _empty_ones_go(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """A folder that is gone afterwards, and with it the empty ones that were made to hold it.

    Whoever uses it makes it.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with scratch(Path(folder) / "runs" / "work") as work:
        ...         work.mkdir(parents=True)
        ...     list(Path(folder).iterdir())
        []
    """
    with _empty_ones_go(path):
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _empty_ones_go(path: Path) -> Iterator[None]:
    """Folders above ``path`` that come to exist within, and are empty at the end, go again."""
    made = [folder for folder in path.absolute().parents if not folder.exists()]
    try:
        yield
    finally:
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
