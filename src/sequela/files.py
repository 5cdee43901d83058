"""Files that appear whole or not at all, and folders that leave nothing behind.

A file is first written in a folder with a random name next to it. Each folder in use is locked. A
lock ends with its process, however that ends: an unlocked folder with such a name was left by a
killed process, and is removed when the same file is written again.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from glob import escape
from pathlib import Path
from secrets import token_hex
from tempfile import gettempdir

from sequela.errors import OutputError, SequelaError, system_words

LOCK = ".lock"
PATIENCE = 5.0
"""The seconds to wait for a locked folder: the workers of a killed process end within them."""
_LOOK = 0.1  # seconds between two looks at a locked folder
_WORK = ".work"  # end of the name of a temporary folder
_TEMPORARY = re.compile(rf"\..+\.[0-9a-f]{{16}}(\.partial|{_WORK})")  # .partial until version 0.2
# The folders that must stay: the place of each when links are followed, and its identity.
_staying: dict[Path, tuple[Path, os.stat_result]] = {}


def require_file(path: Path, *endings: str) -> None:
    """Make sure, before any work is done for it, that a file can have this name."""
    if path.is_dir():
        raise OutputError(f"{path}: it is a folder, and a file is expected; name a file in it")
    if endings and path.suffix.lower() not in endings:
        raise OutputError(f"{path}: expected a name that ends in {' or '.join(endings)}")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn an error of the system into one that names ``path`` or the file at fault."""
    try:
        yield
    except SequelaError:
        raise
    except OSError as error:
        at_fault = Path(path if error.filename is None else error.filename)
        made_for_path = at_fault.parent == path.parent or at_fault.is_relative_to(path)
        if made_for_path or is_leftover(at_fault.parent):
            at_fault = path
        raise OutputError(system_words(error, at_fault)) from error


@contextmanager
def whole(path: Path, *, lasting: bool = True) -> Iterator[Path]:
    """Yield a temporary file near ``path``, which gets the name ``path`` when all went well.

    The folder is made where it is missing. After an error, ``path`` is as it was and the temporary
    file is gone, and with it the folders that were made for it. What a killed process left of the
    same file is removed. A ``lasting`` file outlasts a power cut: it is on the disk before it gets
    its name.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with whole(Path(folder) / "notes" / "a.txt") as partial:
        ...         _ = partial.write_text("all of it")
        ...     (Path(folder) / "notes" / "a.txt").read_text()
        'all of it'
    """
    require_file(path)
    with writing(path), scratch_beside(path) as work:
        yield work / "new"
        if lasting:
            _settle(work / "new")
        _require_staying(path)
        (work / "new").replace(path)
        if lasting:
            _settle(path.parent)


def settle(folder: Path, *, deep: bool = True) -> None:
    """Make sure that all that a folder holds is on the disk, or only the names in it."""
    for path in folder.rglob("*") if deep else ():
        _settle(path)
    _settle(folder)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where they are missing."""
    _require_staying(path)
    path.mkdir(parents=True, exist_ok=True)


def is_leftover(path: Path) -> bool:
    """Return whether a path has the name of one of this module's temporary files or locks."""
    return path.name == LOCK or _TEMPORARY.fullmatch(path.name) is not None


@contextmanager
def staying(folder: Path) -> Iterator[None]:
    """Refuse to write below a folder once it was removed or moved.

    Nothing is made again in its place, and a link within the folder is not followed out of it.
    """
    absolute = folder.absolute()
    before = _staying.get(absolute)
    with writing(folder):
        # As long as it is open, no other folder gets its number.
        handle = None if os.name == "nt" else os.open(folder, os.O_RDONLY)
        _staying[absolute] = absolute.resolve(), absolute.stat()
    try:
        yield
    finally:
        _staying.pop(absolute)
        if before is not None:
            _staying[absolute] = before
        if handle is not None:
            os.close(handle)


@contextmanager
def held(folder: Path, *, new: bool = False) -> Iterator[None]:
    """Lock a folder for this process; the folder must not be removed (see :func:`staying`).

    Make the folder where it is missing. The lock ends with the process, however that ends. Nobody
    may take a ``new`` folder, which is this process's own, for one that a dead process left.
    """
    lock = folder / LOCK
    with _empty_ones_go(lock):
        with writing(folder):
            make_folder(folder)
            handle = _first(lock) if new else _locked(lock)
        try:
            with staying(folder):
                yield
        finally:
            _release(lock, handle)


@contextmanager
def scratch(path: Path) -> Iterator[Path]:
    """Remove a folder afterwards, and with it the empty ones that were made to hold it.

    The caller makes the folder.

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
def scratch_beside(path: Path) -> Iterator[Path]:
    """Yield a new folder next to ``path``, with a random name, and remove it afterwards.

    Remove also such folders of the same path that killed processes left.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     with scratch_beside(Path(folder) / "run") as work:
        ...         is_next_to_it = work.is_dir(), work.parent.name == Path(folder).name
        ...     is_next_to_it, list(Path(folder).iterdir())
        ((True, True), [])
    """
    for leftover in _leftovers(path):
        _empty(leftover)
        shutil.rmtree(leftover, ignore_errors=True)
    with scratch(path.with_name(f".{path.name}.{token_hex(8)}{_WORK}")) as work:
        with writing(path):
            make_folder(work.parent)
            work.mkdir(0o700)  # there may be records of patients in it
        with held(work, new=True):
            try:
                yield work
            finally:
                _empty(work)


def _empty(work: Path) -> None:
    """Remove all but the lock, which marks the folder as a leftover until it is empty."""
    try:
        entries = list(work.iterdir())
    except FileNotFoundError:  # another process removed the folder
        return
    for entry in entries:
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        elif entry.name != LOCK:
            with suppress(OSError):
                entry.unlink()


@contextmanager
def temporary() -> Iterator[Path]:
    """Yield a new folder in the system's place for temporary files, and remove it afterwards.

    Unlike one of ``tempfile``, the folder of a killed process is removed by the next one that needs
    a temporary folder.
    """
    with scratch_beside(Path(gettempdir()) / "sequela") as work:
        yield work


@contextmanager
def _empty_ones_go(path: Path) -> Iterator[None]:
    """Remove the folders above ``path`` that were made meanwhile and are empty at the end."""
    missing = [folder for folder in path.absolute().parents if not folder.exists()]
    try:
        yield
    finally:
        for folder in missing:
            with suppress(OSError):  # it holds something, or another process removed it
                folder.rmdir()


def _leftovers(path: Path) -> Iterator[Path]:
    """Yield each folder that killed processes left next to ``path``, locked while it is in use."""
    for leftover in path.parent.glob(f".{escape(path.name)}.{'[0-9a-f]' * 16}{_WORK}"):
        lock = leftover / LOCK
        try:
            handle = os.open(lock, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0))
        except OSError:  # gone, or not ours
            continue
        with ExitStack() as unlock:
            unlock.callback(os.close, handle)
            # Its owner may have ended just now and removed the file, whose lock then means nothing.
            if _lock(handle) is True and _is_still(handle, lock):
                if os.name == "nt":  # open files cannot be removed there
                    unlock.close()
                yield leftover


def _is_still(handle: int, path: Path) -> bool:
    """Return whether an open file still has its name."""
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def _first(lock: Path) -> int:
    """Return a handle as ``_locked`` does, for a new folder: its lock is never seen unlocked."""
    if os.name == "nt":  # an open file keeps its name there
        return _locked(lock)
    unseen = lock.with_name(f"{LOCK}.{token_hex(8)}")
    handle = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    _lock(handle)
    unseen.rename(lock)
    return handle


def _locked(lock: Path) -> int:
    """Return the handle of a file that this process now locks, once it is free."""
    until = time.monotonic() + PATIENCE
    while True:
        handle = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        if _lock(handle) is not False and _is_still(handle, lock):
            return handle
        os.close(handle)  # another process has it, or has removed it in the meantime
        if time.monotonic() > until:
            raise OutputError(
                f"{lock.parent}: another process writes to it; wait until that has ended, or name "
                "another folder"
            )
        time.sleep(_LOOK)


def _release(lock: Path, handle: int) -> None:
    if os.name == "nt":
        os.close(handle)
        lock.unlink(missing_ok=True)
        return
    with suppress(OSError):  # the folder is gone
        if _is_still(handle, lock):
            lock.unlink()
    os.close(handle)


if sys.platform == "win32":
    import msvcrt

    _BEHIND = 2**30
    """The byte that is locked, far behind the content: a locked byte could not be written."""

    def _lock(handle: int) -> bool | None:
        """Lock an open file; false if another process has, nothing if files cannot be locked."""
        try:
            os.lseek(handle, _BEHIND, os.SEEK_SET)
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _lock(handle: int) -> bool | None:
        """Lock an open file; false if another process has, nothing if files cannot be locked."""
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # some network drives
            return None
        return True


def _require_staying(path: Path) -> None:
    """Raise an OutputError if a folder that must stay is gone, or a link leads out of it."""
    where = path.parent.resolve() / path.name
    for folder, (place, stat) in list(_staying.items()):
        if not (path.absolute().is_relative_to(folder) or where.is_relative_to(place)):
            continue
        try:
            same = os.path.samestat(stat, folder.stat())
        except OSError:
            same = False
        if not same:
            raise OutputError(
                f"{folder}: was removed or moved during writing; nothing is created in its "
                "place: run the command again"
            )
        if not where.is_relative_to(place):
            raise OutputError(f"{path.parent}: it is a link to another place; remove it")


def _settle(path: Path) -> None:
    """Make sure that a file, or the names in a folder, are on the disk."""
    if path.is_dir():
        if os.name == "nt":  # which opens no folder
            return
        with suppress(OSError):  # not every file system can
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        return
    with path.open("rb+") as file:
        os.fsync(file.fileno())
