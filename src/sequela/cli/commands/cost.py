"""``sequela cost``: parameters and operations of a model, with the derivation."""

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from sequela.cli.names import check_names
from sequela.errors import SettingError

if TYPE_CHECKING:
    from sequela.cost.ledger import Account


def cost(
    model: str,
    /,
    *,
    input_: Annotated[list[str] | None, Parameter(name="--input")] = None,
    kwargs: str = "{}",
    convention: Literal["exact", "report-2019"] = "exact",
    steps: int | None = None,
    lengths: str | None = None,
    pad_to: int | None = None,
    codes: int | None = None,
    derive: bool = False,
    json: bool = False,
    allow_unknown: bool = False,
) -> None:
    """Count the parameters and operations of a model, with the derivation of each number.

    MODEL is a model listed by `sequela train --help`, a class (FILE.py:CLASS or
    package.module:CLASS), or the folder of a run. It trains nothing and reads no data. Examples:

        sequela cost gru-baseline --derive

        sequela cost visits-improved --lengths 1..20 --json

        sequela cost my_model.py:Encoder --input BxTx12 --steps 100 --kwargs '{"hidden": 64}'

    Args:
        model: The model to count.
        input_: For a class: shape of an argument of its forward; may be repeated; sizes have x
            between them, B for the batch size, T for the number of steps, and a type after a colon,
            such as 1x178, BxTx12 or Bx20:int64, and "lengths" is a tensor of the lengths.
        kwargs: Arguments of the class, or settings of the model, as JSON.
        convention: Operations to count: every arithmetic operation (exact), or those of the 2019
            report (report-2019).
        steps: Samples in a segment (default: 178), visits of a patient (default: 20), or the size
            T in --input (default: 1).
        lengths: Length of each sequence in the batch, such as 3,1,4 or 1..20.
        pad_to: Pad the batch to this many steps (default: its longest sequence).
        codes: Codes in each visit (default: 11, the mean of MIMIC-III).
        derive: Print the derivation of each number, layer by layer.
        json: Print everything as JSON.
        allow_unknown: Leave out operations that have no counting rule: the result is a lower bound.
    """
    check_names(model)
    from sequela.cost.derivation import render
    from sequela.cost.record import to_json
    from sequela.cost.references import account_of_unfitted
    from sequela.models.inputs import parse_settings
    from sequela.models.reference import REFERENCE_MODELS
    from sequela.runs.find import is_run

    if ":" not in model and is_run(Path(model)):
        # The folder holds the account of the trained network, which has one input: another shape
        # would need the model.
        shape = (input_, steps, lengths, pad_to, codes)
        changed = any(option is not None for option in shape) or kwargs != "{}"
        account = _of_run(Path(model), changed=changed or convention != "exact")
    elif model in REFERENCE_MODELS:
        _refuse(model, input_, lengths, pad_to, codes)
        account = account_of_unfitted(model, parse_settings(kwargs), steps, convention)
    else:
        from sequela.cost.network import count, network, parse_lengths

        counted = network(
            model,
            shapes=input_ or (),
            settings=parse_settings(kwargs),
            steps=steps,
            lengths=None if lengths is None else parse_lengths(lengths),
            slots=pad_to,
            codes=codes,
        )
        account = count(counted, convention=convention, allow_unknown=allow_unknown)
    if json:
        print(json_format.dumps(to_json(account), indent=1))
    else:
        print(render(account, derive=derive))


def _refuse(model: str, *options: object) -> None:
    if any(options):
        raise SettingError(
            f"{model} is a baseline model, counted on one example: leave out all but --kwargs, "
            "--steps, --convention, --derive and --json"
        )


def _of_run(path: Path, *, changed: bool) -> "Account":
    from sequela.runs.find import named_runs

    if changed:
        raise SettingError(
            f"{path} is a run, counted when it was made: leave out all but --derive and --json, or "
            "name a model"
        )
    (run,) = named_runs([path])
    if run.account is None:
        raise SettingError(
            f"{path} is a run of {run.settings.model}, whose operations were not counted: train it "
            "again, if it is not a model of a plugin"
        )
    return run.account
