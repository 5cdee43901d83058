"""A site of a network study: the check of its data, and the results that it may send."""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, pairwise
from pathlib import Path
from textwrap import wrap

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from scipy.stats import norm, rankdata

from sequela.analysis.package import (
    Analysis,
    Channel,
    Floats,
    PackagedModel,
    Protocol,
    channels_of,
    codes_of,
    columns_of,
    moments_of,
    open_package,
    packaged_run,
)
from sequela.analysis.release import (
    FILE,
    PAGE,
    Bin,
    CaseMix,
    GroupResults,
    Measure,
    ModelResults,
    Moments,
    Release,
    Update,
    rates_at,
    text_of,
)
from sequela.datasets.codes import family_of
from sequela.disclosure import as_json, has_small, hidden_cells
from sequela.errors import DataError, OutputError, RunError
from sequela.evaluation import statistic
from sequela.evaluation.calibration import FLAT, slope_influence
from sequela.evaluation.metrics import METRICS
from sequela.evaluation.number import plural
from sequela.evaluation.predictions import Predictions, event
from sequela.evaluation.recalibration import choose
from sequela.evaluation.subgroups import UNKNOWN
from sequela.files import scratch_beside, temporary, writing
from sequela.integrity.verify import differences
from sequela.runs.audit import in_one_line
from sequela.runs.data import Examples, load_other
from sequela.runs.environment import environment
from sequela.runs.folder import RunFolder
from sequela.runs.manifest import NOTICE
from sequela.runs.model import TrainedModel, open_model
from sequela.runs.records import Records
from sequela.runs.released import public, released_flow
from sequela.tables.account import ACCOUNT, read_account
from sequela.version import __version__

Attributes = Mapping[str, NDArray[np.str_]]
Place = tuple[str | None, Path | None, Path | None]
"""The data set of a site, its root, and its label file; by default those of the package."""
_EPSILON = float(np.finfo(np.float32).eps)
_BINS = 10  # of calibration, before they are merged
_NAMED = 10  # codes that are missing at a site, in a release
_OF_A_TABLE = 0.1  # share of a training patient's codes from which a whole family may not miss
_WIDTH = 80  # letters in a line of a screen
_HEIGHT = 30  # lines of a screen
_PREDICTIONS = "predictions.parquet"
_VERSIONS = ("sequela", "python", "torch", "numpy", "scikit-learn")
RELEASE = "release"  # folder of what may be sent
_NOTICE = """# Internal: keep this folder where the data are

It contains predictions for single people. Only `release/` may be sent.
"""
_NEAR = 1.2  # a factor between two medians that is as near to a known one names the units
_UNITS = {
    2.2: "pounds and kilograms",
    2.54: "inches and centimetres",
    2.66: "°F and °C of a body",
    2.8: "mg/dL and mmol/L of urea nitrogen",
    4.0: "mg/dL and mmol/L of calcium",
    7.5: "mmHg and kPa",
    10: "amounts in a dL and in a L",
    18: "mg/dL and mmol/L of glucose",
    88.4: "mg/dL and µmol/L of creatinine",
    100: "percent and shares of 1",
    1000: "units and thousandths of them",
}
"""Units that are often confused, by the factor between them."""


def measures_of(
    predictions: Predictions, *, slope: bool = True
) -> tuple[dict[str, Measure], Floats]:
    """Return the measures that are defined, and the covariance of their estimates over patients.

    A patient's influences on the estimates are the sums over the patient's examples, so that the
    covariance is that of correlated examples (AUROC: Obuchowski 1997, Biometrics 53, 567).
    """
    judged = event(predictions)
    happened, chance = judged.happened, judged.chance
    sizes = np.array([np.sum(~happened), np.sum(happened)])
    estimates, influences = dict[str, float](), list[Floats]()
    if not sizes.all():
        return {}, np.empty((0, 0))
    # The share of the other class that an example is ranked right against; ties count half.
    below = rankdata(chance)
    for is_class in (happened, ~happened):
        below[is_class] -= rankdata(chance[is_class])
    right = np.where(happened, below / sizes[0], 1 - below / sizes[1])
    area = float(right[happened].mean())
    if 0 < area < 1 and np.ptp(chance):
        estimates["auroc"] = float(logit(area))
        influences.append((right - area) / sizes[happened.astype(int)] / (area * (1 - area)))
    estimates["o_e"] = float(np.log(sizes[1] / chance.sum()))
    influences.append(happened / sizes[1] - chance / chance.sum())
    ends = [[risks.min(), risks.max()] for risks in (chance[happened], chance[~happened])]
    # Separated classes have no slope, also if they meet in one risk.
    overlap = ends[0][0] < ends[1][1] and ends[1][0] < ends[0][1]
    if slope and overlap and np.ptp(chance) >= FLAT:
        estimates["slope"], influence = slope_influence(predictions)
        influences.append(influence / len(influence))
    person = np.unique(predictions.person, return_inverse=True)[1]
    n_people = int(person.max()) + 1
    table = np.array([np.bincount(person, values) for values in influences])  # (measure, person)
    covariance = table @ table.T * n_people / max(n_people - 1, 1)
    errors = np.sqrt(np.diag(covariance)).tolist()
    pairs = zip(estimates.items(), errors, strict=True)
    return {name: Measure.of(name, value, error) for (name, value), error in pairs}, covariance


def expected_auroc(chance: Floats) -> float:
    """Return the AUROC that a model would have if its risks were right.

    Each two patients count by the probability that only one has the event: the model-based
    concordance of van Klaveren and others (2016, Statistics in Medicine 35, 4136).

    Example:
        >>> round(expected_auroc(np.array([0.1, 0.5, 0.9])), 4)
        0.9396
    """
    # Each patient is one with the event and one without, weighted; a pair with itself is a tie.
    weight, twice = np.concatenate([chance, 1 - chance]), np.tile(chance, 2)
    happened, group = np.repeat([True, False], len(chance)), np.zeros(len(twice), np.int64)
    area = float(statistic.auroc(happened, twice, group, weight).estimate)
    pairs, same = chance.sum() * (1 - chance).sum(), (chance * (1 - chance)).sum()
    return float((area * pairs - same / 2) / (pairs - same))


def membership_of(site: Moments, lead: Moments) -> float:
    """Return the AUROC of the linear discriminant between two sites, from their moments.

    Debray and others (2015, doi:10.1016/j.jclinepi.2014.06.018) fit such a membership model to the
    patients of both; normal variables need only their means and covariances.
    """
    names = [name for name in site.names if name in lead.names]
    apart, covariance = np.zeros(len(names)), np.zeros((len(names), len(names)))
    for side, sign in ((site, 1), (lead, -1)):
        places = [side.names.index(name) for name in names]
        apart += sign * np.array(side.mean)[places]
        covariance += np.array(side.covariance)[np.ix_(places, places)]
    return float(norm.cdf(np.sqrt(apart @ np.linalg.pinv(covariance) @ apart)))


class _People:
    """The patients of examples, with and without the event."""

    def __init__(self, predictions: Predictions, smallest: int) -> None:
        self.person = np.unique(predictions.person, return_inverse=True)[1]
        self.happened, self.smallest = predictions.label == 1, smallest

    def count(self, rows: NDArray[np.bool_]) -> list[int]:
        """Count the patients of some examples, those with the event and those without."""
        parts = (rows, rows & self.happened, rows & ~self.happened)
        return [len(np.unique(self.person[part])) for part in parts]

    def few(self, rows: NDArray[np.bool_]) -> bool:
        """Return whether any of these counts is too small to be shown."""
        return has_small(self.count(rows), self.smallest)


def _bins(chance: Floats, threshold: float, people: _People) -> tuple[Bin, ...]:
    """Return calibration in bins of many people; the threshold is an edge, if it can be one."""

    def rows(low: float, high: float) -> NDArray[np.bool_]:
        return (chance >= low) & (chance < high)

    def divides(edge: float, low: float, high: float) -> bool:
        sides = (rows(low, edge), rows(edge, high))
        return low < edge < high and all(side.any() and not people.few(side) for side in sides)

    # Three digits, as an exact quantile is the risk of one patient.
    quantiles = np.quantile(chance, np.arange(1, _BINS) / _BINS).tolist()
    edges = sorted({float(f"{edge:.3g}") for edge in quantiles})
    lows = [0.0]
    for end in (threshold, math.inf) if divides(threshold, 0.0, math.inf) else (math.inf,):
        for edge in edges:
            if divides(edge, lows[-1], end):
                lows.append(edge)
        lows.append(end)
    bins = []
    for low, high in pairwise(lows):
        inside = rows(low, high)
        counts = {"examples": int(inside.sum()), "events": int(people.happened[inside].sum())}
        mean = float(chance[inside].mean())
        bins.append(Bin(low=low, high=min(high, 1.0), **counts, predicted=mean))
    return tuple(bins)


def _groups(
    predictions: Predictions, attributes: Attributes, people: _People
) -> Iterator[GroupResults]:
    """Yield the results of each value of an attribute, without values whose counts are hidden."""
    for attribute, column in attributes.items():
        values = np.where(column == "", UNKNOWN, column)
        names = np.unique(values)
        cells = np.array([people.count(values == name) for name in names])
        hidden = hidden_cells(cells, people.smallest)
        # A patient with several stays may be in several groups: all that are hidden may be few.
        for place in np.argsort(cells[:, 0], kind="stable"):
            hidden[place] |= people.few(np.isin(values, names[hidden]))
        for name in names[~hidden].tolist():
            members = predictions.where(values == name)
            measures, _ = measures_of(members, slope=False)
            if measures:
                counts = {"examples": members.n_examples, "events": int(members.label.sum())}
                pair = {"auroc": measures.get("auroc"), "o_e": measures["o_e"]}
                key = {"attribute": attribute, "value": name}
                yield GroupResults.model_validate({**key, **counts, **pair})


def results_of(
    predictions: Predictions,
    attributes: Attributes,
    model: PackagedModel,
    analysis: Analysis,
    membership: float | None = None,
) -> ModelResults:
    """Compute what a site releases of a model's predictions for its patients.

    ``attributes`` are str (example,) by name, for the subgroups.
    """
    people, chance = _People(predictions, analysis.smallest_cell), event(predictions).chance
    logits = logit(chance.clip(_EPSILON, 1 - _EPSILON))
    measures, covariance = measures_of(predictions)
    bins = _bins(chance, model.threshold, people)
    # Nothing is applied to these patients: the change is what the site would need.
    choice = choose(replace(predictions, split=np.full(len(chance), "tuning")))
    weight, bias = choice.scaling.weight[1], choice.scaling.bias[1]
    tests = {"p_values": choice.p_values, "needed": choice.needed}
    return ModelResults(
        title=model.title,
        trained=model.training,
        measures=measures,
        covariance=tuple(map(tuple, covariance.tolist())),
        metrics={name: METRICS[name].value(predictions) for name in analysis.metrics},
        case_mix=CaseMix(
            mean_risk=float(chance.mean()),
            sd_risk=float(chance.std(ddof=1)),
            mean_logit=float(logits.mean()),
            sd_logit=float(logits.std(ddof=1)),
            expected_auroc=expected_auroc(chance),
            membership=membership,
        ),
        calibration=bins,
        threshold=model.threshold,
        rates=rates_at(model.threshold, bins),
        groups=tuple(_groups(predictions, attributes, people)),
        update=Update.model_validate(
            {"level": choice.level, "weight": weight, "bias": bias, **tests}
        ),
    )


@dataclass(frozen=True)
class SiteCheck:
    """A site's patients and inputs next to what a study needs, in lines with exact counts.

    ``problems`` are why it cannot take part; ``present`` is the share of a training patient's codes
    that occur at the site.
    """

    lines: list[str]
    problems: list[str]
    present: float


def check_site(protocol: Protocol, data: Examples) -> SiteCheck:
    """Check whether a site can take part in a study with its examples; no model predicts."""
    analysis, unit = protocol.analysis, data.arrays.unit
    unit = "patient" if unit == "subject" else unit
    least = analysis.smallest_cell
    problems, n_people, of_class = list[str](), len(np.unique(data.marked)), list[str]()
    for label, name in enumerate(protocol.classes):
        count = len(np.unique(data.marked[data.labels == label]))
        of_class.append(f"{count:,} of class '{name}'")
        if count < least:
            problems.append(f"{plural(count, unit)} of class '{name}' found, {least} are needed")
    # A hidden share is that of a code of nearly all training patients, or of few of them.
    shares = {code: 0.5 if share is None else share for code, share in protocol.codes.items()}
    codes, channels = codes_of(data, "held_out", 1), channels_of(data, "held_out", 1)
    absent = sorted((c for c in shares if not codes.get(c)), key=lambda code: -shares[code])
    total, families = sum(shares.values()) or 1.0, dict[str, set[str]]()
    for code in shares:
        families.setdefault(family_of(code).name, set()).add(code)
    for family, members in families.items():
        share = sum(shares[code] for code in members) / total
        if share >= _OF_A_TABLE and len(members) > 1 and members.issubset(absent):
            problems.append(
                f"none of {len(members)} codes of {family} found, which are {share:.0%} of a "
                "training patient's codes: is a table missing, or has this source other codes?"
            )
    present = max(1 - sum(shares[code] for code in absent) / total, 0.0)
    codes_found = f"{present:.0%} of a training patient's codes found"
    if present < analysis.inputs_share:
        problems.append(f"{codes_found}, {analysis.inputs_share:.0%} are needed")
    measured = {n: c for n, c in channels.items() if n_people * (c.share or 0) >= least}
    medians = sorted(_medians(protocol.channels, measured, analysis.unit_factor))
    problems += [f"other units? {line}" for _, wrong, line in medians if wrong]
    sources, notes = [public(data.origin)], list[str]()
    if isinstance(data, Records):
        sources, notes = _sources(data), [*data.cohort.notes]
    verdict = "; ".join(["cannot take part", *problems]) if problems else "can take part"
    examples = plural(len(data.labels), protocol.example)
    findings = [in_one_line(finding.in_words()) for finding in data.leaks]
    texts = [
        f"study: {protocol.name}, of {protocol.lead}: {protocol.asks}",
        f"this site: {verdict}",
        f"{unit}s: {n_people:,} with {examples}: {', '.join(of_class)}",
        f"read: {'; '.join(sources)}",
        f"codes: {len(shares) - len(absent):,} of {len(shares):,}, {codes_found}",
        f"most frequent codes not found: {', '.join(absent[:_NAMED]) or 'none'}",
        f"times: {'; '.join([*findings, *notes]) or 'no fact is known to be dated too early'}",
        f"measurements: {len(measured)} of {len(protocol.channels)} in {least} {unit}s or more",
    ]
    wrapped = [
        wrap(t, _WIDTH, subsequent_indent="  ", max_lines=3, placeholder=" ...") for t in texts
    ]
    lines = [*chain.from_iterable(wrapped)]
    lines += [f"  {line}"[:_WIDTH] for *_, line in medians[: _HEIGHT - len(lines)]]
    return SiteCheck(lines, problems, present)


def _medians(
    training: Mapping[str, Channel], site: Mapping[str, Channel], most: float
) -> Iterator[tuple[float, bool, str]]:
    """Compare medians of patients: yield minus their factor, whether units differ, and a line."""
    for name in training.keys() & site.keys():
        local, usual = site[name].quantiles, training[name].quantiles
        if "0.5" not in usual or not {"0.05", "0.5", "0.95"} <= local.keys():
            continue
        median, middle = local["0.5"], usual["0.5"]
        ratio = median / middle if median * middle > 0 else 1.0
        factor = max(ratio, 1 / ratio)
        unit = min(_UNITS, key=lambda size: abs(math.log(size / factor)))
        is_known = 1 / _NEAR < unit / factor < _NEAR
        # Other patients may have other medians, but hardly other values altogether.
        apart = local["0.05"] > max(usual.values()) or local["0.95"] < min(usual.values())
        wrong = apart and (factor > most or is_known)
        line = f"{name}: median {median:.3g}, in training {middle:.3g}"
        if wrong or factor > most:
            line += f", a factor of {factor:.3g}"
            line += f" as between {_UNITS[unit]}" if is_known else ""
        yield -factor, wrong, line


def _sources(data: Records) -> list[str]:
    """Return the tables that were read, with their rows, and those that were not."""
    root = data.cohort.events.root
    if not (root / ACCOUNT).is_file():
        return [public(data.origin)]
    account = read_account(root)
    tables = [f"{table['table']} ({table['rows']:,} rows)" for table in account["tables"]]
    return [*tables, *(f"{name} not read: {why}" for name, why in account["not_read"].items())]


def check_of(path: Path, place: Place) -> SiteCheck:
    """Check whether a site can take part in the study of a package, for each of its models."""
    with temporary() as work:
        checks = [check for *_, check in _checked(path, place, work)]
    return next((check for check in checks if check.problems), checks[0])


def _checked(
    path: Path, place: Place, work: Path
) -> Iterator[tuple[Protocol, PackagedModel, TrainedModel, Examples, SiteCheck]]:
    """Yield each model of a package, and the site's examples as its inputs with their check."""
    protocol, (name, root, labels) = open_package(path, work / "package"), place
    for described in protocol.models:
        run = packaged_run(work / "package" / described.name)
        model = open_model(run)
        data = load_other(run, model.header, name or protocol.data, root, work, labels)
        yield protocol, described, model, data, check_site(protocol, data)


def evaluate_site(
    path: Path,
    out: Path,
    place: Place,
    write_page: Callable[[Release, Path], object],
    *,
    site: str | None = None,
    membership: bool = False,
) -> Release:
    """Evaluate the models of a package on a site's patients, and write the site's folder.

    ``out/release`` may be sent: its JSON, and the page that ``write_page`` makes of the release.
    The rest is internal. Nothing is written if the site cannot take part.
    """
    if out.exists():
        raise OutputError(f"{out}: exists already: name a new folder with --out")
    with writing(out), scratch_beside(out) as work:
        folder, results = work / "site", dict[str, ModelResults]()
        for protocol, described, model, examples, check in _checked(path, place, work):
            analysis, smallest = protocol.analysis, protocol.analysis.smallest_cell
            if check.problems:
                raise DataError(f"{path}: this site cannot take part: {check.problems[0]}")
            predictions, apart = examples.predictions(model.probabilities_of(examples)), None
            attributes = {n: v for n, v in examples.attributes().items() if n in analysis.subgroups}
            predictions.write(folder / described.name / _PREDICTIONS)
            _stored(folder / described.name).write_attributes(attributes)
            if membership:
                here = moments_of(columns_of(examples, predictions.probabilities), smallest)
                apart = membership_of(here, described.training.moments)
            results[described.name] = results_of(
                predictions, attributes, described, analysis, apart
            )
        # Not of the inputs, which differ between packages of one question.
        people = [protocol.question, predictions.example_id.tolist(), predictions.label.tolist()]
        population = hashlib.sha256(json.dumps(people).encode()).hexdigest()
        flow = None
        if isinstance(examples, Records):
            flow = as_json(released_flow(examples.cohort.flow.to_dict(), smallest))
        content = {
            "format": 1,
            "sequela": __version__,
            "package": protocol.digest,
            "population": population,
            "study": protocol.name,
            "outcome": protocol.outcome["label"],
            **protocol.model_dump(include={"question", "lead", "example", "classes"}),
            "site": site or f"site {population[:8]}",
            "data": examples.data_set.title,
            "unit": examples.arrays.unit,
            "smallest_cell": smallest,
            **_counts(predictions),
            "flow": flow,
            "codes_present": check.present,
            "audit": tuple(in_one_line(finding.in_words(smallest)) for finding in examples.leaks),
            "environment": {n: str(v) for n, v in environment().items() if n in _VERSIONS},
            "models": results,
        }
        release = Release.model_validate(content)
        (folder / RELEASE).mkdir()
        (folder / RELEASE / FILE).write_text(text_of(release), "utf-8")
        write_page(release, folder / RELEASE / PAGE)
        (folder / NOTICE).write_text(_NOTICE, "utf-8")
        folder.rename(out)
    return release


def _counts(predictions: Predictions) -> dict[str, int]:
    people, events = len(np.unique(predictions.person)), int(predictions.label.sum())
    return {"examples": predictions.n_examples, "patients": people, "events": events}


def _stored(path: Path) -> RunFolder:
    """Open the folder of a model's predictions at a site, which has no other file of a run."""
    folder = RunFolder(path)
    vars(folder).update(predictions=Predictions.read(path / _PREDICTIONS))
    return folder


def verify_numbers(release: Release, folder: Path) -> bool:
    """Compute the results again from the predictions next to a release, if they are there.

    A RunError is raised for the first number that differs.
    """
    present = {n: r for n, r in release.models.items() if (folder.parent / n).is_dir()}
    for name, stated in present.items():
        stored = _stored(folder.parent / name)
        model = PackagedModel.model_construct(
            title=stated.title, threshold=stated.threshold, training=stated.trained
        )
        analysis = Analysis(metrics=tuple(stated.metrics), smallest_cell=release.smallest_cell)
        mix = stated.case_mix
        computed = results_of(
            stored.predictions, stored.attributes, model, analysis, mix.membership
        )
        counts = _counts(stored.predictions)
        before = {**release.model_dump(include={*counts}), **stated.model_dump(mode="json")}
        after = {**counts, **computed.model_dump(mode="json")}
        for key, value, computed_value in differences(before, after, words=True):
            reason = f"{key} is {value}, and the predictions give {computed_value}"
            raise RunError(f"{folder}: {name}: {reason}: evaluate the package again")
    return bool(present)
