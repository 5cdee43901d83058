"""The release of a site: results of a study's models on its patients, which may be sent.

A release is one JSON file, and one page that is made of it. It holds no patient's data and no count
of 1 to 9 people; what it holds is listed here, and nothing else is read.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from sequela.errors import RunError

FILE = "release.json"
PAGE = "release.html"
MEASURES = ("auroc", "o_e", "slope")
"""The pooled measures, in the order of the covariance: each is pooled on its own scale."""


class _Part(BaseModel):
    """A part of a release, of which no key may be missing or more than listed."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Measure(_Part):
    """A measure with its 95 % interval, and its estimate on the scale on which it is pooled.

    The scale is the logit of an AUROC, the logarithm of O:E, and the slope as it is.
    """

    value: float
    low: float
    high: float
    estimate: float
    error: float


class Bin(_Part):
    """Patients whose predicted risks are neighbours; at least the smallest cell of each class."""

    low: float
    high: float
    examples: int
    events: int
    predicted: float


class CaseMix(_Part):
    """How much the patients of a site differ: mean and SD of the predicted risk and of its logit.

    ``expected_auroc`` is the AUROC that the model would have if its risks were right. With
    ``membership``, the AUROC of a model that tells the site's patients from the training set's.
    """

    mean_risk: float
    sd_risk: float
    mean_logit: float
    sd_logit: float
    expected_auroc: float
    membership: float | None


class Update(_Part):
    """The smallest sufficient local update, with weight and bias of the logit."""

    level: str
    weight: float
    bias: float
    p_values: Mapping[str, float]
    needed: Mapping[str, int]


class Rates(_Part):
    """The performance at the threshold of the package; ``None`` where it would reveal few people."""

    threshold: float
    sensitivity: float | None
    specificity: float | None
    precision: float | None
    alarm_rate: float | None


class Group(_Part):
    """A subgroup that is large enough to be shown; ``o_e`` or ``auroc`` where it is defined."""

    attribute: str
    value: str
    examples: int | None
    events: int | None
    auroc: Measure | None
    o_e: Measure | None


class ModelResults(_Part):
    """The results of one model of the package.

    ``covariance`` is that of the estimates of the measures, (measure, measure), in the order of
    ``MEASURES``.
    """

    measures: Mapping[str, Measure]
    covariance: tuple[tuple[float, float, float], ...]
    metrics: Mapping[str, float | None]
    case_mix: CaseMix
    calibration: tuple[Bin, ...]
    at_threshold: Rates
    groups: tuple[Group, ...]
    update: Update


class Release(_Part):
    """All that a site sends.

    Attributes:
        format: The version of this list.
        sequela: The version of Sequela.
        package: SHA-256 of the study's package.
        study: The name of the study.
        question: SHA-256 of the task and the analysis, the same for packages that can be compared.
        site: The name of the site.
        population: A hash of the site's data with the package's digest, to find a site that is
            named twice.
        data: Title of the data set.
        smallest_cell: No count of people below it is in the release.
        examples, patients, events: Counts of the cohort.
        flow: The flow of the cohort, without small counts.
        check: What the check of the site counted: codes and inputs found and missing.
        audit: The sentences of the leak audit.
        environment: Versions of the packages.
        models: The results by the model's name in the package.
    """

    format: int
    sequela: str
    package: str
    study: str
    question: str
    site: str
    population: str
    data: str
    smallest_cell: int
    examples: int
    patients: int
    events: int
    flow: Mapping[str, Any]
    check: Mapping[str, Any]
    audit: tuple[str, ...]
    environment: Mapping[str, str]
    models: Mapping[str, ModelResults]


def seal_of(content: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a JSON object without its key ``seal``."""
    rest = {key: value for key, value in content.items() if key != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def read_release(folder: Path) -> Release:
    """Read the release in a folder, or raise a RunError if it was changed or does not add up."""
    path = folder / FILE if folder.is_dir() else folder
    try:
        content = json.loads(path.read_text("utf-8"))
        release = Release.model_validate_json(
            json.dumps({key: value for key, value in content.items() if key != "seal"})
        )
    except FileNotFoundError as error:
        raise RunError(f"{path}: not found: expected the folder release of a site") from error
    except (ValueError, AttributeError) as error:
        where = ""
        if isinstance(error, ValidationError):
            first = error.errors(include_url=False, include_input=False)[0]
            where = f" ({'.'.join(map(str, first['loc']))}: {first['msg']})"
        raise RunError(f"{path}: is no release of a site{where}: ask the site again") from error
    if content.get("seal") != seal_of(content):
        raise RunError(f"{path}: was changed after the site wrote it: ask the site again")
    return release
