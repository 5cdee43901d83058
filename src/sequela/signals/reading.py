"""A user's own recordings: their declaration in ``signals.toml`` and options, and their windows."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from sequela.config import SegmentLength, SignalSettings
from sequela.errors import DataError, SettingError
from sequela.formats import opened
from sequela.formats.csv_files import Format
from sequela.signals.cutting import Cut, Cutter
from sequela.signals.folders import Folder, has_recordings, is_recording
from sequela.signals.segment_tables import SegmentTable, table_of
from sequela.signals.segments import Segments, collect
from sequela.signals.stretches import no_subjects
from sequela.signals.window_classes import Classes

NAME = "signals.toml"
_EXPECTED = 'a declaration of recordings in TOML, such as `label = "stage"`'
_REMEDY = "correct it, or let `sequela data describe` propose one"
# The keys of a declaration that are only about classes.
_OF_CLASSES = ("label", "classes", "omit", "events", "background")


def declared(path: Path, changes: SignalSettings | None = None) -> SignalSettings:
    """Return the declaration of the data at a path, changed by options."""
    place = _place(path)
    in_file = SignalSettings()
    if place.exists():
        state = place.stat()
        in_file = _read(place, state.st_size, state.st_mtime_ns)
    options = {} if changes is None else changes.model_dump(exclude_defaults=True)
    options["format"] = (*in_file.format, *options.get("format", ()))
    settings = SignalSettings.of(**{**in_file.model_dump(exclude_defaults=True), **options})
    _check(settings, place)
    return settings


@lru_cache(maxsize=8)
def _read(place: Path, _size: int, _changed: int) -> SignalSettings:
    """Read a declaration, once while the file stays as it is."""
    return opened.declaration(place, SignalSettings, _EXPECTED, _REMEDY, keyed=True)


def prepared_as(
    model: SignalSettings, settings: SignalSettings, place: object, *, fixed: bool = False
) -> dict[str, object]:
    """Return the preparation of a model, or raise a SettingError for recordings of another one."""
    trained = model.preparation.model_dump(exclude_defaults=True)
    stated = settings.preparation.model_dump(exclude_defaults=True)
    if stated != trained if fixed else not stated.items() <= trained.items():
        here, of_model = (e.in_words or ("not prepared",) for e in (settings, model))
        raise SettingError(
            f"{place}: {here[0]}, but the model was trained on recordings {of_model[0]}: leave the "
            "preparation out of signals.toml; the model prepares new recordings itself"
        )
    return trained


def is_declared(path: Path) -> bool:
    """Return whether there is a declaration with the data at a path."""
    return _place(path).exists()


def _place(path: Path) -> Path:
    return (path if path.is_dir() else path.parent) / NAME


def _check(settings: SignalSettings, place: Path) -> None:
    where = f"{place}: " if place.exists() else ""
    if settings.stride and not settings.window:
        raise SettingError(
            f"{where}a stride of {settings.stride:g} s without a window: give the window as well, "
            "in seconds"
        )
    if settings.label and settings.events:
        raise SettingError(
            f"{where}both label ({settings.label}) and events ({settings.events}) are given: "
            "expected one of them; windows have their class from a column or from events"
        )
    if settings.background and not settings.events:
        raise SettingError(
            f"{where}a class of windows without an event ({settings.background}), and no events: "
            "give their place with --events"
        )
    if Format.of(settings.format).thousands:
        raise SettingError(f"{where}samples have no sign between thousands: leave `thousands` out")
    Classes.of(settings)


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
        if settings.window is None and segment is None:
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

    ``settings`` are their whole declaration. ``collect_cut`` receives the windows in the order of
    the data, ``refuse`` the place of a row that cannot be cut and the reason, and ``report`` the
    share read so far, or ``None`` where it is not known. Return sentences on the processing, and
    the number of samples that fill no window.
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
    return [note for note in source.notes([*cutter.notes]) if note != unknown], cutter.n_dropped
