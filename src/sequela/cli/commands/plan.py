"""``sequela plan``: how many patients a model and its evaluation need."""

from typing import TYPE_CHECKING

from rich.table import Table

from sequela.cli.names import Json
from sequela.cli.numbers import open_console
from sequela.errors import SettingError
from sequela.evaluation.number import plural

if TYPE_CHECKING:
    from rich.console import Console

    from sequela.evaluation.sample_size import Need


def plan(
    *,
    parameters: int,
    prevalence: float | None = None,
    auroc: float | None = None,
    rate: float | None = None,
    horizon: float | None = None,
    follow_up: float | None = None,
    r2: float | None = None,
    shrinkage: float = 0.9,
    patients: int | None = None,
    json: Json = False,
) -> None:
    """Compute how many patients a model and its evaluation need.

    Uses the criteria of Riley and others, which assume that patients are independent and that the
    parameters were chosen without a look at the outcome. Reads no data. Examples:

        sequela plan --prevalence 0.12 --auroc 0.8 --parameters 30

        sequela plan --rate 0.065 --horizon 2 --follow-up 2.07 --r2 0.051 --parameters 30

    Args:
        parameters: Candidate parameters of the model: columns, and one less than the categories of
            a column with categories.
        prevalence: For two classes: the share of patients with the outcome.
        auroc: For two classes: the AUROC that is expected on new patients.
        rate: For times to an event: events for each unit of time of follow-up.
        horizon: For times to an event: time of the prediction, in the same unit.
        follow_up: For times to an event: mean follow-up of a patient, in the same unit.
        r2: R² of Cox and Snell that is expected on new patients (default: the one that the AUROC
            implies).
        shrinkage: Least mean calibration slope on new patients.
        patients: Also compute the widths of the intervals of an evaluation with so many patients.
    """
    from dataclasses import asdict
    from json import dumps

    from sequela.evaluation import sample_size

    evaluation: list[Need] = []
    widths: dict[str, float] = {}
    match (prevalence, auroc), (rate, horizon, follow_up):
        case (float(share), float(area)), (None, None, None):
            r2 = sample_size.cox_snell(area, share) if r2 is None else r2
            training = sample_size.for_two_classes(parameters, share, r2, shrinkage)
            evaluation = sample_size.for_evaluation(share, area)
            if patients is not None:
                widths = sample_size.precision(patients, share, area)
        case (None, None), (float(rate), float(horizon), float(follow_up)) if r2 is not None:
            if patients is not None:
                raise SettingError("--patients is for two classes: leave it out")
            training = sample_size.for_times(parameters, rate, horizon, follow_up, r2, shrinkage)
        case _:
            raise SettingError(
                "expected --prevalence and --auroc for two classes, or --rate, --horizon, "
                "--follow-up and --r2 for times to an event"
            )
    if json:
        needs = {"training": training, "evaluation": evaluation}
        values: dict[str, object] = {k: [asdict(need) for need in v] for k, v in needs.items()}
        print(dumps({"r2": r2, **values, "widths": widths}, indent=1))
        return
    console = open_console()
    console.print(f"R² of Cox and Snell: {r2:.3f}")
    _print(console, f"to train a model with {plural(parameters, 'parameter')}", training)
    if evaluation:
        _print(console, "to evaluate it", evaluation)
    for name, width in widths.items():
        console.print(f"{name}, {patients:,} patients: 95 % interval of width {width:.2f}")


def _print(console: "Console", purpose: str, needs: "list[Need]") -> None:
    deciding = max(needs, key=lambda need: need.patients)
    table = Table(box=None)
    for column in (purpose, "patients", "events", ""):
        table.add_column(column, justify="right" if column in ("patients", "events") else "left")
    for need in needs:
        decides = "decides" if need is deciding else ""
        table.add_row(need.criterion, f"{need.patients:,}", f"{need.events:,}", decides)
    console.print(table)
