"""Files that appear whole or not at all, and folders that leave nothing behind."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path``: what is written there takes its place when all went well.

    The folder is made where it is missing. After an error, ``path`` is as it was and the temporary
    file is gone.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with whole(Path(folder) / "notes" / "a.txt") as partial:
        ...         _ = partial.write_text("all of it")
        ...     (Path(folder) / "notes" / "a.txt").read_text()
        'all of it'
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
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
    made = [folder for folder in path.absolute().parents if not folder.exists()]
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
        for folder in made:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
