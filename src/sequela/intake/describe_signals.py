"""Declarations proposed from recordings; open decisions are marked."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path

import tomlkit

from sequela.config import SignalSettings
from sequela.errors import SequelaError
from sequela.formats import arrays
from sequela.formats.csv_files import PLAIN, Format
from sequela.formats.opened import DECIDE, OPTIONAL
from sequela.intake.inspection import encoding_of
from sequela.signals import folders, segment_tables, seizure_lists
from sequela.signals.channels import canonical
from sequela.signals.csv_recordings import first_rows, is_csv, parted, start_of, time_of
from sequela.signals.edf import EdfFile
from sequela.signals.folders import PARTICIPANTS, SignalFile
from sequela.signals.reading import NAME
from sequela.signals.segment_tables import is_number, table_of
from sequela.signals.window_classes import counted

# The usual names of the columns of a table, by key of the declaration.
_ROLES = {
    "id": "id segment segment_id",
    "subject": "subject patient participant person subject_id patient_id who",
    "session": "session session_id",
    "recording": "recording recording_id night file record",
    "site": "site hospital center centre",
    "label": "label class stage y target diagnosis event type group condition dx klasse diagnose "
    "gruppe",
    "time": "time t seconds onset timestamp",
}
_OF_RECORDINGS = ("label", "subject", "session", "site")  # in a csv file of one, or of their names
_NUMBERED = 16  # columns with one name and a number from which on they are samples
_LISTED = 20  # largest number of classes that are listed


@dataclass
class Proposal:
    """The keys of a declaration: value and comment, no value where it is open; and observations."""

    notes: list[str] = field(default_factory=list)
    keys: dict[str, tuple[object, str]] = field(default_factory=dict)

    def key(self, name: str, value: object, why: str) -> None:
        """Propose a key, or mark an open decision."""
        self.keys[name] = (value, why)

    def to_toml(self) -> str:
        """Format the declaration, with uncertain parts as comments."""
        lines = [f"# {line}" for line in self.notes]
        for name, (value, why) in self.keys.items():
            lines.append("")
            if value is None:
                meaning = str(SignalSettings.model_fields[name].description)
                lines += [f"# {DECIDE}: {why}", f"# {meaning}", f"# {name} = "]
                continue
            text = tomlkit.item(list(value) if isinstance(value, tuple) else value).as_string()
            lines += [f"# {why}", f"{name} = {text}"]
        return "\n".join(lines) + "\n"


def propose(path: Path) -> str:
    """Propose a ``signals.toml`` for the data at a path."""
    command = f"sequela train auto --data signals --root {shlex.quote(str(path))}"
    proposal = Proposal([f"Once this is in {NAME} with the data: {command}"])
    if folders.is_recording(path) or folders.has_recordings(path):
        _of_folder(path, proposal)
    else:
        _of_table(table_of(path), proposal)
    return proposal.to_toml()


def _column_of(role: str, names: Sequence[str]) -> str | None:
    """Return the first column with a usual name for a role, in either case."""
    # Reversed, so that the first of two columns wins whose names differ in case only.
    lower = {name.lower(): name for name in reversed(names)}
    return next((lower[name] for name in _ROLES[role].split() if name in lower), None)


def _of_table(path: Path, proposal: Proposal) -> None:
    is_array = path.suffix.lower() in {".npy", ".npz"}
    form, lists = PLAIN, set[str]()
    if is_array:
        shapes = arrays.shapes(path)
        names = [*shapes]
        for name, shape in shapes.items():
            proposal.notes.append(f"array {name}: {' x '.join(map(str, shape))}")
    else:
        if is_csv(path):
            form = _form_of(path, proposal)
        names, lists = segment_tables.columns_of(path, form)
        proposal.notes.append(f"{path.name}: {len(names):,} columns")
    roles = {role: _column_of(role, names) for role in _ROLES}
    samples = _numbered([name for name in names if name not in roles.values()])
    _propose_roles(roles, proposal)
    if lists:
        proposal.key("channels", tuple(n for n in names if n in lists), "columns that hold lists")
    elif samples:
        proposal.key("samples", samples, "columns of one name and a number")
    elif not is_array:
        proposal.key("samples", None, "no columns have one name and a number")
    proposal.key("rate", None, "the file does not contain the sampling rate")
    proposal.key("unit", None, "the file does not contain the unit of the samples")
    label = roles["label"]
    if label is None or is_array:
        return
    counts = Counter(segment_tables.texts_of(path, label, form))
    listed = counted([*counts.elements()])
    if len(counts) <= _LISTED:
        proposal.key("classes", tuple(sorted(counts)), f"found: {listed}; put them in order")
    else:
        proposal.key("classes", None, f"column {label} has {len(counts):,} values ({listed})")


def _propose_roles(roles: dict[str, str | None], proposal: Proposal) -> None:
    needed = {
        "label": "no column has the name of a class",
        "subject": "no column has the name of a person: if people are known, name it, or the split "
        "is by recording",
        "recording": "no column has the name of a recording: without one each row is its own",
    }
    for key, column in roles.items():
        if column is not None:
            proposal.key(key, column, f"by the column's name: is '{column}' the {key}?")
        elif key in needed:
            proposal.key(key, None, needed[key])


def has_samples(path: Path) -> bool:
    """Return whether the columns of a table hold samples: lists, or many of one name."""
    if path.suffix.lower() == ".parquet":
        names, lists = segment_tables.columns_of(path)
        return bool(lists or _numbered(names))
    return _numbered(first_rows(path)[0]) is not None


def _numbered(names: Sequence[str]) -> str | None:
    """Return the pattern of many columns that have one name and a number each."""
    # Samples in columns are mostly named X1, X2, ...: one stem with many numbers.
    stems = Counter(name.rstrip("0123456789") for name in names if name[-1:].isdigit())
    stem, count = next(iter(stems.most_common(1)), ("", 0))
    return f"{stem}*" if count >= _NUMBERED else None


def _form_of(path: Path, proposal: Proposal) -> Format:
    """Find the form of a csv file by its first rows, and propose its keys."""
    form, doubts = encoding_of(path)
    rows = first_rows(path)[2]
    keys = {"separator": rows.separator, "decimal": rows.decimal, **form}
    for key, value in keys.items():
        if value != getattr(PLAIN, key):
            proposal.key(f"format.{key}", value, f"as in {path.name}")
    for doubt in doubts:
        proposal.notes.append(f"{DECIDE}: {doubt.replace('[format]', 'the key format.encoding')}")
    return Format(**keys)


def _of_csv(
    path: Path, files: Sequence[Path], proposal: Proposal
) -> tuple[SignalSettings, set[str]]:
    """Propose keys for csv files; return settings that read their headers, and columns of text."""
    listings = [file for file in files if start_of(file).lists_files]
    recorded = [file for file in files if file not in listings]
    first = next(file for file in recorded if start_of(file).is_recorded)
    form = _form_of(first, proposal)
    names, _ = segment_tables.columns_of(first, form)
    texts = {
        canonical(parted(name)[0])
        for name, cells in zip(names, zip(*first_rows(first)[1], strict=True), strict=True)
        if not all(is_number(form.plain(cell, "number")) for cell in cells)
    }
    time = time_of(names)
    changes: dict[str, object] = {"format": tuple(f"{k}={v}" for k, v in asdict(form).items())}
    if time is None:
        proposal.key("rate", None, "no column has the name of a time")
        changes["rate"] = 1.0  # nothing is cut
    else:
        proposal.key("time", time, f"by the column's name: is '{time}' the time?")
    events = next((file for file in listings if _is_events(file)), None)
    listing = next((file for file in listings if file != events), None)
    for key, file in {"events": events, "listing": listing}.items():
        if file:
            changes[key] = file.relative_to(path).as_posix()
    if listing:
        proposal.key("listing", changes["listing"], "a table of the files, by its columns")
        names = [name.strip() for name in first_rows(listing)[0]]
    for role in _OF_RECORDINGS:
        if (column := _column_of(role, names)) is not None:
            proposal.key(role, column, f"by the column's name: is '{column}' the {role}?")
            changes[role] = column
    if "label" not in proposal.keys and not events:
        pattern, counts = _classes_in_names(path, recorded)
        why = "no column and no name of a file has a class"
        if pattern:
            listed = counted([*counts.elements()])
            why = f"by the names of the files: {listed}: are these classes?"
        proposal.key("label", pattern, why)
    return SignalSettings().model_copy(update=changes), texts


def _classes_in_names(path: Path, files: Sequence[Path]) -> tuple[str | None, Counter[str]]:
    """Return a regular expression that finds two or more frequent words in the names of files."""
    # A word is a class if all files have one, and several files have this one: ids are not.
    for pattern in ("([A-Za-z]+)[^/]*$", "([A-Za-z]+)[0-9_-]*[.]csv", "^([^/]+)/"):
        matches = [re.search(pattern, file.relative_to(path).as_posix()) for file in files]
        counts = Counter(match[1] for match in matches if match)
        if len(counts) > 1 and min(counts.values()) > 1 and counts.total() == len(files):
            return pattern, counts
    return None, Counter()


def _is_events(place: Path) -> bool:
    with suppress(SequelaError):
        folders.events_in(place)
        return True
    return False


def _of_folder(path: Path, proposal: Proposal) -> None:
    files = folders.files_of(path, SignalSettings())
    settings, texts = SignalSettings(), set[str]()
    if files and is_csv(files[0]):
        settings, texts = _of_csv(path, files, proposal)
    headers = folders.headers(path, settings)
    has_rate = "rate" not in proposal.keys
    proposal.notes += _facts(headers, has_rate=has_rate)
    try:
        common = tuple(name for name in folders.common(headers) if name not in texts)
        proposal.key("channels", common, "channels of EEG that all files have")
    except SequelaError as error:
        proposal.key("channels", None, " ".join(str(error).split()))
    # A higher rate would invent samples, so the lowest one is proposed.
    first_rates = {file.rate(0) for file in headers}
    if len(first_rates) > 1:
        why = "the files differ in rate: the lowest of them, in Hz"
        proposal.key("resample", min(first_rates), why)
    if any(file.assumed for file in headers):
        proposal.key("unit", "µV", "the files do not name a unit: is it this one?")
    if "subject" not in proposal.keys:
        _subjects(path, headers, proposal)
    if "label" not in proposal.keys:
        _events(path, headers, proposal)
    proposal.key("window", None, "seconds of a window are your choice, such as 4")


def _facts(headers: Sequence[SignalFile], *, has_rate: bool) -> Iterator[str]:
    """Yield sentences on recordings."""
    facts = [f"{len(headers):,} recordings"]
    if has_rate:
        # The first channel stands for the file: the length of a recording is that of each channel.
        lengths = [(sum(b - a for a, b, _ in file.pieces_of(0)), file.rate(0)) for file in headers]
        facts.append(f"{sum(n / rate for n, rate in lengths) / 3600:,.2f} hours")
    if n_gaps := folders.n_gaps_of(headers):
        facts.append(f"{n_gaps:,} gaps in time")
    annotations = {file.annotated_by for file in headers if isinstance(file, EdfFile)} - {None}
    if annotations:
        facts.append(f"{len(annotations):,} files of annotations")
    yield ", ".join(facts)
    rates: Counter[float] = Counter()
    counts: Counter[str] = Counter()
    for file in headers:
        rates.update(map(file.rate, range(len(file.labels))))
        counts.update({canonical(label) for label in file.labels})
    if has_rate:
        listed = ", ".join(f"{rate:g} Hz ({n})" for rate, n in rates.most_common(6))
        yield f"rates of channels: {listed}"
    missing = sorted(name for name, count in counts.items() if count < len(headers))
    if missing:
        yield f"channels that not all files have: {', '.join(missing[:30])}"


def _subjects(path: Path, headers: Sequence[SignalFile], proposal: Proposal) -> None:
    if (path / PARTICIPANTS).exists():
        proposal.notes.append("a folder of BIDS: subjects are those of its paths")
        return
    codes = {file.patient for file in headers}
    # One header without a code leaves a recording without a person.
    if "" not in codes and len(codes) > 1:
        why = f"the headers name {len(codes):,} patients: is each code one person?"
        proposal.key("subject", "header", why)
        return
    inside = [file.path.relative_to(path).parts for file in headers] if path.is_dir() else []
    if inside and all(len(parts) > 1 for parts in inside):
        why = f"{len({parts[0] for parts in inside}):,} folders: is each one person?"
        proposal.key("subject", "folder", why)
        return
    why = f"state how to find the person in paths, such as {headers[0].path.name}"
    proposal.key("subject", None, f"{why}; else the split is by recording")


def _events(path: Path, headers: Sequence[SignalFile], proposal: Proposal) -> None:
    source = next(_sources(path, headers), None)
    if source is None:
        proposal.key(
            "events", None, 'no events were found: name a table of them, or `label = "folder"`'
        )
        return
    proposal.key("events", source, "events were found there")
    if source in seizure_lists.SOURCES:
        proposal.notes.append("windows are background or seizure")
        return
    events = folders.events_of(path, headers, SignalSettings(events=source))
    labels = [event.label for event in chain.from_iterable(events.values())]
    proposal.key("classes", None, f"which of these are classes? Found: {counted(labels)}")
    proposal.key("background", None, f"{OPTIONAL} if only windows with an event count")


def _sources(path: Path, headers: Sequence[SignalFile]) -> Iterator[str]:
    """Yield sources of events that are present, the most certain first."""
    # Files of the BIDS standard state the class of each event; free annotations seldom do.
    if any(folders.place_of_bids(file.path).exists() for file in headers):
        yield folders.BIDS
    for source in seizure_lists.SOURCES:
        if any(seizure_lists.lists_beside(file.path, source) for file in headers):
            yield source
    if any(file.annotations for file in headers):
        yield folders.ANNOTATIONS
    root = path if path.is_dir() else path.parent
    recordings = {file.path for file in headers}
    for place in sorted([*root.glob("*.csv"), *root.glob("*.tsv")]):
        if place not in recordings and _is_events(place):  # they are only proposed
            yield place.name
