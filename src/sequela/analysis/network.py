"""A network study: the releases of several sites combined, each read as the site sent it.

The number of sites alone, and no result, chooses between two analyses: with fewer than
``FEW_SITES``, the spread between sites has a prior.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, combinations
from math import isfinite
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from sequela.analysis.release import MEASURES, Measure, Release, read_release
from sequela.errors import DataError, RunError, SettingError
from sequela.evaluation.comparison import holm
from sequela.evaluation.random_effects import Pooled, pooled, prior_of, regression

ALPHA = 0.05  # below this, a p-value that is corrected for the number of tests is significant
FEW_SITES = 10
"""With fewer sites, the analysis with a prior is the primary one, and nothing is explained."""
FEWEST_COMMON = 3  # sites on which two models are compared, or of which one is left out
FEWEST_BELOW = 5  # with fewer, the probability of a low AUROC is mostly that of the prior
MODERATORS = ("sd_logit", "expected_auroc", "membership")  # of the case mix, may explain spread
_FACTS = ("site", "data", "population", "sequela", "examples", "patients", "events")
_BACK: dict[str, Callable[[float], float]] = {"auroc": expit, "o_e": np.exp, "slope": float}
Numbers = dict[str, float | None]
"""Numbers of a pool by the names of :class:`Pooled`, or others; ``None`` is infinite."""


@dataclass(frozen=True)
class Synthesis:
    """A measure of a model over sites; ``missing`` are those where it is not defined.

    Pooled numbers are back on the scale of the measure, but the spread is as pooled. ``others``
    pools all sites but one, with the p-value that this one is like them. ``explanations`` are
    changes per SD of a number of the case mix, as pooled.
    """

    sites: dict[str, Measure]
    missing: tuple[str, ...]
    with_prior: Numbers | None = None
    without_prior: Numbers | None = None
    below: float | None = None
    others: dict[str, Numbers] | None = None
    explanations: dict[str, Numbers] | None = None

    @property
    def primary(self) -> Numbers | None:
        """The analysis that the number of sites chooses."""
        return self.with_prior if len(self.sites) < FEW_SITES else self.without_prior


@dataclass(frozen=True)
class NetworkModel:
    """A model at the sites that did not train it; ``title`` names the site that did."""

    title: str
    name: str
    package: str
    lead: str
    releases: tuple[Release, ...]
    measures: dict[str, Synthesis]


@dataclass(frozen=True)
class Network:
    """The result of a network study.

    ``below`` is the AUROC that the user stated. ``differences`` of two models, by both titles, are
    on the logit of the AUROC; ``best`` is significantly better than all of other packages.
    """

    study: str
    outcome: str
    sites: tuple[str, ...]
    models: tuple[NetworkModel, ...]
    below: float | None
    differences: dict[str, Numbers]
    best: str | None

    def json(self) -> str:
        """Return all numbers, with those of the releases that were combined."""
        return json.dumps(asdict(self), indent=1, allow_nan=False, default=_as_json)


def _as_json(part: Measure | Release) -> dict[str, object]:
    numbers = part.model_dump(mode="json")
    if isinstance(part, Release):
        parts = {name: (m["case_mix"], m["update"]) for name, m in numbers["models"].items()}
        return {**{name: numbers[name] for name in _FACTS}, "case_mix_and_update": parts}
    return numbers


def combine(
    folders: Sequence[Path], *, several_packages: bool = False, below: float | None = None
) -> Network:
    """Combine the releases of several sites; compare the models of packages of one question.

    ``below`` is the AUROC below which a next site may be. Raises a RunError for an edited release,
    or another package or question, and a DataError for too few sites or one of them twice.
    """
    if below is not None and not 0 < below < 1:
        raise SettingError(f"--below {below:g}: expected an AUROC between 0 and 1")
    releases = [read_release(folder) for folder in folders]
    _refuse(folders, releases, "question" if several_packages else "package")
    packages: dict[str, list[Release]] = {}
    names: dict[str, str] = {}  # the name of each site, written in one way
    for release in sorted(releases, key=lambda r: (_plain(r.lead), r.package, _plain(r.site))):
        changes = {"site": names.setdefault(_plain(release.site), release.site)}
        packages.setdefault(release.package, []).append(release.model_copy(update=changes))
    leads = [names.get(_plain(group[0].lead), group[0].lead) for group in packages.values()]
    parts = map(_models, leads, packages.values(), [below] * len(packages))
    models = tuple(chain.from_iterable(parts))
    titles = {model.title for model in models}
    if several_packages and (len(packages) == 1 or len(titles) < len(models)):
        raise DataError(
            f"{', '.join(sorted(titles))}: expected models of packages of two lead sites"
        )
    if max((len(model.releases) for model in models), default=0) < 2 - several_packages:
        raise DataError("no model at two sites that did not train it: expected two such releases")
    sites = {*names.values(), *(leads if several_packages else ())}
    ordered, first = tuple(sorted(sites, key=_plain)), models[0].releases[0]
    return Network(first.study, first.outcome, ordered, models, below, *_differences(models))


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


def _models(lead: str, group: Sequence[Release], below: float | None) -> Iterator[NetworkModel]:
    """Combine the releases of one package without that of the site that trained it."""
    away = [release for release in group if release.site != lead]
    for name in dict.fromkeys(chain.from_iterable(release.models for release in away)):
        releases = tuple(release for release in away if name in release.models)
        title = f"{releases[0].models[name].title} of {lead}"
        measures = {measure: _synthesis(measure, name, releases, below) for measure in MEASURES}
        yield NetworkModel(title, name, group[0].package, lead, releases, measures)


def _synthesis(
    measure: str, name: str, releases: Sequence[Release], below: float | None
) -> Synthesis:
    results = {release.site: release.models[name] for release in releases}
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
    chance, others = None, {}
    if below is not None and measure == "auroc" and len(sites) >= FEWEST_BELOW:
        chance = primary.below(float(logit(below)))
    if len(sites) >= FEWEST_COMMON:
        # Each site against the interval of the others, which its own error widens.
        places = range(len(sites))
        pools = [pooled(np.delete(values, i), np.delete(errors, i), rest) for i in places]
        lower = np.array([p.below(*pair) for p, *pair in zip(pools, values, errors, strict=True)])
        p_values = holm(2 * np.minimum(lower, 1 - lower)).tolist()
        for site, pool, p_value in zip(sites, pools, p_values, strict=True):
            others[site] = {**_numbers(pool, measure), "p_value": p_value}
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
    both = _numbers(with_prior, measure), _numbers(without_prior, measure)
    return Synthesis(sites, missing, *both, chance, others, explanations)


def _numbers(pool: Pooled, measure: str) -> Numbers:
    """Return the numbers of a pool, all but the spread on the scale of the measure."""
    numbers: Numbers = {}
    for name, number in vars(pool).items():
        if isinstance(number, float):
            with np.errstate(over="ignore"):
                back = number if "spread" in name else float(_BACK[measure](number))
            numbers[name] = back if isfinite(back) else None
    return numbers


def _differences(models: Sequence[NetworkModel]) -> tuple[dict[str, Numbers], str | None]:
    """Compare models of different packages by AUROC, at the sites that trained neither."""
    pairs, tests = [], []
    for pair in combinations(models, 2):
        one, two = (model.measures["auroc"].sites for model in pair)
        common = [s for s in one if s in two and s not in {pair[0].lead, pair[1].lead}]
        if pair[0].package == pair[1].package or len(common) < FEWEST_COMMON:
            continue
        values = np.array([one[site].estimate - two[site].estimate for site in common])
        # No release knows the covariance of two packages, so both errors count as independent.
        errors = np.array([np.hypot(one[site].error, two[site].error) for site in common])
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
        rivals = [other.title for other in models if other.package != model.package]
        if rivals and all((model.title, rival) in wins for rival in rivals):
            return differences, model.title
    return differences, None
