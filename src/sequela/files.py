"""Files that appear whole or not at all."""

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
