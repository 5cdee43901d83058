"""A run folder: the files of one trained model, from which a report is made."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sequela.cohort.pseudonyms import VARIABLE as KEY
from sequela.cohort.pseudonyms import key_path
from sequela.cohort.split import PARTS, WORDS, Split, shares
from sequela.config import RunSettings
from sequela.cost import record
from sequela.cost.ledger import Account
from sequela.errors import RunError, SplitError
from sequela.evaluation.disclosure import INTERNAL
from sequela.evaluation.predictions import Predictions
from sequela.files import is_leftover, scratch_beside, whole
from sequela.runs.inside import refuse_links
from sequela.runs.manifest import MANIFEST, NOTICE, require_unchanged
from sequela.runs.shape import metrics_of
from sequela.sources import sealed
from sequela.sources.opened import json_value
from sequela.training import history

CONFIG = "config.toml"
METRICS = "metrics.json"
COST = "cost.json"
ATTRIBUTES = "attributes.parquet"
TRACES = "traces.json"
NOTICE_TEXT = """# Internal: keep this folder where the data are

It contains data of single people: their ids, times, attributes, predictions and pieces of signals
(`predictions.parquet`, `attributes.parquet`, `traces.json`), exact counts (`metrics.json`,
`folds.json`), fingerprints of their records (`split.json`), and a model that was fitted to them
(`model.safetensors`, `checkpoint/`).

`sequela share RUN --out DIR` exports the parts that are safe to publish to another folder.
"""
FACTS = ("train_seconds", "epochs", "best_epoch", "parameters", "operations", "macs")


@dataclass(frozen=True)
class RunFolder:
    """One run on disk, whose files are read when needed.

    Attributes:
        path: The folder.
    """

    path: Path

    folds = 0
    repeats = 1
    seeds = 1
    of_many = False

    @property
    def runs(self) -> list["RunFolder"]:
        """The run itself, in a list: a cross-validation has one run for each fold."""
        return [self]

    @property
    def once(self) -> list["RunFolder"]:
        """The runs whose test sets have each example once: the run itself."""
        return [self]

    @property
    def first(self) -> "RunFolder":
        """The run itself: for a cross-validation, the run with facts that all folds share."""
        return self

    @cached_property
    def settings(self) -> RunSettings:
        """The settings of the run (``config.toml``), checked against its other files.

        Raises:
            RunError: If the file is missing or damaged, or disagrees with other files of the run.
        """
        settings = RunSettings.read(self.path / CONFIG)
        parts = list(shares(settings.fractions, settings.folds))
        asked: dict[str, dict[str, Any]] = {
            "split.json": {
                "unit": settings.split,
                "seed": settings.seed_of_split,
                "fractions": parts,
            },
            METRICS: {"model": settings.model, "data": settings.data},
        }
        for file in (name for name in asked if (self.path / name).exists()):
            done = self.json(file)
            if isinstance(data := done.get("data"), dict):
                done = {**done, "data": data.get("name")}
            for name, value in asked[file].items():
                if name in done and value != done[name]:
                    raise RunError(
                        f"{self.path / CONFIG}: has {name} = {value!r}, but {file} was made "
                        f"with {done[name]!r}: change it back, or train again"
                    )
        return settings

    @cached_property
    def split(self) -> Split:
        """The split (``split.json``), with its proof counted again."""
        return Split.from_json(self.json("split.json"))

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The numbers (``metrics.json``).

        Raises:
            RunError: If it is missing or damaged.
        """
        return metrics_of(self.path / METRICS, self.json(METRICS))

    @cached_property
    def data(self) -> dict[str, Any]:
        """The run's description of its data.

        Raises:
            RunError: If an earlier version wrote a shorter description.
        """
        found: dict[str, Any] = self.metrics["data"]
        if "counts" not in found:
            raise RunError(
                f"{self.path / METRICS}: was written by an earlier version, with a shorter "
                "description of the data: train again"
            )
        return found

    @cached_property
    def environment(self) -> dict[str, Any]:
        """The environment of the run (``environment.json``)."""
        return self.json("environment.json")

    @cached_property
    def history(self) -> history.History:
        """The learning curves (``history.jsonl``); empty for models without epochs."""
        path = self.path / "history.jsonl"
        return history.read(path) if path.exists() else []

    @cached_property
    def predictions(self) -> Predictions:
        """The predictions (``predictions.parquet``), checked against the split.

        Raises:
            SplitError: If the sets overlap or the predictions belong to another split.
        """
        predictions = Predictions.read(self.path / "predictions.parquet")
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
        """Known attributes of the people in the predictions (``attributes.parquet``).

        Raises:
            RunError: If the file is damaged or has other examples.
        """
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
            sealed.write(table, partial, compression="zstd")

    @cached_property
    def traces(self) -> dict[str, Any]:
        """A recorded example of each class (``traces.json``); empty where there are none."""
        return self.json(TRACES) if (self.path / TRACES).exists() else {}

    @property
    def test(self) -> dict[str, Any]:
        """The numbers of the test set."""
        numbers: dict[str, Any] = self.metrics["parts"]["held_out"]
        return numbers

    @property
    def tuning(self) -> dict[str, Any]:
        """The numbers of the validation set, on which the epoch and the threshold were chosen."""
        numbers: dict[str, Any] = self.metrics["parts"]["tuning"]
        return numbers

    @property
    def facts(self) -> dict[str, Any]:
        """The cost of the model and its training time."""
        return {name: self.metrics[name] for name in FACTS} | {
            "inference_us": self.metrics.get("inference_us")  # earlier versions did not measure it
        }

    @cached_property
    def account(self) -> Account | None:
        """The cost account of its models (``cost.json``); ``None`` if they are not counted.

        Raises:
            RunError: If the file is damaged.
        """
        path = self.path / COST
        return record.load(path) if path.exists() else None

    @property
    def split_ids(self) -> Any:
        """The hashed ids of each set: runs that share them can be compared."""
        return self.split.ids

    def describe_split(self) -> dict[str, Any]:
        """Describe the split without ids and without dates of patients."""
        return {
            "unit": self.split.unit,
            "by": WORDS.get(self.split.unit, self.split.unit),
            "whole": self.split.whole,
            **({"times": _years(self.split.times)} if self.split.times else {}),
            "leaks": self.split.leaks,
            "seed": self.split.seed,
            "fractions": list(self.split.fractions),
            "folds": 0,
            "n_examples": dict(self.split.n_examples),
            "ids_in_two_parts": self.split.shared(),
        }

    @property
    def complete(self) -> bool:
        """``True`` if the run was finished: its manifest is written last."""
        return (self.path / MANIFEST).exists()

    def require_complete(self) -> None:
        """Make sure that the run was finished, and that its files were not changed since.

        Raises:
            RunError: If this is not a run folder, the run is not finished, or a file was changed.
        """
        if not self.complete:
            RunSettings.read(self.path / CONFIG)
            raise RunError(
                f"{self.path}: the run is not finished (there is no {MANIFEST}); continue it with "
                "--resume"
            )
        _ = self._unchanged

    @cached_property
    def _unchanged(self) -> bool:
        """``True`` if no file was changed; files are hashed once."""
        require_unchanged(self.path)
        return True

    def json(self, name: str) -> dict[str, Any]:
        """Read a JSON file of the run.

        Raises:
            RunError: If it is missing or damaged.
        """
        path = self.path / name
        try:
            record = json_value(path.read_bytes(), finite=False)
        except FileNotFoundError as error:
            done = "" if self.complete else " (the run is not finished: continue it with --resume)"
            raise RunError(f"{path}: not found; expected the folder of a run{done}") from error
        except ValueError as error:
            raise RunError(f"{path}: damaged ({error}); train again") from error
        if not isinstance(record, dict):
            raise RunError(f"{path}: damaged (it is not a JSON object); train again")
        return record

    def write(self, name: str, content: str | dict[str, Any]) -> None:
        """Write a text or JSON file under a temporary name, then rename it."""
        if not isinstance(content, str):
            content = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        with whole(self.path / name) as partial:
            partial.write_text(content, encoding="utf-8")

    def check_free(self, settings: RunSettings, *, resume: bool) -> None:
        """Make sure that a run may be written here.

        Raises:
            RunError: If the folder has anything but an unfinished run to resume with the same
                settings.
        """
        config = self.path / CONFIG
        if resume and config.exists():
            if others := differences(self.settings, settings):
                found = "; ".join(
                    f"{name} is {_said(old)} in the folder and {_said(new)} in the command"
                    for name, old, new in others
                )
                raise RunError(
                    f"{config}: settings differ: {found}: leave out what differs, or choose "
                    "another --out"
                )
        elif is_taken(self.path):
            hint = "continue it with --resume or choose" if config.exists() else "choose"
            raise RunError(f"{self.path}: is not empty; {hint} another --out")

    def open(self, settings: RunSettings, *, resume: bool) -> None:
        """Prepare the folder for a run.

        Raises:
            RunError: See :meth:`check_free`; or if it contains a link.
        """
        self.check_free(settings, resume=resume)
        refuse_links(self.path)
        if not (self.path / CONFIG).exists():
            self.write(CONFIG, settings.to_toml())
        if not (self.path / NOTICE).exists():
            self.write(NOTICE, NOTICE_TEXT)

    def begin(self, split: dict[str, Any]) -> None:
        """Write ``split.json``, or check that it is unchanged when a run is resumed.

        Raises:
            RunError: If the run was started on other data, or with another split.
        """
        if not (self.path / "split.json").exists():
            self.write("split.json", split)
        elif (found := self.json("split.json")) != split:
            if found.get("key", "") != split["key"]:
                raise RunError(
                    f"{self.path}: the run was started with another key of subject ids than "
                    f"{key_path()}: name the file of that key with {KEY}, or choose another --out"
                )
            raise RunError(
                f"{self.path}: the run was started on other data than those found now; name its "
                "data with --root, or choose another --out"
            )


def is_taken(path: Path) -> bool:
    """Return ``True`` unless there is nothing, an empty folder, or files of a killed process."""
    return path.exists() and not (path.is_dir() and all(map(is_leftover, path.iterdir())))


def differences(found: RunSettings, asked: RunSettings) -> list[tuple[str, Any, Any]]:
    """Return the settings that differ: name, value in the folder and requested value.

    Example:
        >>> found = RunSettings(model="mlp-baseline", data="bonn")
        >>> differences(found, found.model_copy(update={"seed": 1}))
        [('seed', 0, 1)]
    """
    ours, theirs = _flat(found.model_dump()), _flat(asked.model_dump())
    names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
    return [(name, ours.get(name), theirs.get(name)) for name in names]


def _years(times: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
    """Return the first and the last year of each set."""
    return {part: (first[:4], last[:4]) for part, (first, last) in times.items()}


def _said(value: Any) -> str:
    """Write a setting in a sentence."""
    if isinstance(value, (tuple, list)):
        return " ".join(map(str, value)) or "none"
    words = {None: "not set", True: "on", False: "off"}
    return words[value] if value is None or isinstance(value, bool) else str(value)


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten nested settings by their own names."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        flat |= _flat(value) if isinstance(value, dict) else {name: value}
    return flat


def work_beside(out: Path, work: Path | None = None) -> AbstractContextManager[Path]:
    """Return the given folder for intermediate files, or a temporary one next to ``out``."""
    if work is not None:
        return nullcontext(work)
    return scratch_beside(out.resolve())
