"""An account as JSON (``cost.json`` of a run folder), and back.

Formulas are written as text with their symbols, and read back as formulas, so that a derivation can
be printed from the file alone.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sequela.cost.formula import Formula, Symbol, merged, parse
from sequela.cost.layers.work import Part, Work
from sequela.cost.ledger import (
    Account,
    Amount,
    Calls,
    LayerCost,
    Noted,
    ReportCount,
    ReportPart,
    Shared,
)
from sequela.cost.primitives import Cost
from sequela.cost.report_2019 import Omission
from sequela.errors import RunError
from sequela.files import whole

Json = dict[str, Any]


def to_json(account: Account) -> Json:
    """The account as plain values.

    ``operations``, ``macs`` and each layer's are of the input as given; ``amounts`` tells useful,
    executed and (with a multi-hot input) embedding-sum work apart.
    """
    sums = account.embedding_sum
    return {
        "model": account.model,
        "convention": account.convention,
        "inputs": account.inputs,
        "parameters": account.parameters,
        "trainable": account.trainable,
        "operations": account.operations,
        "macs": account.macs,
        "lower_bound": account.lower_bound,
        "amounts": {
            "useful": _amount(account.useful),
            "executed": _amount(account.executed),
            **({} if sums is None else {"embedding_sum": _amount(sums)}),
        },
        "layers": [_layer(layer) for layer in account.layers],
        "free": [_noted(noted) for noted in account.free],
        "unknown": [_noted(noted) for noted in account.unknown],
        "report_2019": None if account.report is None else _report(account.report),
    }


def from_json(values: Mapping[str, Any]) -> Account:
    """The account that ``to_json`` wrote.

    Raises:
        RunError: If the values are not an account.
    """
    try:
        report = values["report_2019"]
        return Account(
            model=values["model"],
            convention=values["convention"],
            inputs=values["inputs"],
            layers=tuple(map(_read_layer, values["layers"])),
            trainable=values["trainable"],
            free=tuple(Noted(**noted) for noted in values["free"]),
            unknown=tuple(Noted(**noted) for noted in values["unknown"]),
            report=None if report is None else _read_report(report),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"not a cost account ({type(error).__name__}: {error}): write it again with `sequela "
            "cost --json`"
        ) from error


def save(account: Account, path: Path) -> None:
    """Write an account as JSON; the file appears whole or not at all."""
    with whole(path) as partial:
        content = json.dumps(to_json(account), indent=1, ensure_ascii=False)
        partial.write_text(content + "\n", encoding="utf-8")


def load(path: Path) -> Account:
    """Read an account.

    Raises:
        RunError: If the file is missing, or holds no account.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise RunError(f"{path} cannot be read as a cost account: {error}") from error
    try:
        return from_json(values)
    except RunError as error:
        raise RunError(f"{path} is {error}") from error


def _amount(amount: Amount) -> Json:
    return {"operations": amount.operations, "macs": amount.macs}


def _noted(noted: Noted) -> Json:
    return {"operation": noted.operation, "place": noted.place, "times": noted.times}


def _symbols(symbols: Mapping[str, Symbol]) -> Json:
    return {s.name: {"value": s.number, "meaning": s.meaning} for s in symbols.values()}


def _read_symbols(values: Mapping[str, Any]) -> dict[str, Symbol]:
    return {name: Symbol(name, v["value"], v["meaning"]) for name, v in values.items()}


def _formula(formula: Formula) -> Json:
    return {
        "formula": formula.text(),
        "substitution": formula.substitution(),
        "value": formula.value,
        "symbols": _symbols(formula.symbols()),
    }


def _read_formula(values: Mapping[str, Any]) -> Formula:
    return parse(values["formula"], _read_symbols(values["symbols"]))


def _calls(calls: Calls) -> Json:
    work = calls.work
    costs = [cost for part in work.parts for cost in (part.cost.operations, part.cost.macs)]
    return {
        "calls": calls.times,
        "times": work.times.text(),
        "unit": work.unit,
        "parts": [
            {
                "label": part.label,
                "operations": part.cost.operations.text(),
                "macs": part.cost.macs.text(),
            }
            for part in work.parts
        ],
        "symbols": _symbols(merged([work.times, *costs])),
    }


def _read_calls(values: Mapping[str, Any]) -> Calls:
    symbols = _read_symbols(values["symbols"])
    parts = (
        Part(part["label"], Cost(parse(part["operations"], symbols), parse(part["macs"], symbols)))
        for part in values["parts"]
    )
    work = Work(tuple(parts), parse(values["times"], symbols), values["unit"])
    return Calls(work, values["calls"])


def _layer(layer: LayerCost) -> Json:
    return {
        "name": layer.name,
        "kind": layer.kind,
        "parameters": layer.parameters,
        "operations": layer.operations,
        "macs": layer.macs,
        "formula": layer.formula,
        "substitution": layer.substitution,
        "parameter_formula": _formula(layer.parameter_formula),
        "useful": _amount(layer.useful),
        "executed": _amount(layer.executed),
        "work": [_calls(calls) for calls in layer.calls],
        "embedding_sum": [_calls(calls) for calls in layer.embedding_sum],
        "shared": [
            {"parameter": part.parameter, "owner": part.owner, "size": part.size}
            for part in layer.shared
        ],
    }


def _read_layer(values: Mapping[str, Any]) -> LayerCost:
    return LayerCost(
        name=values["name"],
        kind=values["kind"],
        parameters=values["parameters"],
        parameter_formula=_read_formula(values["parameter_formula"]),
        calls=tuple(map(_read_calls, values["work"])),
        useful=Amount(**values["useful"]),
        executed=Amount(**values["executed"]),
        embedding_sum=tuple(map(_read_calls, values["embedding_sum"])),
        shared=tuple(Shared(**part) for part in values["shared"]),
    )


def _report(report: ReportCount) -> Json:
    return {
        "parameters": report.parameters,
        "operations": report.operations,
        "missing_parameters": report.missing_parameters,
        "missing_operations": report.missing_operations,
        "parts": [
            {"layer": p.layer, "parameters": p.parameters, "operations": p.operations}
            for p in report.parts
        ],
        "omissions": [
            {
                "layer": omission.layer,
                "reason": omission.reason,
                "parameters": _formula(omission.parameters),
                "operations": _formula(omission.operations),
            }
            for omission in report.omissions
        ],
    }


def _read_report(values: Mapping[str, Any]) -> ReportCount:
    omissions = (
        Omission(
            omission["layer"],
            omission["reason"],
            _read_formula(omission["parameters"]),
            _read_formula(omission["operations"]),
        )
        for omission in values["omissions"]
    )
    return ReportCount(tuple(ReportPart(**p) for p in values["parts"]), tuple(omissions))
