"""Small real runs of the seizure study."""

from pathlib import Path

import pytest

from sequela.config import RunSettings, SplitUnit, TrainingSettings
from sequela.studies import run
from sequela.studies.folder import RunFolder


@pytest.fixture(scope="session")
def small_runs(synthetic: Path, tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    """Both MLPs and the two floors by recording, one MLP by row."""
    out = tmp_path_factory.mktemp("report")
    wanted: list[tuple[str, SplitUnit]] = [
        ("mlp-baseline", "recording"),
        ("mlp-improved", "recording"),
        ("majority-class", "recording"),
        ("logistic-regression", "recording"),
        ("mlp-baseline", "row"),
    ]
    return [
        run.train(
            RunSettings(
                model=model, data="bonn", split=split, training=TrainingSettings(epochs=12)
            ),
            out / f"{model}.by-{split}",
            root=synthetic,
        )
        for model, split in wanted
    ]
