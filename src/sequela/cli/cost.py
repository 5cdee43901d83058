"""``sequela cost``: parameters and operations of a model, with the derivation."""

import json as json_format
from typing import Annotated, Literal

from cyclopts import Parameter


def cost(
    model: str,
    /,
    *,
    input_: Annotated[list[str] | None, Parameter(name="--input", negative="")] = None,
    kwargs: str = "{}",
    convention: Literal["exact", "macs", "report-2019"] = "exact",
    steps: int | None = None,
    lengths: str | None = None,
    pad_to: int | None = None,
    codes: int | None = None,
    derive: Annotated[bool, Parameter(negative="")] = False,
    format_: Annotated[Literal["text", "markdown", "mathml"], Parameter(name="--format")] = "text",
    json: Annotated[bool, Parameter(negative="")] = False,
    measure: Annotated[bool, Parameter(negative="")] = False,
    training: Annotated[bool, Parameter(negative="")] = False,
    optimiser: str | None = None,
    allow_unknown: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Count the parameters and operations of any model, and show how each number comes about.

    MODEL is one of Sequela's own models, or a class: FILE.py:CLASS or package.module:CLASS. Nothing
    is trained and no data are read. Examples:

        sequela cost gru-baseline --derive

        sequela cost visits-improved --lengths 1..20 --json

        sequela cost my_model.py:Encoder --input BxTx12 --steps 100 --kwargs '{"hidden": 64}'

    Args:
        model: The model to count.
        input_: For a class: the shape of an argument of its forward, once for each argument. Sizes
            with x between them, B for the batch size, T for the steps, and a type after a colon:
            1x178, BxTx12, Bx20:int64. The word "lengths" stands for a tensor of the lengths.
        kwargs: Arguments of the class, or settings of the model, as JSON.
        convention: What counts as an operation: every arithmetic operation (exact), multiplications
            by a weight (macs), or what the report of 2019 counts (report-2019).
        steps: Samples of a segment (178 by default), or visits of a patient (20 by default); the
            size T in --input (1 by default).
        lengths: Length of each sequence of a batch: 3,1,4 or 1..20.
        pad_to: Steps to which the batch is padded; by default those of its longest sequence.
        codes: Codes of each visit (11 by default, the mean of MIMIC-III).
        derive: Print how each number comes about, layer by layer.
        format_: Form of the output; mathml gives the derivation alone, as a fragment of HTML.
        json: Print everything as JSON.
        measure: Also run the model on one thread, at batch sizes 1 and 64, and print its time, its
            memory, and its speed beside that of a matrix product.
        training: Also count one step of training on the same input.
        optimiser: Also count one step of training with this optimiser (adam by default): sgd,
            sgd-momentum, adam or adamw.
        allow_unknown: Leave out operations that have no rule; the result is then a lower bound.
    """
    from sequela.cost import measure as measuring
    from sequela.cost import training as steps_of_training
    from sequela.cost.network import count, network, parse_lengths, parse_settings
    from sequela.cost.record import to_json
    from sequela.cost.text import render

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
    step = None
    if training or optimiser is not None:
        step = steps_of_training.training_step(account, optimiser or "adam")
    measured = measuring.measure(counted) if measure else None
    if json:
        values = to_json(account)
        if step is not None:
            values["training"] = steps_of_training.to_json(step)
        if measured is not None:
            values["measured"] = [measuring.to_json(m) for m in measured]
        print(json_format.dumps(values, indent=1, ensure_ascii=False))
        return
    print(render(account, format_, derivation=derive))
    if step is not None:
        print("\n" + steps_of_training.render_training(step))
    if measured is not None:
        print("\n" + measuring.render_measurements(measured))
