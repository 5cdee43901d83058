"""A run folder: the files of one trained model, from which a report is made."""

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from sequela.cohort.split import PARTS, WORDS, Split, shares
from sequela.config import RunSettings
from sequela.cost import record
from sequela.cost.ledger import Account
from sequela.disclosure import INTERNAL
from sequela.errors import RunError, SplitError
from sequela.evaluation.predictions import Place, Predictions
from sequela.files import is_leftover, scratch_beside, whole
from sequela.formats import sealed
from sequela.formats.opened import json_value
from sequela.identity.pseudonyms import VARIABLE as KEY
from sequela.identity.pseudonyms import key_path
from sequela.runs.manifest import MANIFEST, NOTICE, require_unchanged
from sequela.runs.record import DataRecord, Facts, Numbers, RunRecord, SplitRecord
from sequela.training import history

if TYPE_CHECKING:
    from sequela.evaluation.planned import Plan

CONFIG = "config.toml"
METRICS = "metrics.json"
COST = "cost.json"
ATTRIBUTES = "attributes.parquet"
UNCHANGED = "predictions-of-parent.parquet"
PLAN = "plan.json"  # written by `sequela plan RUN`
NOTICE_TEXT = """# Internal: keep this folder where the data are

It contains data of single people: their ids, times, attributes and predictions (`*.parquet`), exact
counts (`metrics.json`, `folds.json`, `plan.json`), fingerprints of their records (`split.json`),
and a model that was fitted to them (`model.safetensors`, `checkpoint/`).

`sequela share RUN --out DIR` exports the parts that are safe to publish to another folder.
"""


@dataclass(frozen=True, eq=False)  # as its numbers are kept, it equals only itself
class StoredRun(ABC):
    """The folder of a run, or of several runs of one training procedure."""

    path: Path

    of_many: ClassVar[bool] = False

    @property
    def complete(self) -> bool:
        """``True`` if everything was finished: the manifest is written last."""
        return (self.path / MANIFEST).exists()

    def require_complete(self) -> None:
        """Make sure that everything was finished, and that no file was changed since."""
        if not self.complete:
            if not self.of_many:
                RunSettings.read(self.path / CONFIG)
            are, them = ("runs are", "them") if self.of_many else ("run is", "it")
            raise RunError(
                f"{self.path}: the {are} not finished (there is no {MANIFEST}); continue {them} "
                "with --resume"
            )
        _ = self._unchanged

    @cached_property
    def _unchanged(self) -> bool:
        """``True`` if no file was changed; files are hashed once."""
        require_unchanged(self.path)
        return True

    def json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the run."""
        path = self.path / name
        try:
            record = json_value(path.read_bytes(), finite=False)
        except FileNotFoundError as error:
            hint = "" if self.complete else " (the run is not finished: continue it with --resume)"
            raise RunError(f"{path}: not found; expected the folder of a run{hint}") from error
        except ValueError as error:
            raise RunError(f"{path}: damaged ({error}); train again") from error
        if not isinstance(record, dict):
            raise RunError(f"{path}: damaged (it is not a JSON object); train again")
        return record

    def write(self, name: str, content: str | Mapping[str, object]) -> None:
        """Write a text or JSON file under a temporary name, then rename it."""
        if not isinstance(content, str):
            content = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        with whole(self.path / name) as partial:
            partial.write_text(content, encoding="utf-8")

    @property
    @abstractmethod
    def runs(self) -> list["RunFolder"]:
        """The run itself in a list, or the run of each fold and seed."""

    @property
    def first(self) -> "RunFolder":
        """The run itself, or that of the first fold: cost, data and machine are those of all."""
        return self.runs[0]

    @property
    def folds(self) -> int:
        """The number of folds; 0 for one split."""
        return self.settings.folds if self.of_many else 0

    @property
    def repeats(self) -> int:
        """The number of repeats of the cross-validation."""
        return len({place.repeat for place in places(self.runs)})

    @property
    def seeds(self) -> int:
        """The number of seeds of each split."""
        return len({place.seed for place in places(self.runs)})

    @property
    def split_ids(self) -> list[Mapping[str, Mapping[str, list[str]]]]:
        """The hashed ids of each set of each run: runs that share them can be compared."""
        return [run.split.ids for run in self.runs]

    @cached_property
    def settings(self) -> RunSettings:
        """The settings of the run (``config.toml``), checked against its other files."""
        path = self.first.path
        settings = RunSettings.read(path / CONFIG)
        # An edited config would give the numbers of the run another meaning, so what other files
        # hold too is compared with them.
        split: dict[str, object] = {
            "unit": settings.split,
            "seed": settings.seed_of_split,
            "fractions": list(shares(settings.fractions, settings.folds)),
        }
        trained = {"model": settings.model, "data": settings.data}
        for file, expected in (("split.json", split), (METRICS, trained)):
            record = self.first.json(file) if (path / file).exists() else {}
            if isinstance(data := record.get("data"), dict):
                record = {**record, "data": data.get("name")}  # the name alone is in the config too
            for name, value in expected.items():
                if name in record and value != record[name]:
                    raise RunError(
                        f"{path / CONFIG}: has {name} = {value!r}, but {file} was made "
                        f"with {record[name]!r}: change it back, or train again"
                    )
        return settings

    @cached_property
    def metrics(self) -> RunRecord:
        """The numbers (``metrics.json``)."""
        return RunRecord.of(self.first.path / METRICS, self.first.json(METRICS))

    @cached_property
    def data(self) -> DataRecord:
        """The run's description of its data."""
        if not self.metrics.data.counts:
            raise RunError(
                f"{self.first.path / METRICS}: was written by an earlier version, with a shorter "
                "description of the data: train again"
            )
        return self.metrics.data

    @cached_property
    def environment(self) -> Mapping[str, object]:
        """The environment of the run (``environment.json``)."""
        return self.first.json("environment.json")

    @cached_property
    def account(self) -> Account | None:
        """The cost account of its models (``cost.json``); ``None`` if they are not counted."""
        path = self.first.path / COST
        return record.load(path) if path.exists() else None

    @cached_property
    def plan(self) -> "Plan | None":
        """The sample sizes and the learning curve (``plan.json``); ``None`` without."""
        if not (self.path / PLAN).exists():
            return None
        from sequela.evaluation.planned import Plan  # most runs do without

        try:
            return TypeAdapter(Plan).validate_python(self.json(PLAN))
        except ValidationError as error:
            raise RunError(f"{self.path / PLAN}: damaged; run sequela plan again") from error

    def describe_split(self) -> SplitRecord:
        """Describe the split without ids and dates of patients; count ids in two of its sets."""
        split, shared = self.first.split, dict[str, Counter[str]]()
        for run in self.runs:
            for kind, pairs in run.split.shared().items():
                shared.setdefault(kind, Counter()).update(pairs)
        years = {part: (first[:4], last[:4]) for part, (first, last) in (split.times or {}).items()}
        description: dict[str, object] = {
            "unit": split.unit,
            "by": WORDS.get(split.unit, split.unit),
            "whole": split.whole,
            "leaks": split.leaks,
            "seed": split.seed,
            "fractions": list(split.fractions),
            "folds": self.folds,
            "n_examples": dict(split.n_examples),
            "ids_in_two_parts": shared,  # counts, as ids of patients stay in the folder
        }
        if years:
            description["times"] = years
        if self.of_many:
            description |= {"repeats": self.repeats, "seeds": self.seeds}
        return SplitRecord.model_validate(description)


class RunFolder(StoredRun):
    """One run on disk, whose files are read when needed."""

    @property
    def runs(self) -> list["RunFolder"]:
        """The run itself, in a list: a cross-validation has one run for each fold."""
        return [self]

    @property
    def once(self) -> list["RunFolder"]:
        """The runs whose test sets have each example once: the run itself."""
        return [self]

    @property
    def threshold(self) -> float | None:
        """The chosen threshold of alarms; ``None`` for several classes and times to an event."""
        points = self.test.operating_points
        return points[1].threshold if points else None

    @cached_property
    def split(self) -> Split:
        """The split (``split.json``), with its proof counted again."""
        return Split.from_json(self.json("split.json"))

    @cached_property
    def history(self) -> history.History:
        """The learning curves (``history.jsonl``); empty for models without epochs."""
        path = self.path / "history.jsonl"
        return history.read(path) if path.exists() else []

    @cached_property
    def predictions(self) -> Predictions:
        """The predictions (``predictions.parquet``), checked against the split."""
        predictions = Predictions.read(self.path / "predictions.parquet")
        # Predictions of another split would be evaluated on examples that the model learnt from.
        for name in PARTS:
            part = predictions.part(name)
            if part.n_examples != self.split.n_examples[name]:
                raise SplitError(
                    f"{self.path / 'predictions.parquet'}: has {part.n_examples} examples of "
                    f"{name}, but split.json counts {self.split.n_examples[name]}: put the "
                    "original back, or train again"
                )
            self.split.check_covers("row", name, part.example_id)
            self.split.check_covers(self.split.group, name, part.group_id)
            if part.recording_id is not None:
                self.split.check_covers("recording", name, part.recording_id)
            if self.split.group == "site":
                self.split.check_covers("subject", name, part.subject_id)
        return predictions

    @cached_property
    def attributes(self) -> dict[str, NDArray[np.str_]]:
        """Known attributes of the people in the predictions (``attributes.parquet``)."""
        path = self.path / ATTRIBUTES
        if not path.exists():
            return {}
        try:
            table = sealed.read(path, "attributes of the examples", "train again")
            ids = np.array(table["id"].to_pylist(), np.str_)
        except (pa.ArrowException, OSError, KeyError, ValueError) as error:
            raise RunError(f"{path}: damaged ({error}); train again") from error
        if not np.array_equal(ids, self.predictions.example_id):
            raise RunError(f"{path}: has other examples than predictions.parquet; train again")
        names = [name for name in table.column_names if name != "id"]
        return {name: np.array(table[name].to_pylist(), np.str_) for name in names}

    def write_attributes(self, attributes: Mapping[str, NDArray[np.str_]]) -> None:
        """Write ``attributes.parquet``: str (example,) by name, in the order of the predictions."""
        columns = {"id": self.predictions.example_id, **attributes}
        table = pa.table(
            {name: pa.array(v.tolist(), pa.string()) for name, v in columns.items()},
            metadata={"sequela.internal": INTERNAL},
        )
        with whole(self.path / ATTRIBUTES) as partial:
            pq.write_table(table, partial, compression="zstd", write_page_checksum=True)

    @property
    def test(self) -> Numbers:
        """The numbers of the test set."""
        return self.metrics.parts.held_out

    @property
    def tuning(self) -> Numbers:
        """The numbers of the validation set, on which the epoch and the threshold were chosen."""
        return self.metrics.parts.tuning

    @property
    def facts(self) -> Facts:
        """The cost of the model and its training time."""
        return Facts(**{name: getattr(self.metrics, name) for name in Facts.model_fields})

    def check_free(self, settings: RunSettings, *, resume: bool) -> None:
        """Make sure that a run may be written here."""
        config = self.path / CONFIG
        if resume and config.exists():
            if changes := differences(self.settings, settings):
                words = "; ".join(
                    f"{name} is {_in_words(old)} in the folder and {_in_words(new)} in the command"
                    for name, old, new in changes
                )
                raise RunError(
                    f"{config}: settings differ: {words}: give the options that it was begun with, "
                    "or choose another --out"
                )
        elif is_taken(self.path):
            hint = "continue it with --resume or choose" if config.exists() else "choose"
            raise RunError(f"{self.path}: is not empty; {hint} another --out")

    def open(self, settings: RunSettings, *, resume: bool) -> None:
        """Prepare the folder for a run."""
        self.check_free(settings, resume=resume)
        refuse_links(self.path)
        if not (self.path / CONFIG).exists():
            self.write(CONFIG, settings.to_toml())
        if not (self.path / NOTICE).exists():
            self.write(NOTICE, NOTICE_TEXT)

    def begin(self, split: Mapping[str, object]) -> None:
        """Write ``split.json``, or check that it is unchanged when a run is resumed."""
        if not (self.path / "split.json").exists():
            self.write("split.json", split)
        elif (written := self.json("split.json")) != split:  # the checksum of the data is in it
            if written.get("key", "") != split["key"]:
                raise RunError(
                    f"{self.path}: the run was started with another key of subject ids than "
                    f"{key_path()}: name the file of that key with {KEY}, or choose another --out"
                )
            raise RunError(
                f"{self.path}: the run was started on other data than those found now; name its "
                "data with --root, or choose another --out"
            )


def refuse_links(path: Path) -> None:
    """Make sure that nothing in a run folder is a link, so that nothing outside is accessed.

    The folder itself may be a link.
    """
    for file in path.rglob("*"):
        if file.is_symlink():  # a stranger's folder may link to files of this user
            raise RunError(
                f"{file}: is a link, and a run folder must contain files only: put the file itself "
                "there, or do not trust this folder"
            )


def places(runs: Sequence[RunFolder]) -> list[Place]:
    """Return repeat, fold and seed of each run."""
    folds, seeds = max(runs[0].settings.folds, 1), sorted({run.settings.seed for run in runs})
    indices = [(run.settings.fold, seeds.index(run.settings.seed)) for run in runs]
    return [Place(*divmod(fold, folds), seed) for fold, seed in indices]


def is_taken(path: Path) -> bool:
    """Return ``True`` unless there is nothing, an empty folder, or files of a killed process."""
    return path.exists() and not (path.is_dir() and all(map(is_leftover, path.iterdir())))


def differences(settings: RunSettings, requested: RunSettings) -> list[tuple[str, object, object]]:
    """Return the settings that differ: name, value in the folder and requested value.

    Example:
        >>> found = RunSettings(model="mlp-baseline", data="bonn")
        >>> differences(found, found.model_copy(update={"seed": 1}))
        [('seed', 0, 1)]
    """
    ours, theirs = _flat(settings.model_dump()), _flat(requested.model_dump())
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    return [(name, ours.get(name), theirs.get(name)) for name in names]


def _in_words(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return " ".join(map(str, value)) or "none"
    if value is None:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _flat(values: Mapping[str, object]) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in values.items():
        flat |= _flat(value) if isinstance(value, dict) else {name: value}
    return flat


def work_beside(out: Path, work: Path | None = None) -> AbstractContextManager[Path]:
    """Return the given folder for intermediate files, or a temporary one next to ``out``."""
    if work is not None:
        return nullcontext(work)
    return scratch_beside(out.resolve())
