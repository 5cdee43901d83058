"""The data of a run on hospital records: events, a cohort, a split and visit sequences."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from torch import Tensor, nn

from sequela.cohort.attributes import age_bands, attributes_of
from sequela.cohort.division import by_site, divide
from sequela.cohort.finding import Finding
from sequela.cohort.fingerprint import Content
from sequela.cohort.labels import example_ids
from sequela.cohort.pseudonyms import VARIABLE, Ids, Pseudonyms, own
from sequela.cohort.question import ask, task_asked
from sequela.cohort.selection import Cohort
from sequela.cohort.split import PARTS, Split
from sequela.config import CohortSettings, RunSettings, SequenceSettings
from sequela.errors import DataError, RunError, SettingError
from sequela.evaluation.attribution import (
    Attribution,
    attribute_visits,
    number_of,
)
from sequela.evaluation.importance import Importance, importance_of_codes
from sequela.evaluation.predictions import Predictions
from sequela.runs.folder import RunFolder
from sequela.runs.record_inputs import VisitInputs
from sequela.sequences.build import build_sequences
from sequela.sequences.content import content_of
from sequela.sequences.featurisers import Features
from sequela.sequences.flat import Sequences, codes_of
from sequela.sequences.leaks import IN_SEQUENCES, find_in_sequences
from sequela.sequences.visit_batches import (
    BesideCodes,
    VisitDataset,
)
from sequela.sequences.vocabulary import Vocabulary
from sequela.sources import catalog

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class VisitData:
    """Visit sequences in the sets of a split.

    Attributes:
        name: The data set.
        origin: The place of the data, in words.
        cohort: The subjects, times and outcomes.
        split: The split and its proof.
        part: int64 (example,), index into ``PARTS``.
        sequences: The inputs of the models.
        site: Str (example,), the hospital, if the run is split by site.
        set_aside: Number of units of the model's training or validation set in other data.
        renamed: Number of subjects among them with another name.
    """

    name: str
    origin: str
    cohort: Cohort
    split: Split
    part: NDArray[np.int64]
    sequences: Sequences
    site: Ids | None = None
    set_aside: int = 0
    renamed: int = 0

    LOOKED_FOR: ClassVar = (
        "outcomes on record before the prediction, codes that are assigned after discharge, "
        "undeclared codes in a stay that had not ended, prediction times that reveal the outcome, "
        f"{IN_SEQUENCES}"
    )
    classes_fixed: ClassVar = False

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """The leaks found in the events."""
        return self.cohort.leaks

    @property
    def unit(self) -> Literal["subject", "site"]:
        """The site if whole sites are held out, else the subject."""
        return "subject" if self.site is None else "site"

    @property
    def groups(self) -> Ids:
        """Str (example,), the subject of each example, or its site."""
        return self.subjects if self.site is None else self.site

    @property
    def marked(self) -> Ids:
        """Str (example,), the subject of each example in the fingerprints."""
        return self.subjects

    @property
    def subjects(self) -> Ids:
        """Str (example,), the subject of each example."""
        return self.sequences.subject_id.astype(np.str_)

    @property
    def classes(self) -> tuple[str, str]:
        """The negative and the positive class of the task's outcome."""
        return self.cohort.task.outcome.classes

    @cached_property
    def digest(self) -> str:
        """SHA-256 of all inputs and labels."""
        digest = hashlib.sha256("\n".join(self.sequences.vocabulary).encode())
        for name in (
            "subject_id",
            "prediction_time",
            "label",
            "part",
            "age",
            "followed",
            "step_offsets",
        ):
            digest.update(np.ascontiguousarray(getattr(self.sequences, name)).view(np.uint8).data)
        for name in ("code_offsets", "codes", "value_offsets", "channels", "values"):
            digest.update(np.ascontiguousarray(getattr(self.sequences, name)).view(np.uint8).data)
        return digest.hexdigest()

    @cached_property
    def content(self) -> Content:
        """Fingerprints of the subjects' records, by hashed id."""
        return content_of(self.sequences, own())

    @property
    def labels(self) -> NDArray[np.int64]:
        """int64 (example,): 1 where the outcome came true."""
        return self.sequences.label.astype(np.int64)

    def rows(self, part: str) -> NDArray[np.int64]:
        """Return the indices of the examples of a set, or of several: ``train+tuning``."""
        return np.flatnonzero(np.isin(self.part, [PARTS.index(each) for each in part.split("+")]))

    def inputs(
        self,
        reads: tuple[str, ...],
        stored: Mapping[str, NDArray[Any]] | None = None,
        *,
        standardise: bool = True,
    ) -> VisitInputs:
        """Prepare the inputs of a model; see :meth:`sequela.runs.data.RunData.inputs`."""
        train = self.rows("train")
        features = Features.of(reads, self.sequences, train, stored, standardise=standardise)
        scales = BesideCodes.learn(self.sequences, train, reads) if stored is None else stored
        return VisitInputs(self, reads, features, scales)

    def predictions(self, probabilities: NDArray[np.float32]) -> Predictions:
        """Add ids, sets and labels to probabilities (example, class)."""
        return Predictions(
            example_id=example_ids(self.sequences.subject_id, self.sequences.prediction_time),
            group_id=self.groups,
            subject_id=self.subjects,
            split=np.asarray(PARTS)[self.part],
            label=self.labels,
            probabilities=probabilities,
            classes=self.classes,
        )

    def find_leaks(self) -> list[Finding]:
        """Find copies across sets, codes that reveal the outcome, foreign codes, later steps."""
        return find_in_sequences(self.sequences, self.part, self.classes)

    def unlike_training(self) -> dict[str, Any]:
        """Return the share of codes outside the vocabulary; ``None`` without any code."""
        codes = self.sequences.codes
        return {"unknown_codes": float(np.mean(codes == 0)) if codes.size else None}

    def attribution(
        self, model: nn.Module, row: int, weights: Tensor, steps: int | None
    ) -> Attribution:
        """Attribute a number of a model to the codes of a record: values (code,)."""
        return attribute_visits(model, VisitDataset(self.sequences)[[row]], weights, steps)[0]

    def importance(self, model: nn.Module, smallest: int) -> Importance:
        """Rank the codes of a model by importance over the test set."""
        what = number_of(self.classes, self.classes[1])
        return importance_of_codes(model, self.sequences, self.rows("held_out"), what, smallest)

    def describe_example(self, row: int) -> dict[str, Any]:
        """Describe the codes of a record in order, with their step and age."""
        return {"codes": codes_of(self.sequences, row)}

    def attributes(self) -> dict[str, NDArray[np.str_]]:
        """Return attributes of the people for subgroups: str (example,) by name."""
        found = attributes_of(self.cohort.events, self.cohort.labels)
        bands = age_bands(self.sequences.age)
        return {**found, **({"age": bands} if (bands != "").any() else {})}

    def traces(self) -> dict[str, Any]:
        """Return nothing, as single records are not shown."""
        return {}

    def header(self) -> dict[str, Any]:
        """Return the metadata that a model needs in addition to its tensors."""
        return {
            "classes": list(self.classes),
            "task": self.cohort.task.to_dict(),
            "sequences": self.sequences.header["settings"],
            **Vocabulary.of(self.sequences.header).to_dict(),
        }

    def describe(self) -> dict[str, Any]:
        """Describe the data for readers: the ``data`` entry of ``metrics.json``."""
        entry = catalog.DATA_SETS[self.name]
        header = self.sequences.header
        return {
            "name": self.name,
            "title": self.cohort.events.title or entry.title,
            "origin": self.origin,
            "licence": entry.licence,
            "citation": entry.citation,
            "subjects": len(np.unique(self.sequences.subject_id)),
            **({} if self.site is None else {"sites": len(np.unique(self.site))}),
            "examples": len(self.sequences),
            "counts": np.bincount(self.labels, minlength=len(self.classes)).tolist(),
            "positives": int(self.sequences.label.sum()),
            "classes": list(self.classes),
            "unit": self.unit,
            "classes_fixed": self.classes_fixed,
            "example": self.cohort.task.example,
            "parts": {name: self._part(name) for name in PARTS},
            "outcome": self._outcome(),
            "task": self.cohort.task.to_dict(),
            "question": self.cohort.task.describe(),
            "flow": self.cohort.flow.to_dict(),
            "sequences": {
                "settings": header["settings"],
                "codes": len(self.sequences.vocabulary),
                "channels": len(self.sequences.channel_names),
                "with_measurements": self._with_measurements(),
                "unknown": header["unknown"],
                "examples_without_events": header["examples_without_events"],
                "steps": float(self.sequences.lengths.mean()),
                "steps_distribution": self._steps(),
                "frequent": self._frequent(),
            },
        }

    def _outcome(self) -> dict[str, Any]:
        outcome = self.cohort.task.outcome
        return {
            "label": outcome.label,
            "one": outcome.one,
            "many": outcome.many,
            "classes": list(outcome.classes),
        }

    def _with_measurements(self) -> float:
        """Compute the share of examples that have a measurement."""
        sequences = self.sequences
        values = np.diff(sequences.value_offsets[sequences.step_offsets])  # (example,)
        return float(np.mean(values > 0))

    def _steps(self) -> dict[str, Any]:
        """Describe the distribution of the number of steps."""
        lengths = self.sequences.lengths
        return {
            "share_of_one": float(np.mean(lengths == 1)),
            "quantiles": {str(q): int(np.quantile(lengths, q, method="lower")) for q in _QUANTILES},
            "most": int(lengths.max()),
        }

    def _part(self, name: str) -> dict[str, int]:
        rows = self.rows(name)
        return {
            "examples": len(rows),
            "subjects": len(np.unique(self.sequences.subject_id[rows])),
            **({} if self.site is None else {"sites": len(np.unique(self.site[rows]))}),
            "positives": int(self.sequences.label[rows].sum()),
        }

    def _frequent(self, n: int = 20) -> list[dict[str, Any]]:
        """List the codes that most training subjects have."""
        subjects = np.asarray(self.sequences.header["training_subjects"])
        order = np.argsort(-subjects, kind="stable")[:n]
        return [
            {"code": self.sequences.vocabulary[i], "training_subjects": int(subjects[i])}
            for i in order
            if subjects[i]
        ]


def load(settings: RunSettings, root: Path | None, work: Path) -> VisitData:
    """Find or build the events of a run, apply its task, draw its split and build its sequences.

    Args:
        settings: The settings of the run.
        root: Folder or file of the data (default: the usual search path): published tables, or a
            MEDS data set.
        work: Folder for events and sequences; existing files made from the same data are reused.

    Raises:
        SettingError: If a setting does not fit.
        SequelaError: If the data cannot be found, read or split, the task does not fit, or no code
            is left for training.
    """
    asked = settings.cohort or CohortSettings()
    folder = work / "sequences" / _name(settings, asked)
    cut = sequence_settings(asked)
    divided = divide(ask(settings.data, asked, root, work), settings)
    cohort, part = divided.cohort, divided.part
    sequences = build_sequences(cohort, part, folder, cut)
    if len(sequences.vocabulary) == 1:  # the unknown code
        families = ", ".join(cohort.task.inputs) or "any family"
        raise DataError(
            f"no code of {families} occurs in {cut.min_subjects} training subject(s) by the time "
            "of prediction: give the model other codes (--inputs, --demographics), or predict "
            "later (--hours)"
        )
    split = divided.split.holding(content_of(sequences, own()))
    return VisitData(settings.data, cohort.origin, cohort, split, part, sequences, divided.site)


def load_other(
    folder: RunFolder,
    header: Mapping[str, Any],
    name: str,
    root: Path | None,
    work: Path,
    labels: Path | None = None,
) -> VisitData:
    """Load other records with a run's task and the vocabulary of its model.

    See :func:`sequela.runs.data.load_other`.
    """
    settings = folder.settings
    asked = _asked_of_other(settings, labels)
    same = name == settings.data
    all_tables = asked.model_copy(update={"tables": ()})
    cohort = ask(name, asked if same else all_tables, root, work)
    site = None
    if settings.split == "site" and "site" in catalog.lookup(name).units:
        cohort, site = by_site(cohort)
    ids = {"subject": cohort.subject_id.astype(np.str_)} | ({} if site is None else {"site": site})
    how = folder.split.pseudonyms
    if same and how is None:
        raise RunError(
            f"{folder.path}: the key of its hashed subject ids is missing, so subjects of {name} "
            "in its training or validation set cannot be found: name the file of that key with "
            f"{VARIABLE}, or evaluate it on another data set"
        )
    words, read = Vocabulary.of(header), sequence_settings(asked)
    everybody = np.full(len(cohort.labels), PARTS.index("held_out"))
    everything = build_sequences(cohort, everybody, work / "everybody", read, of_model=words)
    new, renamed = _new_to(folder.split, ids, everything, same=same, how=how or own())
    if not new.any():
        raise SettingError(
            f"all {len(np.unique(ids['subject']))} subjects of {name} are in the training or "
            f"validation set of this model ({renamed} under another name), so none is left for an "
            "evaluation; choose other data"
        )
    unit = ids["subject"] if site is None else site
    cohort = replace(cohort, labels=cohort.labels.filter(pa.array(new)))
    part = np.full(len(cohort.labels), PARTS.index("held_out"))
    sequences = build_sequences(cohort, part, work / "sequences", read, of_model=words)
    return VisitData(
        name,
        cohort.origin,
        cohort,
        folder.split,
        part,
        sequences,
        None if site is None else site[new],
        set_aside=len(np.unique(unit)) - len(np.unique(unit[new])),
        renamed=renamed,
    )


def _asked_of_other(settings: RunSettings, labels: Path | None) -> CohortSettings:
    """Return a run's task, with the label file of the other records if it needs one."""
    asked = settings.cohort or CohortSettings()
    if asked.labels is None and labels is not None:
        raise SettingError(
            f"the run has the task {asked.task}, which takes its labels from the records: leave "
            "--labels out"
        )
    if asked.labels is not None and labels is None:
        raise SettingError(
            "the run was trained with a label file: name the label file of these data with --labels"
        )
    return asked.model_copy(update={"labels": labels and str(labels)})


def _new_to(
    split: Split,
    ids: Mapping[str, Ids],
    everything: Sequences,
    *,
    same: bool,
    how: Pseudonyms,
) -> tuple[NDArray[np.bool_], int]:
    """Find examples of new subjects, and count subjects known under another name.

    Ids are compared in the same data set only; contents are always compared.
    """
    new = np.ones(len(everything), np.bool_)
    for kind in ids if same else ():
        parts = split.ids[kind]
        new &= ~np.isin(how.each(ids[kind]), [*parts["train"], *parts["tuning"]])
    content = content_of(everything, how)
    seen = np.array(content.units, np.str_)[split.seen(content)]
    copied = np.isin(how.each(ids["subject"]), seen)
    renamed = len(np.unique(ids["subject"][new & copied]))
    return new & ~copied, renamed


def sequence_settings(asked: CohortSettings) -> SequenceSettings:
    """Return the settings of the sequences of a run."""
    return SequenceSettings(**asked.model_dump(include=set(SequenceSettings.model_fields)))


def _name(settings: RunSettings, asked: CohortSettings) -> str:
    """Name the folder of sequences, which runs with the same sequences share."""
    split = [settings.split, settings.seed_of_split, settings.fractions, settings.folds]
    made_of = [settings.data, *split, settings.fold, asdict(task_asked(asked)), asked.model_dump()]
    text = repr(made_of)
    return f"{asked.task}-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
