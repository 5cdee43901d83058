"""The catalogue of data sets: licence, citation, and location on this machine."""

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from platformdirs import user_cache_path

from sequela.errors import DataNotFoundError, SettingError, install, unknown_name
from sequela.formats.opened import Sums
from sequela.plugins import Registry

if TYPE_CHECKING:
    from sequela.config import SegmentLength, SignalSettings, SplitUnit

EXCERPTS = Path(__file__).parent / "excerpts"


@dataclass(frozen=True)
class Signals:
    """The properties of a data set's recordings, and the default length of segments."""

    classes: tuple[str, ...]  # names of the classes, in the order of their labels
    n_chans: int  # channels of a recording
    sfreq: float  # samples per second, in Hz
    n_times: int  # samples of a segment


@dataclass(frozen=True)
class Recording:
    """One continuous recording.

    Attributes:
        recording_id: Unique in its data set, for example ``Z007``.
        subject_id: The person recorded, or ``None`` where subjects are not identified.
        signal: float32 (n_chans, n_times), in µV.
        sfreq: Samples per second, in Hz.
        label: Index of the class, or ``None`` where it is not known.
        session_id: Shared by recordings made at the same time, or ``None`` where that is not known.
    """

    recording_id: str
    subject_id: str | None
    signal: NDArray[np.float32]
    sfreq: float
    label: int | None
    session_id: str | None = None


class Modality(StrEnum):
    """The kind of a data set, and of the inputs of a model; files have the values."""

    EEG = "signal"
    RECORDS = "records"

    @property
    def words(self) -> str:
        """The kind in a sentence."""
        return "recordings" if self is Modality.EEG else "hospital records"


@dataclass(frozen=True)
class DataSet:
    """A published data set or format.

    Attributes:
        title: Name in tables and pages.
        kind: ``eeg`` yields recordings, ``ehr`` yields events.
        licence: The licence, or the terms of access.
        citation: The citation for results on it; empty for the user's own data.
        size: Its size in words.
        homepage: The publisher's page.
        how_to_get: The way to obtain the data, as the end of a sentence.
        units: The possible units of a split: the first by default.
        not_units: The reason that other units are impossible, as the end of a sentence.
        reads: Function that reads it from a path, itself or as ``module:function``; empty for
            tables.
        signals: Declaration of its recordings, itself or as ``module:name``; empty for tables.
        source: The declaration of its tables, itself, as ``module:name``, or as a file in
            ``sequela.tables.declared``; empty for recordings.
        declares: Function from the path of the tables to their declaration, as ``module:function``,
            in place of ``source``; empty where that is used.
        rows: Function from the path of a table with one row per patient, and its description by
            options, to its declaration, in place of ``source``; empty where that is used.
        windows: Function that reads windows of recordings by a declaration, as ``module:function``,
            in place of ``reads`` and ``signals``; empty where these are used.
        excerpt: File or folder under ``excerpts/`` that ships with the package; empty if none.
        excerpt_size: Size of the excerpt in words.
        package: Installed package that contains it; empty if none.
        name: Its name in the catalogue, which :func:`lookup` sets.
    """

    title: str
    kind: Literal["eeg", "ehr"]
    licence: str = "that of the data"
    citation: str = ""
    size: str = "any"
    homepage: str = ""
    how_to_get: str = "name its folder or file with --root"
    units: "tuple[SplitUnit, ...]" = ("subject",)
    not_units: "Mapping[SplitUnit, str]" = field(default_factory=dict)
    reads: str | Callable[[Path], list[Recording]] = ""
    signals: str | Signals = ""
    source: object = ""
    declares: str = ""
    rows: str = ""
    windows: str = ""
    excerpt: str = ""
    excerpt_size: str = ""
    package: str = ""
    name: str = ""

    @property
    def modality(self) -> Modality:
        """The kind of examples of a run on it."""
        return Modality.EEG if self.kind == "eeg" else Modality.RECORDS

    @property
    def recordings(self) -> Signals:
        """The declaration of its recordings; raises a SettingError if it holds tables."""
        self._check_recordings()
        signals: Signals = loaded(self.signals)
        return signals

    def _check_recordings(self) -> None:
        if self.reads or self.windows:
            return
        names = ", ".join(sorted(entry.name for entry in data_sets() if entry.reads))
        remedy = f"turn it into events with `sequela build {self.name}`"
        if self.rows:
            remedy = f"read it with `sequela train auto --data {self.name}`, or sequela.train"
        raise SettingError(
            f"{self.name} holds hospital tables, expected recordings (one of {names}): {remedy}"
        )

    def check_split(self, unit: "SplitUnit", folds: int = 0) -> None:
        """Check that it can be split by a unit."""
        if unit not in self.units:
            reasons = {**_NOT_OF[self.modality], **self.not_units}
            reason = reasons.get(unit, f"its entry in the catalogue names no {unit}s")
            allowed = " or ".join(f"--split {name}" for name in self.units)
            raise SettingError(f"{self.name} cannot be split by {unit}: {reason}; use {allowed}")
        if unit == "time" and folds:
            raise SettingError(
                f"{self.name} cannot be cross-validated by time: most folds would be evaluated "
                "with models trained on later ones; leave --folds out, or use --split subject"
            )

    def usual_split(self, signals: "SignalSettings | None") -> "SplitUnit":
        """Return the largest unit that is known, for user's own recordings by their declaration."""
        return signals.independent if signals and self.windows else self.units[0]

    def open(
        self,
        root: Path | None = None,
        settings: "SignalSettings | None" = None,
        segment: "SegmentLength | None" = None,
        work: Path | None = None,
    ) -> "tuple[Any, Located]":
        """Read all recordings, sorted by id, or windows of a user's own, and return their place.

        ``settings`` describe a user's own recordings. A window of these has ``segment`` samples;
        the windows are stored in ``work``.
        """
        self._check_recordings()
        located = self.locate(root)
        if self.windows:
            return loaded(self.windows)(located.path, settings, segment, work), located
        folder = located.path if located.path.is_dir() else located.path.parent
        if sums := Sums.beside(folder):
            located = replace(located, origin=f"{located.origin} ({sums.check_all()})")
        return loaded(self.reads)(located.path), located

    def find(self) -> "Located | None":
        """Find the first of the usual places that has it: see ``_places`` for their order."""
        return next((place for place in self._places() if place.path.exists()), None)

    def locate(self, root: Path | None = None) -> "Located":
        """Return the given root, else the first of the usual places that has it."""
        if root is None:
            if (place := self.find()) is None:
                looked_at = ", ".join(str(place.path) for place in self._places())
                raise DataNotFoundError(
                    f"{self.name} was not found, expected it at one of {looked_at}: "
                    f"{self.how_to_get}"
                )
            return place
        if not root.exists():
            raise DataNotFoundError(
                f"{root} does not exist: expected the data set {self.name} there; name another "
                "--root, or leave it out to look in the usual places"
            )
        return Located(root, f"the data under {root}")

    def _places(self) -> "list[Located]":
        """List its usual places in order; they need not exist."""
        places = []
        # The user's own folder comes before the cache, and the excerpt is the last resort.
        if folder := os.environ.get("SEQUELA_DATA"):
            if not Path(folder).is_dir():
                raise DataNotFoundError(
                    f"SEQUELA_DATA is set to {folder}, which is not a folder: expected the folder "
                    "that holds the data sets; correct it or unset it"
                )
            places += [
                Located(path, f"the data under {path}")
                for path in (Path(folder) / self.name, Path(folder) / f"{self.name}-demo")
            ]
        cached = cache_folder(self.name)
        places.append(Located(cached, f"the data in your cache, {cached}"))
        # The place of a package is known without importing it.
        if self.package and (spec := find_spec(self.package)) and spec.origin:
            origin = f"the package {self.package}"
            places.append(Located(Path(spec.origin).parent, origin))
        if self.excerpt:
            origin = f"the excerpt that ships with sequela ({self.excerpt_size})"
            places.append(Located(EXCERPTS / self.excerpt, origin))
        return places


@dataclass(frozen=True)
class Located:
    """A data set found at a place."""

    path: Path  # folder or file
    origin: str  # description shown with its numbers, as a part of a sentence
    notes: tuple[str, ...] = ()  # sentences on what is read and what is not


def _check(name: str, data_set: DataSet) -> None:
    """Check a new data set: its name, and the functions that read its recordings or tables."""
    DATA_SETS.check_new(name)
    needed = {"eeg": ("reads", "signals"), "ehr": ("source",)}
    if data_set.kind not in needed:
        raise unknown_name(f"kind of the data set {name}:", data_set.kind, needed)
    if lacking := [part for part in needed[data_set.kind] if not getattr(data_set, part)]:
        raise SettingError(
            f"data set '{name}' of kind '{data_set.kind}' lacks {' and '.join(lacking)}: say how "
            "its data are read"
        )
    # A declaration in a file has the name of the file.
    source = data_set.source
    if isinstance(source, str) and source.endswith(".toml"):
        declared = source.removesuffix(".toml")
    else:
        declared = loaded(source).name if source else name
    if declared != name:
        raise SettingError(
            f"data set '{name}' has the declaration of '{declared}': give both the same name"
        )


DATA_SETS = Registry("data set", DataSet, _check)
for _name, _said in tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8")).items():
    _said["how_to_get"] = _said["how_to_get"].replace("{install}", install(_name))
    DATA_SETS[_name] = DataSet(**{**_said, "units": tuple(_said.get("units", DataSet.units))})


def lookup(name: str) -> DataSet:
    """Return the entry of a data set, with its name."""
    return replace(DATA_SETS.lookup(name), name=name)


def data_sets() -> list[DataSet]:
    """Return the entries of all data sets, with their names."""
    return [*map(lookup, DATA_SETS)]


_NOT_OF: "Mapping[Modality, Mapping[SplitUnit, str]]" = {
    Modality.EEG: {},
    Modality.RECORDS: {
        "row": "it holds patients, who stay whole",
        "recording": "it holds patients, not recordings",
    },
}


def cache_folder(name: str) -> Path:
    """Return the folder of a data set in the user's cache."""
    return user_cache_path("sequela") / name


def load_recordings(name: str, root: Path | None = None) -> tuple[list[Recording], Located]:
    """Load all recordings of an EEG data set in a fixed format, sorted by id, and their place."""
    return lookup(name).open(root)


def loaded(what: object) -> Any:
    """Return an object, loaded first if it is given as ``module:name``."""
    return resolve_name(what) if isinstance(what, str) else what
