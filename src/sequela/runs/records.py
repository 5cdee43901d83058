"""The examples of a run on hospital records: a cohort, a split and visit sequences."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sequela.audit.finding import Finding
from sequela.audit.input import AuditInput
from sequela.cohort.attributes import age_bands
from sequela.cohort.cohort_settings import (
    Division,
    by_site,
    cohort_of_settings,
    divide,
    task_of_settings,
)
from sequela.cohort.labels import example_ids
from sequela.cohort.selection import Cohort
from sequela.cohort.split import PARTS
from sequela.config import CohortSettings, RunSettings, SequenceSettings, TrainingSettings
from sequela.datasets import catalog
from sequela.datasets.catalog import DataSet
from sequela.errors import DataError, RunError, SettingError
from sequela.evaluation.number import plural
from sequela.identity.fingerprint import Content
from sequela.identity.pseudonyms import VARIABLE, Ids, own
from sequela.intake.one_row import Rows, rows_of_model
from sequela.models import reference
from sequela.models.defaults import DEFAULTS, Default, default_for
from sequela.models.reference import Arrays, Times
from sequela.models.stored import Header
from sequela.runs.data import Examples, Inputs, prediction_batch
from sequela.runs.folder import RunFolder
from sequela.sequences.build import build_sequences
from sequela.sequences.feature_tables import static_names
from sequela.sequences.featurisers import FEATURES, learn_scales, lookup
from sequela.sequences.flat import CodeAt, Sequences, content_of, examples_of
from sequela.sequences.intervals import Intervals
from sequela.sequences.vocabulary import Vocabulary

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.utils.data import DataLoader

    from sequela.evaluation.attribution import Attribution, Explained, Importance
    from sequela.sequences.visit_batches import VisitBatch, VisitDataset

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)  # of the number of steps, for readers


@dataclass(frozen=True, kw_only=True, eq=False)
class Records(Examples):
    """The visit sequences of a cohort; ``site`` is known if the split is by hospital."""

    arrays: Sequences
    cohort: Cohort
    site: Ids | None = None

    @cached_property
    def times(self) -> Times | None:
        """The times to the event of the cohort, if its task predicts these."""
        task, labels = self.cohort.task, self.cohort.labels
        if task.horizons_days is None:
            return None
        intervals = Intervals(task.horizons_days, 1 + bool(task.outcome.rival))
        return Times(labels["time"].to_numpy(), labels["event"].to_numpy(), intervals)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; of times to an event, of their intervals."""
        return self.cohort.task.classes

    @cached_property
    def ids(self) -> Mapping[str, Ids]:
        """The ids of predictions by column, each str (example,)."""
        ids = ids_of(self.arrays)
        return {"example_id": ids["row"], "subject_id": ids["subject"]}

    def by_person(self) -> Self:
        """Return the same examples with subjects as their groups, not sites."""
        return replace(self, site=None)

    @property
    def header(self) -> dict[str, object]:
        """The metadata that a model needs in addition to its tensors."""
        return {
            "classes": list(self.classes),
            "task": self.cohort.task.to_dict(),
            "sequences": self.arrays.header["settings"],
            **Vocabulary.of(self.arrays.header).to_dict(),
        }

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """Findings of the selection of the cohort."""
        return self.cohort.leaks

    def audit_input(self) -> AuditInput:
        """Return the sequences, and the classes of the outcome, as the audit reads them."""
        classes = self.cohort.task.outcome.classes
        common = super().audit_input()
        return replace(common, classes=classes, records=self.arrays, selected=self.leaks)

    @cached_property
    def content(self) -> Content:
        """Fingerprints of the subjects, by hashed id."""
        return content_of(self.arrays, own())

    def inputs(
        self, reads: tuple[str, ...], learnt: Arrays | None = None, *, standardise: bool = True
    ) -> "VisitInputs":
        """Prepare the inputs of a model: see :meth:`sequela.runs.data.Examples.inputs`."""
        features = self._features(reads, learnt, standardise=standardise)
        if learnt is None:
            learnt = learn_scales(self.arrays, self.rows("train"), reads)
        return VisitInputs(self, reads, features, learnt)

    def attributes(self) -> dict[str, NDArray[np.str_]]:
        """Return attributes of the people by name, each str (example,)."""
        attributes = {**self.cohort.attributes}
        bands = age_bands(self.arrays.age)  # wide ones: an age may identify a person
        if (bands != "").any():
            attributes["age"] = bands
        return attributes

    def facts(self) -> dict[str, object]:
        """Describe the cohort and its sequences."""
        cohort, sequences, outcome = self.cohort, self.arrays, self.cohort.task.outcome
        facts: dict[str, object] = {
            "open": cohort.events.open,
            "subjects": len(np.unique(sequences.subject_id)),
        }
        if cohort.events.title:
            facts["title"] = cohort.events.title
        if self.site is not None:
            facts["sites"] = len(np.unique(self.site))
        words: dict[str, object] = {
            name: getattr(outcome, name) for name in ("label", "one", "many")
        }
        words["classes"] = list(outcome.classes)
        if self.times and outcome.rival:
            words["rival"] = outcome.rival
        facts |= {
            "positives": int(sequences.label.sum()),
            "example": cohort.task.example,
            "parts": {name: self._counts(self.rows(name)) for name in PARTS},
            "outcome": words,
            "task": cohort.task.to_dict(),
        }
        if self.times:
            facts["horizons"] = [*self.times.intervals.horizons]
        facts |= {"question": cohort.task.describe(), "flow": cohort.flow.to_dict()}
        if cohort.notes:
            facts["notes"] = [*cohort.notes]
        return {**facts, "sequences": _described(sequences)}

    def _counts(self, rows: NDArray[np.int64]) -> dict[str, int]:
        """Count the examples of a set."""
        counts = {"examples": len(rows), "subjects": len(np.unique(self.arrays.subject_id[rows]))}
        if self.site is not None:
            counts["sites"] = len(np.unique(self.site[rows]))
        return {**counts, "positives": int(self.arrays.label[rows].sum())}


def _described(sequences: Sequences) -> dict[str, object]:
    """Describe sequences and their vocabulary."""
    header, lengths = sequences.header, sequences.lengths
    quantiles = {str(q): int(np.quantile(lengths, q, method="lower")) for q in _QUANTILES}
    return {
        "settings": header["settings"],
        "codes": len(sequences.vocabulary),
        **_measured(sequences),
        "unknown": header["unknown"],
        "examples_without_events": header["examples_without_events"],
        "steps": float(lengths.mean()),
        "steps_distribution": {
            "share_of_one": float(np.mean(lengths == 1)),
            "quantiles": quantiles,
            "most": int(lengths.max()),
        },
        "frequent": _frequent(sequences),
    }


def _measured(sequences: Sequences) -> dict[str, float]:
    values = np.diff(sequences.value_offsets[sequences.step_offsets])  # (example,)
    share = float(np.mean(values > 0))  # of examples with a measurement
    return {"channels": len(sequences.channel_names), "with_measurements": share}


def _frequent(sequences: Sequences, n: int = 20) -> list[dict[str, object]]:
    subjects = np.asarray(sequences.header["training_subjects"])
    order = np.argsort(-subjects, kind="stable")[:n]
    return [
        {"code": sequences.vocabulary[i], "training_subjects": int(subjects[i])}
        for i in order
        if subjects[i]
    ]


@dataclass(frozen=True)
class VisitInputs(Inputs):
    """The inputs of a model of visits, with the scales of values and static columns it reads."""

    data: Records
    scales: Arrays

    @property
    def state(self) -> Arrays:
        """The fitted preprocessing, to be stored with the model."""
        return {**self.scales, **super().state}

    @property
    def shape(self) -> dict[str, int]:
        """The sizes for building a model."""
        sequences = self.data.arrays
        return {
            "n_codes": len(sequences.vocabulary),
            "n_channels": len(sequences.channel_names),
            "n_static": len(static_names(sequences)),
            "n_features": self.features.shape[1],
            "n_outputs": len(self.data.classes),
            "n_bins": int(sequences.header["settings"]["bins"]),
        }

    @cached_property
    def _typical(self) -> int:
        """The training example with the median number of codes above 0."""
        sequences, rows = self.data.arrays, self.data.rows("train")
        first, last = (sequences.step_offsets[rows + i] for i in (0, 1))
        # Its time is measured, and many records have no codes.
        codes = sequences.code_offsets[last] - sequences.code_offsets[first]  # of each example
        order = np.argsort(codes, kind="stable")  # (training example,)
        coded = order[np.count_nonzero(codes == 0) :]
        order = coded if len(coded) else order
        return int(rows[order[len(order) // 2]])

    @cached_property
    def alone(self) -> Sequences:
        """The typical example."""
        return examples_of(self.data.arrays, np.array([self._typical]))

    @property
    def steps(self) -> int:
        """The number of steps of the typical example."""
        return int(self.data.arrays.lengths[self._typical])

    @property
    def example(self) -> "tuple[Tensor, ...]":
        """Inputs of the typical example, made anew each time, as for a new patient."""
        return self._dataset(keep=False)[[self._typical]].inputs

    def _dataset(
        self,
        rows: NDArray[np.int64] | None = None,
        teacher: NDArray[np.float32] | None = None,
        *,
        keep: bool = True,
    ) -> "VisitDataset":
        from sequela.sequences.visit_batches import FurtherInputs, VisitDataset

        targets = None if self.data.times is None else self.data.times.possible
        if self.reads == ("codes",):
            return VisitDataset(self.data.arrays, rows, targets=targets)
        table = self.described.standardised if self.described else None
        further = FurtherInputs(self.data.arrays, self.reads, self.scales, table, keep)
        return VisitDataset(self.data.arrays, rows, further, targets=targets, teacher=teacher)

    def _teacher(self, rows: NDArray[np.int64], seed: int) -> NDArray[np.float32] | None:
        """Predict some examples with boosting on the table, fitted on others of them."""
        data, none = self.data, rows[:0]
        examples = reference.Examples(
            self.features, data.labels, rows, none, len(data.classes), times=data.times
        )
        # A teacher's predictions for its own training examples are too sure to teach anything.
        return reference.cross_fitted(reference.TEACHER, examples, data.marked, seed)

    def loader(
        self,
        part: str,
        batch_size: int,
        generator: "torch.Generator | None" = None,
        training: TrainingSettings | None = None,
    ) -> "DataLoader[VisitBatch]":
        """Load batches of a set, in random order if ``generator`` is given."""
        from sequela.sequences.visit_batches import visit_loader

        rows, teacher = self.data.rows(part), None
        if training is not None and training.distil and generator is not None:
            teacher = self._teacher(rows, generator.initial_seed())
        dataset = self._dataset(rows, teacher)
        return visit_loader(dataset, batch_size=batch_size, generator=generator)

    def probabilities(self, model: "nn.Module") -> NDArray[np.float32]:
        """Predict probabilities of all examples with a network: float32 (example, class)."""
        import torch

        from sequela.sequences.visit_batches import visit_loader

        device = next(model.parameters()).device
        probabilities = np.empty((len(self.data.arrays), len(self.data.classes)), np.float32)
        model.eval()
        with torch.inference_mode():
            for batch in visit_loader(self._dataset(), batch_size=prediction_batch(self.shape)):
                logits = model(*batch.to(device).inputs)  # (patient, class)
                probabilities[batch.order.numpy()] = logits.float().softmax(1).cpu().numpy()
        return probabilities

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of all inputs: codes, channels, static columns, features."""
        sequences = self.data.arrays
        features: tuple[str, ...] = ()
        if self.described is not None:
            read = next(name for name in self.reads if name.startswith(FEATURES))
            prefix, state = f"{read}:", self.described.state
            arrays = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
            columns = lookup(read.removeprefix(FEATURES)).columns(sequences, arrays)
            features = tuple(f"{column.name} (whole record)" for column in columns)
        channels = tuple(f"{name} (value)" for name in sequences.channel_names)
        return (*sequences.vocabulary, *channels, *static_names(sequences), *features)

    def _moving(self, row: int, batch: "VisitBatch") -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the index of the name and the visit of each input of a record."""
        sequences, heads = self.data.arrays, {name.partition(":")[0] for name in self.reads}
        visits = np.arange(int(sequences.lengths[row]))
        counts = batch.offsets.diff().numpy()  # codes of each visit
        first_channel = len(sequences.vocabulary)
        first_static = first_channel + len(sequences.channel_names)
        first_feature = first_static + len(static_names(sequences))  # as in ``names``
        places, where = [], []
        if "codes" in heads:
            places.append(batch.codes.numpy())
            where.append(np.repeat(visits, counts))
        if batch.mask is not None:
            visit, channel = np.nonzero(batch.mask.numpy())  # the measured ones
            places.append(first_channel + channel)
            where.append(visit)
        for tensor, first in ((batch.static, first_static), (batch.features, first_feature)):
            if tensor is not None:
                places.append(first + np.arange(tensor.shape[1]))
                where.append(np.full(tensor.shape[1], visits[-1]))
        return np.concatenate(places), np.concatenate(where)

    def attribution(
        self, model: "nn.Module", row: int, weights: "Tensor", steps: int | None
    ) -> "Attribution":
        """Attribute a number of a model to the inputs of a record: values (input,)."""
        from sequela.evaluation.attribution import attribute_record

        return attribute_record(model, self._dataset()[[row]], weights, steps)

    def describe_example(self, row: int) -> dict[str, Any]:
        """Describe the inputs of a record in the order of :meth:`attribution`."""
        places, visits = self._moving(row, self._dataset()[[row]])
        sequences = self.data.arrays
        times = sequences.step_time[int(sequences.step_offsets[row]) + visits]
        days = (sequences.prediction_time[row] - times) / np.timedelta64(1, "D")  # (input,)
        having = sequences.header["training_subjects"]  # (code,)
        everybody = len(self.data.rows("train"))  # other inputs than codes are in every record
        codes = (
            CodeAt(self.names[p], v + 1, d, having[p] if p < len(having) else everybody)
            for p, v, d in zip(places.tolist(), visits.tolist(), days.tolist(), strict=True)
        )
        return {"codes": tuple(codes)}

    def importance(self, model: "nn.Module", smallest: int) -> "Importance":
        """Rank the inputs of a model by importance over the test set."""
        from sequela.evaluation import attribution

        rows, dataset = self.data.rows("held_out"), self._dataset()
        classes, times = self.data.classes, self.data.times
        what, weights = attribution.number_of(classes, classes[1]), attribution.contrast(2, 1)
        if times is not None:
            what = attribution.NUMBER_OF_EVENT
            weights = attribution.contrast_of_event(len(times.intervals.horizons), len(classes))

        def attributions() -> "Iterator[Explained]":
            for row in rows.tolist():
                batch = dataset[[row]]
                values = attribution.attribute_record(model, batch, weights, attribution.STEPS)
                yield int(self.data.arrays.subject_id[row]), self._moving(row, batch)[0], values

        return attribution.ranked(self.names, attributions(), len(rows), what, smallest)


def _read(settings: RunSettings, root: Path | None, work: Path) -> tuple[Division, Sequences]:
    """Find or build the events of a run, apply its task, draw its split and build its sequences."""
    cohort = settings.cohort or CohortSettings()
    # Runs with the same sequences share their folder.
    split = [settings.split, settings.seed_of_split, settings.fractions, settings.folds]
    task = asdict(task_of_settings(cohort))
    made_of = [settings.data, *split, settings.fold, task, cohort.model_dump()]
    digest = hashlib.sha256(repr(made_of).encode()).hexdigest()[:12]
    folder = work / "sequences" / f"{cohort.task}-{digest}"
    cut = sequence_settings(cohort)
    rows = Rows(settings.signals) if settings.signals else None
    divided = divide(cohort_of_settings(settings.data, cohort, root, work, rows), settings)
    sequences = build_sequences(divided.cohort, divided.part, folder, cut)
    if len(sequences.vocabulary) == 1:  # the unknown code
        families = ", ".join(divided.cohort.task.inputs) or "any family"
        fewest = sequences.header["settings"]["min_subjects"]
        raise DataError(
            f"no code of {families} occurs in {plural(fewest, 'training subject')} by the time of "
            "prediction: give the model other codes (--inputs, --demographics), or predict "
            "later (--hours)"
        )
    return divided, sequences


def load(settings: RunSettings, root: Path | None, work: Path) -> Records:
    """Load the records of a run; see :func:`sequela.runs.data.load`."""
    data_set = catalog.lookup(settings.data)
    data_set.check_split(settings.split, settings.folds)
    divided, sequences = _read(settings, root, work)
    return Records(
        arrays=sequences,
        cohort=divided.cohort,
        data_set=data_set,
        origin=divided.cohort.origin,
        split=divided.split.holding(content_of(sequences, own())),
        part=divided.part,
        site=divided.site,
    )


def default(data_set: DataSet, settings: RunSettings, root: Path | None, work: Path) -> Default:
    """Return the default model for records; it depends on the number of measurements."""
    if data_set.rows:
        return DEFAULTS["row"]
    return default_for({"sequences": _measured(_read(settings, root, work)[1])})


def load_other(
    folder: RunFolder,
    header: Header,
    data_set: DataSet,
    root: Path | None,
    work: Path,
    labels: Path | None = None,
) -> Records:
    """Load other records for a run's model; see :func:`sequela.runs.data.load_other`."""
    settings, name = folder.settings, data_set.name
    of_cohort = _asked_of_other(settings, labels)
    same = name == settings.data
    all_tables = of_cohort.model_copy(update={"tables": ()})
    rows = rows_of_model(settings.signals, data_set, header)
    cohort = cohort_of_settings(name, of_cohort if same else all_tables, root, work, rows)
    site = None
    if settings.split == "site" and "site" in data_set.units:
        cohort, site = by_site(cohort)
    ids = {"subject": cohort.subject_id.astype(np.str_)} | ({} if site is None else {"site": site})
    how = folder.split.pseudonyms
    if same and how is None:
        raise RunError(
            f"{folder.path}: the key of its hashed subject ids is missing, so subjects of {name} "
            "in its training or validation set cannot be found: name the file of that key with "
            f"{VARIABLE}, or evaluate it on another data set"
        )
    words, read = Vocabulary.of(header), sequence_settings(of_cohort)
    # Sequences of everybody are made first, as copies are found by their codes; then those of the
    # others, whose unknown codes are counted.
    everybody = np.full(len(cohort.labels), PARTS.index("held_out"))
    everything = build_sequences(cohort, everybody, work / "everybody", read, of_model=words)
    how = how or own()
    by_name = folder.split.named(ids if same else {}, how)
    # A hospital may give one person another number in another extract.
    by_content = folder.split.copied(content_of(everything, how), ids["subject"], how)
    new = ~(by_content | by_name)
    renamed = len(np.unique(ids["subject"][by_content & ~by_name]))
    if not new.any():
        raise SettingError(
            f"all {len(np.unique(ids['subject']))} subjects of {name} are in the training or "
            f"validation set of this model ({renamed} under another name), so none is left for an "
            "evaluation; choose other data"
        )
    unit = ids["subject"] if site is None else site
    part, sequences = everybody[new], everything
    if not new.all():
        cohort = replace(cohort, labels=cohort.labels.filter(pa.array(new)))
        sequences = build_sequences(cohort, part, work / "sequences", read, of_model=words)
    codes = sequences.codes
    return Records(
        arrays=sequences,
        cohort=cohort,
        data_set=data_set,
        origin=cohort.origin,
        split=folder.split,
        part=part,
        site=None if site is None else site[new],
        unlike_training={"unknown_codes": float(np.mean(codes == 0)) if codes.size else None},
        set_aside=len(np.unique(unit)) - len(np.unique(unit[new])),
        renamed=renamed,
    )


def _asked_of_other(settings: RunSettings, labels: Path | None) -> CohortSettings:
    """Return a run's task, with the label file of the other records if it needs one."""
    cohort = settings.cohort or CohortSettings()
    if cohort.labels is None and labels is not None:
        raise SettingError(
            f"the run has the task {cohort.task}, which takes its labels from the records: leave "
            "--labels out"
        )
    if cohort.labels is not None and labels is None:
        raise SettingError(
            "the run was trained with a label file: name the label file of these data with --labels"
        )
    return cohort.model_copy(update={"labels": labels and str(labels)})


def ids_of(sequences: Sequences) -> dict[str, Ids]:
    """Return the ids that sequences can be split by; sites are not among them."""
    row = example_ids(sequences.subject_id, sequences.prediction_time)
    return {"row": row, "subject": np.asarray(sequences.independent)}


def sequence_settings(cohort: CohortSettings) -> SequenceSettings:
    """Return the settings of the sequences of a run."""
    return SequenceSettings(**cohort.model_dump(include=set(SequenceSettings.model_fields)))
