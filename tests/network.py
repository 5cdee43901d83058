"""Releases of invented sites, for tests of networks: consistent, though nobody was a patient."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit, logit

from sequela.analysis.release import FILE, Measure, Release, text_of

_TO_SCALE: dict[str, Callable[[float], float]] = {"auroc": logit, "o_e": np.log, "slope": float}


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def results_of(
    auroc: float | None = 0.8,
    o_e: float = 1.0,
    slope: float | None = 1.0,
    *,
    errors: tuple[float, float, float] = (0.1, 0.1, 0.1),
    counts: tuple[int, int] = (1000, 100),
    sd_logit: float = 1.2,
    membership: float | None = None,
    title: str = "LSTM",
    trained: tuple[float, float, float] | None = (0.82, 0.79, 0.85),
    level: str = "none",
) -> dict[str, Any]:
    """Return the results of one model at a site with so many examples and events."""
    values = {"auroc": auroc, "o_e": o_e, "slope": slope}
    measures = {
        name: Measure.of(name, float(_TO_SCALE[name](value)), error).model_dump()
        for (name, value), error in zip(values.items(), errors, strict=True)
        if value is not None
    }
    squares = [number["error"] ** 2 for number in measures.values()]
    # One bin holds everybody: any AUROC fits it, and the mean risk is that of O:E.
    risk = counts[1] / counts[0] / o_e
    bin_ = {"low": 0.0, "high": 1.0, "examples": counts[0], "events": counts[1], "predicted": risk}
    moments = {"examples": 500, "names": ("logit",), "mean": (-2.0,), "covariance": ((1.4,),)}
    training = {"patients": 2000, "examples": 2000, "events": 300, "auroc": trained}
    return {
        "title": title,
        "trained": {**training, "moments": moments},
        "measures": measures,
        "covariance": tuple(map(tuple, np.diag(squares).tolist())),
        "metrics": {"auroc": measures["auroc"]["value"] if auroc else 0.5},
        "case_mix": {
            "mean_risk": risk,
            "sd_risk": 0.1,
            "mean_logit": float(logit(risk)),
            "sd_logit": sd_logit,
            "expected_auroc": float(expit(1.2 + 0.2 * sd_logit)),
            "membership": membership,
        },
        "calibration": (bin_,),
        "threshold": 0.5,
        "rates": {},
        "groups": (),
        "update": {"level": level, "weight": 1.0, "bias": 0.0, "p_values": {}, "needed": {}},
    }


def release_of(
    folder: Path,
    site: str,
    models: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    package: str = "package",
    lead: str = "Lead",
    question: str = "question",
    population: str = "",
    counts: tuple[int, int] = (1000, 100),
) -> Path:
    """Write the release of a site and return its folder."""
    content = {
        "format": 1,
        "sequela": "0.3.0",
        "package": digest(package),
        "question": digest(question),
        "population": digest(population or site),
        "study": "ward-mortality",
        "lead": lead,
        "outcome": "death in hospital",
        "example": "stay",
        "site": site,
        "data": "OMOP",
        "unit": "subject",
        "classes": ("survived", "died"),
        "smallest_cell": 10,
        "examples": counts[0],
        "patients": counts[0],
        "events": counts[1],
        "flow": None,
        "codes_present": 1.0,
        "audit": (),
        "environment": {},
        "models": models or {"lstm": results_of(counts=counts)},
    }
    release = Release.model_validate(content)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(text_of(release), "utf-8")
    return folder
