"""A user's own recordings, read by their declaration: a path to windows."""

from collections.abc import Callable
from pathlib import Path

from sequela.config import SegmentLength, SignalSettings
from sequela.errors import DataError, SettingError
from sequela.signals.cutting import Cut, Cutter
from sequela.signals.declaration import declared, no_subjects
from sequela.signals.folders import Folder, has_recordings, is_recording
from sequela.signals.segment_tables import SegmentTable, table_of
from sequela.signals.segments import Segments, collect

_OF_CLASSES = ("label", "classes", "omit", "events", "background")
"""The keys of a declaration that are only about classes."""


def read(
    path: Path,
    options: SignalSettings | None = None,
    segment: SegmentLength | None = None,
    work: Path | None = None,
) -> Segments:
    """Read windows of the recordings at a path.

    Args:
        path: A table of segments, or a folder.
        options: Description of the data; the rest is in their ``signals.toml``.
        segment: Samples of a window, or ``recording`` for one window per row; as declared by
            default.
        work: Folder for the windows; the system's temporary folder by default.
    """
    settings = declared(path, options)
    title = settings.title or path.resolve().name.partition(".")[0]
    if is_recording(path, settings) or has_recordings(path, settings):
        folder = Folder.open(path, settings)
        epochs = all(file.epochs for file in folder.files)
        if settings.window is None and segment is None and not epochs:
            raise SettingError(
                f"{path}: the length of a window is unknown; give --window, in seconds, such as 4"
            )
        return collect(folder, segment, title, work)
    return collect(SegmentTable(table_of(path), settings), segment, title, work)


def cut_unlabelled(
    path: Path,
    settings: SignalSettings,
    segment: SegmentLength,
    collect_cut: Callable[[Cut], None],
    refuse: Callable[[str, str], None],
    report: Callable[[float | None], None],
) -> tuple[list[str], int]:
    """Cut the recordings at a path while they are read; columns and events of classes are ignored.

    Args:
        path: A table of segments, or a folder.
        settings: Their whole declaration.
        segment: Samples of a window, or ``recording``.
        collect_cut: Receives the windows in the order of the data.
        refuse: Receives the place of a row that cannot be cut, and the reason.
        report: Receives the share read so far, or ``None`` where that is not known.

    Returns:
        Sentences on the processing, and the number of samples that fill no window.
    """
    fields = SignalSettings.model_fields
    settings = settings.model_copy(update={name: fields[name].default for name in _OF_CLASSES})
    source: Folder | SegmentTable
    if is_recording(path, settings) or has_recordings(path, settings):
        source = Folder.open(path, settings, labelled=False)
    else:
        source = SegmentTable(table_of(path), settings, labelled=False, refuse=refuse)
    cutter = Cutter(settings, segment)
    for stretch in source.stretches(report):
        try:
            for cut in cutter.cut(stretch):
                collect_cut(cut)
        except DataError as error:
            if not stretch.is_row:
                raise
            refuse(stretch.place, str(error).removeprefix(f"{stretch.place}: "))
    unknown = no_subjects(settings.independent)
    return [note for note in source.notes(cutter.notes) if note != unknown], cutter.n_dropped
