"""A network study: the releases of several sites combined, each read as the site sent it.

The number of sites alone, and no result, chooses between two analyses: with fewer than
``FEW_SITES``, the spread between sites has a prior.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, combinations, groupby
from math import isfinite
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.special import logit

from sequela.analysis.release import (
    FROM_SCALE,
    MEASURES,
    Measure,
    ModelResults,
    Release,
    read_release,
)
from sequela.errors import DataError, RunError, SettingError
from sequela.evaluation.comparison import holm
from sequela.evaluation.random_effects import Pooled, pooled, prior_of, regression

ALPHA = 0.05  # below this, a p-value that is corrected for the number of tests is significant
FEW_SITES = 10
"""With fewer sites, the analysis with a prior is the primary one, and nothing is explained."""
FEWEST_COMMON = 3  # sites on which two models are compared, or of which one is left out
FEWEST_BELOW = 5  # with fewer, the probability of a low AUROC is mostly that of the prior
MODERATORS = ("sd_logit", "expected_auroc", "membership")  # of the case mix, may explain spread
Numbers = dict[str, float | None]
"""Numbers of an analysis by name, such as those of ``Pooled``; ``None`` is infinite."""


@dataclass(frozen=True)
class Synthesis:
    """A measure of a model over sites; ``missing`` are those where it is not defined.

    Pooled numbers are back on the scale of the measure, but the spread is as pooled. Those
    ``without_site`` have the p-value that the site is like the others. ``explanations`` are changes
    per SD of a number of the case mix, as pooled.
    """

    sites: dict[str, Measure]
    missing: tuple[str, ...]
    with_prior: Numbers | None = None
    without_prior: Numbers | None = None
    below: float | None = None
    without_site: dict[str, Numbers] | None = None
    explanations: dict[str, Numbers] | None = None

    @property
    def primary(self) -> Numbers | None:
        """The analysis that the number of sites chooses."""
        return self.with_prior if len(self.sites) < FEW_SITES else self.without_prior


@dataclass(frozen=True)
class PooledModel:
    """A model at the sites that did not train it.

    ``title`` names the lead site, which did; ``lead_auroc`` is from the test set there.
    """

    title: str
    name: str
    package: str
    lead: str
    lead_auroc: tuple[float, float, float] | None
    measures: dict[str, Synthesis]


@dataclass(frozen=True)
class NetworkStudy:
    """The result of a network study.

    ``below`` is the AUROC that the user stated. ``differences`` of two models, by both titles, are
    on the logit of the AUROC; ``best`` is significantly better than all of other packages.
    """

    sites: tuple[str, ...]
    releases: tuple[Release, ...]
    models: tuple[PooledModel, ...]
    below: float | None
    differences: dict[str, Numbers]
    best: str | None

    def json(self) -> str:
        """Return all numbers, and the releases that were combined."""
        numbers = asdict(self)
        return json.dumps(numbers, indent=1, allow_nan=False, default=lambda m: m.model_dump())


def combine(
    folders: Sequence[Path], *, several_packages: bool = False, below: float | None = None
) -> NetworkStudy:
    """Combine the releases of several sites; compare the models of packages of one question.

    ``below`` is the AUROC below which a next site may be. Raises a RunError for an edited release,
    or another package or question, and a DataError for too few sites or one of them twice.
    """
    if below is not None and not 0 < below < 1:
        raise SettingError(f"--below {below:g}: expected an AUROC between 0 and 1")
    releases = [read_release(folder) for folder in folders]
    _refuse(folders, releases, "question" if several_packages else "package")
    releases.sort(key=lambda r: (_plain(r.lead), r.package, _plain(r.site)))
    # The name of each site is written in one way.
    names = {_plain(release.site): release.site for release in reversed(releases)}
    for place, r in enumerate(releases):
        changes = {"site": names[_plain(r.site)], "lead": names.get(_plain(r.lead), r.lead)}
        releases[place] = r.model_copy(update=changes)
    packages = groupby(releases, key=lambda r: r.package)
    models = tuple(chain.from_iterable(_models(list(group), below) for _, group in packages))
    most = max((len(model.measures["o_e"].sites) for model in models), default=0)
    if most < 2 - several_packages:
        raise DataError("no model at two sites that did not train it: expected two such releases")
    titles = {model.title for model in models}
    n_packages = len({model.package for model in models})
    if several_packages and (n_packages < 2 or len(titles) < len(models)):  # noqa: PLR2004
        raise DataError(f"{', '.join(sorted(titles))}: expected packages of two lead sites or more")
    sites = {*names.values(), *(model.lead for model in models if several_packages)}
    ordered = tuple(sorted(sites, key=_plain))
    return NetworkStudy(ordered, tuple(releases), models, below, *_differences(models))


def _refuse(folders: Sequence[Path], releases: Sequence[Release], what: str) -> None:
    """Refuse other packages or questions, and a site twice or under two names."""
    earlier: dict[tuple[str, ...], tuple[object, Path]] = {}
    for folder, release in zip(folders, releases, strict=True):
        name, people = _plain(release.site), release.population
        for key, value, problem in (
            ((what,), getattr(release, what), f"is of another {what} than"),
            (("name", name), people, "has other patients than the site of this name in"),
            (("people", people), name, "has the same patients as the site in"),
            (("release", release.package, name), object(), "is in"),
        ):
            first, place = earlier.setdefault(key, (value, folder))
            if first != value:
                error = RunError if key == (what,) else DataError
                raise error(
                    f"{folder}: {release.site} {problem} {place}: expected one release of each "
                    f"site, and one {what}; --models compares packages of one question"
                )


def _plain(name: str) -> str:
    """Return a name without differences of case and spaces, which two people may write."""
    return " ".join(name.split()).casefold()


def _models(group: Sequence[Release], below: float | None) -> Iterator[PooledModel]:
    """Combine the releases of one package without that of the site that trained it."""
    away = [release for release in group if release.site != release.lead]
    for name in dict.fromkeys(chain.from_iterable(release.models for release in away)):
        results = {r.site: r.models[name] for r in away if name in r.models}
        measures = {measure: _synthesis(measure, results, below) for measure in MEASURES}
        lead, about = away[0].lead, next(iter(results.values()))
        facts = f"{about.title} of {lead}", name, away[0].package, lead, about.trained.auroc
        yield PooledModel(*facts, measures)


def _synthesis(measure: str, results: Mapping[str, ModelResults], below: float | None) -> Synthesis:
    sites = {s: r.measures[measure] for s, r in results.items() if measure in r.measures}
    missing = tuple(site for site in results if site not in sites)
    if len(sites) < 2:  # noqa: PLR2004
        return Synthesis(sites, missing)
    values = np.array([m.estimate for m in sites.values()])
    errors = np.array([m.error for m in sites.values()])
    without_prior = pooled(values, errors)
    prior = prior_of(measure, without_prior.mean)
    with_prior = pooled(values, errors, prior)
    if few := len(sites) < FEW_SITES:
        primary, rest = with_prior, prior
    else:
        primary, rest = without_prior, None
    chance, without_site = None, {}
    if below is not None and measure == "auroc" and len(sites) >= FEWEST_BELOW:
        chance = primary.below(float(logit(below)))
    if len(sites) >= FEWEST_COMMON:
        # Each site against the interval of the others, which its own error widens.
        places = range(len(sites))
        pools = [pooled(np.delete(values, i), np.delete(errors, i), rest) for i in places]
        lower = np.array([p.below(*pair) for p, *pair in zip(pools, values, errors, strict=True)])
        p_values = holm(2 * np.minimum(lower, 1 - lower)).tolist()
        for site, pool, p_value in zip(sites, pools, p_values, strict=True):
            without_site[site] = {**_numbers(pool, measure), "p_value": p_value}
    explanations = {}
    if not few and without_prior.spread:
        columns = {m: [getattr(results[site].case_mix, m) for site in sites] for m in MODERATORS}
        # All sites send it, or those that do not might be the ones that differ.
        columns = {m: c for m, c in columns.items() if None not in c and np.ptp(c) > 0}
        fits = [regression(values, errors, stats.zscore(column)) for column in columns.values()]
        p_values = holm([p_value for *_, p_value, _ in fits]).tolist()
        for moderator, (change, low, high, _, rest_of_spread), p_value in zip(
            columns, fits, p_values, strict=True
        ):
            explained = max(0.0, 1 - (rest_of_spread / without_prior.spread) ** 2)
            line = {"change": change, "low": low, "high": high, "p_value": p_value}
            explanations[moderator] = {**line, "explained": explained}
    analyses = _numbers(with_prior, measure), _numbers(without_prior, measure)
    return Synthesis(sites, missing, *analyses, chance, without_site, explanations)


def _numbers(pool: Pooled, measure: str) -> Numbers:
    """Return the numbers of a pool, all but the spread on the scale of the measure."""
    numbers: Numbers = {}
    for name, number in vars(pool).items():
        if isinstance(number, float):
            with np.errstate(over="ignore"):
                back = number if "spread" in name else float(FROM_SCALE[measure](number))
            numbers[name] = back if isfinite(back) else None
    return numbers


def _differences(models: Sequence[PooledModel]) -> tuple[dict[str, Numbers], str | None]:
    """Compare models of different packages by AUROC, at the sites that trained neither."""
    pairs, tests = [], []
    for pair in combinations(models, 2):
        ours, theirs = (model.measures["auroc"].sites for model in pair)
        common = [site for site in ours if site in theirs]  # without both lead sites
        if pair[0].package == pair[1].package or len(common) < FEWEST_COMMON:
            continue
        values = np.array([ours[site].estimate - theirs[site].estimate for site in common])
        # No release knows the covariance of two packages, so both errors count as independent.
        errors = np.array([np.hypot(ours[site].error, theirs[site].error) for site in common])
        pool, degrees = pooled(values, errors), len(common) - 1
        error = (pool.high - pool.low) / 2 / stats.t.isf(0.025, degrees)
        p_value = float(2 * stats.t.sf(abs(pool.mean) / error, degrees))
        pairs.append([model.title for model in pair])
        tests.append((p_value, pool, len(common)))
    p_values = holm([p_value for p_value, *_ in tests]).tolist()
    differences: dict[str, Numbers] = {}
    wins = []
    for (first, second), (_, pool, n), p_value in zip(pairs, tests, p_values, strict=True):
        ends = {"mean": pool.mean, "low": pool.low, "high": pool.high}
        differences[f"{first} minus {second}"] = {"sites": n, **ends, "p_value": p_value}
        if p_value < ALPHA:
            wins.append((first, second) if pool.mean > 0 else (second, first))
    for model in models:
        rivals = [rival.title for rival in models if rival.package != model.package]
        if rivals and all((model.title, title) in wins for title in rivals):
            return differences, model.title
    return differences, None
