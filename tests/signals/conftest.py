"""Own recordings as people have them: a table of segments, and a folder of EDF files."""

from collections.abc import Callable, Sequence
from datetime import time
from pathlib import Path

import edfio
import numpy as np
import pytest

Edf = Callable[..., Path]


@pytest.fixture
def edf(tmp_path: Path) -> Edf:
    """Writes an EDF+ file of sines: ``edf("a/b.edf", ("C3", "C4"), seconds=10)``."""

    def write(
        name: str,
        channels: Sequence[str] = ("C3", "C4"),
        *,
        seconds: int = 10,
        rate: float = 128,
        unit: str = "uV",
        annotations: Sequence[tuple[float, float | None, str]] = (),
        code: str = "X",
        start: time | None = None,
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        t = np.arange(int(seconds * rate)) / rate
        signals = [
            edfio.EdfSignal(
                100 * np.sin(2 * np.pi * (3 + k) * t + k),
                rate,
                label=label,
                physical_dimension=unit,
                physical_range=(-200, 200),
            )
            for k, label in enumerate(channels)
        ]
        said = [edfio.EdfAnnotation(*each) for each in annotations]
        patient = edfio.Patient(code=code)
        edfio.Edf(signals, patient=patient, annotations=said, starttime=start).write(path)
        return path

    return write
