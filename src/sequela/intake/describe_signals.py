"""Declarations proposed from recordings; open decisions are marked."""

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import tomlkit

from sequela.config import SignalSettings
from sequela.errors import DataError, SequelaError
from sequela.files import temporary
from sequela.formats import arrays, opened
from sequela.formats.csv_files import PLAIN, Format
from sequela.formats.opened import DECIDE, OPTIONAL
from sequela.intake.look import Seen, look
from sequela.signals import event_files, folders, siena, tables
from sequela.signals.channels import canonical
from sequela.signals.csv_recordings import (
    EXPECTED,
    first_rows,
    is_csv,
    lists_files,
    looks_recorded,
    parted,
    time_of,
)
from sequela.signals.declaration import NAME
from sequela.signals.events import counted
from sequela.signals.reading import table_of
from sequela.signals.sampled import SignalFile
from sequela.signals.whose import PARTICIPANTS

_LABELS = (
    *("label", "class", "stage", "y", "target", "diagnosis", "event", "type"),
    *("group", "condition", "dx", "klasse", "diagnose", "gruppe"),
)
_SUBJECTS = ("subject", "patient", "participant", "person", "subject_id", "patient_id", "who")
_SESSIONS = ("session", "session_id")
_RECORDINGS = ("recording", "recording_id", "night", "file", "record")
_SITES = ("site", "hospital", "center", "centre")
_TIMES = ("time", "t", "seconds", "onset", "timestamp")
_IDS = ("id", "segment", "segment_id")
_MANY = 16  # number of columns with one name and a number from which on they are samples
_HEAD = 2000  # lines of a csv file from which its form is found
_FEW = 20  # largest number of classes that are listed


@dataclass
class Proposal:
    """The keys of a declaration: value and comment, no value where it is open; and observations."""

    seen: list[str] = field(default_factory=list)
    keys: dict[str, tuple[Any, str]] = field(default_factory=dict)

    def key(self, name: str, value: Any, why: str) -> None:
        """Propose a key, or mark an open decision."""
        self.keys[name] = (value, why)

    def to_toml(self) -> str:
        """Format the declaration, with uncertain parts as comments."""
        lines = [f"# {line}" for line in self.seen]
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


def _named(known: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the first column with one of these names, in either case."""
    lower = {name.lower(): name for name in reversed(names)}
    return next((lower[each] for each in known if each in lower), None)


def _of_table(path: Path, proposal: Proposal) -> None:
    form = PLAIN
    if path.suffix.lower() in {".npy", ".npz"}:
        names, lists = _arrays(path, proposal), set[str]()
    else:
        if is_csv(path):
            form = Format(**_form_of(path, proposal)[0])
        names, lists = tables.columns_of(path, form)
        proposal.seen.append(f"{path.name}: {len(names):,} columns")
    roles = {
        "id": _named(_IDS, names),
        "subject": _named(_SUBJECTS, names),
        "session": _named(_SESSIONS, names),
        "recording": _named(_RECORDINGS, names),
        "site": _named(_SITES, names),
        "label": _named(_LABELS, names),
        "time": _named(_TIMES, names),
    }
    samples = _numbered([name for name in names if name not in roles.values()])
    _say_roles(roles, proposal)
    if lists:
        proposal.key("channels", tuple(n for n in names if n in lists), "columns that hold lists")
    elif samples:
        proposal.key("samples", samples, "columns of one name and a number")
    elif path.suffix.lower() not in {".npy", ".npz"}:
        rest = [name for name in names if name not in roles.values()]
        proposal.key("channels", tuple(rest), "the other columns: is each a channel?")
    if not (roles["time"] and roles["id"] and not lists and not samples):
        proposal.key("rate", None, "the file does not contain the sampling rate")
    proposal.key("unit", None, "the file does not contain the unit of the samples")
    if path.suffix.lower() not in {".npy", ".npz"} and roles["label"]:
        _add_classes(path, roles["label"], form, proposal)


def _say_roles(roles: dict[str, str | None], proposal: Proposal) -> None:
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
        names, lists = tables.columns_of(path)
        return bool(lists or _numbered(names))
    with opened.opened(path, "a table") as stream:
        first = stream.readline().decode("utf-8", "replace")
    return _numbered([name.strip('" ') for name in re.split("[,;|\t]", first.strip())]) is not None


def _numbered(names: Sequence[str]) -> str | None:
    """Return the pattern of many columns that have one name and a number each."""
    stems = Counter(name.rstrip("0123456789") for name in names if name[-1:].isdigit())
    stem, count = next(iter(stems.most_common(1)), ("", 0))
    return f"{stem}*" if count >= _MANY else None


def _arrays(path: Path, proposal: Proposal) -> list[str]:
    """Name the arrays of an npz file; for an npy file, those next to it."""
    if path.suffix.lower() == ".npy":
        proposal.seen.append(f"{path.name}: an array; labels are in files next to it")
        return [each.name for each in sorted(path.parent.glob("*.npy")) if each != path]
    shapes = arrays.shapes(path)
    for name, shape in shapes.items():
        proposal.seen.append(f"array {name}: {' x '.join(map(str, shape))}")
    return list(shapes)


def _add_classes(path: Path, label: str, form: Format, proposal: Proposal) -> None:
    counts = Counter(tables.texts_of(path, label, form))
    listed = counted(list(counts.elements()))
    if len(counts) <= _FEW:
        proposal.key("classes", tuple(sorted(counts)), f"found: {listed}; put them in order")
    else:
        proposal.key("classes", None, f"column {label} has {len(counts):,} values ({listed})")


def _form_of(path: Path, proposal: Proposal) -> tuple[dict[str, Any], Seen]:
    """Find the form of a csv file by its first rows, and propose its keys."""
    with temporary() as work:
        with opened.opened(path, EXPECTED) as stream:
            (work / "head.csv").write_bytes(b"".join(islice(stream, _HEAD)))
        try:
            (head,) = look(work)
        except SequelaError as error:
            raise DataError(
                f"{path}: its rows have no common form; expected one separator, and in each row "
                f"as many cells as in the header; correct it, or write {NAME} yourself"
            ) from error
    form = Format(**{**head.form, "thousands": ""})
    found = {key: value for key, value in asdict(form).items() if value != getattr(PLAIN, key)}
    for key, value in found.items():
        proposal.key(f"format.{key}", value, f"as in {path.name}")
    for doubt in head.doubts:
        proposal.seen.append(f"{DECIDE}: {doubt.replace('[format]', 'the key format.encoding')}")
    return found, head


def _of_csv(
    path: Path, files: Sequence[Path], proposal: Proposal
) -> tuple[SignalSettings, set[str]]:
    tables_of = [each for each in files if lists_files(each)]
    recorded = [each for each in files if each not in tables_of]
    first = next(filter(looks_recorded, recorded))
    keys, head = _form_of(first, proposal)
    settings = SignalSettings.of(format=keys)
    names, _ = tables.columns_of(first, Format(**keys))
    texts = {
        canonical(parted(name)[0])
        for name, column in zip(names, head.columns, strict=True)
        if column.kind == "text"
    }
    time = time_of(names)
    if time is None:
        proposal.key("rate", None, "no column has the name of a time")
        settings = settings.model_copy(update={"rate": 1.0})  # nothing is cut
    else:
        proposal.key("time", time, f"by the column's name: is '{time}' the time?")
    events = next((each for each in tables_of if _is_events(each)), None)
    listing = next((each for each in tables_of if each != events), None)
    found = {"events": events, "listing": listing}
    inside = {k: each.relative_to(path).as_posix() for k, each in found.items() if each}
    if listing:
        proposal.key("listing", inside["listing"], "a table of the files, by its columns")
        names = [name.strip() for name in first_rows(listing)[0]]
    roles = {"label": _LABELS, "subject": _SUBJECTS, "session": _SESSIONS, "site": _SITES}
    for key, known in roles.items():
        if (column := _named(known, names)) is not None:
            proposal.key(key, column, f"by the column's name: is '{column}' the {key}?")
    if "label" not in proposal.keys and not events:
        pattern, counts = _classes_in_names(path, recorded)
        listed = counted([*counts.elements()])
        why = f"by the names of the files: {listed}: are these classes?" * bool(pattern)
        proposal.key("label", pattern, why or "no column and no name of a file has a class")
    own = {k: v for k in roles if (v := proposal.keys.get(k, (None,))[0]) in names}
    return settings.model_copy(update={**inside, **own}), texts


def _classes_in_names(path: Path, files: Sequence[Path]) -> tuple[str | None, Counter[str]]:
    """Return a regular expression that finds two or more frequent words in the names of files."""
    for pattern in ("([A-Za-z]+)[^/]*$", "([A-Za-z]+)[0-9_-]*[.]csv", "^([^/]+)/"):
        found = [re.search(pattern, each.relative_to(path).as_posix()) for each in files]
        counts = Counter(match[1] for match in found if match)
        if len(counts) > 1 and min(counts.values()) > 1 and counts.total() == len(files):
            return pattern, counts
    return None, Counter()


def _is_events(place: Path) -> bool:
    with suppress(SequelaError):
        event_files.table(place)
        return True
    return False


def _of_folder(path: Path, proposal: Proposal) -> None:
    files = folders.files_of(path, SignalSettings())
    settings, texts = SignalSettings(), set[str]()
    if files and is_csv(files[0]):
        settings, texts = _of_csv(path, files, proposal)
    headers, beside = folders.headers(path, settings)
    n_gaps = sum(len(each.pieces) - 1 for each in headers if not each.epochs)
    rates = Counter(each.rate(i) for each in headers for i in each.signals)
    seconds = f", {sum(each.seconds - each.gaps for each in headers) / 3600:,.2f} hours"
    named = ", ".join(f"{rate:g} Hz ({n})" for rate, n in rates.most_common(6))
    is_known = "rate" not in proposal.keys
    proposal.seen.append(
        f"{len(headers):,} recordings"
        + seconds * is_known
        + f", {n_gaps:,} gaps in time" * bool(n_gaps)
        + f", {len(beside):,} files of annotations" * bool(beside)
    )
    proposal.seen += [f"rates of channels: {named}"] * is_known
    counts = Counter(
        name for each in headers for name in {canonical(each.labels[i]) for i in each.signals}
    )
    some = [name for name, count in counts.items() if count < len(headers)]
    if some:
        proposal.seen.append(f"channels that not all files have: {', '.join(sorted(some)[:30])}")
    try:
        common = tuple(name for name in folders.common(headers) if name not in texts)
        proposal.key("channels", common, "channels of EEG that all files have")
    except SequelaError as error:
        proposal.key("channels", None, " ".join(str(error).split()))
    first = {each.rate(each.signals[0]) for each in headers}
    if len(first) > 1:
        proposal.key("resample", min(first), "the files differ in rate: the lowest of them, in Hz")
    if any(each.assumed for each in headers):
        proposal.key("unit", "µV", "the files do not name a unit: is it this one?")
    if "subject" not in proposal.keys:
        _subjects(path, headers, proposal)
    if all(each.epochs for each in headers):
        labels = [event.label for each in headers for event in each.annotations]
        why = f"the classes of the epochs: {counted(labels)}; put them in order"
        proposal.key("classes", tuple(sorted({*labels})), why)
        return
    if "label" not in proposal.keys:
        _events(path, headers, beside, proposal)
    proposal.key("window", None, "seconds of a window are your choice, such as 4")


def _subjects(path: Path, headers: Sequence[SignalFile], proposal: Proposal) -> None:
    if (path / PARTICIPANTS).exists():
        proposal.seen.append("a folder of BIDS: subjects are those of its paths")
        return
    codes = {each.patient for each in headers}
    if "" not in codes and len(codes) > 1:
        why = f"the headers name {len(codes):,} patients: is each code one person?"
        proposal.key("subject", "header", why)
        return
    within = [each.path.relative_to(path).parts for each in headers] if path.is_dir() else []
    if within and all(len(parts) > 1 for parts in within):
        why = f"{len({parts[0] for parts in within}):,} folders: is each one person?"
        proposal.key("subject", "folder", why)
        return
    why = f"state how to find the person in paths, such as {headers[0].path.name}"
    proposal.key("subject", None, f"{why}; else the split is by recording")


def _events(
    path: Path, headers: Sequence[SignalFile], beside: Sequence[SignalFile], proposal: Proposal
) -> None:
    source = next(_sources(path, headers, beside), None)
    if source is None:
        proposal.key(
            "events", None, 'no events were found: name a table of them, or `label = "folder"`'
        )
        return
    proposal.key("events", source, "events were found there")
    if source in event_files.OF_SEIZURES:
        proposal.seen.append("windows are background or seizure")
        return
    found = folders.events_of(path, headers, beside, SignalSettings(events=source))
    labels = [event.label for each in found.values() for event in each]
    proposal.key("classes", None, f"which of these are classes? Found: {counted(labels)}")
    proposal.key("background", None, f"{OPTIONAL} if only windows with an event count")


def _sources(
    path: Path, headers: Sequence[SignalFile], beside: Sequence[SignalFile]
) -> Iterator[str]:
    """Yield sources of events that are present, the most certain first."""
    places = {each.path.parent for each in headers}
    if any(event_files.place_of_bids(each.path).exists() for each in headers):
        yield event_files.BIDS
    if any(list(place.glob(event_files.SUMMARIES)) for place in places):
        yield event_files.SUMMARY
    if any(list(place.glob(siena.PATTERN)) for place in places):
        yield event_files.SIENA
    if any(list(each.path.parent.glob(f"{each.path.stem}_a*.tsv")) for each in headers):
        yield event_files.SEIZEIT
    if beside or any(each.annotations for each in headers):
        yield event_files.ANNOTATIONS
    root = path if path.is_dir() else path.parent
    recordings = {each.path for each in headers}
    for place in sorted([*root.glob("*.csv"), *root.glob("*.tsv")]):
        if place not in recordings and _is_events(place):  # they are only proposed
            yield place.name
