"""The package of a study: its models, its question and the analysis that is fixed in advance.

The package is one zip with ``protocol.json`` and a small folder for each model. It has no data of a
patient, no id and no count below the bound. Sites evaluate its models on their own patients.
"""

import hashlib
import json
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, JsonValue

from sequela.analysis.compare import check_same_split
from sequela.analysis.release import (
    MEASURES,
    Moments,
    ReleasePart,
    Training,
    parsed,
    seal_of,
    text_of,
)
from sequela.cohort.split import PARTS, Split
from sequela.config import SMALLEST_CELL, RunSettings
from sequela.datasets.codes import body_of
from sequela.disclosure import has_small, hidden_cells
from sequela.errors import OutputError, RunError, SettingError
from sequela.files import require_file, temporary, whole
from sequela.formats.opened import members
from sequela.integrity.openings import open_held_out
from sequela.runs.data import Examples, load_again
from sequela.runs.find import Run, find_runs
from sequela.runs.folder import CONFIG, RunFolder
from sequela.runs.manifest import seal
from sequela.runs.model import FILE, LEAST, members_of, open_model, title
from sequela.runs.record import DataRecord, RunRecord
from sequela.runs.records import Records
from sequela.runs.released import Released, few_named, names_people
from sequela.sequences.flat import examples_of
from sequela.version import __version__

Floats = NDArray[np.float64]
PROTOCOL = "protocol.json"
_EXPECTED = "the package of a study (sequela share RUN --study NAME.zip)"
_REMEDY = "ask the lead site for it again"
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip file can have
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_KNOWN = 0.9  # least share of patients with a value, for a variable of the membership model
_BINARY = 2
_AT_ONCE = 1024  # segments whose amplitude is computed at once, to limit memory


class Analysis(ReleasePart):
    """The analysis of each site, fixed in advance.

    A site needs a share of what a training patient has of the inputs, and medians of measurements
    that differ by less than a factor.
    """

    measures: tuple[str, ...] = MEASURES
    metrics: tuple[str, ...] = ("auroc", "average_precision", "brier_score", "log_loss")
    subgroups: tuple[str, ...] = ("age", "sex", "ethnicity", "unit")
    smallest_cell: Annotated[int, Field(ge=SMALLEST_CELL)] = SMALLEST_CELL
    inputs_share: float = 0.5
    unit_factor: float = 3.0


class Channel(ReleasePart):
    """Quantiles, by their probability, of the patients' median values of a measurement.

    The value of an EEG channel is the standard deviation of a segment. Quantiles with few patients
    on one side are missing. ``share`` is that of patients with a value.
    """

    unit: str | None
    share: float | None
    quantiles: Mapping[str, float]


class PackagedModel(ReleasePart):
    """A model, which is also the name of its folder, with the SHA-256 of its two files."""

    name: Annotated[str, Field(pattern="^[A-Za-z0-9][A-Za-z0-9_.-]*$")]
    title: str
    sha256: str
    settings_sha256: str
    threshold: float
    chosen_for: str
    training: Training


class Protocol(ReleasePart):
    """The content of ``protocol.json``.

    Attributes:
        format: The version of this list.
        name, lead: The names of the study, and of the site that trained the models.
        question: SHA-256 of the task and the analysis, the same for packages that can be compared.
        asks: The question in words.
        data: The name of the training data set.
        task: The task as declared, with its rules of inclusion; ``None`` for EEG.
        outcome: Words for the event, the second class: ``label``, ``one`` and ``many``.
        codes: The share of training patients with each code that a model reads; ``None`` if it
            would reveal a small count.
    """

    format: Literal[1]
    sequela: str
    name: str
    lead: str
    question: str
    asks: str
    data: str
    task: Mapping[str, JsonValue] | None
    classes: tuple[str, str]
    outcome: Mapping[str, str]
    example: str
    models: Annotated[tuple[PackagedModel, ...], Field(min_length=1)]
    codes: Mapping[str, float | None]
    channels: Mapping[str, Channel]
    analysis: Analysis

    @property
    def digest(self) -> str:
        """The SHA-256 of the package: it has that of each file."""
        return seal_of(self.model_dump(mode="json"))


def columns_of(data: Examples, probabilities: NDArray[np.float32]) -> dict[str, Floats]:
    """Compute the variables of the membership model: float64 (example,), NaN where not known.

    They are the logit of the risk, and for hospital records age in years, female sex (1 or 0) and
    the logarithm of 1 plus the number of inputs.
    """
    risk = np.clip(probabilities[:, 1].astype(np.float64), LEAST, 1 - LEAST)
    columns: dict[str, Floats] = {"logit": np.log(risk / (1 - risk))}
    if not isinstance(data, Records):
        return columns
    sequences, ends = data.arrays, data.arrays.step_offsets
    codes = np.concatenate(([0], np.cumsum(sequences.codes > 0)))  # of the vocabulary, so far
    inputs = np.diff(codes[sequences.code_offsets[ends]] + sequences.value_offsets[ends])
    sex = data.attributes().get("sex", np.full(len(risk), ""))
    female = {"f": 1.0, "m": 0.0}  # as all sources write it: F, Female, female...
    columns |= {
        "age": sequences.age.astype(np.float64),
        "female": np.array([female.get(value[:1].lower(), np.nan) for value in sex.tolist()]),
        "log_inputs": np.log1p(inputs),
    }
    return columns


def write_package(
    path: Path,
    out: Path,
    *,
    lead: str | None = None,
    root: Path | None = None,
    hide_below: int | None = None,
) -> Protocol:
    """Write the package of a run, or of the results in the folder of a study with one question.

    The training data are read again, by default from the place of training. ``lead`` names the lead
    site (default: the title of the data).
    """
    require_file(out, ".zip")
    if out.exists():
        raise OutputError(f"{out}: exists already: name a new file with --study")
    smallest = hide_below or SMALLEST_CELL
    if smallest < SMALLEST_CELL:
        raise SettingError(f"--hide-below is {smallest}: a study needs {SMALLEST_CELL} or more")
    runs, files, models = _results_of(path, smallest), dict[str, bytes](), []
    codes, channels = dict[str, float | None](), dict[str, Channel]()
    with temporary() as work:
        for name, run in runs.items():
            open_held_out(run, "report")
            data = load_again(run, root, work, open_model(run).header)
            codes = {**codes_of(data, "train", smallest), **codes}
            channels = {**channels_of(data, "train", smallest), **channels}
            settings = _neutral(run.settings, run.split.whose, run.data.channels)
            files[f"{name}/{CONFIG}"] = settings.to_toml().encode()
            files[f"{name}/{FILE}"] = (run.path / FILE).read_bytes()
            models.append(_model(run, name, files, data, smallest))
    described, outcome = run.data, run.data.outcome
    assert outcome is not None  # noqa: S101 - two classes have one
    protocol = Protocol(
        format=1,
        sequela=__version__,
        name=out.stem,
        lead=lead or data.data_set.title,
        question="",
        asks=described.question,
        data=described.name,
        task=described.task,
        classes=(described.classes[0], described.classes[1]),
        outcome={name: outcome[name] for name in ("label", "one", "many")},
        example=described.example,
        models=tuple(models),
        codes=codes,
        channels=channels,
        analysis=Analysis(smallest_cell=smallest),
    )
    protocol = protocol.model_copy(update={"question": _question(protocol)})
    # Codes are those of many patients, and may look like the id of another one.
    words = text_of(protocol.model_copy(update={"codes": {}, "models": ()}))
    words += "".join(files[f"{name}/{CONFIG}"].decode() for name in runs)
    if names_people(run, words.encode()):  # all runs have the same split
        raise RunError(f"{path}: a name in its settings is the id of a patient: train without it")
    with whole(out) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name, file in {PROTOCOL: text_of(protocol).encode(), **files}.items():
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), file)  # no date, so the same bytes
    return protocol


def open_package(path: Path, work: Path) -> Protocol:
    """Unpack a package, or raise a SequelaError if it is none or was changed.

    Each model has a folder of its name in ``work``, which :func:`packaged_run` opens.
    """
    entries = list(members(path, _EXPECTED, _REMEDY))
    files, place = dict(entries), f"{path}: {PROTOCOL}"
    text = files.get(PROTOCOL, b"").decode(errors="replace")
    protocol = parsed(Protocol, text, place, f"that of {_EXPECTED}", _REMEDY)
    digests = {f"{model.name}/{FILE}": model.sha256 for model in protocol.models}
    digests |= {f"{model.name}/{CONFIG}": model.settings_sha256 for model in protocol.models}
    unexpected = {name for name, _ in entries} ^ {PROTOCOL, *digests}
    if unexpected or len(entries) != len(files) or len(digests) != 2 * len(protocol.models):
        name = min(unexpected, default="a file twice")
        raise RunError(f"{path}: has or lacks {name!r}: expected {_EXPECTED}; {_REMEDY}")
    changed = [name for name in digests if _sha256(files[name]) != digests[name]]
    if protocol.question != _question(protocol):
        changed.append(PROTOCOL)
    if changed:
        raise RunError(f"{path}: {changed[0]} was changed after it was packaged: {_REMEDY}")
    for name in digests:
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(files[name])
    return protocol


def packaged_run(path: Path) -> RunFolder:
    """Open the folder of a model as its run, which has no predictions.

    Its split names no training patients, so whether other data have some of them is unknown.
    """
    seal(path)
    folder = RunFolder(path)
    settings = folder.settings
    channels = settings.signals.channels if settings.signals else ()
    data = DataRecord.model_construct(channels=list(channels))
    split = Split(
        unit=settings.split,
        seed=0,
        fractions=settings.fractions,
        n_examples=dict.fromkeys(PARTS, 0),
        ids={settings.split: {part: [] for part in PARTS}},
    )
    vars(folder).update(split=split, metrics=RunRecord.model_construct(data=data))
    return folder


def _results_of(path: Path, smallest: int) -> dict[str, RunFolder]:
    """Return the runs of a folder that are results of one question, by the name of their model."""
    runs, names = [run for run in find_runs([path]) if not _leaks(run)], Counter[str]()
    if not runs:
        raise RunError(f"{path}: its result is inflated by a leak: package a run without one")
    questions = sorted({f"{run.data.question}, of {run.settings.data}" for run in runs})
    if len(questions) > 1:
        raise RunError(
            f"{path}: has several questions ({'; '.join(questions)}): name the folder of one"
        )
    unweighted = {run.settings.model for run in runs if not run.settings.training.class_weights}
    results = dict[str, RunFolder]()
    for run in runs:
        settings, name = run.settings, run.settings.model
        if settings.training.class_weights and name in unweighted:
            continue  # a control of a study
        if not isinstance(run, RunFolder):
            raise RunError(
                f"{run.path}: each fold or seed has its own model: expected runs of one split and "
                "one seed (folds = 0 in the file of a study), or their ensemble"
            )
        if any(
            ":" in model for model in (name, *(m.run_settings.model for m in members_of(settings)))
        ):
            raise SettingError(
                f"{run.path}: its model is a class of your own, and a package has no code: train "
                "a model that Sequela has"
            )
        if len(run.data.classes) != _BINARY or run.data.horizons:
            what = "times to an event" if run.data.horizons else f"{len(run.data.classes)} classes"
            raise SettingError(f"{run.path}: predicts {what}: a package is for two classes")
        if reason := few_named(run.data, smallest):
            raise RunError(f"{run.path}: {reason}")
        check_same_split(next(iter(results.values()), run), run)
        names[name] += 1
        results[f"{name}-{names[name]}" if names[name] > 1 else name] = run
    return results


def _leaks(run: Run) -> bool:
    task, by_row = run.data.task or {}, run.settings.split == "row"
    return bool(task.get("leaks") or task.get("hindsight") or by_row or run.metrics.leaks)


def _neutral(settings: RunSettings, unit: str, channels: Sequence[str] = ()) -> RunSettings:
    """Return settings without names that a user chose: of the data, of files and of runs."""
    cohort, signals = settings.cohort, settings.signals
    # Patients are the unit at a site, also where whole hospitals were held out.
    changes: dict[str, object] = {"split": unit, "folds": 0, "fold": 0}
    if cohort:
        labels = "labels" if cohort.labels else None  # a path of this machine
        changes["cohort"] = cohort.model_copy(update={"labels": labels})
    if signals:
        names = {"title": None, "channels": tuple(channels) or signals.channels}
        changes["signals"] = signals.model_copy(update=names)
    if members_of(settings):
        members = []
        for number, member in enumerate(members_of(settings), 1):
            parts = _neutral(member.run_settings, unit).model_dump(mode="json", exclude_none=True)
            members.append({"run": f"{number}", "sha256": member.sha256, "settings": parts})
        changes["model_settings"] = {**settings.model_settings, "members": members}
    return settings.model_copy(update=changes)


def _question(protocol: Protocol) -> str:
    """Compute the SHA-256 of whom and what is predicted, and of the analysis."""
    task = {key: value for key, value in (protocol.task or {}).items() if key != "inputs"}
    parts = [task, protocol.classes, protocol.analysis.model_dump()]
    return _sha256(json.dumps(parts, sort_keys=True).encode())


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _model(
    run: RunFolder, name: str, files: Mapping[str, bytes], data: Examples, smallest: int
) -> PackagedModel:
    """Describe a model, with what a site may know of its training and test set."""
    train, test = (data.rows(part) for part in ("train", "held_out"))
    for label, class_name in enumerate(data.classes):
        for rows, part in ((train, "training set"), (test, "test set")):
            people = np.unique(data.marked[rows][data.labels[rows] == label])
            if len(people) < smallest:
                raise RunError(
                    f"{run.path}: has fewer than {smallest} {data.arrays.unit}s with "
                    f"'{class_name}' in its {part}: expected more"
                )
    columns = columns_of(data, run.predictions.probabilities)
    numbers, point = Released(run, smallest).test, run.test.operating_points[1]
    auroc, bounds = numbers.get("auroc"), numbers.get("auroc_ci")
    return PackagedModel(
        name=name,
        title=title(run.settings),
        sha256=_sha256(files[f"{name}/{FILE}"]),
        settings_sha256=_sha256(files[f"{name}/{CONFIG}"]),
        threshold=float(point.threshold),
        chosen_for=point.chosen_for,
        training=Training(
            patients=len(np.unique(data.marked[train])),
            examples=len(train),
            events=int(data.labels[train].sum()),
            auroc=(auroc, *bounds) if auroc and bounds else None,
            moments=moments_of({n: v[test] for n, v in columns.items()}, smallest),
        ),
    )


def moments_of(columns: Mapping[str, Floats], smallest: int) -> Moments:
    """Compute means and covariance of the variables that are known of most examples.

    An unknown value counts as the mean. At the lead site, the examples are those of the test set,
    from which the model has not learnt.
    """
    table = {}
    for name, values in columns.items():
        finite = np.isfinite(values)
        counts = np.unique(values[finite], return_counts=True)[1]
        # The mean of a sex would reveal how many have the rarer one.
        few = name == "female" and has_small(counts, smallest)
        if finite.mean() >= _KNOWN and not few:
            table[name] = np.where(finite, values, values[finite].mean())
    covariance = np.atleast_2d(np.cov(np.stack([*table.values()])))
    return Moments(
        examples=len(columns["logit"]),
        names=tuple(table),
        mean=tuple(float(values.mean()) for values in table.values()),
        covariance=tuple(map(tuple, covariance.tolist())),
    )


def codes_of(data: Examples, part: str, smallest: int) -> dict[str, float | None]:
    """Compute the share of the patients of a set with each code of the vocabulary."""
    if not isinstance(data, Records):
        return {}
    train = examples_of(data.arrays, data.rows(part))
    person = np.unique(train.subject_id, return_inverse=True)[1]  # (example,)
    of_code = np.repeat(np.repeat(person, train.lengths), np.diff(train.code_offsets))
    size, total = len(train.vocabulary), int(person.max()) + 1
    pairs = np.unique(of_code * size + train.codes)  # a person and a code, once
    people = np.bincount(pairs % size, minlength=size).tolist()
    return _shares(dict(zip(train.vocabulary[1:], people[1:], strict=True)), total, smallest)


def _shares(people: Mapping[str, int], total: int, smallest: int) -> dict[str, float | None]:
    """Divide the numbers of patients with each code by their total; hide what reveals few.

    A patient may have just one of several codes, such as a sex, so those without any are counted.

    Example:
        >>> _shares({"GENDER//F": 48, "GENDER//M": 47, "LAB//1": 60}, 100, 10)
        {'GENDER//F': 0.48, 'GENDER//M': None, 'LAB//1': 0.6}
    """
    families: dict[str, dict[str, int]] = {}
    for code, count in people.items():
        families.setdefault(code.rpartition("//")[0], {})[code] = count
    shares = dict[str, float | None]()
    for counts in families.values():
        rest = max(total - sum(counts.values()), 0)
        hide = hidden_cells([*counts.values(), rest], smallest)[:-1].tolist()
        for (code, count), hidden in zip(counts.items(), hide, strict=True):
            shares[code] = None if hidden else _share_of(count, total, smallest)
    return shares


def _share_of(count: int, total: int, smallest: int) -> float | None:
    return None if has_small((count, total - count), smallest) else round(count / total, 4)


def channels_of(data: Examples, part: str, smallest: int) -> dict[str, Channel]:
    """Compute quantiles of the median values of each measurement, of the patients of a set."""
    rows = data.rows(part)
    if isinstance(data, Records):
        train = examples_of(data.arrays, rows)
        example = np.repeat(np.arange(len(rows)), train.lengths)  # (step,)
        example = np.repeat(example, np.diff(train.value_offsets))  # (value,)
        names, channel, value = [*train.channel_names], train.channels, train.values
        units = [body_of(name).partition("//")[2] or None for name in names]
    else:
        parts = np.array_split(rows, len(rows) // _AT_ONCE + 1)
        spread = np.concatenate([np.std(data.arrays.signal[part], axis=2) for part in parts])
        value, count = spread.ravel(), spread.shape[1]
        example = np.repeat(np.arange(len(rows)), count)
        channel = np.tile(np.arange(count, dtype=np.int32), len(rows))
        names = [*data.arrays.channels] or [f"channel {n + 1}" for n in range(count)]
        units = ["µV" for _ in names]
    person = np.unique(data.marked[rows], return_inverse=True)[1]
    total, person = int(person.max()) + 1, person[example]
    order = np.lexsort((value, person, channel))
    key = (channel.astype(np.int64) * total + person)[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))  # of each person and channel
    middle = first + (np.diff(first, append=len(key)) - 1) // 2
    ends = np.searchsorted(key[first] // total, np.arange(1, len(names) + 1))
    medians = np.split(value[order][middle], ends)[:-1]  # of people, for each channel
    return {
        name: Channel(
            unit=unit,
            share=_share_of(len(people), total, smallest),
            quantiles={
                str(q): float(f"{np.quantile(people, q):.3g}")
                for q in _QUANTILES
                if len(people) * min(q, 1 - q) >= smallest
            },
        )
        for name, unit, people in zip(names, units, medians, strict=True)
    }
