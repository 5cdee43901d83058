"""A check of complete hospital tables against their rules."""

from collections.abc import Collection
from pathlib import Path

from sequela.files import temporary
from sequela.sources.account import Account
from sequela.sources.build import build
from sequela.sources.events import is_built
from sequela.sources.hospitals import source_of


def check(
    name: str,
    root: Path | str,
    changed: Collection[str] = (),
    allow_set_aside: Collection[str] = (),
) -> Account:
    """Read a hospital data set as a build does, and keep nothing but the log.

    The events are written to a folder of the system for temporary files (``TMPDIR``), because
    duplicates are found only after sorting, and memory may be too small.

    Args:
        name: Name of the data set.
        root: Folder with the published tables or with events of ``sequela build``, or address of a
            PostgreSQL database.
        changed: As in a build.
        allow_set_aside: As in a build.

    Raises:
        SequelaError: As :func:`sequela.sources.build.build`: a file, a row or a rule is broken.
    """
    built = isinstance(root, Path) and is_built(name, root)
    with temporary() as folder:
        source = source_of("meds" if built else name, root)
        events = folder / "events"
        return build(source, root, events, changed=changed, allow_set_aside=allow_set_aside)
