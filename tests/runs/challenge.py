"""Intensive care in the layout of PhysioNet 2012: small records, in which much is missing."""

from pathlib import Path

import numpy as np

MEASURED = {"HR": (85, 18), "Temp": (37, 0.8), "GCS": (11, 4), "Lactate": (2.4, 1.2)}
RARE = {"TroponinT": (1.5, 0.7)}


def write_set(root: Path, name: str, ids: range, seed: int) -> Path:
    """A folder ``set-NAME`` of records and its ``Outcomes-NAME.txt``.

    Args:
        root: Where to.
        name: Of the set: a, b or c.
        ids: RecordID of each stay.
        seed: Of the numbers.
    """
    rng = np.random.default_rng(seed)
    folder = root / f"set-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = ["RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death"]
    for place, record in enumerate(ids):
        died = bool(rng.random() < 0.3)
        rows = [f"00:00,RecordID,{record}", f"00:00,Age,{rng.integers(40, 90)}"]
        rows += [f"00:00,Gender,{place % 2}", f"00:00,ICUType,{1 + place % 4}"]
        for hour in sorted(rng.choice(47, 10, replace=False).tolist()):
            for parameter, (mean, spread) in MEASURED.items():
                if rng.random() < 0.7:
                    value = abs(rng.normal(mean + 0.3 * spread * died, spread))
                    rows.append(f"{hour:02d}:{rng.integers(60):02d},{parameter},{value:.2f}")
        if rng.random() < 0.1:
            rows.append(f"47:10,TroponinT,{abs(rng.normal(*RARE['TroponinT'])):.2f}")
        text = "\n".join(["Time,Parameter,Value", *rows]) + "\n"
        (folder / f"{record}.txt").write_text(text, "utf-8")
        outcomes.append(f"{record},10,4,9,{5 if died else -1},{int(died)}")
    (root / f"Outcomes-{name}.txt").write_text("\n".join(outcomes) + "\n", "utf-8")
    return root
