"""``sequela plan``: the patients that a model and its evaluation need."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from sequela.cli.names import Json, Root
from sequela.cli.numbers import open_console, open_table, say_path
from sequela.errors import SettingError

if TYPE_CHECKING:
    from sequela.evaluation.sample_size import Need

_FEWEST = 2  # refits that show a difference
_OF_TIMES = ("rate", "horizon", "follow_up", "concordance")
_NUMBERS = ("parameters", "patients", "r2", "prevalence", "auroc", *_OF_TIMES)


def plan(
    run: Path | None = None,
    /,
    *,
    parameters: int | None = None,
    prevalence: float | None = None,
    auroc: float | None = None,
    rate: float | None = None,
    horizon: float | None = None,
    follow_up: float | None = None,
    concordance: float | None = None,
    r2: float | None = None,
    shrinkage: float = 0.9,
    patients: int | None = None,
    root: Root = None,
    networks: bool = False,
    refits: int = 200,
    json: Json = False,
) -> None:
    """Compute how many patients a model and its evaluation need.

    Before any data, uses the numbers that are expected, by the criteria of Riley and options. They
    assume that patients are independent and that the parameters were chosen without a look at the
    outcome. Examples:

        sequela plan --prevalence 0.12 --auroc 0.8 --parameters 30

        sequela plan --rate 0.065 --horizon 2 --follow-up 2.07 --concordance 0.69 --parameters 30

    For a finished run, uses its training and validation sets, and adds a learning curve and the
    stability of the risks. Reads the data of the run again, evaluates nothing on the test set, and
    writes plan.json into the run folder, for its page and card: `sequela plan runs/deaths`

    Args:
        run: Run folder, or the folder of a cross-validation (default: before any data).
        parameters: Candidate parameters of the model: columns, and one less than the categories of
            a column with categories (default: the evaluation alone).
        prevalence: For two classes: the share of patients with the outcome.
        auroc: For two classes: the AUROC that is expected on new patients.
        rate: For times to an event: events for each unit of time of follow-up.
        horizon: For times to an event: time of the prediction, in the same unit.
        follow_up: For times to an event: mean follow-up of a patient, in the same unit.
        concordance: For times to an event: the concordance that is expected on new patients.
        r2: R² of Cox and Snell that is expected on new patients (default: the one that the AUROC or
            the concordance implies).
        shrinkage: Least mean calibration slope on new patients.
        patients: Also compute the widths of the intervals of an evaluation with so many patients.
        networks: For a run of a network: train it again on parts of its training set.
        refits: For a run of a baseline model: fit it again on so many resamples of its patients.
    """
    values = parameters, patients, r2, prevalence, auroc, rate, horizon, follow_up, concordance
    numbers = {n: value for n, value in zip(_NUMBERS, values, strict=True) if value is not None}
    if run is None:
        _before_data(numbers, shrinkage, json=json)
        return
    if numbers:
        raise SettingError(f"a run has its own numbers: leave {run} or the numbers out")
    if refits < _FEWEST:
        raise SettingError(f"--refits is {refits}: expected {_FEWEST} or more")
    from sequela.analysis.planning import plan_run
    from sequela.analysis.stability import of_run

    console = open_console()
    tell = (lambda _: None) if json else console.print
    finished, plan = plan_run(run, root=root, networks=networks, refits=refits, tell=tell)
    path = finished.path / "plan.json"
    if json:
        print(path.read_text("utf-8"), end="")
        return
    stable = chain.from_iterable(s.sentences(finished.data) for s in of_run(finished, 1))
    console.print(*plan.sentences, *stable, sep="\n")
    say_path(console, "plan", path)


def _before_data(numbers: dict[str, float], shrinkage: float, *, json: bool) -> None:
    from dataclasses import asdict
    from json import dumps

    from sequela.evaluation import sample_size

    r2, parameters = numbers.get("r2"), int(numbers.get("parameters", 0))
    training, evaluation, widths = list["Need"](), list["Need"](), dict[str, float]()
    match numbers:
        case {"prevalence": share, "auroc": area, **more} if more.keys() - {"patients"} in (
            set(),
            {"parameters"},
            {"parameters", "r2"},
        ):
            evaluation = sample_size.for_evaluation(share, area)
            if "patients" in more:
                widths = sample_size.precision(int(more["patients"]), share, area)
            if "parameters" in more:
                r2 = sample_size.cox_snell(area, share) if r2 is None else r2
                shares = 1 - share, share
                training = sample_size.for_classes(parameters, shares, (r2,), r2, shrinkage)
        case {"rate": rate, "horizon": horizon, "follow_up": follow_up, **more} if more.keys() in (
            {"parameters", "r2"},
            {"parameters", "concordance"},
        ):
            if r2 is None:
                r2 = sample_size.cox_snell_of_times(more["concordance"], rate * follow_up)
            training = sample_size.for_times(parameters, rate, horizon, follow_up, r2, shrinkage)
        case _:
            raise SettingError(
                "expected a run; or --prevalence and --auroc for two classes; or --rate, "
                "--horizon, --follow-up, --parameters and either --concordance or --r2 for times "
                "to an event"
            )
    if json:
        content = {"r2": r2, "training": training, "evaluation": evaluation, "widths": widths}
        print(dumps(content, indent=1, default=asdict))
        return
    _print_needs("training", training)
    _print_needs("evaluation", evaluation)
    console = open_console()
    if training:
        console.print(f"R² of Cox and Snell: {r2:.3f}")
    for name, width in widths.items():
        patients = f"{numbers['patients']:,} patients"
        console.print(f"{name}, {patients}: 95 % interval of width {width:.2f}")


def _print_needs(name: str, needs: "list[Need]") -> None:
    table = open_table(name, "patients", "events", "")
    for column in table.columns[1:3]:
        column.justify = "right"
    most = max((need.patients for need in needs), default=0)
    for need in needs:
        decides = "decides" if need.patients == most else ""
        table.add_row(need.criterion, f"{need.patients:,}", f"{need.events:,}", decides)
    if needs:
        open_console().print(table)
