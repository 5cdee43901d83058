"""Unlabelled recordings of a user, cut into windows while they are read."""

from collections.abc import Callable
from pathlib import Path

from sequela.config import SegmentLength, SignalSettings
from sequela.errors import DataError
from sequela.sources.signals import folders, tables
from sequela.sources.signals.cutting import Cutter, Shelf, no_subjects
from sequela.sources.signals.declaration import declared
from sequela.sources.signals.reading import Reader, table_of

_OF_CLASSES = ("label", "classes", "omit", "events", "background")
"""The keys of a declaration that are only about classes."""
_OFTEN = 1000
"""The number of rows between reports of progress."""


def cut_unlabelled(
    path: Path,
    given: SignalSettings,
    segment: SegmentLength,
    shelf: Shelf,
    refuse: Callable[[str, str], None],
    done: Callable[[float | None], None],
) -> list[str]:
    """Cut the recordings at a path; columns and events of classes are ignored.

    Args:
        path: A table of segments, or a folder, as for :func:`sequela.sources.signals.reading.read`.
        given: Options that describe the data; the rest is in their ``signals.toml``.
        segment: Samples of a window.
        shelf: The shelf for the windows, in the order of the data.
        refuse: Called with the place of a row that cannot be cut, and the reason.
        done: Called with the share read so far, or nothing where that is not known.

    Returns:
        Notes on the processing, as sentences.

    Raises:
        SequelaError: If the declaration is invalid, or the data do not match it.
    """
    said = declared(path, given)
    settings = said.model_copy(
        update={name: SignalSettings.model_fields[name].default for name in _OF_CLASSES}
    )
    cutter = Cutter(settings, segment, shelf)
    if folders.is_recording(path) or folders.has_recordings(path):
        folders.cut_all(path, cutter, done)
    else:
        _cut_table(Reader(table_of(path), cutter), refuse, done)
    return [note for note in cutter.notes if note != no_subjects(cutter.settings.independent)]


def _cut_table(
    reader: Reader, refuse: Callable[[str, str], None], done: Callable[[float | None], None]
) -> None:
    if reader.layout.long:
        for stretch, _ in reader.stretches():
            reader.cutter.stretch(stretch)
            done(None)
        if reader.n_gaps:
            reader.cutter.note(f"{reader.n_gaps:,} gaps in time; no window spans one")
        return
    total = tables.n_rows_of(reader.path)
    for number, row in enumerate(reader.rows()):
        if number % _OFTEN == 0:
            done(number / total if total else None)
        try:
            whose = reader.whose(row.said, row.place, row.id)
            reader.cutter.row(row.signal, reader.rate, 0, whose, row.place, row.start)
        except DataError as error:
            refuse(row.place, str(error).removeprefix(f"{row.place}: "))
