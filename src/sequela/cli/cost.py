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
    optimiser: str = "adam",
    allow_unknown: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Count parameters and operations of any model, with the derivation.

    MODEL is one of Sequela's own models, or FILE.py:CLASS, or package.module:CLASS. Nothing is
    trained and no data are read. Examples:

        sequela cost gru-baseline --derive

        sequela cost visits-improved --lengths 1..20 --json

        sequela cost my_model.py:Encoder --input BxTx12 --steps 100 --kwargs '{"hidden": 64}'

    Args:
        model: What to count.
        input_: Shape of each argument of the forward, for a class: sizes with x between them, B
            for the batch, T for the steps, and a type after a colon: 1x178, BxTx12, Bx20:int64. The
            word "lengths" stands for the lengths of the batch.
        kwargs: Arguments of the class, or settings of the model, as JSON.
        convention: What is an operation: everything (exact), multiplications by a weight (macs), or
            what the report of 2019 counts.
        steps: Samples of a segment, or visits of a patient (20 by default); T of a shape.
        lengths: Steps of each sequence of a batch: 3,1,4 or 1..20.
        pad_to: Steps to which the batch is padded; those of its longest sequence by default.
        codes: Codes of each visit (11 by default, MIMIC-III's mean).
        derive: Print how each number comes about, layer by layer.
        format_: How to print; mathml is the derivation as a fragment of HTML.
        json: Print everything as JSON.
        measure: Also run the model, at batch 1 and 64 on one thread: time, memory, operations a
            second against a matrix product.
        training: Also count a step of training on the same input.
        optimiser: Its update: sgd, sgd-momentum, adam, adamw.
        allow_unknown: Leave out operations without a rule; the result is a lower bound.
    """
    from sequela.cost import measure as measuring
    from sequela.cost import training as steps_of_training
    from sequela.cost.record import to_json
    from sequela.cost.subject import count, parse_lengths, parse_settings, subject
    from sequela.cost.text import render

    counted = subject(
        model,
        shapes=input_ or (),
        settings=parse_settings(kwargs),
        steps=steps,
        lengths=None if lengths is None else parse_lengths(lengths),
        slots=pad_to,
        codes=codes,
    )
    account = count(counted, convention=convention, allow_unknown=allow_unknown)
    step = steps_of_training.training_step(account, optimiser) if training else None
    measured = measuring.measure(counted) if measure else None
    if json:
        values = to_json(account)
        if step is not None:
            values["training"] = steps_of_training.to_json(step)
        if measured is not None:
            values["measured"] = [measuring.to_json(m) for m in measured]
        print(json_format.dumps(values, indent=1))
        return
    print(render(account, format_, derivation=derive))
    if step is not None:
        print("\n" + steps_of_training.render_training(step))
    if measured is not None:
        print("\n" + measuring.render_measurements(measured))
