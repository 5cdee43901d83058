"""Run icu-leakage-check and leakfence on cases in a folder; for an environment that has both.

python other_tools.py FOLDER: without cases.json, writes the demonstration data of
icu-leakage-check there; with it, prints for each case what each tool reports, as JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from icu_leakage_check import audit  # type: ignore[import-not-found]
from icu_leakage_check.demo import make_demo_data  # type: ignore[import-not-found]
from leakfence import (  # type: ignore[import-not-found]
    audit_split,
    check_duplicates,
    fingerprint_rows,
    guard_fit,
)
from sklearn import impute, preprocessing

FOLDER = Path(sys.argv[1])


def unfitted(case: Any, columns: list[str]) -> tuple[Any, Any, Any]:
    """Return the preprocessing of a case, the table before it, and the rows to fit it on."""
    name, rows = case["fit"]["by"], case["fit"]["rows"]
    kind, _, strategy = name.partition(" ")
    made = getattr(preprocessing if kind.endswith("Scaler") else impute, kind)
    made = made(strategy=strategy) if strategy else made()
    raw = pd.read_parquet(FOLDER / case["fit"]["raw"])[columns]
    return made, raw, raw.iloc[rows]


def by_icu(case: Any) -> list[str]:
    """Return what icu-leakage-check reports on a table, as mechanism and status."""
    frame, options = pd.read_parquet(FOLDER / case["table"]), dict(case["icu"])
    if "events" in case:
        options["events"] = pd.read_parquet(FOLDER / case["events"])
    if "fit" in case:
        columns = case["fit"]["columns"]
        made, _, rows = unfitted(case, columns)
        options |= {"preprocessor": made.fit(rows), "preprocessor_columns": columns}
    return sorted(
        {f"{each.leakage_type} ({each.status})" for each in audit(frame, **options).problems()}
    )


def by_fence(case: Any) -> list[str]:
    """Return what leakfence reports on the rows of a split, as check and severity."""
    given = np.load(FOLDER / case["arrays"])
    train, test = given["train"], given["test"]
    ids = {
        name: given[name].tolist() for name in ("subject", "session", "recording") if name in given
    }
    ranges = [tuple(each) for each in given["ranges"].tolist()] if "ranges" in given else None
    report = audit_split(
        train,
        test,
        sample_range=ranges,
        paradigm=case.get("paradigm"),
        n_rows=len(given["x"]),
        **ids,
    )
    found = [*report.violations, *check_duplicates(given["x"], train, test)[1]]
    if "fit" in case:
        made, raw, rows = unfitted(case, case["fit"]["columns"])
        made, violations = guard_fit(
            made, n_train=len(train), test_fingerprints=fingerprint_rows(raw.to_numpy()[test])
        )
        made.fit(rows.to_numpy())
        found += violations
    return sorted({f"{each.check} ({each.severity})" for each in found})


def main() -> None:
    """Write the demonstration data, or print what is reported."""
    cases = FOLDER / "cases.json"
    if not cases.exists():
        for name, frame in zip(("stays", "events"), make_demo_data(), strict=True):
            frame.to_parquet(FOLDER / f"{name}.parquet")
        return
    print(
        json.dumps(
            {
                case["name"]: {
                    "icu-leakage-check": by_icu(case) if "table" in case else None,
                    "leakfence": by_fence(case) if "arrays" in case else None,
                }
                for case in json.loads(cases.read_text())
            }
        )
    )


if __name__ == "__main__":
    main()
