"""A network study: the releases of several sites combined, each read as the site sent it.

The number of sites alone, and no result, chooses between two analyses: with fewer than
``FEW_SITES``, the spread between sites has a prior.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain, combinations
from math import isfinite
from pathlib import Path

import numpy as np
from scipy import stats
from scipy.special import expit, logit

from sequela.analysis.release import MEASURES, CaseMix, Measure, Release, ReleasePart, read_release
from sequela.errors import DataError, RunError, SettingError
from sequela.evaluation.comparison import holm
from sequela.evaluation.number import plural
from sequela.evaluation.random_effects import Floats, Pooled, Prior, pooled, prior_of, regression

ALPHA = 0.05  # below this, a p-value that is corrected for the number of tests is significant
FEW_SITES = 10
"""With fewer sites, the analysis with a prior is the primary one, and nothing is explained."""
FEWEST_OTHERS = 2  # sites that judge another one
FEWEST_COMMON = 3  # sites on which two models are compared
FEWEST_BELOW = 5  # with fewer, the probability of a low AUROC is mostly that of the prior
MODERATORS = ("sd_logit", "expected_auroc", "membership")  # of the case mix, may explain spread
_FACTS = ("site", "data", "population", "sequela", "examples", "patients", "events")
_BACK: dict[str, Callable[[Floats], Floats]] = {
    "auroc": expit,
    "o_e": np.exp,
    "slope": np.asarray,
}


@dataclass(frozen=True)
class Summary:
    """The pooled value and the interval for a next site, ``None`` where infinite.

    ``spread`` is the standard deviation between sites on the scale of pooling.
    """

    mean: float | None
    low: float | None
    high: float | None
    next_low: float | None
    next_high: float | None
    spread: float
    spread_low: float
    spread_high: float


@dataclass(frozen=True)
class SiteValue:
    """A measure at a site, and all other sites pooled, with the p-value that it is like them."""

    site: str
    measure: Measure
    p_value: float | None = None
    others: Summary | None = None


@dataclass(frozen=True)
class Explanation:
    """The change of a measure, as pooled, per SD of a number of the case mix over sites.

    ``explained`` is a share of the variance between sites.
    """

    moderator: str
    change: float
    low: float
    high: float
    p_value: float
    explained: float


@dataclass(frozen=True)
class Synthesis:
    """A measure of a model over sites; ``missing`` are those where it is not defined.

    ``below`` is the probability that a next site has an AUROC below the stated value.
    """

    sites: tuple[SiteValue, ...]
    missing: tuple[str, ...]
    with_prior: Summary | None = None
    without_prior: Summary | None = None
    below: float | None = None
    explanations: tuple[Explanation, ...] = ()

    @property
    def primary(self) -> Summary | None:
        """The analysis that the number of sites chooses."""
        return self.with_prior if len(self.sites) < FEW_SITES else self.without_prior


@dataclass(frozen=True)
class NetworkModel:
    """A model at the sites that did not train it."""

    package: str
    lead: str
    name: str
    releases: tuple[Release, ...]
    measures: Mapping[str, Synthesis]

    @property
    def key(self) -> str:
        """The name of the model among those of all packages."""
        return f"{self.package[:12]}/{self.name}"


@dataclass(frozen=True)
class Difference:
    """The logit of the AUROC of a first model minus that of a second, where neither was trained."""

    first: str
    second: str
    sites: tuple[str, ...]
    mean: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class Network:
    """The result of a network study; ``below`` is the AUROC that the user stated.

    ``sites`` are those of all releases, and those that trained a model of several packages.
    """

    study: str
    outcome: str
    sites: tuple[str, ...]
    models: tuple[NetworkModel, ...]
    below: float | None
    differences: tuple[Difference, ...]

    @property
    def best(self) -> NetworkModel | None:
        """The model that is significantly better than each model of another package, if any."""
        gains = {(d.first, d.second): d.mean for d in self.differences if d.p_value < ALPHA}
        gains |= {(second, first): -mean for (first, second), mean in gains.items()}
        for model in self.models:
            rivals = [other.key for other in self.models if other.package != model.package]
            if rivals and all(gains.get((model.key, rival), 0) > 0 for rival in rivals):
                return model
        return None

    def json(self) -> str:
        """Return all numbers, with those of the releases that were combined."""
        rules = {"few_sites": FEW_SITES, "alpha": ALPHA}
        best = self.best.key if self.best else None
        numbers = {**asdict(self), "rules": rules, "best": best}
        return json.dumps(numbers, indent=1, allow_nan=False, default=_as_json)


def _as_json(part: ReleasePart) -> dict[str, object]:
    """Return a measure, or what is used of a release and is not in the measures."""
    numbers = part.model_dump(mode="json")
    if not isinstance(part, Release):
        return numbers
    models = {
        n: {key: m[key] for key in ("case_mix", "update")} for n, m in numbers["models"].items()
    }
    return {**{name: numbers[name] for name in _FACTS}, "models": models}


def combine(
    folders: Sequence[Path], *, several_packages: bool = False, below: float | None = None
) -> Network:
    """Combine the releases of several sites.

    Models of ``several_packages`` of one question are compared; ``below`` is the AUROC below which
    a next site may be. Raises a RunError for an edited release, or another package or question.
    """
    if below is not None and not 0 < below < 1:
        raise SettingError(f"--below {below:g}: expected an AUROC between 0 and 1")
    releases = [read_release(folder) for folder in folders]
    _refuse(folders, releases, several_packages=several_packages)
    packages: dict[str, list[Release]] = {}
    names: dict[str, str] = {}  # the name of each site, written in one way
    for release in sorted(releases, key=lambda r: (_plain(r.lead), r.package, _plain(r.site))):
        site = names.setdefault(_plain(release.site), release.site)
        packages.setdefault(release.package, []).append(release.model_copy(update={"site": site}))
    leads = {package: names.get(_plain(g[0].lead), g[0].lead) for package, g in packages.items()}
    parts = [_models(leads[package], group, below) for package, group in packages.items()]
    models = tuple(chain.from_iterable(parts))
    most = max((len(model.releases) for model in models), default=0)
    if several_packages and len(packages) < 2:  # noqa: PLR2004
        raise DataError("all releases are of one package: expected two or more, or no --models")
    if most < (1 if several_packages else 2):
        raise DataError(
            f"{plural(len(folders), 'release')}, and no model at two sites that did not train it: "
            "expected the releases of two or more such sites"
        )
    sites = {*names.values(), *(leads.values() if several_packages else ())}
    in_order = tuple(sorted(sites, key=_plain))
    first, differences = models[0].releases[0], _differences(models)
    return Network(first.study, first.outcome, in_order, models, below, differences)


def _refuse(
    folders: Sequence[Path], releases: Sequence[Release], *, several_packages: bool
) -> None:
    """Refuse other packages or questions, and a site twice or under two names."""
    earlier: dict[tuple[str, ...], tuple[object, Path]] = {}
    what, remedy = "package", "; to compare packages of one question, add --models"
    if several_packages:
        what, remedy = "question", ""
    for folder, release in zip(folders, releases, strict=True):
        digests = getattr(release, what), getattr(releases[0], what)
        if digests[0] != digests[1]:
            raise RunError(
                f"{folder}: its {what} is {digests[0][:12]} of {release.lead}, in {folders[0]} it "
                f"is {digests[1][:12]} of {releases[0].lead}: expected one {what}{remedy}"
            )
        name, people = _plain(release.site), release.population
        for key, value, problem in (
            (("name", name), people, "has other patients than the site of this name in"),
            (("people", people), name, "has the same patients as the site in"),
            (("release", release.package, name), object(), "is in"),
        ):
            first, place = earlier.setdefault(key, (value, folder))
            if first != value:
                raise DataError(
                    f"{folder}: {release.site} {problem} {place}: name sites differently, and give "
                    "one release of each"
                )


def _plain(name: str) -> str:
    """Return a name without differences of case and spaces, which two people may write."""
    return " ".join(name.split()).casefold()


def _models(lead: str, group: Sequence[Release], below: float | None) -> Iterator[NetworkModel]:
    """Combine the releases of one package without that of the site that trained it."""
    away = [release for release in group if release.site != lead]
    for name in Counter(chain.from_iterable(release.models for release in away)):
        releases = tuple(release for release in away if name in release.models)
        measures = {m: _synthesis(m, name, releases, below) for m in MEASURES}
        yield NetworkModel(group[0].package, lead, name, releases, measures)


def _synthesis(
    measure: str, name: str, releases: Sequence[Release], below: float | None
) -> Synthesis:
    numbers = {r.site: r.models[name].measures.get(measure) for r in releases}
    sites = tuple(SiteValue(site, m) for site, m in numbers.items() if m is not None)
    missing = tuple(site for site, m in numbers.items() if m is None)
    if len(sites) < 2:  # noqa: PLR2004
        return Synthesis(sites, missing)
    values = np.array([site.measure.estimate for site in sites])
    errors = np.array([site.measure.error for site in sites])
    without_prior = pooled(values, errors)
    prior = prior_of(measure, without_prior.mean)
    with_prior = pooled(values, errors, prior)
    few, chance = len(sites) < FEW_SITES, None
    if below is not None and measure == "auroc" and len(sites) >= FEWEST_BELOW:
        chance = (with_prior if few else without_prior).below(float(logit(below)))
    if len(sites) > FEWEST_OTHERS:
        sites = tuple(_against_others(sites, values, errors, measure, prior if few else None))
    mixes = [r.models[name].case_mix for r in releases if r.site not in missing]
    explanations = _explanations(mixes, values, errors, without_prior.spread)
    both = _summary(with_prior, measure), _summary(without_prior, measure)
    return Synthesis(sites, missing, *both, chance, tuple(explanations))


def _summary(pool: Pooled, measure: str) -> Summary:
    ends = np.array([pool.mean, pool.low, pool.high, pool.next_low, pool.next_high])
    with np.errstate(over="ignore"):
        numbers = _BACK[measure](ends).tolist()
    mean, low, high, next_low, next_high = (end if isfinite(end) else None for end in numbers)
    spreads = pool.spread, pool.spread_low, pool.spread_high
    return Summary(mean, low, high, next_low, next_high, *spreads)


def _against_others(
    sites: Sequence[SiteValue],
    values: Floats,
    errors: Floats,
    measure: str,
    prior: Prior | None,
) -> Iterator[SiteValue]:
    """Test each site against the interval of the others, which its own error widens."""
    pools, p_values = [], []
    for place in range(len(sites)):
        pools.append(pooled(np.delete(values, place), np.delete(errors, place), prior))
        lower = pools[-1].below(values[place], errors[place])
        p_values.append(2 * min(lower, 1 - lower))
    for site, pool, p_value in zip(sites, pools, holm(p_values).tolist(), strict=True):
        yield replace(site, p_value=p_value, others=_summary(pool, measure))


def _explanations(
    mixes: Sequence[CaseMix],
    values: Floats,
    errors: Floats,
    spread: float,
) -> Iterator[Explanation]:
    """Regress a measure on one number of the case mix at a time."""
    columns = {name: [getattr(mix, name) for mix in mixes] for name in MODERATORS}
    # All sites send it, or those that do not might be the ones that differ.
    usable = {name: c for name, c in columns.items() if None not in c and np.ptp(c) > 0}
    if len(values) < FEW_SITES or not spread:
        return
    fits = [regression(values, errors, stats.zscore(column)) for column in usable.values()]
    p_values = holm([p_value for *_, p_value, _ in fits]).tolist()
    for name, fit, p_value in zip(usable, fits, p_values, strict=True):
        slope, low, high, _, rest = fit
        yield Explanation(name, slope, low, high, p_value, max(0.0, 1 - (rest / spread) ** 2))


def _differences(models: Sequence[NetworkModel]) -> tuple[Difference, ...]:
    """Compare models of different packages by AUROC, at the sites that trained neither."""
    differences = []
    for pair in combinations(models, 2):
        leads = {model.lead for model in pair}
        first, second = ({s.site: s.measure for s in m.measures["auroc"].sites} for m in pair)
        common = tuple(site for site in first if site in second and site not in leads)
        if pair[0].package == pair[1].package or len(common) < FEWEST_COMMON:
            continue
        values = np.array([first[site].estimate - second[site].estimate for site in common])
        # No release knows the covariance of two packages, so both errors count as independent.
        errors = np.array([np.hypot(first[site].error, second[site].error) for site in common])
        pool = pooled(values, errors)
        degrees = len(common) - 1
        error = (pool.high - pool.low) / 2 / stats.t.isf(0.025, degrees)
        p_value = float(2 * stats.t.sf(abs(pool.mean) / error, degrees))
        keys, ends = (pair[0].key, pair[1].key), (pool.mean, pool.low, pool.high)
        differences.append(Difference(*keys, common, *ends, p_value))
    corrected = holm([d.p_value for d in differences]).tolist()
    return tuple(replace(d, p_value=p) for d, p in zip(differences, corrected, strict=True))
