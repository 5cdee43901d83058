"""The account of a model: a trace, counted by a convention."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor, nn

from sequela.cost.formula import Formula, add, formula, multiply
from sequela.cost.ledger import (
    Account,
    LayerCost,
    Noted,
    ReportCount,
    ReportPart,
    Shared,
    amount,
)
from sequela.cost.meta import describe
from sequela.cost.trace import CallsOfLayer, Trace, trace
from sequela.cost.work import Convention, Layer, Omission, Work, convention_of
from sequela.errors import ModelError

UNKNOWN_SHOWN = 5  # operations without a rule that an error names
COUNTED = ("mlp-baseline", "cnn-baseline", "gru-baseline")
"""The models that the report of 2019 counts."""


def account(
    model: nn.Module,
    inputs: object,
    *,
    convention: str = "exact",
    name: str | None = None,
    padded_rows: int | None = None,
    allow_unknown: bool = False,
) -> Account:
    """Count the cost of any module at inference, without running it on data.

    Args:
        model: Any module; it is not changed.
        inputs: The arguments of its forward: one tensor, a tuple of arguments, or a mapping by
            name. Only shapes matter, except for integers (offsets, lengths), which may decide how
            much is computed.
        convention: ``exact`` or ``report-2019``.
        name: Name of the model in the account; its class by default.
        padded_rows: Rows of a padded batch in a Linear on multi-hot visits.
        allow_unknown: Whether operations without a rule are left out, which makes the account a
            lower bound, or raise an error.

    Raises:
        UnknownNameError: If there is no such convention.
        ModelError: If the module cannot be traced, fails on such input, or computes an operation
            without a rule.

    Example:
        >>> from torch import nn, zeros
        >>> cost = account(nn.Sequential(nn.Linear(178, 16), nn.Sigmoid()), zeros(1, 178))
        >>> cost.parameters, cost.operations, cost.layers[0].substitution
        (2864, 5760, '16·2·178')
    """
    rules = convention_of(convention)
    args, kwargs = arguments(inputs)
    values = (*args, *kwargs.values())
    if any(isinstance(value, Tensor) and value.numel() == 0 for value in values):
        raise ModelError("an input tensor is empty: give a shape without a 0")
    traced = trace(model, args, kwargs, padded_rows=padded_rows)
    title = name or type(model).__name__
    if traced.unknown and not allow_unknown:
        raise _without_a_rule(title, _noted(traced.unknown))
    shapes = [*map(describe, args), *(f"{key}={describe(v)}" for key, v in kwargs.items())]
    # Other models have no counterpart in the report, so a comparison would be of different things.
    compare = convention == "report-2019" or title in COUNTED
    return Account(
        model=title,
        convention=convention,
        inputs=", ".join(shapes),
        layers=_layers(traced, rules),
        trainable=sum(p.numel() for p in model.parameters() if p.requires_grad),
        free=_noted(traced.free),
        unknown=_noted(traced.unknown),
        report=_report(traced) if compare else None,
    )


def _without_a_rule(title: str, operations: Sequence[Noted]) -> ModelError:
    names = "; ".join(map(str, operations[:UNKNOWN_SHOWN]))
    hidden = len(operations) - UNKNOWN_SHOWN
    more = f" and {hidden} more" if hidden > 0 else ""
    return ModelError(
        f"{title} has operations without a counting rule: {names}{more}. Leave them out and get a "
        "lower bound with --allow-unknown"
    )


def arguments(inputs: object) -> tuple[Sequence[object], Mapping[str, object]]:
    """Split the inputs into positional and keyword arguments."""
    if isinstance(inputs, Mapping):
        return (), inputs
    # A packed sequence is a named tuple, and one argument.
    return (inputs if type(inputs) is tuple else (inputs,)), {}


def _layers(traced: Trace, rules: Convention) -> tuple[LayerCost, ...]:
    owners: dict[str, str] = {}
    return tuple(_layer(row, rules, owners) for row in traced.rows.values())


def _layer(row: CallsOfLayer, rules: Convention, owners: dict[str, str]) -> LayerCost:
    """Count one row; ``owners`` maps parameters counted before to the layer that counts them."""
    shared = tuple(
        Shared(name, owners[name], parameter.numel())
        for name, parameter in row.parameters.items()
        if name in owners
    )
    # The first layer that holds a parameter counts it: tied weights exist once.
    for name in row.parameters:
        owners.setdefault(name, row.name)

    def counted(layer: Layer, work: Work) -> Work:
        return replace(rules(replace(layer, work=work)).work, calls=row.layers[layer])

    layers = list(row.layers)
    work = tuple(counted(layer, layer.work) for layer in layers)
    # Useful and executed work differ only in layers that also compute on the padding of a batch.
    padded = [counted(layer, layer.padded or layer.work) for layer in layers]
    sums = [counted(layer, layer.embedding_sum) for layer in layers if layer.embedding_sum]
    return LayerCost(
        name=row.name,
        kind=row.kind,
        parameter_formula=_parameters(row, rules),
        work=work,
        useful=amount(work),
        executed=amount(padded),
        embedding_sum=tuple(sums),
        shared=shared,
    )


def _parameters(row: CallsOfLayer, rules: Convention) -> Formula:
    size = sum(parameter.numel() for parameter in row.parameters.values())
    if len(row.layers) and size:
        layer = next(iter(row.layers))
        # A layer with other parameters, such as a subclass with a gain, is counted by its shapes.
        if layer.parameters.value == size:
            return rules(layer).parameters
    return add(multiply(map(formula, p.shape)) for p in row.parameters.values())


def _report(traced: Trace) -> ReportCount:
    layers = _layers(traced, convention_of("report-2019"))
    omissions: list[Omission] = []
    for row in traced.rows.values():
        for layer in row.layers.elements():
            if layer.report is not None:
                omissions.extend(replace(o, layer=row.name) for o in layer.report.omissions)
    parts = (ReportPart(layer.name, layer.parameters, layer.operations) for layer in layers)
    return ReportCount(tuple(parts), tuple(omissions))


def _noted(places: Counter[tuple[str, str]]) -> tuple[Noted, ...]:
    return tuple(Noted(operation, place, times) for (operation, place), times in places.items())
