"""Anybody's recordings in a table: sleep stages of one second each."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def table(path: Path, patients: range, noise: float = 8) -> Path:
    """Three sleep stages of one second each, of patients whose rhythms differ by stage."""
    rng = np.random.default_rng(patients.start)
    t = np.arange(128) / 128
    rows = []
    for patient in patients:
        for number in range(9):
            stage = ("N2", "R", "W")[number % 3]
            wave = {"N2": 3, "R": 7, "W": 12}[stage]
            signal = 30 * np.sin(2 * np.pi * wave * t + rng.uniform(0, 6)) + rng.normal(
                scale=noise, size=(2, 128)
            )
            row = dict(zip(("C3", "C4"), signal.tolist(), strict=True))
            rows.append(
                {"patient": f"p{patient:02d}", "stage": stage, "hospital": "AB"[patient % 2], **row}
            )
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path
