"""The options for the settings of a run, for the commands that train."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sequela.cli.names import known, tasks
from sequela.cli.options import given, options
from sequela.config import CohortSettings, RunSettings, SignalSettings, TrainingSettings

if TYPE_CHECKING:
    Asked = Any
else:
    Asked = options(
        {
            "Run": RunSettings,
            "Hospital records": CohortSettings,
            "Your own recordings (signals)": SignalSettings,
            "Training": TrainingSettings,
        },
        defaults={"task": known("set by the study of these data, else in-hospital", tasks)},
    )


def asked_of(asked: Asked) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the given settings of the run, and of its records, training and signals by name."""
    said = given(asked, RunSettings)
    records = given(asked, CohortSettings)
    records |= {name: said.pop(name) for name in ("aim", "aim_target") if name in said}
    if "labels" in records:
        records["labels"] = str(Path(records["labels"]).resolve())
    training, signals = given(asked, TrainingSettings), given(asked, SignalSettings)
    return said, {"records": records, "training": training, "signals": signals}
